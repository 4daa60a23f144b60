//! Opens one attempt's answer: its head, and as much of the body as shows that it can be passed on.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    response,
};
use proto::v1::Outcome;
use wire::{
    convert::searches_itself,
    error::upstream::UpstreamError,
    raw::body::BodyFacts,
    raw::watch::{Chunks, FailureCause, Seen, StreamFailure},
    relay::Relay,
};

use super::Failure;
use crate::{
    compute::LARGE,
    faults::{self, Place},
    pipeline::{
        adapt::Prepared,
        exchange::{Flight, Leg, Next},
        feeding::Fed,
        filter::Admitted,
        plan::{self, Read},
        reading::{Collected, Reading, join},
    },
    provider::{
        Endpoint, Provider,
        failure::{
            Class, ErrorAnswer, Reason, class_of, limited_for, refuses_reasoning, refuses_tool_search,
        },
        for_account, lacks_endpoint, sent_model,
    },
};

/// Answers up to here are read whole before they are passed on, so that a broken one can be asked of another account.
/// Larger ones pass as they come, unmetered; where they would have to be converted, they fail.
pub(in crate::pipeline) const MAX_WHOLE: usize = 16 << 20;
/// Of an error that leads to another account, this much is read, and for this long.
const ERROR_BODY_MAX: usize = 64 << 10;
const ERROR_BODY_WAIT: Duration = Duration::from_millis(500);
/// On counts that the node made by itself.
const X_ESTIMATE: HeaderName = HeaderName::from_static("x-switchyard-estimate");

/// An answer that may go to the client.
#[derive(Debug)]
pub(in crate::pipeline) enum Opened {
    Whole { parts: response::Parts, body: Bytes, outcome: Outcome },
    Stream { parts: response::Parts, chunks: Chunks },
}

pub(super) async fn open(
    flight: &mut Flight,
    provider: &dyn Provider,
    admitted: &Admitted,
    prepared: &Prepared,
) -> Result<Opened, Failure> {
    let mut parts = poll_fn(|cx| flight.poll_head(cx)).await.map_err(Failure::of)?;
    faults::reach(Place::Head);
    if !parts.status.is_success() {
        choose_reading(flight, &parts);
        return Box::pin(refused(flight, provider, admitted, parts)).await;
    }
    let streaming = flight.streaming;
    if let Some(plan) = flight.leg.as_mut().and_then(|leg| Arc::get_mut(&mut leg.plan)) {
        plan.reform(streaming, &parts.headers, || prepared.within(admitted));
    }
    choose_reading(flight, &parts);
    let streams = flight.leg.as_ref().is_some_and(|leg| !matches!(leg.reading, Reading::Whole(_)));
    if !streams {
        return whole(flight, parts, Outcome::Completed).await;
    }
    if gathers(flight) {
        let read = Box::pin(gathered(flight))
            .await
            .map_err(|cause| blame(cause, provider, &parts.headers, flight))?;
        head(flight, &mut parts, false);
        return Ok(Opened::Whole { parts, body: read.body, outcome: Outcome::Completed });
    }
    flight.hold(flight.limits().commit_hold);
    match hold(flight).await {
        Ok(chunks) => {
            head(flight, &mut parts, true);
            Ok(Opened::Stream { parts, chunks })
        }
        Err(cause) => Err(blame(cause, provider, &parts.headers, flight)),
    }
}

/// A count that the node made by itself.
pub(super) fn estimated(flight: &mut Flight, body: Bytes) -> Opened {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.insert(X_ESTIMATE, HeaderValue::from_static("true"));
    if let Some(leg) = &mut flight.leg {
        leg.status = StatusCode::OK.as_u16();
    }
    flight.content();
    Opened::Whole { parts, body, outcome: Outcome::Completed }
}

/// How the answer is to be read, by what its head says.
pub(in crate::pipeline) fn choose_reading(flight: &mut Flight, parts: &response::Parts) {
    let (wire, streaming) = (flight.meter.wire(), flight.streaming);
    let Some(leg) = &mut flight.leg else { return };
    leg.reading = match parts.status.is_success() {
        true => leg.plan.reading(wire, streaming, &parts.headers),
        false => Reading::Whole(Collected::default()),
    };
}

fn head(flight: &Flight, parts: &mut response::Parts, stream: bool) {
    if let Some(leg) = &flight.leg {
        leg.plan.head(parts, stream);
    }
}

