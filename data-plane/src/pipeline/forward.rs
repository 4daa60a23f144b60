//! Stage 6: from account to account until one gives an answer that may go to the client.
//!
//! An answer may go once there is content, a ping, or nothing more to wait for. Until then a failure means the next
//! account, at once; the same account again, after a delay, only where no other is eligible.

mod open;

use std::{sync::Arc, time::Duration};

use http::response;
use proto::v1::Outcome;
use shared::{
    id::{AccountId, RequestId},
    wire::Wire,
};
use wire::{loss::Losses, raw::watch::Chunks};

use super::{
    adapt::{AdaptError, Adapted, Prepared},
    deadlines::Deadlines,
    exchange::{Exchange, Flight},
    filter::Admitted,
    quota::Reservation,
    refusal::{Refusal, Unconvertible},
    selection::Selection,
    stream::StreamBody,
};
use crate::{
    budget::Budget,
    compute::LARGE,
    ingress::Proxy,
    live::Mark,
    provider::{
        self, Provider,
        failure::{Class, Reason},
    },
    snapshot::Account,
};

pub(super) use open::{MAX_WHOLE, Opened, choose_reading, failure_of, is_about_the_request, read_whole};

/// An answer on its way to the client.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: RequestId,
    pub(super) wire: Wire,
    pub(super) parts: response::Parts,
    pub(super) body: AnswerBody,
}

#[derive(Debug)]
pub(super) enum AnswerBody {
    Whole(bytes::Bytes),
    Stream(Box<StreamBody>),
}

/// Why an attempt gave no answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) class: Class,
    /// For classes that leave the account alone for a while: how long the provider asks for.
    pub(super) limited_for: Option<Duration>,
    /// The provider's words, for the log.
    pub(super) detail: String,
    /// What is wrong with the request, where the account could not be asked for that.
    pub(super) unconvertible: Option<Unconvertible>,
}

impl Failure {
    pub(super) const fn of(reason: Reason) -> Self {
        Self { reason, class: reason.class(), limited_for: None, detail: String::new(), unconvertible: None }
    }

    fn unconvertible(why: Unconvertible) -> Self {
        let detail = why.to_string();
        Self { detail, unconvertible: Some(why), ..Self::of(Reason::Unconvertible) }
    }
}

/// What it takes to try another account.
#[derive(Debug)]
pub(super) struct Forwarding {
    proxy: Arc<Proxy>,
    /// Shared with the thread that converts a long body.
    admitted: Arc<Admitted>,
    prepared: Arc<Prepared>,
    selection: Selection,
}

/// # Errors
/// No account is eligible, or none gave an answer.
pub(super) async fn forward(
    proxy: &Arc<Proxy>,
    reservation: Reservation,
    deadlines: Deadlines,
) -> Result<Answer, Refusal> {
    let mut admitted = reservation.admitted;
    let prepared = Arc::new(Prepared::of(&mut admitted, proxy.clock.now()));
    let bound = bound_account(proxy, &admitted).await?;
    let selection = Selection::of(bound);
    let picked = selection.pick(proxy, &admitted, |picked| {
        let mut exchange = Exchange::open(proxy, &admitted, deadlines)?;
        if let Some(flight) = exchange.flight() {
            flight.begin(picked);
        }
        Ok::<_, Refusal>(exchange)
    })?;
    let Some(exchange) = picked else { return Err(selection.no_account(proxy, &admitted)) };
    let mut exchange = exchange?;
    let admitted = Arc::new(admitted);
    let mut forwarding = Box::new(Forwarding { proxy: Arc::clone(proxy), admitted, prepared, selection });
    match forwarding.open(&mut exchange).await {
        Some(opened) => Ok(answer(exchange, opened, forwarding).await),
        None => Err(give_up(exchange, &mut forwarding)),
    }
}

