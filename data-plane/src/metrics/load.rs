//! How much a worker has to do, in atomics that the worker and the acceptor share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Of one worker.
#[derive(Debug)]
pub struct Load {
    since: Instant,
    connections: AtomicUsize,
    /// Share of its time that it works, in thousandths, over the last second or so.
    busy: AtomicU32,
    /// Connections that it was given so lately that they don't show in `busy`.
    fresh: AtomicU32,
    /// Connections that it is to end behind their next answer, so that their clients come back to another worker.
    shed: AtomicU32,
    /// For how long it has worked so far, in microseconds.
    worked: AtomicU64,
    /// When it last showed that it is alive, in milliseconds since `since`.
    beat: AtomicU64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            connections: AtomicUsize::new(0),
            busy: AtomicU32::new(0),
            fresh: AtomicU32::new(0),
            shed: AtomicU32::new(0),
            worked: AtomicU64::new(0),
            beat: AtomicU64::new(0),
        }
    }
}

impl Load {
    /// Counts a connection until the guard is dropped.
    #[must_use]
    pub fn connection(self: &Arc<Self>) -> Counted {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(self))
    }

    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn busy(&self) -> u32 {
        self.busy.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn fresh(&self) -> u32 {
        self.fresh.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn worked_micros(&self) -> u64 {
        self.worked.load(Ordering::Relaxed)
    }

    pub(crate) fn set_busy(&self, busy: u32, worked_micros: u64) {
        self.busy.store(busy, Ordering::Relaxed);
        self.worked.store(worked_micros, Ordering::Relaxed);
    }

    pub(crate) fn add_fresh(&self) {
        self.fresh.fetch_add(1, Ordering::Relaxed);
    }

    /// They have been measured by now.
    pub(crate) fn forget_fresh(&self, count: u32) {
        self.fresh.fetch_sub(count.min(self.fresh()), Ordering::Relaxed);
    }

    pub(crate) fn ask_to_shed(&self, connections: u32) {
        self.shed.store(connections, Ordering::Relaxed);
    }

    /// Whether a connection is to end behind the answer to come. True for as many as are to be shed.
    pub(crate) fn sheds(&self) -> bool {
        // A look costs nothing, and there is almost never anything to shed.
        self.shed.load(Ordering::Relaxed) > 0
            && self
                .shed
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
    }

    pub(crate) fn show_alive(&self) {
        self.beat.store(self.age(), Ordering::Relaxed);
    }

    /// For how long it has not shown that it is alive.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        Duration::from_millis(self.age().saturating_sub(self.beat.load(Ordering::Relaxed)))
    }

    fn age(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A connection that counts, from the moment it is accepted.
#[derive(Debug)]
pub struct Counted(Arc<Load>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
