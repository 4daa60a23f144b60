//! The live state of a node that is alone.

use shared::{
    clock::Clock,
    id::{AccountId, UserId},
};
use smallvec::SmallVec;

use super::{
    AccountStates, Binding, Mark,
    binding::{Bindings, BoundId},
    memos::{self, Memos},
};

#[derive(Debug)]
pub struct MemoryLive {
    states: AccountStates,
    bindings: Bindings,
    memos: Memos,
    clock: Clock,
}

impl MemoryLive {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            states: AccountStates::default(),
            bindings: Bindings::default(),
            memos: Memos::default(),
            clock,
        }
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

    pub(super) fn remember(&self, user: UserId, call: &str, reasoning: &str) {
        if let Some((id, sealed)) = memos::sealed(user, call, reasoning) {
            self.memos.remember(id, sealed, self.clock.now(), false);
        }
    }

    pub(super) fn recall(&self, user: UserId, call: &str) -> Option<String> {
        self.memos.recall(user, call, self.clock.now())
    }

    pub(super) fn remembers(&self) -> bool {
        !self.memos.is_empty()
    }

    pub(super) const fn states(&self) -> &AccountStates {
        &self.states
    }
}
