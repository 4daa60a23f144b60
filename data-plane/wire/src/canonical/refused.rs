//! Proofs that an upstream refused: another of its provider's accounts made them, or another model. The conversation
//! that holds them comes again with each request, and they are to be left out then, and nothing else.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::LazyLock,
};

use super::{Block, Request, Signature};
use crate::gemini::signature::NO_PROOF;

/// Of this process: nobody outside can make two proofs look the same.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The newest of an upstream's refused proofs, by their fingerprints.
#[derive(Debug, Clone, Default)]
pub struct RefusedProofs {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl RefusedProofs {
    /// How many are kept. A long conversation has some hundred.
    pub const MAX: usize = 4096;

    /// All proofs of a request that this model refused. Another one may take them.
    #[must_use]
    pub fn of(request: &Request<'_>, model: &str) -> Self {
        let mut proofs = Self::default();
        let blocks = request.turns.iter().flat_map(|turn| &turn.blocks);
        // The word that there is none is no proof.
        for signature in blocks.filter_map(signature).filter(|signature| signature.value != NO_PROOF) {
            proofs.insert(fingerprint(model, &signature.value));
        }
        proofs
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    #[must_use]
    pub fn contains(&self, model: &str, proof: &str) -> bool {
        self.known.contains(&fingerprint(model, proof))
    }

    /// Beyond [`Self::MAX`] the oldest are forgotten.
    pub fn add(&mut self, others: &Self) {
        others.order.iter().for_each(|fingerprint| self.insert(*fingerprint));
    }

    fn insert(&mut self, fingerprint: u64) {
        if !self.known.insert(fingerprint) {
            return;
        }
        self.order.push_back(fingerprint);
        if self.order.len() > Self::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn fingerprint(model: &str, proof: &str) -> u64 {
    HASHER.hash_one((model, proof))
}

fn signature<'b>(block: &'b Block<'_>) -> Option<&'b Signature<'b>> {
    match block {
        Block::Reasoning(reasoning) => reasoning.signature.as_ref(),
        Block::Text(text) => text.signature.as_ref(),
        Block::ToolCall(call) => call.signature.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut proofs = RefusedProofs::default();
        for number in 0..=RefusedProofs::MAX {
            proofs.insert(fingerprint("m", &number.to_string()));
        }
        let known = |proof| proofs.contains("m", proof);
        assert!(!known("0") && known("1") && known("4096"));
        assert!(!proofs.contains("another", "1"));
        assert_eq!((proofs.known.len(), proofs.order.len()), (RefusedProofs::MAX, RefusedProofs::MAX));
    }
}
