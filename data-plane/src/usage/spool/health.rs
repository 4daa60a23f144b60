//! What is wrong with the disk.

use std::sync::atomic::{AtomicU8, Ordering};

/// Each is found and ended by somebody else.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// The disk refused something; it is tried until it works.
    Failed = 1,
    /// The disk has not answered for long.
    Stalled = 2,
    /// The disk thread is no more.
    Abandoned = 4,
}

/// All troubles there are.
#[derive(Debug, Default)]
pub(super) struct Health(AtomicU8);

impl Health {
    pub(super) fn is_good(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.0.load(Ordering::Acquire) & trouble as u8 != 0
    }

    /// True: it is new.
    pub(super) fn note(&self, trouble: Trouble) -> bool {
        self.0.fetch_or(trouble as u8, Ordering::AcqRel) & trouble as u8 == 0
    }

    /// True: it was there.
    pub(super) fn end(&self, trouble: Trouble) -> bool {
        self.0.fetch_and(!(trouble as u8), Ordering::AcqRel) & trouble as u8 != 0
    }
}
