//! A request under way, from its first attempt to its end.
//!
//! A [`Flight`] is [`Held`] by whoever waits for the upstream: the forward stage, then the client's body. If its holder
//! is dropped half-way, because the client is gone, it hands itself to its worker, which reads on or ends it, so that
//! what was consumed is metered all the same.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, response};
use proto::v1::Outcome;
use shared::secret::KeyHash;
use tokio::time::Instant;
use wire::{raw::watch::Chunks, relay::Relay};

use super::{
    adapt::Outgoing,
    attempt::Attempt,
    deadlines::{Deadlines, Limit},
    end::Requester,
    failure::{End, Failure, Trouble},
    filter::Admitted,
    plan::{Bounds, Times},
    reading::Reading,
    refusal::Refusal,
    reserve::Reserved,
    settle::Meter,
};
use crate::{
    provider::{failure::Reason, words},
    proxy::Proxy,
    scheduler::Picked,
    snapshot::{Account, Policy, Snapshot},
};

/// A flight, and whose it is to wait for. Dropped before [`Held::finish`], it is handed to its worker.
#[derive(Debug)]
pub(super) struct Held(Option<Box<Flight>>);

impl Held {
    /// Takes it away, and leaves one that is over.
    pub(super) const fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// `None` once it is finished.
    pub(super) const fn flight(&mut self) -> Option<&mut Flight> {
        match &mut self.0 {
            Some(flight) => Some(flight),
            None => None,
        }
    }

    /// As [`Self::flight`], to look at.
    pub(super) fn get(&self) -> Option<&Flight> {
        self.0.as_deref()
    }

    /// Ends the attempt under way and the request with it, and writes the close record.
    pub(super) fn finish(&mut self, end: &End) {
        if let Some(flight) = self.0.take() {
            flight.finish(end);
        }
    }

    /// Ends the request, whose last attempt has ended, as `outcome`.
    pub(super) fn close(&mut self, outcome: Outcome) {
        if let Some(flight) = self.0.take() {
            flight.close(outcome);
        }
    }

