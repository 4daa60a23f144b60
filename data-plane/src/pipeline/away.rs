//! A long frame on its way through the relay, off the worker.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use shared::usage::Usage;
use wire::{
    raw::watch::{Chunks, Seen},
    relay::Relay,
};

use crate::compute::{Compute, NotDone};

/// A relay that reads elsewhere, and what is known without it.
pub(super) struct Away {
    pub(super) usage: Option<Usage>,
    pub(super) served: Option<String>,
    pub(super) usage_is_final: bool,
    pub(super) seen: Seen,
    /// Tokens.
    pub(super) written: u64,
    /// As the upstream gave it and the client was told.
    pub(super) answer_id: Option<String>,
    work: Pin<Box<dyn Future<Output = Result<Back, NotDone>> + Send>>,
}

/// What came of it.
pub(super) struct Back {
    pub(super) relay: Relay,
    pub(super) out: Chunks,
    /// Bytes of the chunk; none: it was told the stream's end.
    pub(super) length: Option<usize>,
}

impl std::fmt::Debug for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Away").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Away {
    /// `chunk`: what is to be read; none: the stream has ended.
    pub(super) fn send(mut relay: Relay, chunk: Option<Bytes>, compute: Compute) -> Self {
        let (usage, served) = (relay.usage(), relay.served_model().map(str::to_owned));
        let (usage_is_final, seen) = (relay.usage_is_final(), relay.seen());
        let written = relay.written();
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
        Self { usage, served, usage_is_final, seen, written, answer_id, work }
    }

    /// # Errors
    /// It is away for good, and all that it knew.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Back, NotDone>> {
        self.work.as_mut().poll(cx)
    }
}
