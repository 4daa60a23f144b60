//! Opens one attempt's answer: its head, and as much of the body as shows that it can be passed on.

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    response,
};
use proto::v1::Outcome;
use shared::wire::Wire;
use wire::{
    error::upstream::UpstreamError,
    raw::{
        body,
        watch::{Chunks, FailureCause, Seen, StreamEdits, StreamFailure, StreamWatch},
    },
};

use super::Failure;
use crate::{
    pipeline::{
        exchange::{Flight, Next},
        reading::{Collected, Reading},
    },
    provider::{
        Provider,
        failure::{Class, Reason, class_of, limited_for},
    },
};

/// Answers up to here are read whole before they are passed on, so that a broken one can be asked of another account.
/// Larger ones pass as they come, unmetered.
pub(in crate::pipeline) const MAX_WHOLE: usize = 16 << 20;
/// Of an error that leads to another account, this much is read, and for this long.
const ERROR_BODY_MAX: usize = 64 << 10;
const ERROR_BODY_WAIT: Duration = Duration::from_millis(500);

/// An answer that may go to the client.
#[derive(Debug)]
pub(in crate::pipeline) enum Opened {
    Whole { parts: response::Parts, body: Bytes, outcome: Outcome },
    Stream { parts: response::Parts, chunks: Chunks },
}

pub(super) async fn open(
    flight: &mut Flight,
    provider: &dyn Provider,
    wire: Wire,
    edits: StreamEdits,
) -> Result<Opened, Failure> {
    let parts = poll_fn(|cx| flight.poll_head(cx)).await.map_err(Failure::of)?;
    let status = parts.status.as_u16();
    if !parts.status.is_success() && class_of(status) != Class::Refused {
        return Err(failed(flight, provider, wire, &parts).await);
    }
    choose_reading(flight, &parts, Some((wire, edits)));
    if !is_stream(flight) {
        let outcome = if parts.status.is_success() { Outcome::Completed } else { Outcome::Refused };
        return whole(flight, parts, outcome).await;
    }
    flight.hold(flight.limits().commit_hold);
    match hold(flight).await {
        Ok(chunks) => Ok(Opened::Stream { parts, chunks }),
        Err(cause) => Err(blame(cause, provider, &parts.headers, flight)),
    }
}

/// How the answer is to be read, by what its head says.
pub(in crate::pipeline) fn choose_reading(
    flight: &mut Flight,
    parts: &response::Parts,
    wire: Option<(Wire, StreamEdits)>,
) {
    let Some(leg) = &mut flight.leg else { return };
    let (wire, edits) = wire.unwrap_or((flight.meter.wire(), StreamEdits::default()));
    let encoded = parts.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    leg.reading = match StreamWatch::new(wire, edits) {
        _ if encoded => Reading::Opaque,
        Some(watch) if parts.status.is_success() && is_event_stream(&parts.headers) => Reading::Stream(watch),
        _ => Reading::Whole(Collected::default()),
    };
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .get(..EVENT_STREAM.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM))
    })
}

fn is_stream(flight: &Flight) -> bool {
    flight.leg.as_ref().is_some_and(|leg| !matches!(leg.reading, Reading::Whole(_)))
}

/// A status that means another account: a little of its body is read for the log, which also saves the connection.
async fn failed(
    flight: &mut Flight,
    provider: &dyn Provider,
    wire: Wire,
    parts: &response::Parts,
) -> Failure {
    let status = parts.status.as_u16();
    let class = class_of(status);
    let limited_for = match class {
        Class::Limited(kind) => Some(limited_for(kind, provider, &parts.headers, flight.proxy.clock.now())),
        _ => None,
    };
    let mut read = Collected::default();
    flight.hold(ERROR_BODY_WAIT);
    while read.len() < ERROR_BODY_MAX {
        match poll_fn(|cx| flight.poll_next(cx)).await {
            Next::Chunk(chunk) => read.push(chunk),
            Next::End | Next::Failed(_) | Next::HoldOver => break,
        }
    }
    flight.release_hold();
    let detail = body::facts(wire, &read.take()).error.map(|error| error.message).unwrap_or_default();
    Failure { reason: Reason::Status(status), class, limited_for, detail }
}

