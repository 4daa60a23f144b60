//! Stage 8: the answer goes to the client, and is read as it passes. Whatever happens, the client's stream ends in a
//! way that its wire knows.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use shared::{id::RequestId, wire::Wire};
use tokio::sync::futures::OwnedNotified;
use wire::{
    error::{ErrorKind, StreamEnd, WireError, broken_end, stream_event, upstream::UpstreamError},
    raw::watch::{Chunks, Seen},
    relay::Relay,
};

use super::{
    coalesce::{Coalescer, Source},
    failure::{End, Failure},
    feeding::Fed,
    flight::Held,
    forward::{Forwarding, Resumed},
    reading::Reading,
};
use crate::{
    faults::{self, Place},
    metrics::Running,
    provider::{TraceId, failure::Reason},
};

/// A worker that is busy for less of its time, in thousandths, has time to write frames one by one.
const LEISURE: u32 = 500;

/// An answer that has no legal way to end early broke off: the connection is closed, so that the client sees it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the upstream's answer broke off")]
pub struct Broken;

/// The client's body while its upstream speaks.
#[derive(Debug)]
pub struct StreamBody {
    coalescer: Coalescer,
    passing: Passing,
    /// Gathered before the head was given away, so that both leave in one write.
    first: Option<Bytes>,
    _running: Option<Running>,
}

impl StreamBody {
    /// `forwarding` is kept until the first content: until then another account may go on.
    pub(super) fn new(
        mut held: Held,
        chunks: Chunks,
        (id, wire): (RequestId, Wire),
        forwarding: Box<Forwarding>,
    ) -> Self {
        let running = held.flight().map(|flight| flight.proxy.metrics.open_stream());
        let bell = held.get().map(|flight| Box::pin(Arc::clone(&flight.proxy.bell).notified_owned()));
        let trace = forwarding.trace();
        let forwarding = (!told(&held)).then_some(forwarding);
        let passing =
            Passing { held, bell, id, trace, wire, broken: Break::None, forwarding, switching: None };
        Self { coalescer: Coalescer::with(chunks), passing, first: None, _running: running }
    }

    /// Takes what belongs to the burst that the first content came in.
    pub(super) async fn gather(&mut self) {
        if !self.coalescer.is_waiting() {
            return;
        }
        self.first = poll_fn(|cx| self.coalescer.poll_merged(&mut self.passing, cx)).await;
    }

    /// A panic on the way ends the stream as any failure does.
    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.poll_all_bytes(cx)));
        polled.unwrap_or_else(|_panic| {
            let mut last = Chunks::new();
            self.passing.end_panicked(&mut last);
            self.coalescer = Coalescer::ended_with(last);
            self.poll_all_bytes(cx)
        })
    }

    fn poll_all_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match self.coalescer.poll_merged(&mut self.passing, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(bytes)) => Poll::Ready(Some(Ok(bytes))),
            Poll::Ready(None) => self.passing.broken.poll(cx),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.first.is_none() && self.coalescer.is_over() && self.passing.broken == Break::None
    }
}

/// Whether the client has got some of the answer, so that no other account can go on with it.
fn told(held: &Held) -> bool {
    let attempt = held.get().and_then(|flight| flight.attempt.as_ref());
    attempt.and_then(|attempt| attempt.reading.seen()).is_none_or(|seen| seen.told)
}

/// How far breaking the answer off has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    None,
    /// What was given to the connection goes out first: it would be lost with it.
    Flush,
    Now,
}

impl Break {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        match self {
            Self::None => Poll::Ready(None),
            Self::Flush => {
                *self = Self::Now;
                // Being told to wait, the connection writes what it has.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Now => {
                *self = Self::None;
                Poll::Ready(Some(Err(Broken)))
            }
        }
    }
}

/// The upstream's frames, watched.
struct Passing {
    held: Held,
    /// Rings when the key or the account may have been revoked. Made before they are looked at, so that it is not missed.
    bell: Option<Pin<Box<OwnedNotified>>>,
    id: RequestId,
    trace: Option<TraceId>,
    wire: Wire,
    broken: Break,
    /// There until the client has got some of the content.
    forwarding: Option<Box<Forwarding>>,
    switching: Option<Switching>,
}

/// Another account is being asked. Holds the flight, so that a client that leaves meanwhile is metered as ever.
type Switching = Pin<Box<dyn Future<Output = Switched> + Send>>;

struct Switched {
    held: Held,
    forwarding: Box<Forwarding>,
    resumed: Resumed,
}

