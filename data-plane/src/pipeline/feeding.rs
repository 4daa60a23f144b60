//! What comes of a stream goes through its relay here. To read a frame of many bytes takes milliseconds, so that is done
//! elsewhere, and the worker's other streams go on meanwhile.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use memchr::memchr;
use tokio::time::Instant;
use wire::{
    raw::watch::{Chunks, Seen},
    relay::Relay,
};

use super::{
    attempt::Attempt,
    away::{Away, Back},
    flight::{Flight, Next},
    reading::Reading,
};
use crate::{
    compute::{LARGE, NotDone},
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
            if let Some(Attempt { reading: Reading::Away(_), .. }) = &self.attempt {
                return self.poll_away(cx, out);
            }
            let next = ready!(self.poll_next(cx));
            let reading = self.attempt.as_mut().map(|attempt| &mut attempt.reading);
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
        let Some(attempt) = &mut self.attempt else { return };
        attempt.reading = match std::mem::replace(&mut attempt.reading, Reading::Opaque) {
            Reading::Stream(relay) => Reading::Away(Away::send(relay, chunk, self.proxy.compute.clone())),
            other => other,
        };
    }

    fn poll_away(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<Fed> {
        let Some(Attempt { reading, .. }) = &mut self.attempt else { return Poll::Ready(Fed::End) };
        let Reading::Away(away) = reading else { return Poll::Ready(Fed::End) };
        match away.poll(cx) {
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
