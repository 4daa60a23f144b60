//! Live state: what changes with every request, and what nodes tell one another of their accounts.
//!
//! Two backends behind one enum: [`Live::Memory`] for a node that is alone, [`Live::Redis`] for many. Both apply a
//! mark to this node's [`AccountState`] at once; the picker reads only that and waits for nobody. A [`Binding`] says
//! which account an id that a provider issued belongs to; only requests that name such an id ask for it. A memo is reasoning that a client does not send back with its calls.

mod account_state;
mod binding;
mod learned;
mod memory;
mod memos;
mod redis;

pub use account_state::{AccountState, AccountStates, InFlight, Mark, MarkKind};
pub use binding::Binding;
pub use memory::MemoryLive;
pub use redis::{RedisError, RedisLive, RedisSettings};

use shared::{
    clock::Clock,
    id::{AccountId, UserId},
    tasks::Tasks,
};

#[derive(Debug)]
pub enum Live {
    Memory(MemoryLive),
    Redis(RedisLive),
}

impl Live {
    /// The live state of a node that is alone.
    #[must_use]
    pub fn memory(clock: Clock) -> Self {
        Self::Memory(MemoryLive::new(clock))
    }

    /// The live state of nodes that share a Redis. One that can't be reached is no error: see [`Self::degraded`].
    ///
    /// # Errors
    /// The URL can't be read.
    pub fn redis(settings: &RedisSettings, clock: Clock, tasks: &Tasks) -> Result<Self, RedisError> {
        RedisLive::start(settings, clock, tasks).map(Self::Redis)
    }

    /// `memory` or `redis`.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Redis(_) => "redis",
        }
    }

    /// Puts a mark on the account, here at once and on the other nodes soon.
    pub fn mark(&self, account: AccountId, mark: Mark) {
        match self {
            Self::Memory(live) => live.mark(account, mark),
            Self::Redis(live) => live.mark(account, mark),
        }
    }

    /// Takes all marks off the account, here at once and on the other nodes soon. This node asks for its models again.
    pub fn clear(&self, account: AccountId) {
        self.states().of(account).learned.forget_denied();
        match self {
            Self::Memory(live) => live.clear(account),
            Self::Redis(live) => live.clear(account),
        }
    }

    /// Binds an id that a provider issued, here at once and on the other nodes soon. The first binding holds.
    pub fn bind(&self, id: &str, binding: Binding) {
        match self {
            Self::Memory(live) => live.bind(id, binding),
            Self::Redis(live) => live.bind(id, binding),
        }
    }

    /// Whose an id is. `None`: nobody's that is known, perhaps because the shared state is out of reach.
    pub async fn bound(&self, id: &str) -> Option<Binding> {
        match self {
            Self::Memory(live) => live.bound(id),
            Self::Redis(live) => Box::pin(live.bound(id)).await,
        }
    }

    /// Remembers the reasoning that led to a user's call, sealed, here at once and on the other nodes soon.
    pub fn remember(&self, user: UserId, call: &str, reasoning: &str) {
        match self {
            Self::Memory(live) => live.remember(user, call, reasoning),
            Self::Redis(live) => live.remember(user, call, reasoning),
        }
    }

    /// The reasoning that led to a user's call. `None`: it is not known, perhaps because the shared state is out of reach.
    pub async fn recall(&self, user: UserId, call: &str) -> Option<String> {
        match self {
            Self::Memory(live) => live.recall(user, call),
            Self::Redis(live) => Box::pin(live.recall(user, call)).await,
        }
    }

    /// Whether there may be anything to recall.
    #[must_use]
    pub fn remembers(&self) -> bool {
        match self {
            Self::Memory(live) => live.remembers(),
            // Other nodes' is not known here.
            Self::Redis(_) => true,
        }
    }

    /// Has the marks of accounts that are new on this node read from the shared state.
    pub fn read_again(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Redis(live) => live.read_again(),
        }
    }

    #[must_use]
    pub fn states(&self) -> &AccountStates {
        match self {
            Self::Memory(live) => live.states(),
            Self::Redis(live) => live.states(),
        }
    }

    /// Whether marks stay on this node because the shared state is out of reach.
    #[must_use]
    pub fn degraded(&self) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Redis(live) => live.degraded(),
        }
    }
}

#[cfg(test)]
mod tests;
