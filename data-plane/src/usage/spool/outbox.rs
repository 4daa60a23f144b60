//! An incarnation's spools as the reporter sees them: where to read, and who hears that something was delivered.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use shared::{id::IncarnationId, tasks::Tasks};
use tokio::{sync::watch, task::JoinError};

use super::{
    Own, Reader,
    recovery::{Recovered, RecoveredSpool},
    segment,
};

/// An earlier run's spools.
#[derive(Debug)]
pub(crate) struct Found {
    recovered: Recovered,
    /// By spool: how far the ledger has it.
    acknowledged: Vec<AtomicU64>,
    /// Changes when the ledger has said so.
    heard: watch::Sender<()>,
}

impl Found {
    pub(super) fn new(recovered: Recovered) -> Self {
        let acknowledged = recovered.spools.iter().map(|spool| AtomicU64::new(spool.delivered)).collect();
        Self { recovered, acknowledged, heard: watch::Sender::new(()) }
    }

    fn spools(&self) -> impl Iterator<Item = (&RecoveredSpool, &AtomicU64)> {
        self.recovered.spools.iter().zip(&self.acknowledged)
    }

    /// Records that the ledger does not have yet.
    pub(super) fn depth(&self) -> u64 {
        let of = |(spool, acknowledged): (&RecoveredSpool, &AtomicU64)| {
            spool.end().saturating_sub(acknowledged.load(Ordering::Acquire))
        };
        self.spools().map(of).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        if self.depth() == 0 { 0 } else { self.recovered.spools.iter().map(|spool| spool.bytes).sum() }
    }

    /// Records that were written and are not on the disk any more.
    pub(super) fn missing(&self) -> u64 {
        self.recovered.spools.iter().map(|spool| spool.missing).sum()
    }

    fn remove(&self) {
        let folder = &self.recovered.folder;
        if let Err(error) = segment::remove_delivered(folder) {
            tracing::error!(%error, folder = %folder.display(), "delivered usage records can't be removed");
        }
    }
}

/// An incarnation's spools as the reporter sees them. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) enum Outbox {
    Own(Arc<Own>),
    Found(Arc<Found>),
}

impl Outbox {
    pub(crate) fn incarnation(&self) -> IncarnationId {
        match self {
            Self::Own(own) => own.incarnation,
            Self::Found(found) => found.recovered.incarnation,
        }
    }

    /// The name that it ran under.
    pub(crate) fn node_id(&self) -> &str {
        match self {
            Self::Own(own) => &own.identity.node_id,
            Self::Found(found) => &found.recovered.node_id,
        }
    }

    /// Numbers of its spools.
    pub(crate) fn spools(&self) -> std::ops::Range<u32> {
        let count = match self {
            Self::Own(own) => own.spools.len(),
            Self::Found(found) => found.recovered.spools.len(),
        };
        0..u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Sequence of the last record of a spool that may be reported.
    pub(crate) fn durable(&self, spool: u32) -> u64 {
        match self {
            Self::Own(own) => own.spools.get(spool as usize).map_or(0, |spool| spool.durable()),
            Self::Found(found) => found.recovered.spools.get(spool as usize).map_or(0, RecoveredSpool::end),
        }
    }

    /// Changes when more is durable. `None`: that never happens.
    pub(crate) fn rising(&self) -> Option<watch::Receiver<()>> {
        match self {
            Self::Own(own) => Some(own.risen.subscribe()),
            Self::Found(_) => None,
        }
    }

    /// For what comes after this sequence of a spool. `None`: there is no such spool.
    pub(crate) fn reader(&self, spool: u32, after: u64) -> Option<Reader> {
        match self {
            Self::Own(own) => own
                .spools
                .get(spool as usize)
                .map(|spool| Reader::new(spool.folder.clone(), spool.id, after, u64::MAX, Vec::new())),
            Self::Found(found) => found.recovered.spools.get(spool as usize).map(|spool| {
                let RecoveredSpool { folder, id, files_end, after_files, .. } = spool;
                Reader::new(folder.clone(), *id, after, *files_end, after_files.clone())
            }),
        }
    }

    /// The ledger has all up to and with these sequences of these spools. Where that ends what was found, its folder is
    /// removed before this resolves.
    pub(crate) async fn acknowledge(&self, reached: &[(u32, u64)], tasks: &Tasks) -> Result<(), JoinError> {
        match self {
            Self::Own(own) => own.acknowledge(reached),
            Self::Found(found) => {
                for (spool, sequence) in reached {
                    if let Some(acknowledged) = found.acknowledged.get(*spool as usize) {
                        acknowledged.store(*sequence, Ordering::Release);
                    }
                }
                if found.depth() == 0 {
                    let found = Arc::clone(found);
                    tasks.spawn_blocking(move || found.remove()).await?;
                }
                found.heard.send_replace(());
            }
        }
        Ok(())
    }

    /// Whether the end of each spool may be reported: nothing will come.
    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Self::Own(own) => own.is_ended(),
            Self::Found(_) => true,
        }
    }

    /// Whether the ledger has the end of each spool.
    pub(crate) fn finished(&self) -> bool {
        match self {
            Self::Own(own) => own.is_delivered(),
            Self::Found(found) => found.depth() == 0,
        }
    }

    fn acknowledged(&self, spool: u32) -> u64 {
        match self {
            Self::Own(own) => own.spools.get(spool as usize).map_or(0, |spool| spool.acknowledged()),
            Self::Found(found) => {
                found.acknowledged.get(spool as usize).map_or(0, |reached| reached.load(Ordering::Acquire))
            }
        }
    }

    /// Sequence of the last record of a spool.
    fn last(&self, spool: u32) -> u64 {
        match self {
            Self::Own(own) => own.spools.get(spool as usize).map_or(0, |spool| spool.writer.0.lock().last()),
            Self::Found(_) => self.durable(spool),
        }
    }

    /// Resolves once the ledger has all that is in it now.
    pub(crate) async fn delivered(&self) {
        let lasts: Vec<_> = self.spools().map(|spool| (spool, self.last(spool))).collect();
        let mut heard = match self {
            Self::Own(own) => own.heard.subscribe(),
            Self::Found(found) => found.heard.subscribe(),
        };
        let all = || lasts.iter().all(|(spool, last)| self.acknowledged(*spool) >= *last);
        // The sender is in `self`: it can't be gone.
        _ = heard.wait_for(|()| all()).await;
    }
}
