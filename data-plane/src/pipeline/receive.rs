//! Reads the client's body: whole, within the limit, and not for ever.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_LENGTH};
use hyper::body::{Body as _, Incoming};
use memmap2::MmapMut;
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
    let stated = stated.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut received = Received::Nothing;
    while let Some(chunk) = chunk(proxy, body, watchdog).await? {
        if (received.len() + chunk.len()) as u64 > limits.max_body {
            return Err(too_large);
        }
        received = received.and(chunk, stated);
        watchdog.set(last.min(Instant::now() + limits.body_idle));
    }
    Ok(received.into_bytes())
}

/// Bodies of at least this length have memory of the system's, which goes back to it with them: an allocator would keep
/// it, for every thread that had one.
const MAPPED_FROM: usize = 1 << 20;

/// What has come of a body.
enum Received {
    Nothing,
    /// As it was read: most bodies end here, and are not copied.
    Chunk(Bytes),
    Gathered(Gathered),
}

/// Several chunks in one piece.
enum Gathered {
    Buffer(BytesMut),
    /// So much of it is there.
    Mapped(MmapMut, usize),
}

impl Received {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Chunk(chunk) => chunk.len(),
            Self::Gathered(gathered) => gathered.len(),
        }
    }

    /// `stated`: the length that the client says the body has; 0: it does not say.
    fn and(self, chunk: Bytes, stated: usize) -> Self {
        let mut gathered = match self {
            Self::Nothing => return Self::Chunk(chunk),
            Self::Chunk(first) => {
                let mut gathered = Gathered::with_room(stated.max(first.len() + chunk.len()));
                gathered.push(&first);
                gathered
            }
            Self::Gathered(gathered) => gathered,
        };
        gathered.push(&chunk);
        Self::Gathered(gathered)
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::Chunk(chunk) => chunk,
            Self::Gathered(Gathered::Buffer(buffer)) => buffer.freeze(),
            Self::Gathered(Gathered::Mapped(map, filled)) => Bytes::from_owner(map).slice(..filled),
        }
    }
}

impl Gathered {
    /// For all of it at once: growing would copy a long body again and again, and hold it twice meanwhile. What is not
    /// written to yet takes addresses, and no memory.
    fn with_room(length: usize) -> Self {
        if length >= MAPPED_FROM
            && let Ok(map) = MmapMut::map_anon(length)
        {
            return Self::Mapped(map, 0);
        }
        Self::Buffer(BytesMut::with_capacity(length))
    }

    fn len(&self) -> usize {
        match self {
            Self::Buffer(buffer) => buffer.len(),
            Self::Mapped(_, filled) => *filled,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Buffer(buffer) => buffer.extend_from_slice(bytes),
            Self::Mapped(map, filled) => {
                let end = *filled + bytes.len();
                if let Some(place) = map.get_mut(*filled..end) {
                    place.copy_from_slice(bytes);
                    *filled = end;
                    return;
                }
                // Longer than stated, which HTTP's own framing rules out.
                let mut buffer = BytesMut::with_capacity(end);
                buffer.extend_from_slice(map.get(..*filled).unwrap_or_default());
                buffer.extend_from_slice(bytes);
                *self = Self::Buffer(buffer);
            }
        }
    }
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