impl std::fmt::Debug for Passing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passing").field("held", &self.held).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Source for Passing {
    fn is_at_leisure(&self) -> bool {
        self.held.get().is_some_and(|flight| flight.proxy.load.busy() < LEISURE)
    }

    fn poll_more(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<bool> {
        faults::reach(Place::Stream);
        if let Some(switching) = &mut self.switching {
            let switched = ready!(switching.as_mut().poll(cx));
            self.switching = None;
            return Poll::Ready(self.switched(switched, out));
        }
        let fed = loop {
            let Some(flight) = self.held.flight() else {
                return Poll::Ready(false);
            };
            if flight.revoked() {
                self.end_early(Reason::Revoked, out);
                return Poll::Ready(false);
            }
            match flight.poll_fed(cx, out) {
                Poll::Ready(fed) => break fed,
                Poll::Pending => ready!(self.poll_bell(cx)),
            }
        };
        let goes_on = match fed {
            Fed::Seen(seen, _) => {
                self.pass(seen, out);
                true
            }
            Fed::Unread(chunk) => {
                // A body that can't be read is content from its first bytes.
                self.content();
                out.push(chunk);
                true
            }
            Fed::HoldOver => true,
            Fed::Ended(seen) => self.upstream_ended(seen, out),
            Fed::End => {
                self.held.finish(&End::Completed);
                false
            }
            Fed::Failed(reason) => self.failed(reason, out),
        };
        Poll::Ready(goes_on)
    }
}

