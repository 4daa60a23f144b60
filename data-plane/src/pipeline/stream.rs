//! Stage 7: the answer goes to the client, and is read as it passes. Whatever happens, the client's stream ends in a
//! way that its wire knows.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header::CONTENT_LENGTH};
use proto::v1::Outcome;
use shared::{id::RequestId, wire::Wire};
use wire::{
    error::{ErrorKind, StreamEnd, WireError, broken_end, stream_event},
    raw::watch::{Chunks, Seen},
    relay::Relay,
};

use super::{
    body::ResponseBody,
    coalesce::{Coalescer, Source},
    exchange::Exchange,
    feeding::Fed,
    forward::{Answer, AnswerBody, Failure, Forwarding, failure_of, is_about_the_request},
    reading::Reading,
};
use crate::{
    faults::{self, Place},
    metrics::Running,
    provider::{failure::Reason, strip_response_headers},
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Where the upstream's own `x-request-id` goes.
const X_UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// A worker that is busy for less of its time, in thousandths, has time to write frames one by one.
const LEISURE: u32 = 500;

/// An answer that has no legal way to end early broke off: the connection is closed, so that the client sees it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the upstream's answer broke off")]
pub struct Broken;

pub(super) fn stream(answer: Answer) -> Response<ResponseBody> {
    let Answer { id, wire, mut parts, body } = answer;
    strip_response_headers(&mut parts.headers);
    set_request_id(&mut parts.headers, wire, id.to_string());
    let body = match body {
        AnswerBody::Whole(body) => ResponseBody::full(body),
        AnswerBody::Stream(body) => {
            // Frames may be taken out on the way.
            parts.headers.remove(CONTENT_LENGTH);
            ResponseBody::Stream(body)
        }
    };
    Response::from_parts(parts, body)
}

/// Every answer carries the gateway's id of the request, which is also the ledger's. An upstream's own is kept.
pub(super) fn set_request_id(headers: &mut HeaderMap, wire: Wire, id: String) {
    let Ok(id) = HeaderValue::from_maybe_shared(Bytes::from(id)) else {
        return;
    };
    if wire == Wire::Messages {
        headers.entry(REQUEST_ID).or_insert_with(|| id.clone());
    }
    if let Some(upstream) = headers.insert(X_REQUEST_ID, id) {
        headers.insert(X_UPSTREAM_REQUEST_ID, upstream);
    }
}

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
        mut exchange: Exchange,
        chunks: Chunks,
        (id, wire): (RequestId, Wire),
        forwarding: Box<Forwarding>,
    ) -> Self {
        let running = exchange.flight().map(|flight| flight.proxy.metrics.open_stream());
        let forwarding = (!told(&mut exchange)).then_some(forwarding);
        let passing = Passing { exchange, id, wire, broken: Break::None, forwarding, switching: None };
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
fn told(exchange: &mut Exchange) -> bool {
    let leg = exchange.flight().and_then(|flight| flight.leg.as_ref());
    leg.and_then(|leg| leg.reading.seen()).is_none_or(|seen| seen.told)
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
    exchange: Exchange,
    id: RequestId,
    wire: Wire,
    broken: Break,
    /// There until the client has got some of the content.
    forwarding: Option<Box<Forwarding>>,
    switching: Option<Switching>,
}

/// Another account is being asked. Holds the exchange, so that a client that leaves meanwhile is metered as ever.
type Switching = Pin<Box<dyn Future<Output = Switched> + Send>>;

struct Switched {
    exchange: Exchange,
    forwarding: Box<Forwarding>,
    chunks: Option<Chunks>,
}

impl std::fmt::Debug for Passing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passing")
            .field("exchange", &self.exchange)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Source for Passing {
    fn is_at_leisure(&self) -> bool {
        self.exchange.proxy().is_some_and(|proxy| proxy.load.busy() < LEISURE)
    }

    fn poll_more(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<bool> {
        faults::reach(Place::Stream);
        if let Some(switching) = &mut self.switching {
            let switched = ready!(switching.as_mut().poll(cx));
            self.switching = None;
            return Poll::Ready(self.switched(switched, out));
        }
        let Some(flight) = self.exchange.flight() else {
            return Poll::Ready(false);
        };
        if flight.revoked() {
            self.end_early(Reason::Revoked, out);
            return Poll::Ready(false);
        }
        let goes_on = match ready!(flight.poll_fed(cx, out)) {
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
                self.exchange.finish(Outcome::Completed, None);
                false
            }
            Fed::Failed(reason) => self.failed(Failure::of(reason), out),
        };
        Poll::Ready(goes_on)
    }
}

impl Passing {
    fn relay(&mut self) -> Option<&mut Relay> {
        match &mut self.exchange.flight()?.leg.as_mut()?.reading {
            Reading::Stream(relay) => Some(relay),
            Reading::Opaque | Reading::Away(_) | Reading::Whole(_) => None,
        }
    }

    fn pass(&mut self, seen: Seen, out: &mut Chunks) {
        if seen.failed
            && let Some(failure) = self.kept_failure()
        {
            if self.forwarding.is_some() {
                return self.switch(failure);
            }
            // Too late for another account, or about the request: the client gets the upstream's own words.
            if let Some(relay) = self.relay() {
                relay.release(out);
            }
        } else if seen.failed
            && let Some(relay) = self.relay()
        {
            relay.release(out);
        }
        if seen.content
            && let Some(flight) = self.exchange.flight()
        {
            flight.content();
        }
        if seen.told {
            self.forwarding = None;
        }
        if seen.stopped
            && let Some(flight) = self.exchange.flight()
        {
            flight.remember();
        }
    }

    /// From here on no other account can go on.
    fn content(&mut self) {
        if let Some(flight) = self.exchange.flight() {
            flight.content();
        }
        self.forwarding = None;
    }

    /// A failure that another account may make good.
    fn kept_failure(&mut self) -> Option<Failure> {
        let flight = self.exchange.flight()?;
        let Reading::Stream(relay) = &flight.leg.as_ref()?.reading else { return None };
        let failure = relay.failure().filter(|failure| failure.before_content)?;
        if is_about_the_request(failure, flight) {
            return None;
        }
        Some(failure_of(failure, flight))
    }

    /// Ahead of all content another account is asked; behind it the stream ends. Whether it goes on.
    fn failed(&mut self, failure: Failure, out: &mut Chunks) -> bool {
        let over = matches!(failure.reason, Reason::Stopped | Reason::Deadline | Reason::MaxStream);
        if over || self.forwarding.is_none() || told(&mut self.exchange) {
            self.end_early(failure.reason, out);
            return false;
        }
        self.switch(failure);
        true
    }

    fn switch(&mut self, failure: Failure) {
        let Some(mut forwarding) = self.forwarding.take() else { return };
        let mut exchange = self.exchange.take();
        self.switching = Some(Box::pin(async move {
            let chunks = forwarding.resume(&mut exchange, failure).await;
            Switched { exchange, forwarding, chunks }
        }));
    }

    fn switched(&mut self, switched: Switched, out: &mut Chunks) -> bool {
        let Switched { exchange, forwarding, chunks } = switched;
        self.exchange = exchange;
        let Some(chunks) = chunks else {
            let reason = forwarding.last_reason().unwrap_or(Reason::StreamError);
            self.end_without_leg(reason, out);
            return false;
        };
        out.extend(chunks);
        if !told(&mut self.exchange) {
            self.forwarding = Some(forwarding);
        }
        true
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
        tracing::error!(request = %self.id, "a stream was ended by a panic");
        self.exchange.end_panicked();
    }

    /// No account went on: what the client has is ended in its wire.
    fn end_without_leg(&mut self, reason: Reason, out: &mut Chunks) {
        let id = self.id.to_string();
        self.tell_end(&ending(reason, &id), out);
        tracing::info!(request = %self.id, reason = %reason.code(), "a stream was ended early");
        self.exchange.finish(early(reason), Some(reason));
    }

    fn is_away(&mut self) -> bool {
        let leg = self.exchange.flight().and_then(|flight| flight.leg.as_ref());
        leg.is_some_and(|leg| matches!(leg.reading, Reading::Away(_)))
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
        let Some(relay) = self.relay() else { return false };
        relay.release(out);
        if let Some(failure) = relay.failure().cloned() {
            let flight = self.exchange.flight();
            let (outcome, reason) = match flight.is_some_and(|flight| is_about_the_request(&failure, flight))
            {
                true => (Outcome::Refused, None),
                false => (Outcome::UpstreamError, Some(Reason::StreamError)),
            };
            self.exchange.finish(outcome, reason);
        } else if seen.end || seen.stopped {
            self.exchange.finish(Outcome::Completed, None);
        } else {
            return self.failed(Failure::of(Reason::Cut), out);
        }
        false
    }

    /// The stream can't go on: the client is told so in the way that its wire's clients understand best.
    fn end_early(&mut self, reason: Reason, out: &mut Chunks) {
        let (id, outcome) = (self.id.to_string(), early(reason));
        let end = self.exchange.flight().map_or(StreamEnd::Break, |flight| broken_end(flight.meter.wire()));
        let is_away = self.is_away();
        match (self.relay(), end) {
            // Only the connection's end is missing.
            (Some(relay), _) if relay.seen().end => return self.exchange.finish(Outcome::Completed, None),
            (Some(relay), StreamEnd::Event) => out.push(relay.close(&ending(reason, &id))),
            (Some(_), StreamEnd::Unfinished) => {}
            // A long frame is being read, or could not be.
            (None, _) if is_away => self.tell_end(&ending(reason, &id), out),
            (None, _) | (Some(_), StreamEnd::Break) => self.broken = Break::Flush,
        }
        tracing::info!(request = %self.id, reason = %reason.code(), "a stream was ended early");
        self.exchange.finish(outcome, Some(reason));
    }
}

const fn early(reason: Reason) -> Outcome {
    match reason {
        Reason::Stopped | Reason::MaxStream | Reason::Revoked => Outcome::CutOff,
        _ => Outcome::UpstreamError,
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
