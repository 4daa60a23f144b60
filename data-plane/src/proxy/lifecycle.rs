//! How far the node's shutdown has come.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What holds for connections and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Serving,
    /// No new requests; those that run may end by themselves.
    Stopping,
    /// The grace is over: streams end now.
    Closing,
}

/// The phase as an atomic, so that looking at it costs nothing; and a bell for each change, so that connections
/// which wait for something else look at all.
#[derive(Debug, Default)]
pub struct Lifecycle {
    phase: AtomicU8,
    stopping: CancellationToken,
    closing: CancellationToken,
}

impl Lifecycle {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Stopping,
            _ => Phase::Closing,
        }
    }

    pub(crate) fn stop(&self) {
        self.phase.fetch_max(1, Ordering::AcqRel);
        self.stopping.cancel();
    }

    pub(crate) fn close(&self) {
        self.stop();
        self.phase.fetch_max(2, Ordering::AcqRel);
        self.closing.cancel();
    }

    pub(crate) fn bells(&self) -> (CancellationToken, CancellationToken) {
        (self.stopping.clone(), self.closing.clone())
    }

    /// Resolves in the phase [`Phase::Closing`].
    pub(crate) fn closed(&self) -> WaitForCancellationFutureOwned {
        self.closing.clone().cancelled_owned()
    }
}
