//! What one worker counts. Nobody else writes to it, so that no two cores wait for one another's memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use shared::wire::Wire;

use super::load::Load;
use super::{Ending, timings::Timings};

/// Of one worker, at addresses of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    requests: [[AtomicU64; Ending::ALL.len()]; Wire::ALL.len()],
    pub(super) first_token: Timings,
    pub(super) total: Timings,
    open_streams: AtomicI64,
    in_flight: AtomicI64,
    pub(super) load: Arc<Load>,
}

impl Counters {
    pub(super) fn of(load: Arc<Load>) -> Self {
        Self { load, ..Self::default() }
    }

    pub(super) fn ended(&self, wire: Wire, ending: Ending) {
        self.requests[wire as usize][ending as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn requests(&self, wire: Wire, ending: Ending) -> u64 {
        self.requests[wire as usize][ending as usize].load(Ordering::Relaxed)
    }

    pub(super) fn took(&self, first_token: Option<Duration>, total: Duration) {
        if let Some(first_token) = first_token {
            self.first_token.observe(first_token);
        }
        self.total.observe(total);
    }

    pub(super) fn streams(&self) -> i64 {
        self.open_streams.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// Something that runs; dropping it counts it off.
#[derive(Debug)]
pub struct Running {
    counters: Arc<Counters>,
    what: fn(&Counters) -> &AtomicI64,
}

impl Running {
    pub(super) fn stream(counters: &Arc<Counters>) -> Self {
        Self::new(counters, |counters| &counters.open_streams)
    }

    pub(super) fn request(counters: &Arc<Counters>) -> Self {
        Self::new(counters, |counters| &counters.in_flight)
    }

    fn new(counters: &Arc<Counters>, what: fn(&Counters) -> &AtomicI64) -> Self {
        what(counters).fetch_add(1, Ordering::Relaxed);
        Self { counters: Arc::clone(counters), what }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        (self.what)(&self.counters).fetch_sub(1, Ordering::Relaxed);
    }
}
