//! How an upstream's answer is read on its way, and what it said of usage.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use shared::usage::Usage;
use smallvec::SmallVec;
use wire::{
    convert::{self, Memo},
    loss::Losses,
    raw::{body::BodyFacts, watch::Seen},
    relay::Relay,
};

use super::away::Away;
use crate::budget::{Budget, FREE, Share};

/// How the answer is read on its way.
#[derive(Debug)]
pub(super) enum Reading {
    /// Passed on unread.
    Opaque,
    Stream(Relay),
    /// A long frame is being read elsewhere.
    Away(Away),
    Whole(Collected),
}

/// A whole answer for the client.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) body: Bytes,
    pub(super) facts: BodyFacts,
    pub(super) losses: Losses,
    pub(super) memos: Vec<Memo>,
}

impl From<convert::Whole> for Read {
    fn from(whole: convert::Whole) -> Self {
        let facts =
            BodyFacts { usage: whole.usage, served_model: whole.served_model, ..BodyFacts::default() };
        Self { body: whole.body, facts, losses: whole.losses, memos: whole.memos }
    }
}

/// An answer that is no stream, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Collected {
    chunks: Chunks,
    length: usize,
    /// What a long one takes of the node's memory.
    share: Option<Share>,
    pub(super) facts: Option<BodyFacts>,
    /// More was used than the facts say.
    pub(super) partial: bool,
    pub(super) losses: Losses,
    pub(super) memos: Vec<Memo>,
}

/// Most answers come in one.
pub(super) type Chunks = SmallVec<[Bytes; 4]>;

impl Collected {
    pub(super) fn push(&mut self, chunk: Bytes, budget: &Arc<Budget>) {
        self.length += chunk.len();
        self.chunks.push(chunk);
        if self.length > FREE {
            self.share.get_or_insert_with(|| budget.share()).stretch_to(self.length);
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// All of it.
    pub(super) fn take(&mut self) -> Bytes {
        join(std::mem::take(&mut self.chunks))
    }

    /// All of it, which counts on.
    pub(super) fn take_counted(&mut self) -> Bytes {
        let all = self.take();
        match self.share.take() {
            Some(share) => share.with(all),
            None => all,
        }
    }

    /// The same bytes again; they stay.
    pub(super) fn chunks(&self) -> Chunks {
        self.chunks.clone()
    }

    /// It was read, and is not held any more; what was made of it is counted in its place.
    pub(super) fn read(&mut self, read: Read) -> Bytes {
        self.chunks.clear();
        let Read { body, facts, losses, memos } = read;
        (self.facts, self.losses, self.memos) = (Some(facts), losses, memos);
        match self.share.take() {
            Some(share) => share.with(body),
            None => body,
        }
    }
}

/// In one piece; without a copy if they are one.
pub(super) fn join(mut chunks: Chunks) -> Bytes {
    if chunks.len() <= 1 {
        return chunks.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    for chunk in &chunks {
        all.extend_from_slice(chunk);
    }
    all.freeze()
}

impl Reading {
    /// The usage, the model served, and whether that usage is all there was.
    pub(super) fn used(&self) -> (Option<Usage>, Option<&str>, bool) {
        match self {
            Self::Opaque => (None, None, false),
            Self::Stream(relay) => (relay.usage(), relay.served_model(), relay.usage_is_final()),
            Self::Away(away) => (away.usage, away.served.as_deref(), away.usage_is_final),
            Self::Whole(collected) => match &collected.facts {
                Some(facts) => {
                    let is_final = facts.usage.is_some() && !collected.partial;
                    (facts.usage, facts.served_model.as_deref(), is_final)
                }
                None => (None, None, false),
            },
        }
    }

    /// Tokens of a stream so far, as far as its text shows; about.
    pub(super) fn written(&self) -> u64 {
        match self {
            Self::Stream(relay) => relay.written(),
            Self::Away(away) => away.written,
            Self::Opaque | Self::Whole(_) => 0,
        }
    }

    /// What has been seen of a stream. None: it is no stream that can be read.
    pub(super) const fn seen(&self) -> Option<Seen> {
        match self {
            Self::Stream(relay) => Some(relay.seen()),
            Self::Away(away) => Some(away.seen),
            Self::Opaque | Self::Whole(_) => None,
        }
    }

    /// The stream's id, as the upstream gave it and the client was told.
    pub(super) fn answer_id(&self) -> Option<&str> {
        match self {
            Self::Stream(relay) => relay.answer_id(),
            Self::Away(away) => away.answer_id.as_deref(),
            Self::Opaque | Self::Whole(_) => None,
        }
    }

    /// The id under which the provider keeps the answer.
    pub(super) fn issued_id(&self) -> Option<&str> {
        match self {
            Self::Opaque | Self::Away(_) => None,
            Self::Stream(relay) => relay.issued_id(),
            Self::Whole(collected) => collected.facts.as_ref()?.issued_id.as_deref(),
        }
    }

    /// What is to be remembered for the client, of what came since the last time.
    pub(super) fn memos(&mut self) -> Vec<Memo> {
        match self {
            Self::Opaque | Self::Away(_) => Vec::new(),
            Self::Stream(relay) => relay.memos(),
            Self::Whole(collected) => std::mem::take(&mut collected.memos),
        }
    }

    /// What the client's wire could not say of the answer.
    pub(super) fn losses(&self) -> Option<Losses> {
        match self {
            Self::Opaque | Self::Away(_) => None,
            Self::Stream(relay) => relay.losses(),
            Self::Whole(collected) => Some(collected.losses.clone()),
        }
    }
}