impl Forwarding {
    /// Goes from the account that was picked to the next, until one answers. None: none did.
    async fn open(&mut self, exchange: &mut Exchange) -> Option<Opened> {
        let Self { proxy, admitted, prepared, selection } = self;
        loop {
            let account = Arc::clone(&exchange.flight()?.leg.as_ref()?.account);
            let failure = match attempt(proxy, exchange, admitted, prepared).await {
                Ok(opened) => return Some(opened),
                Err(failure) => failure,
            };
            if Box::pin(repeats(proxy, exchange, admitted, prepared, &failure)).await {
                tell_of_failure(&account, &failure, admitted.call.id);
                exchange.flight()?.begin_again(failure.reason).then_some(())?;
                continue;
            }
            // Boxed, as are other things that happen seldom: a future is as large as the largest that it waits for, and is
            // moved as a whole.
            Box::pin(learn(proxy, exchange, &account, &failure, admitted.call.id)).await;
            selection.note(&account, &failure);
            Box::pin(selection.next(proxy, exchange, admitted)).await?;
        }
    }

    /// The client was told that an answer has begun, and then it failed ahead of its first content: another account goes
    /// on with it, unseen. None: there is none.
    pub(super) async fn resume(&mut self, exchange: &mut Exchange, failed: Failure) -> Option<Chunks> {
        let account = {
            let leg = exchange.flight()?.leg.as_ref()?;
            if leg.reading.seen().is_some_and(|seen| seen.preamble) {
                Arc::make_mut(&mut self.prepared).resume(leg.reading.answer_id());
            }
            Arc::clone(&leg.account)
        };
        let id = self.admitted.call.id;
        learn(&self.proxy, exchange, &account, &failed, id).await;
        self.selection.note(&account, &failed);
        self.selection.next(&self.proxy, exchange, &self.admitted).await?;
        exchange.flight()?.meter.condition("switched_late");
        tracing::info!(request = %id, "another account goes on with an answer that had begun");
        match self.open(exchange).await? {
            Opened::Stream { chunks, .. } => Some(chunks),
            // Its frames, all at once.
            Opened::Whole { body, outcome: Outcome::Completed, .. } => Some(Chunks::from_iter([body])),
            Opened::Whole { .. } => None,
        }
    }

    /// Why the last attempt gave no answer.
    pub(super) fn last_reason(&self) -> Option<Reason> {
        self.selection.last_reason()
    }
}

/// The account that knows what the request builds on, where it builds on something that an account keeps.
async fn bound_account(proxy: &Proxy, admitted: &Admitted) -> Result<Option<AccountId>, Refusal> {
    let Some(id) = &admitted.view.bound_id else { return Ok(None) };
    match proxy.live.bound(id).await {
        // Whether another user's id exists is nobody's business.
        Some(binding) if binding.user != admitted.caller.key.user_id => Err(Refusal::UnknownId),
        binding => Ok(binding.map(|binding| binding.account)),
    }
}

/// One try at the account that was picked.
async fn attempt(
    proxy: &Proxy,
    exchange: &mut Exchange,
    admitted: &Arc<Admitted>,
    prepared: &mut Arc<Prepared>,
) -> Result<Opened, Failure> {
    let stopped = Failure::of(Reason::Stopped);
    let Some(flight) = exchange.flight() else { return Err(stopped) };
    let Some(leg) = &flight.leg else { return Err(stopped) };
    let (account, model) = (Arc::clone(&leg.account), Arc::clone(&leg.model));
    let Some(provider) = provider::for_account(&account) else {
        return Err(Failure::of(Reason::Unaddressable));
    };
    if converts(admitted, &account, &model) {
        let recalling = Box::pin(Arc::make_mut(prepared).recall(admitted, proxy));
        flight.within_limits(recalling).await.map_err(Failure::of)?;
    }
    let target = Addressed { provider, account, model };
    let adapting = adapt(proxy, admitted, prepared, &target);
    let outgoing = flight.within_limits(adapting).await.map_err(Failure::of)?;
    let failure = match ask(flight, admitted, prepared, provider, outgoing, false).await {
        Err(failure) if flight.went_stale() => failure,
        done => return done,
    };
    tracing::debug!(request = %admitted.call.id, detail = %failure.detail, "sent once more, on a fresh connection");
    flight.meter.condition("resent");
    let adapting = Box::pin(adapt(proxy, admitted, prepared, &target));
    let outgoing = flight.within_limits(adapting).await.map_err(Failure::of)?;
    Box::pin(ask(flight, admitted, prepared, provider, outgoing, true)).await
}

