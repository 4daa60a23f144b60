//! An answer that its upstream compressed, though it was asked not to, is decoded as it comes: whoever reads it need not
//! know.

use std::{
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::CallError;
use crate::coding::{Coding, Decoded, Decoder};

/// After so many bytes that were decoded without a wait, the worker's other tasks have their turn.
const TURN: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Decoding {
    decoder: Decoder,
    /// Decoded since the last wait.
    at_once: usize,
}

impl Decoding {
    pub(super) fn of(codings: &[Coding]) -> Self {
        Self { decoder: Decoder::new(codings), at_once: 0 }
    }

    /// The next decoded bytes, a short piece; `None` at the body's end. `poll_received`: what comes of it as it is.
    pub(super) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        mut poll_received: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, CallError>>>,
    ) -> Poll<Option<Result<Bytes, CallError>>> {
        loop {
            if self.at_once >= TURN {
                self.at_once = 0;
                // Unlike a task that wakes itself, one that yields lets the runtime look at its sockets first.
                _ = pin!(tokio::task::yield_now()).poll(cx);
                return Poll::Pending;
            }
            match self.decoder.decode() {
                Ok(Decoded::Bytes(piece)) => {
                    self.at_once += piece.len();
                    return Poll::Ready(Some(Ok(piece)));
                }
                Ok(Decoded::Between(bytes)) => {
                    self.at_once += bytes;
                    continue;
                }
                Ok(Decoded::Hungry) => {}
                Err(broken) => return Poll::Ready(Some(Err(broken.into()))),
            }
            let received = poll_received(cx);
            if received.is_pending() {
                self.at_once = 0;
            }
            match ready!(received) {
                Some(Ok(chunk)) => self.decoder.feed(chunk),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(self.decoder.end().err().map(|broken| Err(broken.into()))),
            }
        }
    }
}
