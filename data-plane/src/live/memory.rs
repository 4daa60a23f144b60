//! The live state of a node that is alone.

use shared::{clock::Clock, id::AccountId};
use smallvec::SmallVec;

use super::{
    AccountStates, Binding, Mark,
    binding::{Bindings, BoundId},
};

#[derive(Debug)]
pub struct MemoryLive {
    states: AccountStates,
    bindings: Bindings,
    clock: Clock,
}

impl MemoryLive {
    pub(super) fn new(clock: Clock) -> Self {
        Self { states: AccountStates::default(), bindings: Bindings::default(), clock }
    }

    pub(super) fn mark(&self, account: AccountId, mark: Mark) {
        self.states.of(account).mark(mark, self.clock.now());
    }

    pub(super) fn clear(&self, account: AccountId) {
        self.states.of(account).replace_marks(SmallVec::new());
    }

    pub(super) fn bind(&self, id: &str, binding: Binding) {
        self.bindings.bind(BoundId::of(id), binding, self.clock.now(), false);
    }

    pub(super) fn bound(&self, id: &str) -> Option<Binding> {
        self.bindings.get(BoundId::of(id), self.clock.now())
    }

    pub(super) const fn states(&self) -> &AccountStates {
        &self.states
    }
}
