//! One try of a request at one account: the account's slot, the exchange with its upstream, and what is known of it.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use shared::clock::Millis;
use tokio::time::Instant;
use wire::{raw::watch::FailureCause, relay::Relay};

use super::{
    adapt::Outgoing,
    failure::{End, Failure, Judge},
    reading::Reading,
    translation::Translation,
};
use crate::{
    live::InFlight,
    provider::{self, Endpoint, failure::Reason},
    scheduler::Picked,
    snapshot::Account,
    upstream::{Call, UpstreamClient},
};

/// A request on a connection that was used before is lost so soon, where the connection was closed already.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// The attempt under way.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) account: Arc<Account>,
    /// The account's name for the model.
    pub(super) model: Arc<str>,
    /// Of the upstream's answer; 0 until there is one.
    pub(super) status: u16,
    /// Shared with the thread that reads a long answer.
    pub(super) translation: Arc<Translation>,
    /// What is called; none before the request is sent.
    pub(super) endpoint: Option<Endpoint>,
    /// There is another endpoint, where the server lacks this one.
    pub(super) falls_back: bool,
    /// All reasoning was taken out of the history.
    pub(super) without_reasoning: bool,
    /// The request names nothing else that its upstream may not find.
    pub(super) only_model: bool,
    pub(super) reading: Reading,
    /// Some of the answer's content came.
    pub(super) content: bool,
    /// Reads of the answer's body, and their bytes.
    pub(super) reads: u64,
    pub(super) read_bytes: u64,
    /// What the provider keeps the answer under is known to be this account's.
    pub(super) bound: bool,
    pub(super) began: Instant,
    /// When the request was handed over last.
    sent_at: Instant,
    /// None before the request is sent.
    pub(super) call: Option<Call>,
    /// None: it goes on to the next attempt.
    pub(super) slot: Option<InFlight>,
}

impl Attempt {
    pub(super) fn new(picked: Picked<'_>, began: Instant) -> Self {
        Self {
            account: Arc::clone(picked.account),
            model: picked.model.into(),
            status: 0,
            translation: Arc::default(),
            endpoint: None,
            falls_back: false,
            without_reasoning: false,
            only_model: false,
            reading: Reading::Opaque,
            content: false,
            reads: 0,
            read_bytes: 0,
            bound: false,
            began,
            sent_at: began,
            call: None,
            slot: Some(picked.slot),
        }
    }

    /// `fresh`: on a connection of its own.
    pub(super) fn send(
        &mut self,
        outgoing: Outgoing,
        upstream: &Arc<UpstreamClient>,
        fresh: bool,
        now: Instant,
    ) {
        let Outgoing { request, translation, endpoint, falls_back, without_reasoning, stream: _, losses: _ } =
            outgoing;
        self.translation = Arc::new(translation);
        (self.endpoint, self.falls_back) = (Some(endpoint), falls_back);
        self.without_reasoning = without_reasoning;
        self.sent_at = now;
        self.only_model = provider::names_only_the_model(&self.account, &request);
        self.call = upstream.send(request, fresh);
    }

    /// Whether the request may be sent once more, since nobody can have answered it; see [`Call::went_stale`]. A
    /// connection that was closed while it rested says so at once: one that breaks later was served from.
    pub(super) fn went_stale(&self) -> bool {
        self.call.as_ref().is_some_and(Call::went_stale) && self.sent_at.elapsed() < STALE_WITHIN
    }

    /// Whether the upstream has the whole request, as far as is known here.
    pub(super) fn is_sent(&self) -> bool {
        self.call.as_ref().is_some_and(Call::is_sent)
    }

    pub(super) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the upstream answered that it does not answer.
    pub(super) const fn is_refused(&self) -> bool {
        self.status != 0 && !(self.status >= 200 && self.status < 300)
    }

    /// Whether some of its content went to the client.
    pub(super) fn reached_client(&self) -> bool {
        self.reading.seen().map_or(self.content, |seen| seen.told)
    }

    /// Whether the client has all of a stream, or of an answer that was read whole; only the connection's end is missing.
    pub(super) fn is_complete(&self) -> bool {
        matches!(&self.reading, Reading::Stream(relay) if relay.seen().end)
    }

    /// What a failure that the stream reported says about the account; none where it is about the request.
    /// `before_content`: only one that comes ahead of all content.
    pub(super) fn failure_in_stream(&self, before_content: bool, now: Millis) -> Option<Failure> {
        match self.reported(now)? {
            End::Failed(failure) if !before_content || self.reported_before_content() => Some(failure),
            _ => None,
        }
    }

    /// The end that the stream reported; none where it reported no failure.
    pub(super) fn reported(&self, now: Millis) -> Option<End> {
        let (failure, headers) = (self.relay()?.failure()?, HeaderMap::new());
        let Some(judge) = self.judge(&headers, now) else {
            return Some(End::Failed(Failure::of(Reason::StreamError)));
        };
        Some(match &failure.cause {
            FailureCause::Reported(said) if judge.is_about_the_request(failure) => {
                End::Refused(said.message.clone())
            }
            _ => End::Failed(judge.in_stream(failure.clone())),
        })
    }

    /// Who says whose fault a failure is. `headers`: of the answer.
    pub(super) fn judge<'a>(&'a self, headers: &'a HeaderMap, now: Millis) -> Option<Judge<'a>> {
        let model = provider::sent_model(&self.account, &self.model);
        let provider = provider::for_account(&self.account)?;
        Some(Judge { provider, model, only_model: self.only_model, headers, now })
    }

    fn reported_before_content(&self) -> bool {
        self.relay().and_then(Relay::failure).is_some_and(|failure| failure.before_content)
    }

    const fn relay(&self) -> Option<&Relay> {
        match &self.reading {
            Reading::Stream(relay) => Some(relay),
            Reading::Opaque | Reading::Away(_) | Reading::Whole(_) => None,
        }
    }
}
