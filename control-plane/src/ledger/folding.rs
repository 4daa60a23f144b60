//! Folds what batches add into the roll-ups, once there are several.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use super::metrics::metrics;
use crate::store::{Store, StoreError, rollup_additions};

/// Batches whose additions are folded in together. Readers of sums read as many, and those of other processes.
const TOGETHER: u32 = 32;

/// Counts this process's batches. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Folding(Arc<AtomicU32>);

impl Folding {
    /// A batch's additions were committed. Where folding fails, the batch stands, and a later one tries again.
    pub(super) async fn kept(&self, store: &Store) {
        if self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1) < TOGETHER {
            return;
        }
        self.0.store(0, Ordering::Relaxed);
        match all(store).await {
            // Another process does it.
            Ok(()) | Err(StoreError::Busy(_)) => {}
            Err(error) => {
                metrics().fold_failures.inc();
                tracing::warn!(%error, "usage could not be folded into its sums; it is tried again");
            }
        }
    }
}

/// Folds in all that is kept.
///
/// # Errors
/// What the database says; `Busy` where another process does the same.
pub(super) async fn all(store: &Store) -> Result<(), StoreError> {
    while rollup_additions::fold(store).await? {}
    Ok(())
}
