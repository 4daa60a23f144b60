//! Stage 6: from account to account until one gives an answer that may go to the client.
//!
//! An answer may go once there is content, a ping, or nothing more to wait for. Until then a failure means the next
//! account, at once; the same account again, after a delay, only where no other is eligible.

use std::{future::poll_fn, sync::Arc};

use proto::v1::Outcome;
use shared::{
    id::{AccountId, RequestId},
    wire::Wire,
};
use tokio::time::Instant;
use wire::{error::upstream::UpstreamError, loss::Losses, raw::watch::Chunks};

use super::{
    adapt::{AdaptError, Adapted, Prepared},
    call::Call,
    failure::{End, Failure},
    filter::Admitted,
    flight::{Flight, Held},
    open::{self, Opened},
    plan::{Bounds, Plan},
    refusal::{Refusal, Unconvertible},
    reserve::{Reservation, Reserved},
    selection::{Next, Selection},
};
use crate::{
    budget::Budget,
    compute::LARGE,
    provider::{
        self, Provider, TraceId,
        failure::{Class, Reason},
    },
    proxy::Proxy,
    refusals::Asked,
    scheduler::Picked,
    snapshot::Account,
};

/// The first answer that may go to the client.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) held: Held,
    pub(super) opened: Opened,
    pub(super) forwarding: Box<Forwarding>,
}

/// What it takes to try another account.
#[derive(Debug)]
pub(super) struct Forwarding {
    proxy: Arc<Proxy>,
    admitted: Arc<Admitted>,
    prepared: Arc<Prepared>,
    selection: Selection,
}

/// How an answer goes on that had begun with an account that failed.
#[derive(Debug)]
pub(super) enum Resumed {
    GoesOn(Chunks),
    /// The next account's provider refuses the request, in these words.
    Refused(UpstreamError),
    /// No account goes on; how the last attempt failed.
    Over(Reason),
}

/// # Errors
/// No account is eligible, or none gave an answer.
pub(super) async fn forward(
    proxy: &Arc<Proxy>,
    reservation: Reservation,
    asked: &mut Asked,
) -> Result<Answered, Refusal> {
    let Reservation { plan: Plan { admitted, prepared, bound, bounds }, reserved } = reservation;
    let begun = begin(proxy, &admitted, bound, (bounds, reserved));
    let (selection, mut held) = begun.inspect_err(|_| asked.wants(&admitted.view.model))?;
    asked.is_tried = true;
    let mut forwarding = Box::new(Forwarding { proxy: Arc::clone(proxy), admitted, prepared, selection });
    match forwarding.open(&mut held).await {
        Some(opened) => Ok(Answered { held, opened, forwarding }),
        None => Err(give_up(held, &mut forwarding)),
    }
}

/// Picks the first account; from here on the request is told of by its record.
fn begin(
    proxy: &Arc<Proxy>,
    admitted: &Admitted,
    bound: Option<AccountId>,
    (bounds, reserved): (Bounds, Reserved),
) -> Result<(Selection, Held), Refusal> {
    let selection = Selection::of(bound);
    let open = |picked: Picked<'_>| Flight::open(proxy, admitted, (bounds, &reserved), picked);
    let picked = selection.pick(proxy, admitted, open)?;
    match picked {
        Some(flight) => Ok((selection, flight?)),
        None => Err(selection.no_account(proxy, admitted)),
    }
}

impl Forwarding {
    pub(super) fn trace(&self) -> Option<TraceId> {
        self.admitted.call.trace
    }

    pub(super) fn call(&self) -> (RequestId, Wire) {
        (self.admitted.call.id, self.admitted.call.operation.wire())
    }

    /// Goes from the account that was picked to the next, until one answers. None: none did.
    async fn open(&mut self, held: &mut Held) -> Option<Opened> {
        loop {
            let Self { proxy, admitted, prepared, selection } = self;
            let failure = match attempt(proxy, held, (admitted, prepared), selection).await {
                Ok(opened) => return Some(opened),
                Err(failure) => failure,
            };
            if Box::pin(repeats(proxy, held, admitted, prepared, &failure)).await
                && may_repeat(proxy, held, admitted, selection)
            {
                held.flight()?.begin_again(failure).then_some(())?;
                continue;
            }
            // Boxed, as are other things that happen seldom: a future is as large as the largest that it waits for, and is
            // moved as a whole.
            Box::pin(self.switch(held, failure)).await?;
        }
    }

    /// Ends the attempt that failed, and begins one with the next account. None: there is none, or no time left for it.
    async fn switch(&mut self, held: &mut Held, failure: Failure) -> Option<()> {
        let flight = held.flight()?;
        if let Some(attempt) = &flight.attempt {
            self.selection.note(&attempt.account, &failure);
        }
        flight.end_attempt(&End::Failed(failure));
        loop {
            if !flight.has_time() {
                return None;
            }
            match self.selection.next(&self.proxy, &self.admitted, |picked| flight.begin(picked)) {
                Next::Taken => return Some(()),
                Next::Over => return None,
                Next::Wait(delay) => {
                    if !flight.begin_pause(Instant::now() + delay) {
                        return None;
                    }
                    poll_fn(|cx| flight.poll_pause(cx)).await;
                }
            }
        }
    }

