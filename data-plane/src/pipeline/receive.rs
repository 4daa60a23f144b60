//! Reads the client's body: whole, within the limit, and not for ever.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use super::{
    call::Call,
    deadlines::{Deadlines, Limit},
    decode,
    received::{Holding, Received, Room},
    refusal::Refusal,
};
use crate::{coding, proxy::Proxy, snapshot::Policy};

/// # Errors
/// The body is over the limit, comes too slowly, breaks off, or is in no coding that is known here; or the node stops.
pub(super) async fn receive(
    proxy: &Proxy,
    call: &Call,
    body: &mut Incoming,
    policy: &Policy,
    deadlines: &mut Deadlines,
) -> Result<Bytes, Refusal> {
    let codings = coding::codings(&call.headers)?;
    let stated = call.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    // What would never fit is told so, and not to come again.
    let most = policy.max_body.min(proxy.requests.most());
    let too_large = Refusal::BodyTooLarge { limit: most };
    if stated.is_some_and(|length| length > most) {
        return Err(too_large);
    }
    if proxy.answers.is_used_up() {
        return Err(Refusal::NoMemory);
    }
    let stated = stated.and_then(|length| usize::try_from(length).ok());
    // It counts as it comes: a length that is only stated takes nothing from others.
    let mut counted = Holding::of(&proxy.requests);
    // The plan sets it anew, once it is known what is asked for.
    deadlines.set(Limit::Deadline, call.arrived + policy.deadline.max(policy.plain_deadline));
    let room = Room { stated, most: usize::try_from(most).unwrap_or(usize::MAX) };
    let mut received = Received::Nothing;
    while let Some(chunk) = chunk(proxy, body, deadlines, policy.body_idle).await? {
        if (received.len() + chunk.len()) as u64 > most {
            return Err(too_large);
        }
        if !counted.up_to(received.len() + chunk.len()) {
            return Err(Refusal::NoMemory);
        }
        received = received.and(chunk, room);
    }
    let body = counted.with(received.into_bytes());
    if codings.is_empty() {
        return Ok(body);
    }
    let decoded = Box::pin(decode::decode(proxy, &codings, body, most));
    deadlines.within(decoded).await.ok_or(Refusal::NotInTime)?
}

/// The next bytes of the body, which may take as long as `idle`; none at its end.
async fn chunk(
    proxy: &Proxy,
    body: &mut Incoming,
    deadlines: &mut Deadlines,
    idle: Duration,
) -> Result<Option<Bytes>, Refusal> {
    deadlines.lift(Limit::Idle);
    let chunk = poll_fn(|cx| {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
                if proxy.closing() {
                    return Poll::Ready(Err(Refusal::Stopping));
                }
                // Most bodies are there by now, and need no clock.
                if deadlines.end_of(Limit::Idle).is_none() {
                    deadlines.set(Limit::Idle, Instant::now() + idle);
                }
                ready!(deadlines.poll_over(cx));
                return Poll::Ready(Err(Refusal::BodyTimeout));
            };
            return Poll::Ready(match frame {
                None => Ok(None),
                Some(Err(_)) => Err(Refusal::BodyLost),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Ok(Some(data)),
                    // Trailers mean nothing here.
                    Err(_) => continue,
                },
            });
        }
    });
    let chunk = chunk.await;
    deadlines.lift(Limit::Idle);
    chunk
}
