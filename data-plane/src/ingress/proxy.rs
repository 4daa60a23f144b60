//! What every request needs.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use proto::v1::NodeStatistics;
use shared::{
    account::AccountType,
    clock::{Clock, Millis},
    tasks::Tasks,
    wire::Wire,
};
use tokio::sync::Semaphore;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};

use crate::{
    control::StatusWrites,
    live::Live,
    metrics::Metrics,
    pipeline::MAX_DRAINS,
    provider::{self, OutboundSettings, Tester, UpstreamClient, upstream::OutboundError},
    snapshot::SnapshotHandle,
    usage::Journal,
};

/// What a [`Proxy`] is made of.
#[derive(Debug)]
pub struct ProxyParts {
    pub snapshot: SnapshotHandle,
    pub live: Arc<Live>,
    pub journal: Journal,
    pub status_writes: StatusWrites,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    pub tasks: Tasks,
    pub outbound: OutboundSettings,
}

/// What every request needs; one for a node.
#[derive(Debug)]
pub struct Proxy {
    pub(crate) snapshot: SnapshotHandle,
    pub(crate) live: Arc<Live>,
    pub(crate) journal: Journal,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) upstream: Arc<UpstreamClient>,
    pub(crate) tester: Tester,
    /// Permits to read on after a client that left.
    pub(crate) drains: Arc<Semaphore>,
    /// The requests whose clients left.
    pub(crate) departed: TaskTracker,
    pub(super) lifecycle: Lifecycle,
    started_at: Millis,
}

impl Proxy {
    /// Call from within a runtime.
    ///
    /// # Errors
    /// The HTTP client can't be set up.
    pub fn new(parts: ProxyParts) -> Result<Arc<Self>, OutboundError> {
        let ProxyParts { snapshot, live, journal, status_writes, metrics, clock, tasks, outbound } = parts;
        let upstream = Arc::new(UpstreamClient::new(&outbound)?);
        let tester =
            Tester::new(Arc::clone(&upstream), snapshot.clone(), status_writes, clock.clone(), tasks.clone());
        Ok(Arc::new(Self {
            started_at: clock.now(),
            drains: Arc::new(Semaphore::new(MAX_DRAINS)),
            departed: TaskTracker::new(),
            lifecycle: Lifecycle::default(),
            snapshot,
            live,
            journal,
            metrics,
            clock,
            tasks,
            upstream,
            tester,
        }))
    }

    #[must_use]
    pub fn tester(&self) -> Tester {
        self.tester.clone()
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

    #[must_use]
    pub fn served_wires(&self) -> Vec<Wire> {
        provider::served_wires()
    }

    #[must_use]
    pub fn served_types(&self) -> Vec<AccountType> {
        provider::served_types()
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
        self.lifecycle.closing.clone().cancelled_owned()
    }
}

/// How far the node's shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// No new requests; those that run may end by themselves.
    Stopping,
    /// The grace is over: streams end now.
    Closing,
}

/// The phase as an atomic, so that looking at it costs nothing; and a bell for each change, so that connections
/// which wait for something else look at all.
#[derive(Debug, Default)]
pub(super) struct Lifecycle {
    phase: AtomicU8,
    stopping: CancellationToken,
    closing: CancellationToken,
}

impl Lifecycle {
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Stopping,
            _ => Phase::Closing,
        }
    }

    pub(super) fn stop(&self) {
        self.phase.fetch_max(1, Ordering::AcqRel);
        self.stopping.cancel();
    }

    pub(super) fn close(&self) {
        self.stop();
        self.phase.fetch_max(2, Ordering::AcqRel);
        self.closing.cancel();
    }

    pub(super) fn bells(&self) -> (CancellationToken, CancellationToken) {
        (self.stopping.clone(), self.closing.clone())
    }
}
