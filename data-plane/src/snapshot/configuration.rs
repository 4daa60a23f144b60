//! Receives updates, puts them in force, and keeps the copy on disk.

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use proto::v1::{Nack, RefusedRevision, Resource};
use shared::{
    clock::{Clock, Millis},
    digest::Digest,
    tasks::Tasks,
};
use tokio::sync::Notify;

use super::{
    Account, Policy, Snapshot, SnapshotHandle, Stamped,
    compile::compile,
    hold::{Held, Outcome},
    parse::{Parsed, parse},
    receive::WholeUpdate,
    sealed_copy::{CopyError, SealKey, SealedCopy},
};
use crate::live::Live;

/// A change is written at once; those that come within this time of it are written together after it. A kill takes at
/// most this much of what the copy should know.
const COPY_DEBOUNCE: Duration = Duration::from_millis(100);
/// A disk that takes no copy is asked again, also where nothing changes meanwhile.
const COPY_RETRY: Duration = Duration::from_secs(5);

/// The configuration of this node. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Configuration(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Locked for as long as an update is put in force, which takes long where there is much.
    held: Mutex<Held>,
    /// What others ask for, who must not wait for that.
    status: Mutex<Status>,
    handle: SnapshotHandle,
    live: Arc<Live>,
    policy: Policy,
    copy: Option<SealedCopy>,
    changed: Notify,
    /// Changes that the copy is to know of, and how many of them it does.
    changes: AtomicU64,
    copied: AtomicU64,
    /// One writes the copy at a time, so that none replaces a later one.
    writing: Mutex<()>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Status {
    report: ConfigurationReport,
    applied_at: Option<Millis>,
}

/// What a node tells of its configuration.
#[derive(Debug, Clone, Default)]
pub struct ConfigurationReport {
    pub revision: Option<Stamped>,
    pub digest: Digest,
    /// Met, and not followed; also where that was before a restart.
    pub refused: Option<RefusedRevision>,
    pub refused_payloads: Vec<Nack>,
}

/// What a configuration is begun with.
#[derive(Debug)]
pub struct ConfigurationParts<'a> {
    /// Where the copy is.
    pub folder: &'a Path,
    /// `None`: nothing is kept on disk.
    pub seal_key: Option<SealKey>,
    pub live: Arc<Live>,
    /// What holds where the operators set nothing.
    pub policy: Policy,
    pub clock: Clock,
}

impl Configuration {
    /// Begins with the copy on disk, if there is one that can be read. Blocks on the disk.
    #[must_use]
    pub fn restore(parts: ConfigurationParts<'_>) -> Self {
        let copy = parts.seal_key.map(|key| SealedCopy::new(parts.folder, key));
        let restored = copy.as_ref().and_then(|copy| restored(copy, &parts.live));
        let this = Self(Arc::new(Inner {
            held: Mutex::new(Held::default()),
            status: Mutex::default(),
            handle: SnapshotHandle::new(parts.policy.clone()),
            live: parts.live,
            policy: parts.policy,
            copy,
            changed: Notify::new(),
            changes: AtomicU64::default(),
            copied: AtomicU64::default(),
            writing: Mutex::default(),
            clock: parts.clock,
        }));
        if let Some(held) = restored {
            tracing::info!(revision = ?held.revision(), "starting with the local copy of the configuration");
            let mut current = this.0.held.lock();
            *current = held;
            this.publish(&current);
        }
        this
    }

    #[must_use]
    pub fn handle(&self) -> SnapshotHandle {
        self.0.handle.clone()
    }

    /// When the revision in force was received or read from the copy.
    #[must_use]
    pub fn applied_at(&self) -> Option<Millis> {
        self.0.status.lock().applied_at
    }

    /// Takes an update. Costs time by the size of the configuration: not for an async task.
    pub(crate) fn receive(&self, update: WholeUpdate) -> Outcome {
        let revision = update.name.revision;
        let mut held = self.0.held.lock();
        let outcome = held.apply(update, self.0.live.states());
        match &outcome {
            Outcome::Applied { refused } => {
                self.publish(&held);
                drop(held);
                for nack in refused {
                    tracing::error!(kind = ?nack.kind(), reason = nack.reason, "a resource's payload is refused; its last good one stays in use");
                }
                self.changed();
            }
            Outcome::Refused(reason) => {
                let refused = held.refused_revision().cloned();
                let before = std::mem::replace(&mut self.0.status.lock().report.refused, refused.clone());
                if before != refused {
                    tracing::error!(%revision, reason = reason.as_str(), held = ?held.revision(), "the control plane offers a configuration that this node does not follow; it serves on with its own. If its database was restored or replaced on purpose, say so with adopt-epoch");
                }
                if why(before.as_ref()) != why(refused.as_ref()) {
                    self.changed();
                }
            }
            Outcome::Resync(reason) => tracing::warn!(reason, "asking for the whole configuration"),
            Outcome::Again(reason) => {
                tracing::warn!(reason, "asking again for what continues this configuration")
            }
        }
        outcome
    }

