//! Delivers the spools of a data folder whose node is no more.

use std::path::Path;

use shared::tasks::Tasks;

use super::{
    reporter,
    spool::{self, SpoolError},
};
use crate::transport::ControlPlane;

/// Delivers every record in `data_dir`, with those that were never closed as cut off. Gives how many spools there
/// were, once the ledger has all of them; tries for as long as that takes, or until the tasks end.
///
/// # Errors
/// A process still works in the folder, or it can't be read.
pub async fn drain(
    data_dir: &Path,
    control_plane: &ControlPlane,
    tasks: &Tasks,
) -> Result<Drained, SpoolError> {
    let (_lock, outboxes) = spool::found_outboxes(data_dir)?;
    let mut drained = Drained { spools: outboxes.len(), complete: true };
    for outbox in outboxes {
        reporter::deliver(control_plane.clone(), outbox.clone(), tasks.clone()).await;
        drained.complete &= outbox.finished();
    }
    Ok(drained)
}

/// What became of the spools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    pub spools: usize,
    /// False: the tasks ended first.
    pub complete: bool,
}
