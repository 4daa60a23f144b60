//! An account's state on this node: what the picker reads for every candidate, without a look-up or a lock that waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use papaya::HashMap;
use parking_lot::RwLock;
use shared::{clock::Millis, id::AccountId};
use smallvec::SmallVec;

use super::learned::Learned;

/// A passing condition of an account; it ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub kind: MarkKind,
    pub until: Millis,
    /// Short code, such as `status_429`.
    pub reason: String,
    /// `None`: all models.
    pub model_family: Option<String>,
    /// How long it lasts is the gateway's guess: the provider did not say. Where nobody else can serve, it does not hold.
    pub guessed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    RateLimited,
    Overloaded,
}

/// One per account, for as long as the process lives.
#[derive(Debug, Default)]
pub struct AccountState {
    in_flight: AtomicU32,
    /// The latest end of any mark, so that an account without marks costs one load.
    marked_until: AtomicI64,
    marks: RwLock<SmallVec<[Mark; 2]>>,
    pub learned: Learned,
}

impl AccountState {
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Takes a slot below `limit`, or returns `None`. The slot is given back when the guard is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>, limit: Option<u32>) -> Option<InFlight> {
        let limit = limit.unwrap_or(u32::MAX);
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < limit).then(|| count + 1))
            .ok()?;
        Some(InFlight(Arc::clone(self)))
    }

    /// Whether a mark in force covers `model`, and which kind. `asked_only`: guesses don't count. Allocates nothing.
    #[must_use]
    pub fn marked(&self, model: &str, now: Millis, asked_only: bool) -> Option<MarkKind> {
        if self.marked_until.load(Ordering::Acquire) <= now.0 {
            return None;
        }
        let counts = |mark: &&Mark| mark.until > now && mark.covers(model) && !(asked_only && mark.guessed);
        self.marks.read().iter().find(counts).map(|mark| mark.kind)
    }

    /// The marks in force.
    #[must_use]
    pub fn marks(&self, now: Millis) -> Vec<Mark> {
        self.marks.read().iter().filter(|mark| mark.until > now).cloned().collect()
    }

    /// Puts a mark in place of one of the same kind and family, unless that one lasts longer.
    pub fn mark(&self, mark: Mark, now: Millis) {
        let mut marks = self.marks.write();
        marks.retain(|old| old.until > now);
        match marks.iter_mut().find(|old| old.same_place(&mark)) {
            Some(old) if old.until >= mark.until => {}
            Some(old) => *old = mark,
            None => marks.push(mark),
        }
        self.note_latest(&marks);
    }

    /// Replaces all marks; what the shared live state says goes.
    pub fn replace_marks(&self, new: SmallVec<[Mark; 2]>) {
        let mut marks = self.marks.write();
        *marks = new;
        self.note_latest(&marks);
    }

    fn note_latest(&self, marks: &[Mark]) {
        let latest = marks.iter().map(|mark| mark.until.0).max().unwrap_or(0);
        self.marked_until.store(latest, Ordering::Release);
    }
}

impl Mark {
    /// Whether one stands where the other would. A guess does not take the place of what a provider asked for.
    #[must_use]
    pub fn same_place(&self, other: &Self) -> bool {
        (self.kind, &self.model_family, self.guessed) == (other.kind, &other.model_family, other.guessed)
    }

    #[must_use]
    pub fn covers(&self, model: &str) -> bool {
        self.model_family.as_deref().is_none_or(|family| model.contains(family))
    }

    #[must_use]
    pub fn remaining(&self, now: Millis) -> Duration {
        self.until.since(now)
    }
}

/// A slot in use; dropping it gives it back.
#[derive(Debug)]
pub struct InFlight(Arc<AccountState>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The states of all accounts that the process has seen.
#[derive(Debug, Default)]
pub struct AccountStates(HashMap<AccountId, Arc<AccountState>>);

impl AccountStates {
    /// The account's state, made when first asked for.
    #[must_use]
    pub fn of(&self, id: AccountId) -> Arc<AccountState> {
        Arc::clone(self.0.pin().get_or_insert_with(id, Arc::default))
    }

    /// Calls `visit` for each account seen.
    pub fn for_each(&self, mut visit: impl FnMut(AccountId, &Arc<AccountState>)) {
        for (id, state) in &self.0.pin() {
            visit(*id, state);
        }
    }

    /// Forgets accounts that are no longer configured and not in use.
    pub fn retain(&self, mut configured: impl FnMut(AccountId) -> bool) {
        self.0.pin().retain(|id, state| configured(*id) || state.in_flight() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(until: i64, family: Option<&str>) -> Mark {
        Mark {
            kind: MarkKind::RateLimited,
            until: Millis(until),
            reason: "status_429".into(),
            model_family: family.map(Into::into),
            guessed: false,
        }
    }

    #[test]
    fn a_mark_ends_by_itself_and_a_shorter_one_does_not_replace_it() {
        let state = AccountState::default();
        state.mark(mark(100, None), Millis(0));
        state.mark(mark(50, None), Millis(0));
        assert_eq!(state.marked("m", Millis(99), false), Some(MarkKind::RateLimited));
        assert_eq!(state.marked("m", Millis(100), false), None);
    }

    #[test]
    fn a_mark_of_a_family_leaves_other_models_alone() {
        let state = AccountState::default();
        state.mark(mark(100, Some("opus")), Millis(0));
        assert_eq!(state.marked("claude-sonnet-5", Millis(1), false), None);
        assert_eq!(state.marked("claude-opus-5", Millis(1), false), Some(MarkKind::RateLimited));
    }

    #[test]
    fn slots_are_given_back() {
        let state = Arc::new(AccountState::default());
        let slot = state.enter(Some(1)).unwrap();
        assert!(state.enter(Some(1)).is_none());
        drop(slot);
        assert!(state.enter(Some(1)).is_some());
        assert!(state.enter(Some(0)).is_none(), "0 means none");
    }
}