/// Whom a request goes to.
#[derive(Clone)]
struct Addressed {
    provider: &'static dyn Provider,
    account: Arc<Account>,
    model: Arc<str>,
}

/// Sends the request, and waits for what may go to the client. `fresh`: on a connection of its own.
async fn ask(
    flight: &mut Flight,
    admitted: &Admitted,
    prepared: &Prepared,
    provider: &'static dyn Provider,
    outgoing: Result<Adapted, AdaptError>,
    fresh: bool,
) -> Result<Opened, Failure> {
    match outgoing {
        Ok(Adapted::Send(outgoing)) => {
            tell(flight, admitted.call.id, &outgoing.losses);
            flight.send(*outgoing, fresh);
        }
        Ok(Adapted::Answer(body)) => return Ok(open::estimated(flight, body)),
        Err(AdaptError::Unconvertible(error)) => {
            return Err(Failure::unconvertible(Unconvertible::Request(error)));
        }
        Err(AdaptError::NoRoom(error)) => {
            return Err(Failure::unconvertible(Unconvertible::NoRoom(error)));
        }
        Err(error) => {
            return Err(Failure { detail: error.to_string(), ..Failure::of(Reason::Unaddressable) });
        }
    }
    open::open(flight, provider, admitted, prepared).await
}

/// The request as its upstream wants it. A long one is put into that form elsewhere.
async fn adapt(
    proxy: &Proxy,
    admitted: &Arc<Admitted>,
    prepared: &Arc<Prepared>,
    target: &Addressed,
) -> Result<Adapted, AdaptError> {
    let adapt = |admitted: &Admitted, prepared: &Prepared, requests: &Arc<Budget>, target: &Addressed| {
        prepared.adapt(admitted, requests, target.provider, &target.account, &target.model)
    };
    if admitted.body.len() < LARGE {
        return adapt(admitted, prepared, &proxy.requests, target);
    }
    let (admitted, prepared, target) = (Arc::clone(admitted), Arc::clone(prepared), target.clone());
    let requests = Arc::clone(&proxy.requests);
    Box::pin(proxy.compute.run(move || adapt(&admitted, &prepared, &requests, &target))).await?
}

fn converts(admitted: &Admitted, account: &Account, model: &str) -> bool {
    let (_, asked) = shared::model::split_account_type(&admitted.view.model);
    let passage =
        provider::passage_to(account, admitted.call.operation, model, asked, admitted.call.started_at);
    matches!(passage, Some(provider::Passage::Via(_)))
}

/// What the conversion could not carry across is written down, counted and logged.
fn tell(flight: &mut Flight, request: RequestId, losses: &Losses) {
    if losses.is_empty() {
        return;
    }
    flight.meter.losses(Some(losses));
    for loss in losses.iter() {
        flight.proxy.metrics.lost(loss.code);
        tracing::debug!(%request, code = loss.code.as_str(), what = %loss.what, "lost in conversion");
    }
}

/// Whether the same account is asked once more, at once and in another way. Each way is left once only. What was
/// refused is remembered, so that the next request is put right at once.
async fn repeats(
    proxy: &Proxy,
    exchange: &mut Exchange,
    admitted: &Arc<Admitted>,
    prepared: &mut Arc<Prepared>,
    failure: &Failure,
) -> bool {
    let Some(flight) = exchange.flight() else { return false };
    let Some(leg) = &flight.leg else { return false };
    let account = Arc::clone(&leg.account);
    let (model, now) = (provider::sent_model(&account, &leg.model).to_owned(), proxy.clock.now());
    match failure.class {
        Class::Reasoning => {
            let (asked, as_sent) = (Arc::clone(admitted), Arc::clone(prepared));
            let requests = Arc::clone(&proxy.requests);
            let proofs = move || as_sent.proofs(&asked, &requests, &model);
            let finding = proxy.compute.run_if_large(admitted.body.len(), proofs);
            // Not found, they are refused once more.
            if let Ok(Ok(proofs)) = flight.within_limits(Box::pin(finding)).await {
                account.state.learned.note_refused(&proofs, now);
            }
            Arc::make_mut(prepared).drop_reasoning()
        }
        Class::Counting => Arc::make_mut(prepared).estimate(),
        Class::NoEndpoint => {
            // From here on it has another front, which can't fail this way.
            account.state.learned.note_no_responses(now);
            true
        }
        Class::ToolSearch => {
            account.state.learned.note_no_tool_search(&model, now);
            Arc::make_mut(prepared).search_by_function()
        }
        _ => false,
    }
}

