//! Puts a node together, and takes it apart in order.

mod gauges;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use proto::v1::{AccountType, NodeStatistics, TestAccountResult, Wire};
use shared::{clock::Clock, id::IncarnationId, tasks::Tasks, tls::TlsError};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    budget::Budget,
    compute::Compute,
    contract::{type_message, wire_message},
    control::{Link, LinkState, Serving, StatusWrites},
    ingress::{self, Listening, ReloadFailures, ServerSettings},
    live::{Live, RedisError, RedisSettings},
    metrics::Load,
    metrics::Metrics,
    provider,
    proxy::{Common, Lifecycle},
    refusals::Refusals,
    settings::NodeSettings,
    snapshot::{Account, Configuration, ConfigurationParts, SealKey},
    tester::Tester,
    transport::ControlPlane,
    upstream::{OutboundError, OutboundSettings, UpstreamClient},
    usage::{FolderLock, Journal, Run, SpoolError, reporter},
    worker::{WorkerError, Workers},
};

/// What runs beside requests has this long to end.
const ENDING_TIME: Duration = Duration::from_secs(10);

/// What a node is made of.
#[derive(Debug)]
pub struct NodeParts {
    pub node_id: String,
    /// Where its records and the configuration's copy are kept.
    pub folder: FolderLock,
    /// Where clients come in.
    pub listener: TcpListener,
    pub control_plane: ControlPlane,
    /// `None`: the node is alone, and its live state in memory.
    pub redis: Option<RedisSettings>,
    /// `None`: no copy of the configuration is kept on disk.
    pub seal_key: Option<SealKey>,
    pub settings: NodeSettings,
    pub clock: Clock,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the usage records' folder can't be used: {0}")]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("TLS towards clients can't be set up: {0}")]
    ListenTls(TlsError),
    #[error("the authorities of --upstream-ca can't be used: {0}")]
    UpstreamCa(TlsError),
    #[error("the HTTP client for upstreams can't be set up: {0}")]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("the listener has no address: {0}")]
    Listener(#[from] std::io::Error),
    #[error("reading the data folder failed: {0}")]
    Failed(#[from] tokio::task::JoinError),
}

/// A node that serves. Dropping it stops nothing; see [`Self::shutdown`].
#[derive(Debug)]
pub struct Running {
    /// Where clients are served.
    pub address: SocketAddr,
    link: Link,
    settings: NodeSettings,
    lifecycle: Arc<Lifecycle>,
    workers: Workers,
    /// Of the listener.
    listening: Tasks,
    /// Of everything that is no request; it outlives them.
    beside: Tasks,
}

/// Reads the files that the settings name, so that what is wrong with them can be told before anything starts.
///
/// # Errors
/// One of them can't be used.
pub fn check(settings: &NodeSettings) -> Result<(), StartError> {
    settings.server().map_err(StartError::ListenTls)?;
    settings.outbound().map_err(StartError::UpstreamCa)?;
    Ok(())
}

/// Starts a node. It serves at once from its local copy where there is one, and else once the control plane has told
/// it what is configured. Call from within a runtime.
///
/// # Errors
/// See [`StartError`]. A control plane or a Redis that is away is no error.
pub async fn start(parts: NodeParts) -> Result<Running, StartError> {
    let address = parts.listener.local_addr()?;
    let server = parts.settings.server().map_err(StartError::ListenTls)?;
    let outbound = parts.settings.outbound().map_err(StartError::UpstreamCa)?;
    let beside = Tasks::new();
    let clock = parts.clock;
    let live = Arc::new(match &parts.redis {
        None => Live::memory(clock.clone()),
        Some(redis) => Live::redis(redis, clock.clone(), &beside)?,
    });
    let folder = Folder { lock: parts.folder, node_id: parts.node_id.clone(), seal_key: parts.seal_key };
    let incarnation = IncarnationId::new(clock.now());
    let opened = folder.open(&parts.settings, incarnation, Arc::clone(&live), &clock, &beside);
    let (journal, configuration) = opened.await?;
    let status_writes = StatusWrites::default();
    let refusals = Refusals::new(parts.settings.kept_refusals.into(), incarnation);
    let upstream = UpstreamClient::new(outbound.clone())?;
    let surroundings = (clock.clone(), beside.clone(), journal.clone());
    let tester = tester(outbound, &configuration, status_writes.clone(), surroundings)?;
    let common = Common {
        snapshot: configuration.handle(),
        live: Arc::clone(&live),
        journal: journal.clone(),
        tester,
        metrics: Arc::new(Metrics::new((0..parts.settings.workers()).map(|_| Arc::new(Load::default())))),
        compute: Compute::start(Compute::threads(parts.settings.workers())).map_err(WorkerError::from)?.0,
        requests: Budget::of(parts.settings.request_memory),
        answers: Budget::of(parts.settings.answer_memory),
        refusals: refusals.clone(),
        clock: clock.clone(),
        lifecycle: Arc::new(Lifecycle::default()),
        drains: Common::permits(),
        started_at: clock.now(),
    };
    let link = Link {
        control_plane: parts.control_plane,
        node_id: parts.node_id,
        configuration,
        live,
        journal,
        refusals,
        status_writes,
        serving: Arc::new(Clients(common.clone())),
        state: Arc::new(LinkState::new()),
        clock,
        tasks: beside.clone(),
    };
    common.metrics.register(Box::new(gauges::Gauges::new(&link, &common)));
    watch_certificates(&common, &server, &beside);
    link.start();
    reporter::start(&link.control_plane, &link.journal, &link.tasks);
    let (workers, listening) = listen(&common, &upstream, parts.listener, &server, &parts.settings)?;
    let tls = server.tls.is_some();
    tracing::info!(whom = "clients", %address, tls, node = link.node_id, workers = workers.count(), "listening");
    let lifecycle = common.lifecycle;
    Ok(Running { address, link, settings: parts.settings, lifecycle, workers, listening, beside })
}

/// Starts the workers and what hands them connections.
fn listen(
    common: &Common,
    upstream: &UpstreamClient,
    listener: TcpListener,
    server: &ServerSettings,
    settings: &NodeSettings,
) -> Result<(Workers, Tasks), WorkerError> {
    let (workers, hands) = Workers::start(common, server, upstream, settings.grace())?;
    let listening = Tasks::new();
    listening.spawn(workers.measure(listening.stopping()));
    let most = usize::try_from(settings.max_connections).unwrap_or(usize::MAX);
    let from = Listening { listener, tls: server.tls.is_some() };
    listening.spawn(ingress::accept(from, hands, most, listening.stopping()));
    Ok((workers, listening))
}

/// The count is there without TLS too, so that nobody looks for it in vain.
fn watch_certificates(common: &Common, server: &ServerSettings, tasks: &Tasks) {
    let failures = ReloadFailures::default();
    common.metrics.register(Box::new(failures.clone()));
    if let Some(tls) = &server.tls {
        tls.watch(tasks, &failures);
    }
}

/// Account tests are no requests of clients, and keep no connections.
fn tester(
    outbound: OutboundSettings,
    configuration: &Configuration,
    status_writes: StatusWrites,
    (clock, tasks, journal): (Clock, Tasks, Journal),
) -> Result<Tester, OutboundError> {
    let outbound = OutboundSettings { pool_max_idle: 0, ..outbound };
    let upstream = Arc::new(UpstreamClient::new(outbound)?);
    Ok(Tester::new(upstream, configuration.handle(), status_writes, clock, tasks, journal))
}

/// What needs the node's folder.
struct Folder {
    lock: FolderLock,
    node_id: String,
    seal_key: Option<SealKey>,
}

impl Folder {
    async fn open(
        self,
        settings: &NodeSettings,
        incarnation: IncarnationId,
        live: Arc<Live>,
        clock: &Clock,
        tasks: &Tasks,
    ) -> Result<(Journal, Configuration), StartError> {
        let (spool, policy, workers) = (settings.spool(), settings.policy(), settings.workers());
        let (clock, beside) = (clock.clone(), tasks.clone());
        let opened = tasks.spawn_blocking(move || {
            let run = Run { node_id: &self.node_id, incarnation, workers };
            let journal = Journal::create(self.lock.clone(), run, spool, &clock, &beside)?;
            let parts = ConfigurationParts {
                folder: self.lock.data_dir(),
                seal_key: self.seal_key,
                live,
                policy,
                clock: clock.clone(),
            };
            Ok((journal, Configuration::restore(parts)))
        });
        opened.await?
    }
}

impl Running {
    /// Readiness goes off and no new request is taken; running ones end by themselves within the grace, and are ended
    /// after it; the last usage records are delivered, or stay on disk; the configuration's copy is written.
    /// False: something did not end in time.
    pub async fn shutdown(self) -> bool {
        self.link.state.leave();
        // Readiness goes off ahead of the listener.
        self.lifecycle.stop();
        let accepted = self.listening.shutdown(ENDING_TIME).await;
        let served = self.workers.ended().await;
        let (journal, now) = (self.link.journal.clone(), self.link.clock.now());
        let ending = self.beside.spawn_blocking(move || journal.end(now));
        let synced = timeout(ENDING_TIME, ending).await.is_ok_and(|synced| synced.unwrap_or(false));
        // Where the disk hangs, so does who asks how much is on it.
        let (journal, refusals) = (&self.link.journal, &self.link.refusals);
        let grace = self.settings.report_grace;
        let records = async { synced && timeout(grace, journal.delivered()).await.is_ok() };
        let (delivered, told) = tokio::join!(records, timeout(grace, refusals.delivered()));
        if !delivered {
            tracing::warn!("usage records stay on disk until this node starts again or is drained");
        }
        if told.is_err() {
            let lost = refusals.waiting();
            tracing::warn!(lost, "refused requests could not be reported, and are nowhere counted");
        }
        let written = timeout(ENDING_TIME, self.link.configuration.write_copy(&self.beside)).await;
        if written.is_err() {
            tracing::warn!("the copy of the configuration could not be written in time");
        }
        let ended = self.beside.shutdown(ENDING_TIME).await;
        accepted && served && synced && ended
    }
}

/// The workers as the control plane's loops see them.
struct Clients(Common);

impl Serving for Clients {
    fn statistics(&self) -> NodeStatistics {
        self.0.statistics()
    }

    fn wires(&self) -> Vec<Wire> {
        provider::served_wires().into_iter().map(wire_message).collect()
    }

    fn account_types(&self) -> Vec<AccountType> {
        provider::served_types().into_iter().map(type_message).collect()
    }

    fn test(&self, account: Arc<Account>, model: Option<String>) -> BoxFuture<'static, TestAccountResult> {
        let tester = self.0.tester.clone();
        Box::pin(async move { tester.test(&account, model.as_deref()).await })
    }
}

#[cfg(test)]
mod tests;