    /// Nobody knows what it was in the middle of: what it had read is not looked at any more.
    pub(super) fn end_panicked(&mut self) {
        if let Some(flight) = self.0.take() {
            flight.end_panicked();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(flight) = self.0.take() else { return };
        if std::thread::panicking() {
            return flight.end_panicked();
        }
        let proxy = Arc::clone(&flight.proxy);
        // Where there is no worker any more, it ends here.
        if let Err(left) = proxy.departed.push(flight) {
            left.end();
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
pub(super) struct Flight {
    pub(super) proxy: Arc<Proxy>,
    /// What the request was last checked against.
    snapshot: Arc<Snapshot>,
    key: KeyHash,
    requester: Requester,
    pub(super) meter: Meter,
    deadlines: Deadlines,
    pub(super) times: Times,
    /// The client asked for a stream, so an answer's head is expected long before its end.
    pub(super) streaming: bool,
    /// What the client was told; 0 for nothing so far.
    pub(super) sent_status: u16,
    pub(super) attempt: Option<Attempt>,
}

impl Flight {
    /// Writes the open record, and begins the first attempt.
    ///
    /// # Errors
    /// There is no room for the record.
    pub(super) fn open(
        proxy: &Arc<Proxy>,
        admitted: &Admitted,
        (bounds, reserved): (Bounds, &Reserved),
        picked: Picked<'_>,
    ) -> Result<Held, Refusal> {
        let snapshot = Arc::clone(&admitted.caller.snapshot);
        let Bounds { deadlines, times, worst } = bounds;
        let mut flight = Box::new(Self {
            meter: Meter::open(proxy, admitted, reserved, &picked)?,
            proxy: Arc::clone(proxy),
            key: admitted.caller.hash,
            requester: Requester {
                request: admitted.call.id,
                trace: admitted.call.trace,
                user: admitted.caller.key.user_id,
                bound_id: admitted.view.bound_id.clone(),
                remembers_reasoning: snapshot.policy.remember_reasoning,
                worst,
            },
            snapshot,
            deadlines,
            times,
            streaming: admitted.view.stream,
            sent_status: 0,
            attempt: None,
        });
        flight.begin(picked);
        Ok(Held(Some(flight)))
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.snapshot.policy
    }

    /// Begins an attempt; its request comes with [`Self::send`].
    pub(super) fn begin(&mut self, picked: Picked<'_>) {
        let began = Instant::now();
        self.meter.begin_attempt(picked.account, picked.model, (began, self.proxy.clock.now()));
        self.attempt = Some(Attempt::new(picked, began));
    }

    /// Ends the attempt under way and begins another one with the same account, in the same slot. False: there is none.
    pub(super) fn begin_again(&mut self, failure: Failure) -> bool {
        let Some(attempt) = &mut self.attempt else { return false };
        let (account, model) = (Arc::clone(&attempt.account), Arc::clone(&attempt.model));
        let slot = attempt.slot.take();
        self.end_attempt(&End::Failed(failure));
        let Some(slot) = slot else { return false };
        self.begin(Picked { account: &account, model: &model, slot });
        true
    }

    /// `fresh`: once more, on a connection of its own.
    pub(super) fn send(&mut self, outgoing: Outgoing, fresh: bool) {
        let now = Instant::now();
        if outgoing.stream {
            self.deadlines.set(Limit::FirstByte, now + self.policy().first_byte);
        }
        if let Some(longest) = self.times.attempt.filter(|_| !fresh) {
            self.deadlines.set(Limit::Attempt, now + longest);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.send(outgoing, &self.proxy.upstream, fresh, now);
        }
    }

    /// See [`Attempt::went_stale`].
    pub(super) fn went_stale(&self) -> bool {
        self.attempt.as_ref().is_some_and(Attempt::went_stale)
    }

    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<response::Parts, Reason>> {
        let Some(attempt) = &mut self.attempt else {
            return Poll::Ready(Err(Reason::Cut));
        };
        let Some(call) = &mut attempt.call else {
            return Poll::Ready(Err(Reason::Stopped));
        };
        match call.poll_head(cx) {
            Poll::Ready(Ok(parts)) => {
                attempt.status = parts.status.as_u16();
                self.deadlines.lift(Limit::FirstByte);
                self.read_on(Instant::now());
                Poll::Ready(Ok(parts))
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(account = %attempt.account.name, error = %chain(&error), "no answer from the upstream");
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
        let Some(Attempt { call: Some(call), account, reads, read_bytes, .. }) = &mut self.attempt else {
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
                *reads += 1;
                *read_bytes += chunk.len() as u64;
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
        self.sent_status = self.attempt.as_ref().map_or(0, |attempt| attempt.status);
    }

    /// Content came: from here on the deadline is no matter.
    pub(super) fn content(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.content = true;
        }
        if !self.meter.had_content() {
            let now = Instant::now();
            self.meter.content(now);
            self.deadlines.lift(Limit::Deadline);
            self.deadlines.lift(Limit::Attempt);
            self.deadlines.set(Limit::MaxStream, now + self.policy().max_stream);
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
        let valid = current.keys.contains_key(&self.key)
            && self.attempt.as_ref().is_none_or(|attempt| in_use(&attempt.account));
        if !valid && current.policy.cut_revoked_streams {
            return true;
        }
        self.snapshot = Arc::clone(&current);
        false
    }

    /// From now on the next read may take so long.
    pub(super) fn read_on(&mut self, now: Instant) {
        self.deadlines.set(Limit::Idle, now + self.policy().idle);
    }

    /// A limit is over: what the attempt fails of; none where only a wait has ended.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Option<Reason>> {
        let limit = ready!(self.deadlines.poll_over(cx));
        Poll::Ready(Some(match limit {
            Limit::Deadline => Reason::Deadline,
            Limit::MaxStream => Reason::MaxStream,
            Limit::Attempt => Reason::AttemptTimeout,
            Limit::FirstByte => Reason::FirstByteTimeout,
            Limit::Idle => Reason::Stall,
            Limit::Hold | Limit::Pause => {
                self.deadlines.lift(limit);
                return Poll::Ready(None);
            }
        }))
    }

    /// See [`Attempt::remember`].
    pub(super) fn remember(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.remember(&self.requester, &self.proxy);
        }
    }

    /// See [`Attempt::bind`].
    pub(super) fn bind(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.bind(&self.requester, &self.proxy);
        }
    }

    /// Ends the attempt under way, if there is one; see [`super::end`].
    pub(super) fn end_attempt(&mut self, end: &End) {
        let Some(attempt) = self.attempt.take() else { return };
        self.deadlines.end_attempt();
        attempt.end(end, &self.requester, &mut self.meter, &self.proxy);
    }

    /// Ends the attempt under way and the request with it.
    pub(super) fn finish(mut self: Box<Self>, end: &End) {
        self.end_attempt(end);
        self.close(end.outcome());
    }

    /// Writes the close record.
    fn close(self: Box<Self>, outcome: Outcome) {
        let Self { meter, proxy, sent_status, .. } = *self;
        meter.close(&proxy, outcome, sent_status);
    }

    /// The client left. Ends it without reading on.
    pub(super) fn end_departed(mut self: Box<Self>) {
        let complete = self.is_complete();
        if !complete && self.attempt.is_some() {
            self.meter.condition("drain_refused");
        }
        let failure = self.failure_in_stream();
        self.finish(&if complete { End::Completed } else { End::ClientGone(failure) });
    }

    /// Why `trouble` came up; see [`Attempt::judge`].
    pub(super) fn judged(&self, trouble: Trouble, headers: &HeaderMap) -> Failure {
        let judge = self.attempt.as_ref().and_then(|attempt| attempt.judge(headers, self.proxy.clock.now()));
        match (judge, trouble) {
            (Some(judge), trouble) => judge.trouble(trouble),
            (None, Trouble::Read(reason)) => Failure::of(reason),
            (None, Trouble::Stream(_)) => Failure::of(Reason::StreamError),
        }
    }

    /// None: what comes is no stream that can be read here.
    pub(super) fn relay(&mut self) -> Option<&mut Relay> {
        match &mut self.attempt.as_mut()?.reading {
            Reading::Stream(relay) => Some(relay),
            Reading::Opaque | Reading::Away(_) | Reading::Whole(_) => None,
        }
    }

    /// Lets out the upstream's own words about a failure, in which a careless one may say what it was sent.
    pub(super) fn release(&mut self, out: &mut Chunks) {
        let Some(relay) = self.relay() else { return };
        relay.release(out);
        if relay.failure().is_none() {
            return;
        }
        let Some(attempt) = &self.attempt else { return };
        for chunk in out.iter_mut() {
            *chunk = words::without_credential(std::mem::take(chunk), &attempt.account);
        }
    }

    /// What the account failed of, by what its stream said.
    pub(super) fn failure_in_stream(&self) -> Option<Failure> {
        self.attempt.as_ref()?.failure_in_stream(false, self.proxy.clock.now())
    }

    pub(super) fn end_panicked(mut self: Box<Self>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.reading = Reading::Opaque;
        }
        self.meter.condition("panicked");
        self.finish(&End::CutOff(Reason::Panicked));
    }

    /// Clients may hang up at the legal end, without waiting for the connection's.
    pub(super) fn is_complete(&self) -> bool {
        self.attempt.as_ref().is_some_and(Attempt::is_complete)
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
