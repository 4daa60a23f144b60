//! Opens one attempt's answer: its head, and as much of the body as shows that it can be passed on.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    response,
};
use wire::{
    convert::searches_itself,
    error::upstream::UpstreamError,
    raw::watch::{Chunks, FailureCause, Seen, StreamFailure},
};

use super::{
    adapt::Prepared,
    attempt::Attempt,
    failure::{Failure, Judge, Trouble},
    feeding::Fed,
    filter::Admitted,
    flight::{Flight, Next},
    reading::{Collected, Reading},
    translation, whole,
};
use crate::{
    faults::{self, Place},
    provider::{
        Endpoint,
        failure::{Class, Reason, class_of, refuses_reasoning, refuses_tool_search},
        lacks_endpoint, words,
    },
};

/// Of an error that leads to another account, this much is read, and for this long.
const ERROR_BODY_MAX: usize = 64 << 10;
const ERROR_BODY_WAIT: Duration = Duration::from_millis(500);
/// On counts that the node made by itself.
const X_ESTIMATE: HeaderName = HeaderName::from_static("x-switchyard-estimate");

/// An answer that may go to the client.
#[derive(Debug)]
pub(super) enum Opened {
    Whole {
        parts: response::Parts,
        body: Bytes,
    },
    /// The provider refuses the request itself.
    Refused {
        parts: response::Parts,
        body: Bytes,
        said: UpstreamError,
    },
    Stream {
        parts: response::Parts,
        chunks: Chunks,
    },
}

pub(super) async fn open(
    flight: &mut Flight,
    admitted: &Admitted,
    prepared: &Prepared,
) -> Result<Opened, Failure> {
    let mut parts = poll_fn(|cx| flight.poll_head(cx)).await.map_err(Failure::of)?;
    faults::reach(Place::Head);
    if !parts.status.is_success() {
        choose_reading(flight, &parts);
        return Box::pin(refused(flight, admitted, parts)).await;
    }
    let streaming = flight.streaming;
    if let Some(plan) = flight.attempt.as_mut().and_then(|attempt| Arc::get_mut(&mut attempt.translation)) {
        plan.reform(streaming, &parts.headers, || prepared.within(admitted));
    }
    choose_reading(flight, &parts);
    let streams =
        flight.attempt.as_ref().is_some_and(|attempt| !matches!(attempt.reading, Reading::Whole(_)));
    if !streams {
        return match whole::collect(flight).await? {
            whole::Collection::Whole(body) => {
                let streams = flight.attempt.as_ref().is_some_and(|attempt| attempt.translation.streams());
                head(flight, &mut parts, streams);
                // It may be another one now.
                parts.headers.remove(CONTENT_LENGTH);
                Ok(Opened::Whole { parts, body })
            }
            whole::Collection::Beginning(chunks) => Ok(Opened::Stream { parts, chunks }),
        };
    }
    if whole::gathers(flight) {
        return Box::pin(gather(flight, admitted, parts)).await;
    }
    flight.hold(flight.policy().commit_hold);
    match hold(flight).await {
        Ok(chunks) => {
            head(flight, &mut parts, true);
            Ok(Opened::Stream { parts, chunks })
        }
        Err(trouble) => Err(flight.judged(trouble, &parts.headers)),
    }
}

/// One answer of a stream that the client did not ask for.
async fn gather(
    flight: &mut Flight,
    admitted: &Admitted,
    mut parts: response::Parts,
) -> Result<Opened, Failure> {
    match whole::gather(flight).await {
        Ok(read) => {
            head(flight, &mut parts, false);
            Ok(Opened::Whole { parts, body: read.body })
        }
        Err(Trouble::Stream(StreamFailure { cause: FailureCause::Reported(said), before_content }))
            if is_about_the_request(
                flight,
                &StreamFailure { cause: FailureCause::Reported(said.clone()), before_content },
            ) =>
        {
            parts.status = said
                .status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or(StatusCode::BAD_REQUEST);
            refuse(flight, admitted, parts, Bytes::new(), said)
        }
        Err(trouble) => Err(flight.judged(trouble, &parts.headers)),
    }
}

/// The answer to a request that the provider refuses, as the client's wire says it.
fn refuse(
    flight: &Flight,
    admitted: &Admitted,
    mut parts: response::Parts,
    body: Bytes,
    mut said: UpstreamError,
) -> Result<Opened, Failure> {
    let Some(attempt) = &flight.attempt else { return Err(Failure::of(Reason::Stopped)) };
    if let Some(hidden) = words::hidden(&said.message, &attempt.account) {
        said.message = hidden;
    }
    let (wire, id) = (flight.meter.wire(), admitted.call.id.to_string());
    let body = attempt.translation.refusal(wire, flight.streaming, &mut parts, (body, &said), &id);
    Ok(Opened::Refused { parts, body, said })
}

/// A count that the node made by itself.
pub(super) fn estimated(flight: &mut Flight, body: Bytes) -> Opened {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.insert(X_ESTIMATE, HeaderValue::from_static("true"));
    if let Some(attempt) = &mut flight.attempt {
        attempt.status = StatusCode::OK.as_u16();
    }
    flight.content();
    Opened::Whole { parts, body }
}

