//! What is under way for a request, from the first forward to its end.
//!
//! An [`Exchange`] is held by whoever waits for the upstream: the forward stage, then the client's body. If its holder
//! is dropped half-way, because the client is gone, it hands itself to a task ([`super::drain`]), so that what was
//! consumed is metered all the same.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::response;
use proto::v1::Outcome;
use shared::{id::UserId, secret::KeyHash};
use tokio::time::Instant;

use super::{
    adapt::Outgoing,
    deadlines::{Deadlines, Limit},
    drain,
    filter::Admitted,
    meter::Meter,
    plan::Plan,
    reading::Reading,
    refusal::Refusal,
};
use crate::{
    ingress::Proxy,
    live::{Binding, InFlight},
    provider::{self, Endpoint, failure::Reason},
    scheduler::Picked,
    snapshot::{Account, Limits, Snapshot},
    upstream::Call,
};

/// A request under way. Dropped before [`Exchange::finish`], it is handed to a task.
#[derive(Debug)]
pub struct Exchange(Option<Box<Flight>>);

impl Exchange {
    /// Writes the open record. `deadlines`: the request's, since it arrived.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn open(
        proxy: &Arc<Proxy>,
        admitted: &Admitted,
        deadlines: Deadlines,
    ) -> Result<Self, Refusal> {
        let snapshot = Arc::clone(&admitted.caller.snapshot);
        Ok(Self(Some(Box::new(Flight {
            meter: Meter::open(proxy, admitted)?,
            proxy: Arc::clone(proxy),
            key: admitted.caller.hash,
            user: admitted.caller.key.user_id,
            bound_id: admitted.view.bound_id.clone(),
            snapshot,
            deadlines,
            streaming: admitted.view.stream,
            sent_status: 0,
            leg: None,
        }))))
    }

    /// Takes it away, and leaves one that is over.
    pub(super) const fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// `None` once it is finished.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.0.as_deref().map(|flight| &*flight.proxy)
    }

    /// `None` once it is finished.
    pub(super) const fn flight(&mut self) -> Option<&mut Flight> {
        match &mut self.0 {
            Some(flight) => Some(flight),
            None => None,
        }
    }

    /// Ends the attempt under way and the request with it, and writes the close record.
    pub(super) fn finish(&mut self, outcome: Outcome, reason: Option<Reason>) {
        if let Some(flight) = self.0.take() {
            flight.finish(outcome, reason);
        }
    }
}

impl Exchange {
    /// Nobody knows what it was in the middle of: what it had read is not looked at any more.
    pub(super) fn end_panicked(&mut self) {
        if let Some(flight) = self.0.take() {
            drain::end_panicked(flight);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(flight) = self.0.take() {
            drain::hand_off(flight);
        }
    }
}

/// What came next.
#[derive(Debug)]
pub(super) enum Next {
    Chunk(Bytes),
    End,
    Failed(Reason),
    /// The answer's head has been held back for long enough.
    HoldOver,
}

#[derive(Debug)]
pub(crate) struct Flight {
    pub(super) proxy: Arc<Proxy>,
    /// What the request was last checked against.
    snapshot: Arc<Snapshot>,
    key: KeyHash,
    user: UserId,
    /// What the request builds on, which only one account knows.
    bound_id: Option<String>,
    pub(super) meter: Meter,
    deadlines: Deadlines,
    /// The client asked for a stream, so an answer's head is expected long before its end.
    pub(super) streaming: bool,
    /// What the client was told; 0 for nothing so far.
    pub(super) sent_status: u16,
    pub(super) leg: Option<Leg>,
}

/// The attempt under way.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) account: Arc<Account>,
    /// The account's name for the model.
    pub(super) model: Arc<str>,
    /// Of the upstream's answer; 0 until there is one.
    pub(super) status: u16,
    /// Shared with the thread that reads a long answer.
    pub(super) plan: Arc<Plan>,
    /// What is called; none before the request is sent.
    pub(super) endpoint: Option<Endpoint>,
    /// There is another endpoint, where the server lacks this one.
    pub(super) falls_back: bool,
    /// All reasoning was taken out of the history.
    pub(super) without_reasoning: bool,
    pub(super) reading: Reading,
    /// What the provider keeps the answer under is known to be this account's.
    bound: bool,
    /// None before the request is sent.
    call: Option<Call>,
    /// None: it goes on to the next attempt.
    slot: Option<InFlight>,
}

impl Leg {
    /// Whether the upstream has the whole request, as far as is known here.
    pub(super) fn is_sent(&self) -> bool {
        self.call.as_ref().is_some_and(Call::is_sent)
    }
}

impl Flight {
    pub(super) fn limits(&self) -> &Limits {
        &self.snapshot.limits
    }

    /// Begins an attempt; its request comes with [`Self::send`].
    pub(super) fn begin(&mut self, picked: Picked<'_>) {
        self.meter.begin_attempt(picked.account, picked.model, &self.proxy.clock);
        self.leg = Some(Leg {
            account: Arc::clone(picked.account),
            model: picked.model.into(),
            status: 0,
            plan: Arc::default(),
            endpoint: None,
            falls_back: false,
            without_reasoning: false,
            reading: Reading::Opaque,
            bound: false,
            call: None,
            slot: Some(picked.slot),
        });
    }