fn tell_of_failure(account: &Account, failure: &Failure, request: RequestId) {
    tracing::info!(
        %request, account = %account.name, account_id = %account.id, reason = %failure.reason.code(),
        detail = %failure.detail, "an attempt failed"
    );
}

/// The attempt's end is written down, and what it says about the account becomes known to others.
async fn learn(
    proxy: &Proxy,
    exchange: &mut Exchange,
    account: &Arc<Account>,
    failure: &Failure,
    request: RequestId,
) {
    let reason = failure.reason.code();
    tell_of_failure(account, failure, request);
    proxy.metrics.attempt_failed(failure.reason);
    if let Some(flight) = exchange.flight() {
        if failure.class == Class::ModelDenied {
            flight.note_denied();
        }
        // Where the node has no room, that says nothing of the account.
        let no_room = matches!(failure.unconvertible, Some(Unconvertible::NoRoom(_)));
        let outcome = if no_room { Outcome::CutOff } else { Outcome::UpstreamError };
        flight.end_attempt(outcome, Some(failure.reason));
    }
    match failure.class {
        Class::Limited(kind) => {
            let lasts = failure.limited_for.unwrap_or_else(|| provider::failure::guess(kind));
            let until = proxy.clock.now().plus(lasts);
            let guessed = failure.limited_for.is_none();
            let mark = Mark { kind, until, reason: reason.into_owned(), model_family: None, guessed };
            proxy.live.mark(account.id, mark).await;
        }
        Class::Credential | Class::Billing => proxy.tester.confirm(account),
        Class::Transient
        | Class::Refused
        | Class::ModelDenied
        | Class::Reasoning
        | Class::Counting
        | Class::NoEndpoint
        | Class::ToolSearch => {}
    }
}

fn give_up(mut exchange: Exchange, forwarding: &mut Forwarding) -> Refusal {
    let Forwarding { proxy, admitted, selection, .. } = forwarding;
    let (failed, wire) = (selection.outcome(proxy, admitted), admitted.call.operation.wire());
    let (refusal, outcome) = match (selection.refused(), failed.reason) {
        (Some(refusal), _) => (refusal, Outcome::Refused),
        (None, Reason::Stopped) => (Refusal::UpstreamFailed(failed), Outcome::CutOff),
        (None, _) => (Refusal::UpstreamFailed(failed), Outcome::UpstreamError),
    };
    if let Some(flight) = exchange.flight() {
        flight.sent_status = refusal.classify(wire).1;
    }
    exchange.finish(outcome, None);
    refusal
}

async fn answer(mut exchange: Exchange, opened: Opened, forwarding: Box<Forwarding>) -> Answer {
    let call = &forwarding.admitted.call;
    let (id, wire) = (call.id, call.operation.wire());
    if let Some(flight) = exchange.flight() {
        flight.commit();
    }
    let (parts, body) = match opened {
        Opened::Whole { parts, body, outcome } => {
            if let Some(flight) = exchange.flight() {
                flight.sent_status = parts.status.as_u16();
            }
            exchange.finish(outcome, None);
            (parts, AnswerBody::Whole(body))
        }
        Opened::Stream { parts, chunks } => {
            let mut stream = Box::new(StreamBody::new(exchange, chunks, (id, wire), forwarding));
            stream.gather().await;
            (parts, AnswerBody::Stream(stream))
        }
    };
    Answer { id, wire, parts, body }
}