/// A status that is no success: it means another account, or it is about the request and goes to the client. What the
/// body says decides with it.
async fn refused(
    flight: &mut Flight,
    provider: &dyn Provider,
    admitted: &Admitted,
    mut parts: response::Parts,
) -> Result<Opened, Failure> {
    let (wire, status) = (flight.meter.wire(), parts.status.as_u16());
    let (most, wait) = match class_of(status) {
        Class::Refused => (MAX_WHOLE, None),
        _ => (ERROR_BODY_MAX, Some(ERROR_BODY_WAIT)),
    };
    let body = error_body(flight, most, wait).await?;
    let said = plan::said(&body);
    let may_drop_reasoning = !flight.leg.as_ref().is_some_and(|leg| leg.without_reasoning);
    let is_native = flight.leg.as_ref().is_some_and(|leg| leg.plan.is_native());
    let falls_back = flight.leg.as_ref().is_some_and(|leg| leg.falls_back);
    let class = match flight.leg.as_ref().and_then(|leg| leg.endpoint) {
        Some(endpoint) if falls_back && lacks_endpoint(endpoint, status, &said) => Class::NoEndpoint,
        Some(Endpoint::Responses)
            if is_native && refuses_tool_search(status, &said) && searches_itself(&admitted.body) =>
        {
            Class::ToolSearch
        }
        Some(_) if may_drop_reasoning && refuses_reasoning(status, &said) => Class::Reasoning,
        _ => match class_of_error(flight, provider, status, &parts.headers, &said) {
            // A permission to count is not one for the model, and counting has a fallback.
            Class::Refused | Class::ModelDenied
                if flight.leg.as_ref().is_some_and(|leg| leg.plan.counts()) =>
            {
                Class::Counting
            }
            class => class,
        },
    };
    if class != Class::Refused {
        let limited_for = limit(class, provider, &parts.headers, &said, flight);
        return Err(Failure {
            reason: Reason::Status(status),
            class,
            limited_for,
            detail: said.message,
            unconvertible: None,
        });
    }
    let streaming = flight.streaming;
    let body = match &flight.leg {
        Some(leg) => {
            leg.plan.refusal(wire, streaming, &mut parts, (body, &said), &admitted.call.id.to_string())
        }
        None => body,
    };
    Ok(Opened::Whole { parts, body, outcome: Outcome::Refused })
}

fn class_of_error(
    flight: &Flight,
    provider: &dyn Provider,
    status: u16,
    headers: &HeaderMap,
    said: &UpstreamError,
) -> Class {
    let model = flight.leg.as_ref().map_or("", |leg| sent_model(&leg.account, &leg.model));
    provider.class(&ErrorAnswer { status, headers, said, model })
}