/// How the answer is to be read, by what its head says.
pub(super) fn choose_reading(flight: &mut Flight, parts: &response::Parts) {
    let (wire, streaming, frames) = (flight.meter.wire(), flight.streaming, flight.policy().max_frame);
    let Some(attempt) = &mut flight.attempt else { return };
    attempt.reading = match parts.status.is_success() {
        true => attempt.translation.reading(wire, streaming, &parts.headers, frames),
        false => Reading::Whole(Collected::default()),
    };
}

fn head(flight: &Flight, parts: &mut response::Parts, stream: bool) {
    if let Some(attempt) = &flight.attempt {
        attempt.translation.head(parts, stream);
    }
}

/// A status that is no success: it means another account, or it is about the request and goes to the client. What the
/// body says decides with it.
async fn refused(
    flight: &mut Flight,
    admitted: &Admitted,
    mut parts: response::Parts,
) -> Result<Opened, Failure> {
    let (most, wait) = match class_of(parts.status.as_u16()) {
        Class::Refused => (flight.policy().max_answer, None),
        _ => (ERROR_BODY_MAX, Some(ERROR_BODY_WAIT)),
    };
    let body = error_body(flight, most, wait).await?;
    let body = match &flight.attempt {
        Some(attempt) => {
            words::hide_credential(&mut parts.headers, &attempt.account);
            let length = body.len();
            let told = words::without_credential(body, &attempt.account);
            if told.len() != length {
                parts.headers.remove(CONTENT_LENGTH);
            }
            told
        }
        None => body,
    };
    let (said, now) = (translation::said(&body), flight.proxy.clock.now());
    let Some(attempt) = &flight.attempt else { return Err(Failure::of(Reason::Stopped)) };
    let status = parts.status.as_u16();
    if let Some(judge) = attempt.judge(&parts.headers, now) {
        let class = class_of_refusal(attempt, &judge, admitted, status, &said);
        if class != Class::Refused {
            return Err(judge.status((status, class), said));
        }
    }
    refuse(flight, admitted, parts, body, said)
}

/// What the gateway can put right by itself comes before what the provider means by it.
fn class_of_refusal(
    attempt: &Attempt,
    judge: &Judge<'_>,
    admitted: &Admitted,
    status: u16,
    said: &UpstreamError,
) -> Class {
    let searches = || attempt.translation.is_native() && searches_itself(&admitted.body);
    match attempt.endpoint {
        Some(endpoint) if attempt.falls_back && lacks_endpoint(endpoint, status, said) => Class::NoEndpoint,
        Some(Endpoint::Responses) if refuses_tool_search(status, said) && searches() => Class::ToolSearch,
        Some(_) if !attempt.without_reasoning && refuses_reasoning(status, said) => Class::Reasoning,
        _ => match judge.class(status, said) {
            // A permission to count is not one for the model, and counting has a fallback.
            Class::Refused | Class::ModelDenied if attempt.translation.counts() => Class::Counting,
            class => class,
        },
    }
}

/// As much of an error's body as is wanted. With `wait`, what came until then is enough, however it ended.
async fn error_body(flight: &mut Flight, most: usize, wait: Option<Duration>) -> Result<Bytes, Failure> {
    let mut read = Collected::default();
    if let Some(wait) = wait {
        flight.hold(wait);
    }
    while read.len() < most {
        match poll_fn(|cx| flight.poll_next(cx)).await {
            Next::Chunk(chunk) => read.push(chunk, &flight.proxy.answers),
            Next::Failed(reason) if wait.is_none() => return Err(Failure::of(reason)),
            Next::End | Next::Failed(_) | Next::HoldOver => break,
        }
    }
    flight.release_hold();
    Ok(read.take_counted())
}

/// Reads until the answer may go: content, a ping, a legal end, or the hold is over.
async fn hold(flight: &mut Flight) -> Result<Chunks, Trouble> {
    let mut chunks = Chunks::new();
    loop {
        let (seen, ended) = match poll_fn(|cx| flight.poll_fed(cx, &mut chunks)).await {
            Fed::Seen(seen, _) => (seen, false),
            Fed::Ended(seen) => (seen, true),
            // A body in a form that can't be read is passed on from its first bytes.
            Fed::Unread(chunk) => {
                flight.content();
                chunks.push(chunk);
                return Ok(chunks);
            }
            Fed::End | Fed::HoldOver => return Ok(chunks),
            Fed::Failed(reason) => return Err(Trouble::Read(reason)),
        };
        let Some(relay) = flight.relay() else { return Ok(chunks) };
        if let Some(failure) = relay.failure().filter(|failure| failure.before_content) {
            let failure = failure.clone();
            if !is_about_the_request(flight, &failure) {
                return Err(Trouble::Stream(failure));
            }
            flight.release(&mut chunks);
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

fn is_about_the_request(flight: &Flight, failure: &StreamFailure) -> bool {
    let (headers, now) = (HeaderMap::new(), flight.proxy.clock.now());
    let judge = flight.attempt.as_ref().and_then(|attempt| attempt.judge(&headers, now));
    judge.is_some_and(|judge| judge.is_about_the_request(failure))
}

const fn may_go(seen: Seen) -> bool {
    seen.content || seen.ping || seen.end || seen.stopped
}
