//! Delivers what is in a data folder whose node is no more.

use std::path::Path;

use shared::{clock::Clock, tasks::Tasks};

use super::{
    reporter,
    spool::{self, FolderLock, SpoolError},
};
use crate::transport::ControlPlane;

/// Delivers every record in `data_dir`, with the requests that were never closed as cut off, and ends the incarnations
/// there. Resolves once the ledger has all of them; tries for as long as that takes, or until the tasks end.
///
/// # Errors
/// A process still works in the folder, or it can't be read.
pub async fn drain(
    data_dir: &Path,
    control_plane: &ControlPlane,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<Drained, SpoolError> {
    let lock = FolderLock::take(data_dir)?;
    let outboxes = spool::found_outboxes(&lock, clock.now())?;
    reporter::deliver_all(control_plane, outboxes.clone(), tasks).await;
    let complete = outboxes.iter().all(spool::Outbox::finished);
    Ok(Drained { incarnations: outboxes.len(), complete })
}

/// What became of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Runs that there were records of.
    pub incarnations: usize,
    /// False: the tasks ended first.
    pub complete: bool,
}
