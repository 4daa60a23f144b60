//! What every request needs, one for each worker. Beside it: the node's [`lifecycle`], and what clients leave behind
//! ([`departed`]).

mod departed;
mod lifecycle;

pub(crate) use departed::{Departed, LeftBehind};
pub use lifecycle::{Lifecycle, Phase};

use std::sync::Arc;

use proto::v1::NodeStatistics;
use shared::{
    clock::{Clock, Millis},
    tasks::Tasks,
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{
    budget::Budget,
    compute::Compute,
    live::Live,
    metrics::{Load, Metrics, WorkerMetrics},
    refusals::Refusals,
    snapshot::SnapshotHandle,
    tester::Tester,
    upstream::UpstreamClient,
    usage::Journal,
};

/// Upstreams that are read on at the same time; beyond, they are closed.
pub(crate) const MAX_DRAINS: usize = 1024;

/// What all workers of a node share. Clones are the same.
#[derive(Debug, Clone)]
pub struct Common {
    pub snapshot: SnapshotHandle,
    pub live: Arc<Live>,
    /// Of who is no worker.
    pub journal: Journal,
    pub tester: Tester,
    pub metrics: Arc<Metrics>,
    pub compute: Compute,
    /// Of requests' bodies.
    pub requests: Arc<Budget>,
    /// Of answers that are read whole.
    pub answers: Arc<Budget>,
    pub refusals: Refusals,
    pub clock: Clock,
    pub lifecycle: Arc<Lifecycle>,
    /// Permits to read on after a client that left.
    pub drains: Arc<Semaphore>,
    pub started_at: Millis,
}

impl Common {
    /// With as many permits as a node has.
    #[must_use]
    pub fn permits() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(MAX_DRAINS))
    }

    /// For the heartbeat.
    #[must_use]
    pub fn statistics(&self) -> NodeStatistics {
        let (requests, errors) = self.metrics.requests_and_errors();
        let backend = match &*self.live {
            Live::Memory(_) => "memory",
            Live::Redis(_) => "redis",
        };
        NodeStatistics {
            open_streams: self.metrics.streams(),
            in_flight: self.metrics.in_flight(),
            requests,
            errors,
            started_at_ms: self.started_at.0,
            live_backend: backend.to_owned(),
            live_degraded: self.live.degraded(),
        }
    }
}

/// What every request needs; one for each worker.
#[derive(Debug)]
pub struct Proxy {
    pub(crate) snapshot: SnapshotHandle,
    /// See [`SnapshotHandle::bell`].
    pub(crate) bell: Arc<Notify>,
    pub(crate) live: Arc<Live>,
    pub(crate) journal: Journal,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) load: Arc<Load>,
    pub(crate) compute: Compute,
    pub(crate) requests: Arc<Budget>,
    pub(crate) answers: Arc<Budget>,
    pub(crate) refusals: Refusals,
    pub(crate) clock: Clock,
    /// Of this worker's runtime.
    pub(crate) tasks: Tasks,
    pub(crate) upstream: Arc<UpstreamClient>,
    pub(crate) tester: Tester,
    pub(crate) drains: Arc<Semaphore>,
    /// The requests whose clients left.
    pub(crate) departed: Departed<Box<dyn LeftBehind>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

impl Proxy {
    /// For one worker, whose runtime this is called in. None: there is no worker of this number.
    #[must_use]
    pub fn new(common: Common, number: usize, upstream: UpstreamClient, tasks: Tasks) -> Option<Arc<Self>> {
        let Common {
            snapshot,
            live,
            journal,
            tester,
            metrics,
            compute,
            requests,
            answers,
            refusals,
            clock,
            lifecycle,
            drains,
            ..
        } = common;
        let metrics = WorkerMetrics::of(&metrics, number)?;
        Some(Arc::new(Self {
            load: Arc::clone(metrics.load()),
            departed: Departed::default(),
            upstream: Arc::new(upstream),
            bell: snapshot.bell(),
            snapshot,
            live,
            journal: journal.of_worker(number),
            metrics,
            clock,
            tasks,
            tester,
            compute,
            requests,
            answers,
            refusals,
            drains,
            lifecycle,
        }))
    }

    /// Whether new requests are welcome: there is a configuration, records can be written, no shutdown has begun.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.snapshot.has_config() && self.journal.healthy() && self.lifecycle.phase() == Phase::Serving
    }

    /// Whether what still runs has to end now. Clients' connections are woken to look at this.
    pub(crate) fn closing(&self) -> bool {
        self.lifecycle.phase() == Phase::Closing
    }

    /// Resolves once [`Self::closing`] is true; for those that no connection wakes.
    pub(crate) fn closed(&self) -> WaitForCancellationFutureOwned {
        self.lifecycle.closed()
    }
}
