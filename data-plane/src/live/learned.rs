//! What the node learnt of an account's upstream by being refused. It outlives no process, and servers change, so it is
//! forgotten and learnt again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use shared::clock::Millis;
use wire::canonical::RefusedProofs;

/// How long it is remembered what a server lacks, and from its last refusal on what it refuses.
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
    /// Of `refused`: from then on it is empty.
    refused_until: AtomicI64,
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

    /// Proofs of reasoning that the upstream refused; none: it refused none for a while.
    #[must_use]
    pub fn refused(&self, now: Millis) -> Option<Arc<RefusedProofs>> {
        let any = self.refused_until.load(Ordering::Acquire) > now.0;
        any.then(|| Arc::clone(&self.refused.read()))
    }

    pub fn note_refused(&self, proofs: &RefusedProofs, now: Millis) {
        if proofs.is_empty() {
            return;
        }
        let mut refused = self.refused.write();
        if self.refused_until.load(Ordering::Relaxed) <= now.0 {
            *refused = Arc::default();
        }
        Arc::make_mut(&mut refused).add(proofs);
        self.refused_until.store(now.plus(LACKS).0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_proofs_are_forgotten_in_time() {
        let request = r#"{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"sy1.openai.encrypted.rs_1.gAAA"}]}]}"#;
        let proofs = wire::convert::proofs(
            &wire::convert::Ask {
                wire: shared::wire::Wire::Messages,
                body: request.as_bytes(),
                model: "m",
                stream: false,
                wants_usage: false,
                array: false,
                resume: None,
                memos: &[],
                id: "",
                now: 0,
            },
            "m",
        );
        let learned = Learned::default();
        assert!(learned.refused(Millis(1)).is_none());
        learned.note_refused(&proofs, Millis(1));
        assert!(learned.refused(Millis(2)).unwrap().contains("m", "gAAA"));
        let later = Millis(1).plus(LACKS);
        assert!(learned.refused(later).is_none());
        learned.note_refused(&RefusedProofs::default(), later);
        assert!(learned.refused(later).is_none());
    }

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
