//! Reads the client's body: whole, within the limit, and not for ever.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_LENGTH};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use super::{refusal::Refusal, watchdog::Watchdog};
use crate::{ingress::Proxy, snapshot::Limits};

/// # Errors
/// The body is over the limit, comes too slowly, or breaks off; or the node stops.
pub(super) async fn receive(
    proxy: &Proxy,
    headers: &HeaderMap,
    body: &mut Incoming,
    limits: &Limits,
    watchdog: &mut Watchdog,
) -> Result<Bytes, Refusal> {
    let stated = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let too_large = Refusal::BodyTooLarge { limit: limits.max_body };
    if stated.is_some_and(|length| length > limits.max_body) {
        return Err(too_large);
    }
    let last = Instant::now() + limits.deadline;
    watchdog.set(last.min(Instant::now() + limits.body_idle));
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(chunk) = chunk(proxy, body, watchdog).await? {
        let length = first.len() + rest.len() + chunk.len();
        if length as u64 > limits.max_body {
            return Err(too_large);
        }
        if first.is_empty() && rest.is_empty() {
            first = chunk;
        } else {
            if rest.is_empty() {
                // All at once, since growing would copy a long body again and again and hold it twice meanwhile. What
                // is never written to takes addresses, no memory, and no more of them than `max_body`.
                let stated = stated.and_then(|length| usize::try_from(length).ok());
                rest.reserve(stated.unwrap_or(0).max(length));
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&chunk);
        }
        watchdog.set(last.min(Instant::now() + limits.body_idle));
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

async fn chunk(
    proxy: &Proxy,
    body: &mut Incoming,
    watchdog: &mut Watchdog,
) -> Result<Option<Bytes>, Refusal> {
    poll_fn(|cx| {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
                if proxy.closing() {
                    return Poll::Ready(Err(Refusal::Stopping));
                }
                ready!(watchdog.poll_elapsed(cx));
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
    })
    .await
}
