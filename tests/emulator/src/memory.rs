//! What a provider remembers of its answers, for requests that build on them.

use std::{
    cell::{Cell, OnceCell},
    collections::VecDeque,
    sync::Arc,
};

use crate::{
    credential::Credential,
    template::{ID, identifier},
};

/// The most answers remembered for one credential; the oldest give way.
const MAX_ANSWERS: usize = 1_000;
/// The most bytes of them.
const MAX_BYTES: usize = 32 << 20;

/// An answer that a later request may name, with [`ID`] for its identifier.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The answer itself, as a whole JSON body.
    pub answer: String,
    /// The conversation up to the answer and with it, as a JSON array.
    pub items: String,
}

/// The answers of one credential.
#[derive(Debug, Default)]
pub(crate) struct KeptAnswers {
    answers: VecDeque<(u64, Arc<Kept>)>,
    bytes: usize,
}

/// What an endpoint knows of earlier answers, and says about this one.
#[derive(Debug)]
pub(crate) struct Memory<'a> {
    credential: &'a Credential,
    number: u64,
    kept: OnceCell<Arc<Kept>>,
    used: Cell<bool>,
}

impl Kept {
    pub(crate) fn named(text: &str, number: u64) -> String {
        text.replace(ID, &identifier(number))
    }

    fn bytes(&self) -> usize {
        self.answer.len() + self.items.len()
    }
}

impl KeptAnswers {
    pub(crate) fn keep(&mut self, number: u64, kept: Arc<Kept>) {
        self.bytes += kept.bytes();
        self.answers.push_back((number, kept));
        while self.answers.len() > MAX_ANSWERS || self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.answers.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
        }
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<Kept>> {
        self.answers.iter().rev().find(|(known, _)| *known == number).map(|(_, kept)| Arc::clone(kept))
    }

    pub(crate) fn forget(&mut self, number: u64) {
        let at = self.answers.iter().position(|(known, _)| *known == number);
        if let Some((_, forgotten)) = at.and_then(|at| self.answers.remove(at)) {
            self.bytes = self.bytes.saturating_sub(forgotten.bytes());
        }
    }
}

impl<'a> Memory<'a> {
    /// `number` is what [`ID`] will stand for in this answer.
    pub(crate) fn new(credential: &'a Credential, number: u64) -> Self {
        Self { credential, number, kept: OnceCell::new(), used: Cell::new(false) }
    }

    pub(crate) fn recall(&self, number: u64) -> Option<Arc<Kept>> {
        self.used.set(true);
        self.credential.kept(number)
    }

    pub(crate) fn forget(&self, number: u64) {
        self.credential.forget(number);
    }

    /// Has this answer remembered, from when it is sent.
    pub(crate) fn keep(&self, kept: Kept) {
        let _ = self.kept.set(Arc::new(kept));
    }

    /// For what cannot be written with [`ID`], such as a digest.
    pub(crate) fn number(&self) -> u64 {
        self.used.set(true);
        self.number
    }

    /// The key of the credential.
    pub(crate) fn owner(&self) -> &str {
        self.credential.key()
    }

    pub(crate) fn into_kept(self) -> Option<Arc<Kept>> {
        self.kept.into_inner()
    }

    /// The answer holds for this request only, be the next one the same byte for byte.
    pub(crate) fn was_used(&self) -> bool {
        self.used.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(size: usize) -> Arc<Kept> {
        Arc::new(Kept { answer: "a".repeat(size), items: String::new() })
    }

    #[test]
    fn the_oldest_answers_give_way() {
        let mut answers = KeptAnswers::default();
        for number in 0..=MAX_ANSWERS as u64 {
            answers.keep(number, kept(1));
        }
        assert!(answers.get(0).is_none() && answers.get(1).is_some());
        answers.keep(9_999, kept(MAX_BYTES));
        assert_eq!((answers.answers.len(), answers.bytes), (1, MAX_BYTES));
        answers.forget(9_999);
        answers.forget(9_999);
        assert!(answers.get(9_999).is_none());
        assert_eq!(answers.bytes, 0);
    }
}
