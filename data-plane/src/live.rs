//! Live state: what changes with every request, and what nodes tell one another of their accounts.
//!
//! Two backends behind one enum: [`Live::Memory`] for a node that is alone, [`Live::Redis`] for many. Both apply a
//! mark to this node's [`AccountState`] at once; the picker reads only that and waits for nobody.

mod account_state;
mod memory;

pub use account_state::{AccountState, AccountStates, InFlight, Mark, MarkKind};
pub use memory::MemoryLive;

use shared::{clock::Clock, id::AccountId};

#[derive(Debug)]
pub enum Live {
    Memory(MemoryLive),
}

impl Live {
    /// The live state of a node that is alone.
    #[must_use]
    pub fn memory(clock: Clock) -> Self {
        Self::Memory(MemoryLive::new(clock))
    }

    /// Puts a mark on the account, here at once and on the other nodes soon.
    pub async fn mark(&self, account: AccountId, mark: Mark) {
        match self {
            Self::Memory(live) => live.mark(account, mark),
        }
    }

    /// Takes all marks off the account, here at once and on the other nodes soon.
    pub async fn clear(&self, account: AccountId) {
        match self {
            Self::Memory(live) => live.clear(account),
        }
    }

    /// Has the marks of accounts that are new on this node read from the shared state.
    pub fn read_again(&self) {
        match self {
            Self::Memory(_) => {}
        }
    }

    #[must_use]
    pub const fn states(&self) -> &AccountStates {
        match self {
            Self::Memory(live) => live.states(),
        }
    }

    /// Whether marks stay on this node because the shared state is out of reach.
    #[must_use]
    pub const fn degraded(&self) -> bool {
        match self {
            Self::Memory(_) => false,
        }
    }
}
