//! The live state of nodes that share a Redis.
//!
//! An account's marks are a hash `sy:{a:<id>}:status` that expires with the last of them: field `kind` or
//! `kind:family`, value `<until, by Redis's clock> <reason>`. Whoever changes one publishes the account's id, and every
//! node reads the hash again. The one task in `sync` does all of that: a request that marks an account changes
//! this node's state and leaves a note, whatever state Redis is in. What a request itself asks Redis, where this node does
//! not know, is whose an id is (`sy:{b:<digest>}`, kept 30 days) and what reasoning led to a call that its client sends back
//! without (`sy:{m:<digest>}`, an hour); it waits no longer than a command may take.

mod marks;
mod sync;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use shared::{
    clock::{Clock, Millis},
    id::{AccountId, UserId},
    secret::Secret,
    tasks::Tasks,
};
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::{
    AccountStates, Binding, Mark,
    binding::{Bindings, BoundId},
    memos::{self, Memos},
};

/// How Redis is reached, and how long it may take.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://`, `rediss://`, `redis-cluster://`, `redis-sentinel://`; may hold a password.
    pub url: Secret,
    /// An answer that takes longer counts as none.
    pub command_timeout: Duration,
    /// How often Redis is asked whether it is there.
    pub watchdog: Duration,
    /// How often every account's marks are read again, in case a message was lost.
    pub reread: Duration,
}

impl RedisSettings {
    #[must_use]
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            command_timeout: Duration::from_millis(500),
            watchdog: Duration::from_secs(1),
            reread: Duration::from_secs(30),
        }
    }
}

/// The settings for Redis are of no use.
#[derive(Debug, thiserror::Error)]
#[error("the Redis URL can't be used: {0}")]
pub struct RedisError(String);

#[derive(Debug)]
pub struct RedisLive {
    shared: Arc<Shared>,
    lookup: sync::Lookup,
}

#[derive(Debug)]
struct Shared {
    states: AccountStates,
    bindings: Bindings,
    memos: Memos,
    clock: Clock,
    own: Mutex<HashMap<AccountId, Own>>,
    /// Accounts with something to be written.
    dirty: Notify,
    reread: Notify,
    degraded: AtomicBool,
}

/// What this node did to an account.
#[derive(Debug, Default)]
struct Own {
    marks: Vec<OwnMark>,
    /// How often all marks were taken off here without Redis knowing yet.
    clears: u32,
}

#[derive(Debug, Clone)]
struct OwnMark {
    mark: Mark,
    /// Whether Redis has it.
    written: bool,
}

/// What is to be written about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Write {
    account: AccountId,
    /// Unless 0, all marks go first.
    clears: u32,
    marks: Vec<Mark>,
}

impl RedisLive {
    pub(super) fn start(settings: &RedisSettings, clock: Clock, tasks: &Tasks) -> Result<Self, RedisError> {
        let shared = Arc::new(Shared {
            states: AccountStates::default(),
            bindings: Bindings::default(),
            memos: Memos::default(),
            clock,
            own: Mutex::default(),
            dirty: Notify::new(),
            reread: Notify::new(),
            degraded: AtomicBool::new(true),
        });
        let connections = sync::Connections::new(settings).map_err(|error| RedisError(error.to_string()))?;
        let lookup = connections.lookup();
        let task = sync::Sync::new(Arc::clone(&shared), connections, settings.clone());
        tasks.spawn(task.run(tasks.stopping()));
        Ok(Self { shared, lookup })
    }

    pub(super) fn bind(&self, id: &str, binding: Binding) {
        self.shared.bindings.bind(BoundId::of(id), binding, self.shared.now(), true);
        self.shared.dirty.notify_one();
    }

    pub(super) async fn bound(&self, id: &str) -> Option<Binding> {
        let id = BoundId::of(id);
        if let Some(binding) = self.shared.bindings.get(id, self.shared.now()) {
            return Some(binding);
        }
        if self.degraded() {
            return None;
        }
        let binding = Binding::read(&self.lookup.get(id.key()).await?)?;
        self.shared.bindings.bind(id, binding, self.shared.now(), false);
        Some(binding)
    }

    pub(super) fn remember(&self, user: UserId, call: &str, reasoning: &str) {
        if let Some((id, sealed)) = memos::sealed(user, call, reasoning) {
            self.shared.memos.remember(id, sealed, self.shared.now(), true);
            self.shared.dirty.notify_one();
        }
    }

