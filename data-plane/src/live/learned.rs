//! What the node learnt of an account's upstream by being refused. It outlives no process, and servers change, so it is
//! forgotten and learnt again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use shared::clock::Millis;
use wire::canonical::RefusedProofs;

/// How long it is remembered what a server lacks.
const LACKS: Duration = Duration::from_secs(1800);
/// Models that are remembered of one account.
const MODELS_MAX: usize = 64;

/// One per account.
#[derive(Debug, Default)]
pub struct Learned {
    /// The server was asked for the Responses API, and does not have it: until then it is not asked again.
    no_responses_until: AtomicI64,
    /// The latest of `no_tool_search`, so that an account of which nothing is known costs one load.
    no_tool_search_until: AtomicI64,
    /// Models, as the upstream knows them, that refused `tool_search`.
    no_tool_search: RwLock<Vec<(Box<str>, Millis)>>,
    has_refused: AtomicBool,
    refused: RwLock<Arc<RefusedProofs>>,
}

impl Learned {
    /// Whether the server behind the account is known to have no Responses API.
    #[must_use]
    pub fn lacks_responses(&self, now: Millis) -> bool {
        self.no_responses_until.load(Ordering::Relaxed) > now.0
    }

    /// One answer may have been a proxy's.
    pub fn note_no_responses(&self, now: Millis) {
        self.no_responses_until.store(now.plus(LACKS).0, Ordering::Relaxed);
    }

    /// Whether the model is known to have no `tool_search`.
    #[must_use]
    pub fn lacks_tool_search(&self, model: &str, now: Millis) -> bool {
        self.no_tool_search_until.load(Ordering::Acquire) > now.0
            && self.no_tool_search.read().iter().any(|(known, until)| **known == *model && *until > now)
    }

    pub fn note_no_tool_search(&self, model: &str, now: Millis) {
        let mut models = self.no_tool_search.write();
        models.retain(|(known, until)| **known != *model && *until > now);
        if models.len() == MODELS_MAX {
            models.remove(0);
        }
        let until = now.plus(LACKS);
        models.push((model.into(), until));
        self.no_tool_search_until.store(until.0, Ordering::Release);
    }

    /// Proofs of reasoning that the upstream refused; none: it refused none so far.
    #[must_use]
    pub fn refused(&self) -> Option<Arc<RefusedProofs>> {
        self.has_refused.load(Ordering::Acquire).then(|| Arc::clone(&self.refused.read()))
    }

    pub fn note_refused(&self, proofs: &RefusedProofs) {
        if proofs.is_empty() {
            return;
        }
        Arc::make_mut(&mut self.refused.write()).add(proofs);
        self.has_refused.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_lacks_is_forgotten_in_time_and_bounded() {
        let learned = Learned::default();
        learned.note_no_tool_search("gpt-5.1", Millis(0));
        assert!(learned.lacks_tool_search("gpt-5.1", Millis(1)));
        assert!(!learned.lacks_tool_search("gpt-5.5", Millis(1)));
        assert!(!learned.lacks_tool_search("gpt-5.1", Millis(0).plus(LACKS)));
        for number in 0..MODELS_MAX {
            learned.note_no_tool_search(&number.to_string(), Millis(1));
        }
        assert!(!learned.lacks_tool_search("gpt-5.1", Millis(2)), "the oldest went");
        assert_eq!(learned.no_tool_search.read().len(), MODELS_MAX);
    }
}
