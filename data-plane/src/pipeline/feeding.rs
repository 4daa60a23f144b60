//! What comes of a stream goes through its relay here. To read a frame of many bytes takes milliseconds, so that is done
//! elsewhere, and the worker's other streams go on meanwhile.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use memchr::memchr;
use shared::usage::Usage;
use tokio::time::Instant;
use wire::{
    raw::watch::{Chunks, Seen},
    relay::Relay,
};

use super::{
    exchange::{Flight, Leg, Next},
    reading::Reading,
};
use crate::{
    compute::{Compute, LARGE, NotDone},
    provider::failure::Reason,
};

/// What came next, and went through the relay.
#[derive(Debug)]
pub(super) enum Fed {
    /// Of a stream, so many bytes.
    Seen(Seen, usize),
    /// A stream's end.
    Ended(Seen),
    /// Of a body that is no stream.
    Unread(Bytes),
    /// Its end.
    End,
    Failed(Reason),
    /// The answer's head has been held back for long enough.
    HoldOver,
}

/// A relay that reads elsewhere, and what is known without it.
pub(super) struct Away {
    pub(super) usage: Option<Usage>,
    pub(super) served: Option<String>,
    pub(super) usage_is_final: bool,
    pub(super) seen: Seen,
    /// As the upstream gave it and the client was told.
    pub(super) answer_id: Option<String>,
    work: Pin<Box<dyn Future<Output = Result<Back, NotDone>> + Send>>,
}

struct Back {
    relay: Relay,
    out: Chunks,
    /// Bytes of the chunk; none: it was told the stream's end.
    length: Option<usize>,
}

impl std::fmt::Debug for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Away").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Away {
    /// `chunk`: what is to be read; none: the stream has ended.
    fn send(mut relay: Relay, chunk: Option<Bytes>, compute: Compute) -> Self {
        let (usage, served) = (relay.usage(), relay.served_model().map(str::to_owned));
        let (usage_is_final, seen) = (relay.usage_is_final(), relay.seen());
        let answer_id = relay.answer_id().map(str::to_owned);
        let work = Box::pin(async move {
            let read = move || {
                let (mut out, length) = (Chunks::new(), chunk.as_ref().map(Bytes::len));
                match chunk {
                    Some(chunk) => relay.feed(chunk, &mut out),
                    None => relay.end(&mut out),
                };
                Back { relay, out, length }
            };
            compute.run(read).await
        });
        Self { usage, served, usage_is_final, seen, answer_id, work }
    }
}

/// Whether so much may be read with this chunk, or at the end, that it is better done elsewhere.
fn is_long(relay: &Relay, chunk: Option<&[u8]>) -> bool {
    let length = relay.pending() + chunk.map_or(0, <[u8]>::len);
    // A frame ends with a line, or has its length ahead.
    length >= LARGE && chunk.is_none_or(|chunk| relay.counts_bytes() || memchr(b'\n', chunk).is_some())
}

impl Flight {
    /// What of a stream may go to the client is put into `out`.
    pub(super) fn poll_fed(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Fed> {
        loop {
            if let Some(Leg { reading: Reading::Away(_), .. }) = &self.leg {
                return self.poll_away(cx, out);
            }
            let next = ready!(self.poll_next(cx));
            let reading = self.leg.as_mut().map(|leg| &mut leg.reading);
            let (relay, chunk) = match (next, reading) {
                (Next::Chunk(chunk), Some(Reading::Stream(relay))) => (relay, Some(chunk)),
                (Next::End, Some(Reading::Stream(relay))) => (relay, None),
                (Next::Chunk(chunk), _) => return Poll::Ready(Fed::Unread(chunk)),
                (Next::End, _) => return Poll::Ready(Fed::End),
                (Next::Failed(reason), _) => return Poll::Ready(Fed::Failed(reason)),
                (Next::HoldOver, _) => return Poll::Ready(Fed::HoldOver),
            };
            if is_long(relay, chunk.as_deref()) {
                self.send_away(chunk);
                continue;
            }
            let fed = match chunk {
                Some(chunk) => {
                    let length = chunk.len();
                    Fed::Seen(relay.feed(chunk, out), length)
                }
                None => Fed::Ended(relay.end(out)),
            };
            self.bind();
            return Poll::Ready(fed);
        }
    }

    fn send_away(&mut self, chunk: Option<Bytes>) {
        let Some(leg) = &mut self.leg else { return };
        leg.reading = match std::mem::replace(&mut leg.reading, Reading::Opaque) {
            Reading::Stream(relay) => Reading::Away(Away::send(relay, chunk, self.proxy.compute.clone())),
            other => other,
        };
    }

    fn poll_away(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Fed> {
        let Some(Leg { reading, .. }) = &mut self.leg else { return Poll::Ready(Fed::End) };
        let Reading::Away(away) = reading else { return Poll::Ready(Fed::End) };
        match away.work.as_mut().poll(cx) {
            Poll::Ready(Ok(Back { relay, out: read, length })) => {
                let seen = relay.seen();
                *reading = Reading::Stream(relay);
                out.extend(read);
                // The upstream was not read meanwhile.
                self.read_on(Instant::now());
                self.bind();
                Poll::Ready(length.map_or(Fed::Ended(seen), |length| Fed::Seen(seen, length)))
            }
            // It is away for good, and all that it knew.
            Poll::Ready(Err(NotDone)) => Poll::Ready(Fed::Failed(Reason::Malformed)),
            // What is read came in time, and it may hold the usage: limits and shutdowns are looked at behind it.
            Poll::Pending => Poll::Pending,
        }
    }
}
