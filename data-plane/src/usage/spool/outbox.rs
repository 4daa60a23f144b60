//! Spools as the reporter sees them: where to read, and who hears that something was delivered.

use std::{fs, io, sync::Arc};

use shared::{id::IncarnationId, tasks::Tasks};
use tokio::{sync::watch, task::JoinError};

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

    fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.recovered.folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, folder = %self.recovered.folder.display(), "a delivered spool can't be removed");
        }
    }
}

/// A spool as the reporter sees it. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) enum Outbox {
    Own(Arc<Own>),
    Found(Arc<Found>),
}

impl Outbox {
    pub(crate) fn spool(&self) -> IncarnationId {
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

    /// Sequence of the last record that may be reported.
    pub(crate) fn durable(&self) -> u64 {
        match self {
            Self::Own(own) => *own.durable.borrow(),
            Self::Found(found) => found.recovered.end(),
        }
    }

    /// Follows [`Self::durable`]. `None`: it rises no more.
    pub(crate) fn rising(&self) -> Option<watch::Receiver<u64>> {
        match self {
            Self::Own(own) => Some(own.durable.subscribe()),
            Self::Found(_) => None,
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

    /// The ledger has all up to and with `sequence`. Resolves at once, save where that ends a spool that was found:
    /// its folder is removed first.
    pub(crate) async fn acknowledge(&self, sequence: u64, tasks: &Tasks) -> Result<(), JoinError> {
        match self {
            Self::Own(own) => own.acknowledge(sequence),
            Self::Found(found) => {
                if sequence >= found.recovered.end() {
                    let found = Arc::clone(found);
                    tasks.spawn_blocking(move || found.remove()).await?;
                }
                found.acknowledged.send_replace(sequence);
            }
        }
        Ok(())
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
            Self::Own(own) => own.writer.0.lock().last(),
            Self::Found(found) => found.recovered.end(),
        };
        // The sender is in `self`: it can't be gone.
        _ = self.acknowledged().subscribe().wait_for(|acknowledged| *acknowledged >= end).await;
    }
}
