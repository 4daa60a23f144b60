//! What is configured, as the control plane last said it, for everyone who serves a request.
//!
//! [`hold`] keeps what was received, [`parse`] turns a payload into a [`domain`] type, [`compile`] makes the
//! [`Snapshot`] that requests read, [`sealed_copy`] keeps all of it on this node's disk, and [`configuration`] is
//! the one that calls them in that order. To publish a new kind of resource: its row in [`parse`], its line in
//! [`compile`], and its type in [`domain`].

mod compile;
pub mod configuration;
pub mod domain;
mod hold;
mod parse;
mod ready;
mod receive;
mod revision;
pub mod sealed_copy;

use std::{collections::HashSet, sync::Arc};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

pub use configuration::{Configuration, ConfigurationParts, ConfigurationReport};
pub use domain::{
    Account, ApiKey, ClientGone, Credential, Model, ModelRoute, Options, Policy, Retries, Snapshot, Upstream,
};
pub(crate) use hold::Outcome;
pub use ready::Ready;
pub(crate) use receive::{Chunks, Malformed, WholeUpdate};
pub use revision::{Revision, Stamped};
pub use sealed_copy::{InvalidSealKey, SealKey};

/// The snapshot in force. Clones see the same one.
#[derive(Debug, Clone)]
pub struct SnapshotHandle(Arc<Current>);

#[derive(Debug)]
struct Current {
    snapshot: ArcSwap<Snapshot>,
    revision: watch::Sender<Option<Revision>>,
    /// One for each worker.
    bells: Mutex<Vec<Arc<Notify>>>,
}

impl SnapshotHandle {
    /// Nothing is configured yet: the snapshot is empty and [`Self::has_config`] is false.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let snapshot = Snapshot { policy, ..Snapshot::default() };
        Self(Arc::new(Current {
            snapshot: ArcSwap::from_pointee(snapshot),
            revision: watch::Sender::new(None),
            bells: Mutex::default(),
        }))
    }

    /// For a short look. Don't hold it across an await.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.0.snapshot.load()
    }

    #[must_use]
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// Whether any configuration was ever received; one without resources counts.
    #[must_use]
    pub fn has_config(&self) -> bool {
        self.0.revision.borrow().is_some()
    }

    /// The revision in force.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        *self.0.revision.borrow()
    }

    /// Tells of every revision that comes into force.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Revision>> {
        self.0.revision.subscribe()
    }

    /// Puts a snapshot in force.
    pub fn publish(&self, snapshot: Snapshot, revision: Revision) {
        let cuts = cuts_streams(&self.load(), &snapshot);
        self.0.snapshot.store(Arc::new(snapshot));
        self.0.revision.send_replace(Some(revision));
        if cuts {
            self.0.bells.lock().iter().for_each(|bell| bell.notify_waiters());
        }
    }

    /// Wakes streams that are to look whether their key or their account is still good, since they may be silent. Each
    /// worker has one of its own, so that its streams share no lock with those of others.
    #[must_use]
    pub fn bell(&self) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        self.0.bells.lock().push(Arc::clone(&bell));
        bell
    }
}

/// Whether a stream may have to be cut where `new` takes the place of `old`.
fn cuts_streams(old: &Snapshot, new: &Snapshot) -> bool {
    let in_use = |snapshot: &Snapshot| -> HashSet<_> {
        snapshot.accounts.iter().filter(|account| account.enabled).map(|account| account.id).collect()
    };
    new.policy.cut_revoked_streams
        && (!old.policy.cut_revoked_streams
            || old.keys.keys().any(|key| !new.keys.contains_key(key))
            || !in_use(old).is_subset(&in_use(new)))
}
