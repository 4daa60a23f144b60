//! What every request needs.

use std::{sync::Arc, time::Duration};

use proto::v1::NodeStatistics;
use shared::{
    clock::{Clock, Millis},
    tasks::Tasks,
};
use tokio::sync::Semaphore;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    cors::Cors,
    departed::Departed,
    lifecycle::{Lifecycle, Phase},
    load::Load,
    tls::{ClientTls, Handshakes},
};
use crate::{
    budget::Budget,
    compute::Compute,
    live::Live,
    metrics::{Metrics, WorkerMetrics},
    pipeline::{Flight, MAX_DRAINS},
    provider::Tester,
    snapshot::SnapshotHandle,
    upstream::UpstreamClient,
    usage::Journal,
};

/// What all workers of a node share. Clones are the same.
#[derive(Debug, Clone)]
pub struct Common {
    pub snapshot: SnapshotHandle,
    pub live: Arc<Live>,
    pub journal: Journal,
    pub tester: Tester,
    pub metrics: Arc<Metrics>,
    pub compute: Compute,
    /// Of requests' bodies.
    pub requests: Arc<Budget>,
    /// Of answers that are read whole.
    pub answers: Arc<Budget>,
    pub clock: Clock,
    pub lifecycle: Arc<Lifecycle>,
    /// Permits to read on after a client that left.
    pub drains: Arc<Semaphore>,
    pub started_at: Millis,
    pub settings: ServerSettings,
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
    pub(crate) live: Arc<Live>,
    pub(crate) journal: Journal,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) load: Arc<Load>,
    pub(crate) compute: Compute,
    pub(crate) requests: Arc<Budget>,
    pub(crate) answers: Arc<Budget>,
    pub(crate) clock: Clock,
    /// Of this worker's runtime.
    pub(crate) tasks: Tasks,
    pub(crate) upstream: Arc<UpstreamClient>,
    pub(crate) tester: Tester,
    pub(crate) drains: Arc<Semaphore>,
    /// The requests whose clients left.
    pub(crate) departed: Departed<Box<Flight>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(super) settings: ServerSettings,
    pub(super) handshakes: Handshakes,
}

/// How clients' connections are kept.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// A connection ends behind the answer that is the first after so long, so that load may move to another worker.
    pub max_connection_age: Duration,
    /// `None`: clients come without TLS.
    pub tls: Option<ClientTls>,
    /// `None`: pages of other origins are not served.
    pub cors: Option<Arc<Cors>>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self { max_connection_age: Duration::from_secs(600), tls: None, cors: None }
    }
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
            clock,
            lifecycle,
            drains,
            settings,
            ..
        } = common;
        let metrics = WorkerMetrics::of(&metrics, number)?;
        Some(Arc::new(Self {
            load: Arc::clone(metrics.load()),
            departed: Departed::default(),
            upstream: Arc::new(upstream),
            snapshot,
            live,
            journal,
            metrics,
            clock,
            tasks,
            tester,
            compute,
            requests,
            answers,
            drains,
            lifecycle,
            settings,
            handshakes: Handshakes::default(),
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