fn limit(
    class: Class,
    provider: &dyn Provider,
    headers: &HeaderMap,
    said: &UpstreamError,
    flight: &Flight,
) -> Option<Duration> {
    match class {
        Class::Limited(kind) => limited_for(kind, provider, headers, said, flight.proxy.clock.now()),
        _ => None,
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

/// Reads an answer that is no stream. One that is too large to be held is passed on as it comes.
async fn whole(flight: &mut Flight, mut parts: response::Parts, outcome: Outcome) -> Result<Opened, Failure> {
    loop {
        let next = poll_fn(|cx| flight.poll_next(cx)).await;
        match next {
            Next::Chunk(chunk) => {
                let Some(Reading::Whole(collected)) = flight.leg.as_mut().map(|leg| &mut leg.reading) else {
                    break;
                };
                collected.push(chunk, &flight.proxy.answers);
                if collected.len() > MAX_WHOLE {
                    break;
                }
            }
            Next::End => {
                let body = read_whole(flight).await.map_err(Failure::of)?;
                let streams = flight.leg.as_ref().is_some_and(|leg| leg.plan.streams());
                head(flight, &mut parts, streams);
                // It may be another one now.
                parts.headers.remove(CONTENT_LENGTH);
                return Ok(Opened::Whole { parts, body, outcome });
            }
            Next::Failed(reason) => return Err(Failure::of(reason)),
            Next::HoldOver => {}
        }
    }
    let mut chunks = Chunks::new();
    if let Some(leg) = &mut flight.leg {
        if !leg.plan.is_native() {
            return Err(Failure { class: Class::Refused, ..Failure::of(Reason::TooLarge) });
        }
        if let Reading::Whole(collected) = &mut leg.reading {
            chunks.push(collected.take());
        }
        leg.reading = Reading::Opaque;
    }
    flight.content();
    Ok(Opened::Stream { parts, chunks })
}

/// The answer is complete: it is put into the client's wire, and what it says of usage is noted.
///
/// # Errors
/// It can't be read.
pub(in crate::pipeline) async fn read_whole(flight: &mut Flight) -> Result<Bytes, Reason> {
    let wire = flight.meter.wire();
    let Some(leg) = &mut flight.leg else { return Ok(Bytes::new()) };
    let Reading::Whole(collected) = &mut leg.reading else { return Ok(Bytes::new()) };
    if collected.facts.is_some() {
        // The client left while it was given what had been read.
        return Ok(Bytes::new());
    }
    if !(200..300).contains(&leg.status) {
        return Ok(collected.take());
    }
    let read = if collected.len() < LARGE {
        leg.plan.read(wire, collected.take())
    } else {
        // It stays here meanwhile, for the case that the client leaves and it has to be read once more.
        let (plan, chunks) = (Arc::clone(&leg.plan), collected.chunks());
        let compute = flight.proxy.compute.clone();
        let reading = Box::pin(async move { compute.run(move || plan.read(wire, join(chunks))).await });
        flight.within_limits(reading).await?.map_err(|_| Reason::Malformed)?
    };
    let Some(Leg { reading: Reading::Whole(collected), .. }) = &mut flight.leg else {
        return Ok(Bytes::new());
    };
    let body = collected.read(read?);
    flight.content();
    Ok(body)
}

/// Whether the client asked for no stream, and the upstream gives nothing else.
fn gathers(flight: &Flight) -> bool {
    let Some(leg) = &flight.leg else { return false };
    matches!(&leg.reading, Reading::Stream(relay) if relay.gathers())
}

/// Reads a stream to its end and makes one answer of it.
async fn gathered(flight: &mut Flight) -> Result<Read, Trouble> {
    let (mut unsent, mut length, mut share) = (Chunks::new(), 0, flight.proxy.answers.share());
    loop {
        // An upstream that is always ahead must not keep the worker from its other tasks.
        tokio::task::yield_now().await;
        let ended = match poll_fn(|cx| flight.poll_fed(cx, &mut unsent)).await {
            Fed::Seen(_, read) => {
                length += read;
                if length > MAX_WHOLE {
                    return Err(Trouble::Read(Reason::TooLarge));
                }
                share.stretch_to(length);
                false
            }
            Fed::Ended(_) => true,
            Fed::HoldOver => continue,
            Fed::Failed(reason) => return Err(Trouble::Read(reason)),
            Fed::Unread(_) | Fed::End => return Err(Trouble::Read(Reason::Stopped)),
        };
        let Some(relay) = stream_of(flight) else {
            return Err(Trouble::Read(Reason::Stopped));
        };
        if let Some(failure) = relay.failure() {
            return Err(Trouble::Stream(StreamFailure { before_content: true, ..failure.clone() }));
        }
        if ended || relay.seen().end {
            break;
        }
    }
    let Some(leg) = &mut flight.leg else { return Err(Trouble::Read(Reason::Stopped)) };
    let reading = std::mem::replace(&mut leg.reading, Reading::Opaque);
    let Reading::Stream(relay) = reading else { return Err(Trouble::Read(Reason::Cut)) };
    // Known from here on, also to whoever takes over from a client that leaves meanwhile.
    leg.reading = Reading::Whole(relay_facts(&relay));
    let stream = relay.into_converted().ok_or(Trouble::Read(Reason::Cut))?;
    let plan = Arc::clone(&leg.plan);
    let compute = flight.proxy.compute.clone();
    let writing = Box::pin(async move { compute.run_if_large(length, move || plan.gathered(stream)).await });
    let written = flight.within_limits(writing).await.map_err(Trouble::Read)?;
    let read = written.unwrap_or(Err(Reason::Malformed)).map_err(Trouble::Read)?;
    if let Some(Leg { reading: Reading::Whole(collected), .. }) = &mut flight.leg {
        (collected.facts, collected.losses) = (Some(read.facts.clone()), read.losses.clone());
        collected.memos.clone_from(&read.memos);
    }
    flight.content();
    Ok(read)
}

/// What a stream said, for the record of an answer that could not be made of it.
fn relay_facts(relay: &Relay) -> Collected {
    let facts = BodyFacts {
        usage: relay.usage(),
        served_model: relay.served_model().map(str::to_owned),
        ..BodyFacts::default()
    };
    let mut collected = Collected::default();
    (collected.facts, collected.losses) = (Some(facts), relay.losses().unwrap_or_default());
    collected
}

fn stream_of(flight: &mut Flight) -> Option<&mut Relay> {
    match &mut flight.leg.as_mut()?.reading {
        Reading::Stream(relay) => Some(relay),
        Reading::Opaque | Reading::Away(_) | Reading::Whole(_) => None,
    }
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
        let Some(relay) = stream_of(flight) else { return Ok(chunks) };
        if let Some(failure) = relay.failure().filter(|failure| failure.before_content) {
            let failure = failure.clone();
            if !is_about_the_request(&failure, flight) {
                return Err(Trouble::Stream(failure));
            }
            if let Some(relay) = stream_of(flight) {
                relay.release(&mut chunks);
            }
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

/// The provider refuses the request ahead of all content: no other account would answer otherwise.
pub(in crate::pipeline) fn is_about_the_request(failure: &StreamFailure, flight: &Flight) -> bool {
    failure.before_content && failure_of(failure, flight).class == Class::Refused
}

/// What a failure of a stream that had begun means for its account.
pub(in crate::pipeline) fn failure_of(failure: &StreamFailure, flight: &Flight) -> Failure {
    let provider = flight.leg.as_ref().and_then(|leg| for_account(&leg.account));
    match provider {
        Some(provider) => blame(Trouble::Stream(failure.clone()), provider, &HeaderMap::new(), flight),
        None => Failure::of(Reason::StreamError),
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
    let class = error
        .status
        .map_or(Class::Transient, |status| class_of_error(flight, provider, status, headers, &error));
    let limited_for = limit(class, provider, headers, &error, flight);
    Failure { reason: Reason::StreamError, class, limited_for, detail: error.message, unconvertible: None }
}