    /// An account that came beside the configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn account_of(&self, resource: &Resource) -> Result<Arc<Account>, String> {
        match parse(resource, &resource.payload, self.0.live.states()) {
            Ok(Parsed::Account(account)) => Ok(account),
            Ok(_) => Err("it is no account".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    fn publish(&self, held: &Held) {
        let Some(revision) = held.revision() else { return };
        let snapshot = compile(held.resources(), &self.0.policy);
        let ids =
            |snapshot: &Snapshot| snapshot.accounts.iter().map(|account| account.id).collect::<HashSet<_>>();
        let (known, configured) = (ids(&self.0.handle.load_full()), ids(&snapshot));
        self.0.handle.publish(snapshot, revision);
        let (digest, refused_payloads) = (held.digest(), held.refused());
        let report = ConfigurationReport {
            revision: held.name().cloned(),
            digest,
            refused: held.refused_revision().cloned(),
            refused_payloads,
        };
        *self.0.status.lock() = Status { report, applied_at: Some(self.0.clock.now()) };
        self.0.live.states().retain(|id| configured.contains(&id));
        if !configured.is_subset(&known) {
            self.0.live.read_again();
        }
        tracing::debug!(%revision, "a configuration is in force");
    }

    /// What is held, to resume from.
    pub(crate) fn known(&self) -> Option<(Stamped, Digest)> {
        let status = self.0.status.lock();
        Some((status.report.revision.clone()?, status.report.digest))
    }

    #[must_use]
    pub fn report(&self) -> ConfigurationReport {
        self.0.status.lock().report.clone()
    }

    /// The copy is to be written.
    fn changed(&self) {
        self.0.changes.fetch_add(1, Ordering::Release);
        self.0.changed.notify_one();
    }

    /// A restart would begin with less than what is known now: the copy is about to be written, or can't be.
    #[must_use]
    pub fn copy_is_outdated(&self) -> bool {
        self.0.copy.is_some()
            && self.0.copied.load(Ordering::Acquire) != self.0.changes.load(Ordering::Acquire)
    }

    /// Writes the copy after each change, until the end.
    pub(crate) async fn keep_copy(self, tasks: Tasks) {
        if self.0.copy.is_none() {
            return;
        }
        let stopping = tasks.stopping();
        let keep = async {
            loop {
                self.0.changed.notified().await;
                while !self.write_copy(&tasks).await {
                    tokio::time::sleep(COPY_RETRY).await;
                }
                tokio::time::sleep(COPY_DEBOUNCE).await;
            }
        };
        _ = stopping.run_until_cancelled(keep).await;
    }

    /// Writes the copy now. Returns whether it is there; where none is kept or there is nothing to keep, it is.
    pub(crate) async fn write_copy(&self, tasks: &Tasks) -> bool {
        let this = self.clone();
        let written = tasks.spawn_blocking(move || {
            let Some(copy) = &this.0.copy else { return true };
            let _writing = this.0.writing.lock();
            let changes = this.0.changes.load(Ordering::Acquire);
            let Some(kept) = this.0.held.lock().keep() else { return true };
            if let Err(error) = copy.write(kept) {
                tracing::error!(%error, path = %copy.path().display(), "the local copy of the configuration can't be written; a restart without the control plane would bring the last one back");
                return false;
            }
            this.0.copied.fetch_max(changes, Ordering::AcqRel);
            true
        });
        written.await.unwrap_or_else(|error| {
            tracing::error!(%error, "writing the local copy of the configuration failed");
            false
        })
    }
}

fn restored(copy: &SealedCopy, live: &Live) -> Option<Held> {
    let unusable = match copy.read() {
        Ok(None) => return None,
        Ok(Some(kept)) => match Held::restore(kept, live.states()) {
            Some(held) => return Some(held),
            None => "its digest is not that of its content".to_owned(),
        },
        Err(CopyError::Io(error)) => {
            tracing::error!(path = %copy.path().display(), %error, "the local copy of the configuration can't be read");
            return None;
        }
        Err(error) => error.to_string(),
    };
    match copy.set_aside() {
        Ok(aside) => {
            tracing::error!(path = %copy.path().display(), reason = unusable, aside = %aside.display(), "the local copy of the configuration can't be used and is set aside; the node starts with none. If the seal key was wrong, stop the node, put the copy back, and start it with the right one");
        }
        Err(error) => {
            tracing::error!(path = %copy.path().display(), reason = unusable, %error, "the local copy of the configuration can't be used, nor set aside; the node starts with none");
        }
    }
    None
}

/// What the copy on disk is to know of a refusal; which version it was changes with each change that is refused.
fn why(refused: Option<&RefusedRevision>) -> Option<(&str, &[u8])> {
    let refused = refused?;
    Some((&refused.reason, refused.revision.as_ref().map_or(&[], |revision| &revision.epoch)))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// To compile ten thousand accounts takes long, and heartbeats and scrapes must not wait for it.
    #[test]
    fn what_is_in_force_is_told_while_an_update_is_put_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let configuration = Configuration::restore(ConfigurationParts {
            folder: folder.path(),
            seal_key: None,
            live: Arc::new(Live::memory(Clock::System)),
            policy: Policy::default(),
            clock: Clock::System,
        });
        let compiling = configuration.0.held.lock();
        let (tell, told) = mpsc::channel();
        let asked = configuration.clone();
        let asking = std::thread::spawn(move || {
            _ = tell.send((asked.report().revision, asked.known(), asked.applied_at()));
        });
        let answer = told.recv_timeout(Duration::from_secs(20));
        drop(compiling);
        assert_eq!(answer.map(|(revision, ..)| revision), Ok(None));
        asking.join().unwrap();
    }

    fn with_seal_key(folder: &Path, key: u8) -> Configuration {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [key; 32]);
        Configuration::restore(ConfigurationParts {
            folder,
            seal_key: Some(SealKey::parse(&shared::secret::Secret::new(text)).unwrap()),
            live: Arc::new(Live::memory(Clock::System)),
            policy: Policy::default(),
            clock: Clock::System,
        })
    }