impl Passing {
    fn poll_bell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(bell) = &mut self.bell else { return Poll::Pending };
        ready!(bell.as_mut().poll(cx));
        self.bell = self.held.get().map(|flight| Box::pin(Arc::clone(&flight.proxy.bell).notified_owned()));
        Poll::Ready(())
    }

    fn relay(&mut self) -> Option<&mut Relay> {
        self.held.flight()?.relay()
    }

    fn pass(&mut self, seen: Seen, out: &mut Chunks) {
        if seen.failed
            && let Some(failure) = self.kept_failure()
        {
            if self.forwarding.is_some() {
                return self.switch(failure);
            }
            // Too late for another account, or about the request: the client gets the upstream's own words.
            self.release(out);
        } else if seen.failed {
            self.release(out);
        }
        if seen.content
            && let Some(flight) = self.held.flight()
        {
            flight.content();
        }
        if seen.told {
            self.forwarding = None;
        }
        if seen.stopped
            && let Some(flight) = self.held.flight()
        {
            flight.remember();
        }
    }

    fn release(&mut self, out: &mut Chunks) {
        if let Some(flight) = self.held.flight() {
            flight.release(out);
        }
    }

    /// From here on no other account can go on.
    fn content(&mut self) {
        if let Some(flight) = self.held.flight() {
            flight.content();
        }
        self.forwarding = None;
    }

    /// A failure that another account may make good.
    fn kept_failure(&self) -> Option<Failure> {
        let flight = self.held.get()?;
        let attempt = flight.attempt.as_ref()?;
        attempt.failure_in_stream(true, flight.proxy.clock.now())
    }

    /// Ahead of all content another account is asked; behind it the stream ends. Whether it goes on.
    fn failed(&mut self, reason: Reason, out: &mut Chunks) -> bool {
        let over = matches!(reason, Reason::Stopped | Reason::Deadline | Reason::MaxStream);
        if over || self.forwarding.is_none() || told(&self.held) || self.is_settled() {
            self.end_early(reason, out);
            return false;
        }
        self.switch(Failure::of(reason));
        true
    }

    fn switch(&mut self, failure: Failure) {
        let Some(mut forwarding) = self.forwarding.take() else { return };
        let mut held = self.held.take();
        self.switching = Some(Box::pin(async move {
            let resumed = forwarding.resume(&mut held, failure).await;
            Switched { held, forwarding, resumed }
        }));
    }

    fn switched(&mut self, switched: Switched, out: &mut Chunks) -> bool {
        let Switched { held, forwarding, resumed } = switched;
        self.held = held;
        match resumed {
            Resumed::GoesOn(chunks) => {
                out.extend(chunks);
                if !told(&self.held) {
                    self.forwarding = Some(forwarding);
                }
                return true;
            }
            Resumed::Refused(said) => self.end_refused(said, out),
            Resumed::Over(reason) => self.end_given_up(reason, out),
        }
        false
    }

    /// What the client has is ended in its wire.
    fn end_panicked(&mut self, out: &mut Chunks) {
        self.switching = None;
        self.forwarding = None;
        self.tell_end(
            &WireError {
                message: "the gateway failed; send the request again",
                ..ending(Reason::Cut, &self.id.to_string())
            },
            out,
        );
        tracing::error!(request = %self.id, trace = self.trace.map(tracing::field::display), "a stream was ended by a panic");
        self.held.end_panicked();
    }

    /// No account went on: what the client has is ended in its wire.
    fn end_given_up(&mut self, reason: Reason, out: &mut Chunks) {
        self.tell_end(&ending(reason, &self.id.to_string()), out);
        tracing::info!(request = %self.id, trace = self.trace.map(tracing::field::display), reason = %reason.code(), "a stream was ended early");
        self.held.close(End::early(reason).outcome());
    }

    /// The provider of the account that was to go on refuses the request: the client is told in its words.
    fn end_refused(&mut self, said: UpstreamError, out: &mut Chunks) {
        let status = self.held.get().and_then(|flight| flight.attempt.as_ref()).map_or(400, |it| it.status);
        let error = WireError {
            status,
            kind: ErrorKind::of_status(status),
            message: &said.message,
            code: said.code.as_deref(),
            param: None,
            request_id: &self.id.to_string(),
        };
        self.tell_end(&error, out);
        self.held.finish(&End::Refused(said.message));
    }

    fn is_away(&self) -> bool {
        let attempt = self.held.get().and_then(|flight| flight.attempt.as_ref());
        attempt.is_some_and(|attempt| matches!(attempt.reading, Reading::Away(_)))
    }

    /// Without the relay, which may know more of what the client has.
    fn tell_end(&mut self, error: &WireError<'_>, out: &mut Chunks) {
        match broken_end(self.wire) {
            StreamEnd::Event => out.push(stream_event(self.wire, error)),
            StreamEnd::Break => self.broken = Break::Flush,
            StreamEnd::Unfinished => {}
        }
    }

    /// Whether it goes on, with another account.
    fn upstream_ended(&mut self, seen: Seen, out: &mut Chunks) -> bool {
        if self.forwarding.is_some()
            && let Some(failure) = self.kept_failure()
        {
            self.switch(failure);
            return true;
        }
        if self.relay().is_none() {
            return false;
        }
        self.release(out);
        match self.reported() {
            Some(end) => self.held.finish(&end),
            None if seen.end || seen.stopped => self.held.finish(&End::Completed),
            None => return self.failed(Reason::Cut, out),
        }
        false
    }

    /// Whether the client has been told an end, or that its request is refused, so that nothing may follow.
    fn is_settled(&self) -> bool {
        let attempt = self.held.get().and_then(|flight| flight.attempt.as_ref());
        let seen = attempt.and_then(|attempt| attempt.reading.seen());
        seen.is_some_and(|seen| seen.end || seen.stopped) || matches!(self.reported(), Some(End::Refused(_)))
    }

    /// How the stream ended by what it said itself; none where it reported no failure.
    fn reported(&self) -> Option<End> {
        let flight = self.held.get()?;
        flight.attempt.as_ref()?.reported(flight.proxy.clock.now())
    }

    /// The stream can't go on: the client is told so in the way that its wire's clients understand best.
    fn end_early(&mut self, reason: Reason, out: &mut Chunks) {
        // What was reported says more than the silence behind it.
        let end = self.reported().unwrap_or_else(|| End::early(reason));
        let (id, is_away, how) = (self.id.to_string(), self.is_away(), broken_end(self.wire));
        match (self.relay(), how) {
            // Only the connection's end is missing.
            (Some(relay), _) if relay.seen().end => return self.held.finish(&End::Completed),
            (Some(relay), StreamEnd::Event) => out.push(relay.close(&ending(reason, &id))),
            (Some(_), StreamEnd::Unfinished) => {}
            // A long frame is being read, or could not be.
            (None, _) if is_away => self.tell_end(&ending(reason, &id), out),
            (None, _) | (Some(_), StreamEnd::Break) => self.broken = Break::Flush,
        }
        tracing::info!(request = %self.id, trace = self.trace.map(tracing::field::display), reason = %reason.code(), "a stream was ended early");
        self.held.finish(&end);
    }
}

fn ending(reason: Reason, request_id: &str) -> WireError<'_> {
    let (kind, message) = match reason {
        Reason::Stopped => (ErrorKind::Unavailable, "the gateway is shutting down; send the request again"),
        Reason::MaxStream => (ErrorKind::Timeout, "the stream ran for longer than the gateway allows"),
        Reason::Revoked => (ErrorKind::Permission, "the API key or the account was revoked"),
        Reason::Stall => (ErrorKind::Timeout, "the upstream fell silent; send the request again"),
        Reason::Deadline => {
            (ErrorKind::Timeout, "the upstream gave no content in time; send the request again")
        }
        _ => (ErrorKind::Api, "the upstream's answer broke off; send the request again"),
    };
    WireError {
        status: kind.status(),
        kind,
        message,
        code: Some("stream_interrupted"),
        param: None,
        request_id,
    }
}