/// Reads an answer that is no stream. One that is too large to be held is passed on as it comes.
async fn whole(flight: &mut Flight, parts: response::Parts, outcome: Outcome) -> Result<Opened, Failure> {
    loop {
        let next = poll_fn(|cx| flight.poll_next(cx)).await;
        match next {
            Next::Chunk(chunk) => {
                let Some(Reading::Whole(collected)) = flight.leg.as_mut().map(|leg| &mut leg.reading) else {
                    break;
                };
                collected.push(chunk);
                if collected.len() > MAX_WHOLE {
                    break;
                }
            }
            Next::End => {
                let body = read_whole(flight);
                return Ok(Opened::Whole { parts, body, outcome });
            }
            Next::Failed(reason) => return Err(Failure::of(reason)),
            Next::HoldOver => {}
        }
    }
    let mut chunks = Chunks::new();
    if let Some(leg) = &mut flight.leg {
        if let Reading::Whole(collected) = &mut leg.reading {
            chunks.push(collected.take());
        }
        leg.reading = Reading::Opaque;
    }
    flight.content();
    Ok(Opened::Stream { parts, chunks })
}

/// The answer is complete: what it says of usage is noted.
pub(in crate::pipeline) fn read_whole(flight: &mut Flight) -> Bytes {
    let wire = flight.meter.wire();
    let Some(Reading::Whole(collected)) = flight.leg.as_mut().map(|leg| &mut leg.reading) else {
        return Bytes::new();
    };
    let body = collected.take();
    collected.facts = Some(body::facts(wire, &body));
    if flight.leg.as_ref().is_some_and(|leg| (200..300).contains(&leg.status)) {
        flight.content();
    }
    body
}

/// What can go wrong while an answer's head is held back.
enum Trouble {
    Read(Reason),
    Stream(StreamFailure),
}

/// Reads until the answer may go: content, a ping, a legal end, or the hold is over.
async fn hold(flight: &mut Flight) -> Result<Chunks, Trouble> {
    let mut chunks = Chunks::new();
    loop {
        let next = poll_fn(|cx| flight.poll_next(cx)).await;
        let Some(leg) = &mut flight.leg else {
            return Err(Trouble::Read(Reason::Stopped));
        };
        let Reading::Stream(watch) = &mut leg.reading else {
            return opaque(flight, next);
        };
        let (seen, ended) = match next {
            Next::Chunk(chunk) => (watch.feed(chunk, &mut chunks), false),
            Next::End => (watch.end(&mut chunks), true),
            Next::HoldOver => return Ok(chunks),
            Next::Failed(reason) => return Err(Trouble::Read(reason)),
        };
        if let Some(failure) = watch.failure().filter(|failure| failure.before_content) {
            if !is_about_the_request(failure) {
                return Err(Trouble::Stream(failure.clone()));
            }
            watch.release(&mut chunks);
            return Ok(chunks);
        }
        if may_go(seen) {
            if seen.content {
                flight.content();
            }
            return Ok(chunks);
        }
        if ended {
            return Err(Trouble::Read(Reason::Cut));
        }
    }
}

const fn may_go(seen: Seen) -> bool {
    seen.content || seen.ping || seen.end || seen.stopped
}

/// A body in a form that can't be read is passed on from its first bytes.
fn opaque(flight: &mut Flight, next: Next) -> Result<Chunks, Trouble> {
    match next {
        Next::Chunk(chunk) => {
            flight.content();
            Ok(Chunks::from_iter([chunk]))
        }
        Next::End | Next::HoldOver => Ok(Chunks::new()),
        Next::Failed(reason) => Err(Trouble::Read(reason)),
    }
}

/// The provider refuses the request ahead of all content: no other account would answer otherwise.
pub(in crate::pipeline) fn is_about_the_request(failure: &StreamFailure) -> bool {
    match &failure.cause {
        FailureCause::Reported(UpstreamError { status: Some(status), .. }) => {
            failure.before_content && class_of(*status) == Class::Refused
        }
        _ => false,
    }
}

fn blame(trouble: Trouble, provider: &dyn Provider, headers: &HeaderMap, flight: &Flight) -> Failure {
    let failure = match trouble {
        Trouble::Read(reason) => return Failure::of(reason),
        Trouble::Stream(failure) => failure,
    };
    let FailureCause::Reported(error) = failure.cause else {
        return Failure::of(Reason::Malformed);
    };
    let class = error.status.map_or(Class::Transient, class_of);
    let limited_for = match class {
        Class::Limited(kind) => Some(limited_for(kind, provider, headers, flight.proxy.clock.now())),
        _ => None,
    };
    Failure { reason: Reason::StreamError, class, limited_for, detail: error.message }
}