    fn empty_update() -> WholeUpdate {
        let name = Stamped {
            revision: super::super::Revision { epoch: [1; 16], version: 7 },
            stamp: [2; 16],
            proof: vec![3; 32],
        };
        WholeUpdate {
            name,
            known_stamp: None,
            from_version: None,
            adopted: false,
            digest: Digest::default(),
            resources: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_the_disk_did_not_take_is_written_once_it_does() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("later");
        let configuration = with_seal_key(&folder, 1);
        assert!(!configuration.copy_is_outdated(), "nothing is known");
        let tasks = Tasks::new();
        tasks.spawn(configuration.clone().keep_copy(tasks.clone()));
        assert_eq!(configuration.receive(empty_update()), Outcome::Applied { refused: Vec::new() });
        assert!(!configuration.write_copy(&tasks).await);
        assert!(configuration.copy_is_outdated());

        std::fs::create_dir(&folder).unwrap();
        // Whenever that is tried next; nothing changes meanwhile.
        tokio::time::sleep(COPY_RETRY * 3).await;
        assert!(!configuration.copy_is_outdated());
        assert_eq!(with_seal_key(&folder, 1).known().map(|(known, _)| known), Some(empty_update().name));
    }

    #[tokio::test]
    async fn a_wrong_seal_key_costs_nothing_that_the_right_one_does_not_bring_back() {
        const NAMES: [&str; 2] = ["snapshot.sealed", "snapshot.sealed.aside.1"];
        let folder = tempfile::tempdir().unwrap();
        let start = |key: u8| with_seal_key(folder.path(), key);
        let right = start(1);
        assert_eq!(right.receive(empty_update()), Outcome::Applied { refused: Vec::new() });
        assert!(right.write_copy(&Tasks::new()).await);

        assert_eq!(start(2).known(), None);
        let [copy, aside] = NAMES.map(|name| folder.path().join(name));
        assert!(!copy.exists());
        std::fs::rename(aside, copy).unwrap();
        assert_eq!(start(1).known().map(|(known, _)| known), Some(empty_update().name));
    }
}