    pub(super) async fn recall(&self, user: UserId, call: &str) -> Option<String> {
        if let Some(reasoning) = self.shared.memos.recall(user, call, self.shared.now()) {
            return Some(reasoning);
        }
        if self.degraded() {
            return None;
        }
        memos::opened(user, call, &self.lookup.get(memos::lookup_key(user, call)).await?)
    }

    pub(super) fn mark(&self, account: AccountId, mark: Mark) {
        let now = self.shared.clock.now();
        let mut own = self.shared.own.lock();
        let marks = &mut own.entry(account).or_default().marks;
        marks.retain(|old| old.mark.until > now);
        if !marks.iter().any(|old| old.mark.same_place(&mark) && old.mark.until >= mark.until) {
            marks.retain(|old| !old.mark.same_place(&mark));
            marks.push(OwnMark { mark: mark.clone(), written: false });
        }
        self.shared.states.of(account).mark(mark, now);
        drop(own);
        self.shared.dirty.notify_one();
    }

    pub(super) fn clear(&self, account: AccountId) {
        let mut own = self.shared.own.lock();
        let cleared = own.entry(account).or_default();
        cleared.marks.clear();
        cleared.clears += 1;
        self.shared.states.of(account).replace_marks(SmallVec::new());
        drop(own);
        self.shared.dirty.notify_one();
    }

    pub(super) fn read_again(&self) {
        self.shared.reread.notify_one();
    }

    pub(super) fn states(&self) -> &AccountStates {
        &self.shared.states
    }

    pub(super) fn degraded(&self) -> bool {
        self.shared.degraded.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// What Redis does not know yet; after a connection was lost, everything of this node, as Redis may have lost it.
    fn to_write(&self, everything: bool) -> Vec<Write> {
        let now = self.clock.now();
        let mut own = self.own.lock();
        own.retain(|_, own| {
            own.marks.retain(|own| own.mark.until > now);
            own.clears > 0 || !own.marks.is_empty()
        });
        own.iter()
            .map(|(account, own)| Write {
                account: *account,
                clears: own.clears,
                marks: own
                    .marks
                    .iter()
                    .filter(|mark| everything || !mark.written)
                    .map(|own| own.mark.clone())
                    .collect(),
            })
            .filter(|write| write.clears > 0 || !write.marks.is_empty())
            .collect()
    }

    /// Redis has taken it.
    fn written(&self, write: &Write) {
        let mut own = self.own.lock();
        let Some(own) = own.get_mut(&write.account) else {
            return;
        };
        if own.clears == write.clears {
            own.clears = 0;
        }
        for mark in &mut own.marks {
            mark.written |= write.marks.contains(&mark.mark);
        }
    }

    /// What Redis says of an account goes, save what it does not know yet.
    fn apply(&self, account: AccountId, read: Vec<Mark>) {
        let mut all_own = self.own.lock();
        let mut marks: SmallVec<[Mark; 2]> = SmallVec::new();
        match all_own.get_mut(&account) {
            None => marks.extend(read),
            Some(own) => {
                if own.clears == 0 {
                    // What was written and is not there any more was cleared by another node.
                    own.marks
                        .retain(|own| !own.written || read.iter().any(|mark| mark.same_place(&own.mark)));
                    marks.extend(read);
                }
                for unwritten in own.marks.iter().filter(|own| !own.written) {
                    if !marks
                        .iter()
                        .any(|mark| mark.same_place(&unwritten.mark) && mark.until >= unwritten.mark.until)
                    {
                        marks.retain(|mark| !mark.same_place(&unwritten.mark));
                        marks.push(unwritten.mark.clone());
                    }
                }
            }
        }
        self.states.of(account).replace_marks(marks);
    }

    fn accounts(&self) -> BTreeSet<AccountId> {
        let mut accounts = BTreeSet::new();
        self.states.for_each(|id, _| _ = accounts.insert(id));
        accounts
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }

    fn set_degraded(&self, degraded: bool) {
        if self.degraded.swap(degraded, Ordering::Relaxed) != degraded {
            if degraded {
                tracing::error!(
                    "Redis is out of reach: marks of accounts stay on this node until it is back"
                );
            } else {
                tracing::info!("the live state is shared through Redis");
            }
        }
    }
}