    /// Ends the attempt under way and begins another one with the same account, in the same slot. False: there is none.
    pub(super) fn begin_again(&mut self, reason: Reason) -> bool {
        let Some(leg) = &mut self.leg else { return false };
        let (account, model, slot) = (Arc::clone(&leg.account), Arc::clone(&leg.model), leg.slot.take());
        self.end_attempt(Outcome::UpstreamError, Some(reason));
        let Some(slot) = slot else { return false };
        self.begin(Picked { account: &account, model: &model, slot });
        true
    }

    /// `fresh`: on a connection of its own.
    pub(super) fn send(&mut self, outgoing: Outgoing, fresh: bool) {
        let Outgoing { request, plan, endpoint, stream, falls_back, without_reasoning, losses: _ } = outgoing;
        if stream {
            self.deadlines.set(Limit::FirstByte, Instant::now() + self.snapshot.limits.first_byte);
        }
        if let Some(leg) = &mut self.leg {
            leg.plan = Arc::new(plan);
            (leg.endpoint, leg.falls_back) = (Some(endpoint), falls_back);
            leg.without_reasoning = without_reasoning;
            leg.call = self.proxy.upstream.send(request, fresh);
        }
    }

    /// Whether the request may be sent once more, since nobody can have answered it; see [`Call::went_stale`].
    pub(super) fn went_stale(&self) -> bool {
        self.leg.as_ref().and_then(|leg| leg.call.as_ref()).is_some_and(Call::went_stale)
    }

    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<response::Parts, Reason>> {
        let Some(leg) = &mut self.leg else {
            return Poll::Ready(Err(Reason::Cut));
        };
        let Some(call) = &mut leg.call else {
            return Poll::Ready(Err(Reason::Stopped));
        };
        match call.poll_head(cx) {
            Poll::Ready(Ok(parts)) => {
                leg.status = parts.status.as_u16();
                self.deadlines.lift(Limit::FirstByte);
                self.read_on(Instant::now());
                Poll::Ready(Ok(parts))
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(account = %leg.account.name, error = %chain(&error), "no answer from the upstream");
                Poll::Ready(Err(Reason::of(&error)))
            }
            Poll::Pending if self.proxy.closing() => Poll::Ready(Err(Reason::Stopped)),
            Poll::Pending => loop {
                if let Some(reason) = ready!(self.poll_over(cx)) {
                    return Poll::Ready(Err(reason));
                }
            },
        }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Some(Leg { call: Some(call), account, .. }) = &mut self.leg else {
            return Poll::Ready(Next::End);
        };
        match call.poll_chunk(cx) {
            // An upstream that is always ahead of its client leaves no pause to look at these in.
            Poll::Ready(Some(Ok(_))) if self.proxy.closing() => Poll::Ready(Next::Failed(Reason::Stopped)),
            Poll::Ready(Some(Ok(chunk))) => {
                let now = Instant::now();
                if self.deadlines.end_of(Limit::MaxStream).is_some_and(|end| end <= now) {
                    return Poll::Ready(Next::Failed(Reason::MaxStream));
                }
                self.read_on(now);
                Poll::Ready(Next::Chunk(chunk))
            }
            Poll::Ready(None) => Poll::Ready(Next::End),
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(account = %account.name, error = %chain(&error), "the upstream's answer broke off");
                Poll::Ready(Next::Failed(Reason::of(&error)))
            }
            Poll::Pending if self.proxy.closing() => Poll::Ready(Next::Failed(Reason::Stopped)),
            Poll::Pending => self.poll_over(cx).map(|reason| reason.map_or(Next::HoldOver, Next::Failed)),
        }
    }

    /// What `work` gives, unless one of the request's limits is over first, or the node stops.
    pub(super) async fn within_limits<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Reason> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if self.proxy.closing() {
                return Poll::Ready(Err(Reason::Stopped));
            }
            loop {
                if let Some(reason) = ready!(self.poll_over(cx)) {
                    return Poll::Ready(Err(reason));
                }
            }
        })
        .await
    }

    /// Waits, as far as the deadline allows. False: it does not, or the node stops.
    pub(super) fn begin_pause(&mut self, until: Instant) -> bool {
        let fits = self.deadlines.end_of(Limit::Deadline).is_none_or(|deadline| until < deadline);
        if fits {
            self.deadlines.set(Limit::Pause, until);
        }
        fits
    }

    /// Whether there is time for another attempt.
    pub(super) fn has_time(&self) -> bool {
        self.deadlines.end_of(Limit::Deadline).is_none_or(|deadline| Instant::now() < deadline)
    }

    pub(super) fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.proxy.closing() {
            ready!(self.poll_over(cx));
        }
        self.deadlines.lift(Limit::Pause);
        Poll::Ready(())
    }

    /// What is read may be held back for so long: then comes [`Next::HoldOver`], once.
    pub(super) fn hold(&mut self, duration: Duration) {
        self.deadlines.set(Limit::Hold, Instant::now() + duration);
    }

    pub(super) const fn release_hold(&mut self) {
        self.deadlines.lift(Limit::Hold);
    }

    /// The answer is given to the client.
    pub(super) fn commit(&mut self) {
        self.release_hold();
        self.sent_status = self.leg.as_ref().map_or(0, |leg| leg.status);
    }

    /// Content came: from here on the deadline is no matter.
    pub(super) fn content(&mut self) {
        if !self.meter.had_content() {
            self.meter.content();
            self.deadlines.lift(Limit::Deadline);
            self.deadlines.set(Limit::MaxStream, Instant::now() + self.snapshot.limits.max_stream);
        }
    }

    /// Whether the key or the account was taken away meanwhile, and streams are to be cut for that.
    pub(super) fn revoked(&mut self) -> bool {
        let current = self.proxy.snapshot.load();
        if Arc::ptr_eq(&current, &self.snapshot) {
            return false;
        }
        let in_use = |account: &Account| {
            let same = |other: &Arc<Account>| other.id == account.id && other.enabled;
            current.accounts.iter().any(same)
        };
        let valid =
            current.keys.contains_key(&self.key) && self.leg.as_ref().is_none_or(|leg| in_use(&leg.account));
        if !valid && current.limits.cut_revoked_streams {
            return true;
        }
        self.snapshot = Arc::clone(&current);
        false
    }

    /// From now on the next read may take so long.
    pub(super) fn read_on(&mut self, now: Instant) {
        self.deadlines.set(Limit::Idle, now + self.snapshot.limits.idle);
    }

    /// A limit is over: what the attempt fails of; none where only a wait has ended.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Option<Reason>> {
        let limit = ready!(self.deadlines.poll_over(cx));
        Poll::Ready(Some(match limit {
            Limit::Deadline => Reason::Deadline,
            Limit::MaxStream => Reason::MaxStream,
            Limit::FirstByte => Reason::FirstByteTimeout,
            Limit::Idle => Reason::Stall,
            Limit::Hold | Limit::Pause => {
                self.deadlines.lift(limit);
                return Poll::Ready(None);
            }
        }))
    }

    /// Remembers the reasoning that the client will not send back. It may come again as soon as it has the call.
    pub(super) fn remember(&mut self) {
        if !self.snapshot.limits.remember_reasoning {
            return;
        }
        let Some(leg) = &mut self.leg else { return };
        for memo in leg.reading.memos() {
            self.proxy.live.remember(self.user, &memo.call_id, &memo.reasoning);
        }
    }

    /// The account does not serve the model at this endpoint: others are asked for it for a while.
    pub(super) fn note_denied(&self) {
        let Some(Leg { account, model, endpoint: Some(endpoint), .. }) = &self.leg else { return };
        let sent = provider::sent_model(account, model);
        let now = self.proxy.clock.now();
        account.state.learned.note_denied(sent, endpoint.as_str(), account.version, now);
    }

    /// What the provider keeps the answer under is this account's, from the moment that the client may see it: its next
    /// request may come before the answer's end.
    pub(super) fn bind(&mut self) {
        let Some(leg) = &mut self.leg else { return };
        if leg.bound || !(200..300).contains(&leg.status) {
            return;
        }
        let Some(issued) = leg.reading.issued_id() else { return };
        leg.bound = true;
        self.proxy.live.bind(issued, Binding { account: leg.account.id, user: self.user });
    }

    /// Ends the attempt under way: its slot is free, its connection goes back to the pool or is closed.
    pub(super) fn end_attempt(&mut self, outcome: Outcome, reason: Option<Reason>) {
        self.remember();
        self.bind();
        let Some(leg) = self.leg.take() else { return };
        if let Some(id) = self.bound_id.as_deref().filter(|_| (200..300).contains(&leg.status)) {
            // It was of use, and may be again.
            self.proxy.live.bind(id, Binding { account: leg.account.id, user: self.user });
        }
        self.deadlines.end_attempt();
        let (usage, served, complete) = leg.reading.used();
        self.meter.losses(leg.reading.losses().as_ref());
        self.meter.end_attempt(outcome, leg.status, reason, usage, served);
        // Of what the upstream refused, or does not have, nothing was consumed.
        let is_refused = leg.status != 0 && !(200..300).contains(&leg.status);
        if (is_refused || !leg.is_sent()) && usage.is_none() {
            return;
        }
        let consumed = matches!(outcome, Outcome::Completed | Outcome::ClientGone | Outcome::CutOff)
            || self.meter.had_content();
        if consumed && !complete {
            self.meter.estimate();
        }
        if consumed && usage.is_none() {
            self.meter.condition("no_usage_reported");
        }
    }

    /// Ends the attempt under way and the request with it.
    pub(super) fn finish(mut self: Box<Self>, outcome: Outcome, reason: Option<Reason>) {
        self.end_attempt(outcome, reason);
        if let Some(reason) = reason.filter(|_| outcome == Outcome::UpstreamError) {
            self.proxy.metrics.attempt_failed(reason);
        }
        let Self { meter, proxy, sent_status, .. } = *self;
        meter.close(&proxy, outcome, sent_status);
    }
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
