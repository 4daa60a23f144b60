//! Spools as the reporter sees them: where to read, and who hears that something was delivered.

use std::{
    fs, io,
    sync::{Arc, atomic::Ordering},
};

use shared::id::SpoolId;
use tokio::sync::watch;

use super::{Own, Reader, recovery::Recovered};

/// A spool that was found.
#[derive(Debug)]
pub(crate) struct Found {
    recovered: Recovered,
    acknowledged: watch::Sender<u64>,
}

impl Found {
    pub(super) fn new(recovered: Recovered) -> Self {
        Self { recovered, acknowledged: watch::Sender::new(0) }
    }

    pub(super) fn depth(&self) -> u64 {
        self.recovered.end().saturating_sub(*self.acknowledged.borrow())
    }

    fn acknowledge(&self, sequence: u64) {
        if sequence >= self.recovered.end()
            && let Err(error) = fs::remove_dir_all(&self.recovered.folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, folder = %self.recovered.folder.display(), "a delivered spool can't be removed");
        }
        self.acknowledged.send_replace(sequence);
    }
}

/// A spool as the reporter sees it. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) enum Outbox {
    Own(Arc<Own>),
    Found(Arc<Found>),
}

impl Outbox {
    pub(crate) fn spool(&self) -> SpoolId {
        match self {
            Self::Own(own) => own.spool,
            Self::Found(found) => found.recovered.spool,
        }
    }

    /// The name that the spool was begun under.
    pub(crate) fn node_id(&self) -> &str {
        match self {
            Self::Own(own) => &own.node_id,
            Self::Found(found) => &found.recovered.node_id,
        }
    }

    /// Sequence of the last record that may be reported; rises. `None`: it rises no more.
    pub(crate) fn durable(&self) -> (u64, Option<watch::Receiver<u64>>) {
        match self {
            Self::Own(own) => (*own.durable.borrow(), Some(own.durable.subscribe())),
            Self::Found(found) => (found.recovered.end(), None),
        }
    }

    pub(crate) fn reader(&self, after: u64) -> Reader {
        match self {
            Self::Own(own) => Reader::new(own.folder.clone(), own.spool, after, u64::MAX, Vec::new()),
            Self::Found(found) => {
                let Recovered { folder, spool, files_end, cut_off, .. } = &found.recovered;
                Reader::new(folder.clone(), *spool, after, *files_end, cut_off.clone())
            }
        }
    }

    /// The ledger has all up to and with `sequence`. Removes files that are no longer needed; blocks on the disk.
    pub(crate) fn acknowledge(&self, sequence: u64) {
        match self {
            Self::Own(own) => own.acknowledge(sequence),
            Self::Found(found) => found.acknowledge(sequence),
        }
    }

    fn acknowledged(&self) -> &watch::Sender<u64> {
        match self {
            Self::Own(own) => &own.acknowledged,
            Self::Found(found) => &found.acknowledged,
        }
    }

    /// Whether nothing is left to report, and nothing will come.
    pub(crate) fn finished(&self) -> bool {
        match self {
            Self::Own(_) => false,
            Self::Found(found) => found.depth() == 0,
        }
    }

    /// Resolves once the ledger has all that is in it now.
    pub(crate) async fn delivered(&self) {
        let end = match self {
            Self::Own(own) => own.written.load(Ordering::Acquire),
            Self::Found(found) => found.recovered.end(),
        };
        // The sender is in `self`: it can't be gone.
        _ = self.acknowledged().subscribe().wait_for(|acknowledged| *acknowledged >= end).await;
    }
}
