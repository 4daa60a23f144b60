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
/// Models that are remembered of one account, for each thing that is learnt of models.
const MODELS_MAX: usize = 64;
/// Of a model's name, so much counts, in bytes. It is the client's where the account maps it to no other.
const NAME_MAX: usize = 256;

/// One per account.
#[derive(Debug, Default)]
pub struct Learned {
    /// The server was asked for the Responses API, and does not have it: until then it is not asked again.
    no_responses_until: AtomicI64,
    /// Those that refused `tool_search`.
    no_tool_search: Models<()>,
    /// Those that the account may not use, or that its upstream does not have.
    denied: Models<Denied>,
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
        self.no_tool_search.holds(model, &(), now)
    }

    pub fn note_no_tool_search(&self, model: &str, now: Millis) {
        self.no_tool_search.note(model, (), now);
    }

    /// Whether the account is known not to serve the model, as its upstream knows it, at the endpoint. `version`: the
    /// account's; what was learnt of another one, with another credential perhaps, does not count.
    #[must_use]
    pub fn denies(&self, model: &str, endpoint: &'static str, version: u64, now: Millis) -> bool {
        self.denied.holds(model, &Denied { endpoint, version }, now)
    }

    pub fn note_denied(&self, model: &str, endpoint: &'static str, version: u64, now: Millis) {
        self.denied.note(model, Denied { endpoint, version }, now);
    }

    /// A person says that the account is in order: its models are asked for again.
    pub fn forget_denied(&self) {
        self.denied.forget();
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

/// Where a model was denied. One that an endpoint does not have may be another's: models for embeddings don't chat.
#[derive(Debug, PartialEq, Eq)]
struct Denied {
    endpoint: &'static str,
    version: u64,
}

/// Models, as the upstream knows them, of which the same is known, each for a while.
#[derive(Debug)]
struct Models<Of> {
    /// The latest end, so that an account of which nothing is known costs one load.
    latest: AtomicI64,
    known: RwLock<Vec<(Box<str>, Of, Millis)>>,
}

impl<Of> Default for Models<Of> {
    fn default() -> Self {
        Self { latest: AtomicI64::new(0), known: RwLock::default() }
    }
}

impl<Of: PartialEq> Models<Of> {
    fn holds(&self, model: &str, of: &Of, now: Millis) -> bool {
        self.latest.load(Ordering::Acquire) > now.0
            && self
                .known
                .read()
                .iter()
                .any(|(known, about, until)| **known == *name(model) && about == of && *until > now)
    }

    fn note(&self, model: &str, of: Of, now: Millis) {
        let mut models = self.known.write();
        models.retain(|(known, about, until)| (**known != *name(model) || *about != of) && *until > now);
        if models.len() == MODELS_MAX {
            models.remove(0);
        }
        let until = now.plus(LACKS);
        models.push((name(model).into(), of, until));
        self.latest.store(until.0, Ordering::Release);
    }

    fn forget(&self) {
        self.known.write().clear();
        self.latest.store(0, Ordering::Release);
    }
}

fn name(model: &str) -> &str {
    model.get(..model.floor_char_boundary(NAME_MAX)).unwrap_or_default()
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
        assert_eq!(learned.no_tool_search.known.read().len(), MODELS_MAX);
    }

    #[test]
    fn a_denied_model_is_denied_at_its_endpoint_and_to_the_accounts_version_for_a_while() {
        let learned = Learned::default();
        learned.note_denied("gpt-5", "responses", 1, Millis(0));
        assert!(learned.denies("gpt-5", "responses", 1, Millis(1)));
        assert!(!learned.denies("gpt-5", "embeddings", 1, Millis(1)));
        assert!(!learned.denies("gpt-5-mini", "responses", 1, Millis(1)));
        assert!(!learned.denies("gpt-5", "responses", 2, Millis(1)), "it was changed since");
        assert!(!learned.denies("gpt-5", "responses", 1, Millis(0).plus(LACKS)));
        learned.note_denied("gpt-5", "responses", 1, Millis(1));
        learned.forget_denied();
        assert!(!learned.denies("gpt-5", "responses", 1, Millis(2)));
    }

    #[test]
    fn no_name_takes_more_than_its_share() {
        let learned = Learned::default();
        let long = "é".repeat(1_000_000);
        learned.note_denied(&long, "messages", 1, Millis(0));
        assert!(learned.denies(&long, "messages", 1, Millis(1)));
        assert!(learned.denied.known.read()[0].0.len() <= NAME_MAX);
    }
}
