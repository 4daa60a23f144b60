//! The live state of a node that is alone.

use shared::{clock::Clock, id::AccountId};
use smallvec::SmallVec;

use super::{AccountStates, Mark};

#[derive(Debug)]
pub struct MemoryLive {
    states: AccountStates,
    clock: Clock,
}

impl MemoryLive {
    pub(super) fn new(clock: Clock) -> Self {
        Self { states: AccountStates::default(), clock }
    }

    pub(super) fn mark(&self, account: AccountId, mark: Mark) {
        self.states.of(account).mark(mark, self.clock.now());
    }

    pub(super) fn clear(&self, account: AccountId) {
        self.states.of(account).replace_marks(SmallVec::new());
    }

    pub(super) const fn states(&self) -> &AccountStates {
        &self.states
    }
}