    /// The client was told that an answer has begun, and then it failed ahead of its first content: another account goes
    /// on with it, unseen.
    pub(super) async fn resume(&mut self, held: &mut Held, failure: Failure) -> Resumed {
        match self.go_on(held, failure).await {
            Some(Opened::Stream { chunks, .. }) => Resumed::GoesOn(chunks),
            // Its frames, all at once.
            Some(Opened::Whole { body, .. }) => Resumed::GoesOn(Chunks::from_iter([body])),
            Some(Opened::Refused { said, .. }) => Resumed::Refused(said),
            None => Resumed::Over(self.selection.last_reason().unwrap_or(Reason::StreamError)),
        }
    }

    async fn go_on(&mut self, held: &mut Held, failure: Failure) -> Option<Opened> {
        let attempt = held.flight()?.attempt.as_ref()?;
        if attempt.reading.seen().is_some_and(|seen| seen.preamble) {
            Arc::make_mut(&mut self.prepared).resume(attempt.reading.answer_id());
        }
        self.switch(held, failure).await?;
        held.flight()?.meter.condition("switched_late");
        let Call { id, trace, .. } = &self.admitted.call;
        tracing::info!(request = %id, trace = trace.map(tracing::field::display), "another account goes on with an answer that had begun");
        self.open(held).await
    }
}

fn may_repeat(proxy: &Proxy, held: &Held, admitted: &Admitted, selection: &mut Selection) -> bool {
    let attempt = held.get().and_then(|flight| flight.attempt.as_ref());
    attempt.is_some_and(|attempt| selection.may_repeat(proxy, admitted, &attempt.account))
}

/// One try at the account that was picked.
async fn attempt(
    proxy: &Proxy,
    held: &mut Held,
    (admitted, prepared): (&Arc<Admitted>, &mut Arc<Prepared>),
    selection: &mut Selection,
) -> Result<Opened, Failure> {
    let stopped = Failure::of(Reason::Stopped);
    let Some(flight) = held.flight() else { return Err(stopped) };
    let Some(attempt) = &flight.attempt else { return Err(stopped) };
    let (account, model) = (Arc::clone(&attempt.account), Arc::clone(&attempt.model));
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
    let failure = match ask(flight, admitted, prepared, outgoing, false).await {
        Err(failure) if flight.went_stale() && selection.may_repeat(proxy, admitted, &target.account) => {
            failure
        }
        done => return done,
    };
    let Call { id, trace, .. } = &admitted.call;
    tracing::debug!(request = %id, trace = trace.map(tracing::field::display), detail = %failure.detail, "sent once more, on a fresh connection");
    flight.meter.condition("resent");
    let adapting = Box::pin(adapt(proxy, admitted, prepared, &target));
    let outgoing = flight.within_limits(adapting).await.map_err(Failure::of)?;
    Box::pin(ask(flight, admitted, prepared, outgoing, true)).await
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
    outgoing: Result<Adapted, AdaptError>,
    fresh: bool,
) -> Result<Opened, Failure> {
    match outgoing {
        Ok(Adapted::Send(outgoing)) => {
            tell(flight, &admitted.call, &outgoing.losses);
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
    open::open(flight, admitted, prepared).await
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
fn tell(flight: &mut Flight, Call { id, trace, .. }: &Call, losses: &Losses) {
    if losses.is_empty() {
        return;
    }
    flight.meter.losses(Some(losses));
    for loss in losses.iter() {
        flight.proxy.metrics.lost(loss.code);
        tracing::debug!(request = %id, trace = trace.map(tracing::field::display), code = loss.code.as_str(), what = %loss.what, "lost in conversion");
    }
}

/// Whether the same account is asked once more, at once and in another way. Each way is left once only. What was
/// refused is remembered, so that the next request is put right at once.
async fn repeats(
    proxy: &Proxy,
    held: &mut Held,
    admitted: &Arc<Admitted>,
    prepared: &mut Arc<Prepared>,
    failure: &Failure,
) -> bool {
    let Some(flight) = held.flight() else { return false };
    let Some(attempt) = &flight.attempt else { return false };
    let account = Arc::clone(&attempt.account);
    let (model, now) = (provider::sent_model(&account, &attempt.model).to_owned(), proxy.clock.now());
    match failure.class {
        Class::Reasoning => {
            let (asked, as_sent) = (Arc::clone(admitted), Arc::clone(prepared));
            let requests = Arc::clone(&proxy.requests);
            let proofs = move || as_sent.proofs(&asked, &requests, &model);
            let finding = proxy.compute.run_if_large(admitted.body.len(), proofs);
            let Ok(found) = flight.within_limits(Box::pin(finding)).await else { return false };
            // Not found, they are refused once more.
            if let Ok(proofs) = found {
                account.state.learned.note_refused(&proofs, now);
            }
            Arc::make_mut(prepared).drop_reasoning()
        }
        Class::Counting => Arc::make_mut(prepared).estimate(),
        // The attempt's end notes that the account has another front, which can't fail this way.
        Class::NoEndpoint => true,
        Class::ToolSearch => Arc::make_mut(prepared).search_by_function(),
        _ => false,
    }
}

fn give_up(mut held: Held, forwarding: &mut Forwarding) -> Refusal {
    let Forwarding { proxy, admitted, selection, .. } = forwarding;
    let (failed, wire) = (selection.outcome(proxy, admitted), admitted.call.operation.wire());
    let (refusal, outcome) = match (selection.refused(), failed.reason) {
        (Some(refusal), _) => (refusal, Outcome::Refused),
        (None, Reason::Stopped) => (Refusal::UpstreamFailed(failed), Outcome::CutOff),
        (None, _) => (Refusal::UpstreamFailed(failed), Outcome::UpstreamError),
    };
    if let Some(flight) = held.flight() {
        flight.sent_status = refusal.classify(wire).1;
    }
    held.close(outcome);
    refusal
}
