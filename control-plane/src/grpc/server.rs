//! Accepts nodes' connections and serves them, each up to its maximum age.
//!
//! A connection ends some time around the maximum age (a tenth more or less, so that nodes don't come back all at
//! once): it is told so (GOAWAY), its streams end a moment later, and the node opens a new one, maybe to another
//! replica. At shutdown all connections are told the same at once.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use proto::v1::{
    node_service_server::NodeServiceServer, refusal_service_server::RefusalServiceServer,
    snapshot_service_server::SnapshotServiceServer, usage_service_server::UsageServiceServer,
};
use rand::Rng as _;
use shared::{tasks::Tasks, tls::ReloadingTls, write_deadline::WriteDeadline};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tonic::service::Routes;
use tower::ServiceExt as _;

use super::{
    commands::Connected, node_service::Nodes, peer::Peer, refusal_service::RefusalReports,
    snapshot_service::Snapshots, usage_service::UsageReports,
};
use crate::{
    app::App,
    listen::{
        self, FIRST_REQUEST, WRITE_TIMEOUT, handshake,
        places::{Place, Places},
    },
    ops::confirming::Confirming,
    snapshot::publisher::Publisher,
};

/// A connection without traffic is asked whether it is alive after this, and given up after that.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that was told to end may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams of one connection; a node needs three.
const STREAMS_PER_CONNECTION: u32 = 64;
/// Bytes of one message of a watching node.
const REQUEST_BYTES: usize = 64 * 1024;
/// Bytes of one heartbeat, command result, batch of usage records or report of refusals.
const REPORT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of the pipe between the planes of one process.
const PIPE_BYTES: usize = 256 * 1024;
/// Connections of the same process that wait to be accepted.
const PIPE_BACKLOG: usize = 8;
/// Where nodes come in.
#[derive(Debug)]
pub enum Listener {
    /// `tls` absent: plaintext.
    Tcp { listener: TcpListener, tls: Option<Arc<ReloadingTls>> },
    /// From the same process.
    InProcess(mpsc::Receiver<DuplexStream>),
}

/// Opens connections to an in-process listener. Clones lead to the same listener.
#[derive(Debug, Clone)]
pub struct InProcess(mpsc::Sender<DuplexStream>);

impl InProcess {
    /// # Errors
    /// `ConnectionRefused`: the listener is gone.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        self.0.send(far).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }
}

impl Listener {
    #[must_use]
    pub fn in_process() -> (InProcess, Self) {
        let (sender, receiver) = mpsc::channel(PIPE_BACKLOG);
        (InProcess(sender), Self::InProcess(receiver))
    }
}

/// Whom connections are taken from, and for how long.
#[derive(Debug, Clone)]
pub struct Ways {
    pub places: Places,
    /// A certificate that names no node speaks for any.
    pub shared_certificates: bool,
    /// About so long a connection lasts.
    pub age: Duration,
}

/// What every connection is served with.
#[derive(Clone)]
struct Serving {
    routes: Routes,
    tasks: Tasks,
    ways: Ways,
}

/// The services of nodes, with the health service of gRPC beside them.
pub async fn routes(app: &App, publisher: &Publisher, connected: &Connected, tasks: &Tasks) -> Routes {
    let (reporter, health) = tonic_health::server::health_reporter();
    let (app, tasks) = (|| app.clone(), || tasks.clone());
    let snapshots = Snapshots { app: app(), tasks: tasks(), publisher: publisher.clone() };
    let nodes = Nodes {
        app: app(),
        tasks: tasks(),
        publisher: publisher.clone(),
        connected: connected.clone(),
        confirming: Confirming::default(),
    };
    let usage = UsageReports { app: app(), tasks: tasks() };
    let refusals = RefusalReports { app: app() };
    reporter.set_serving::<SnapshotServiceServer<Snapshots>>().await;
    reporter.set_serving::<NodeServiceServer<Nodes>>().await;
    reporter.set_serving::<UsageServiceServer<UsageReports>>().await;
    reporter.set_serving::<RefusalServiceServer<RefusalReports>>().await;
    Routes::new(health)
        .add_service(SnapshotServiceServer::new(snapshots).max_decoding_message_size(REQUEST_BYTES))
        .add_service(NodeServiceServer::new(nodes).max_decoding_message_size(REPORT_BYTES))
        .add_service(UsageServiceServer::new(usage).max_decoding_message_size(REPORT_BYTES))
        .add_service(RefusalServiceServer::new(refusals).max_decoding_message_size(REPORT_BYTES))
}

/// Accepts until shutdown.
pub async fn serve(listener: Listener, routes: Routes, tasks: Tasks, ways: Ways) {
    let serving = Serving { routes: routes.prepare(), tasks, ways };
    match listener {
        Listener::Tcp { listener, tls } => serve_tcp(listener, tls, serving).await,
        Listener::InProcess(pipes) => serve_pipes(pipes, serving).await,
    }
}

async fn serve_pipes(mut pipes: mpsc::Receiver<DuplexStream>, serving: Serving) {
    let stopping = serving.tasks.stopping();
    while let Some(Some(pipe)) = stopping.run_until_cancelled(pipes.recv()).await {
        let peer = Peer::any(None, jittered(serving.ways.age));
        serving.tasks.spawn(connection(pipe, peer, serving.clone(), None));
    }
}

async fn serve_tcp(listener: TcpListener, tls: Option<Arc<ReloadingTls>>, serving: Serving) {
    while let Some((stream, address, place)) =
        listen::accept(&listener, &serving.ways.places, "nodes", &serving.tasks).await
    {
        let (tls, of_connection) = (tls.clone(), serving.clone());
        serving.tasks.spawn(async move {
            match tls {
                None => {
                    let peer = Peer::any(Some(address), jittered(of_connection.ways.age));
                    let stream = WriteDeadline::new(stream, WRITE_TIMEOUT);
                    connection(stream, peer, of_connection, Some(place)).await;
                }
                Some(tls) => shake(&tls, stream, address, place, of_connection).await,
            }
        });
    }
}

async fn shake(
    tls: &ReloadingTls,
    stream: TcpStream,
    address: SocketAddr,
    mut place: Place,
    serving: Serving,
) {
    let stopping = serving.tasks.stopping();
    match stopping.run_until_cancelled(handshake::shake(tls, stream)).await {
        Some(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            // Without one there would have been no handshake.
            let Some(certificate) = certificate else { return };
            let (shared, age) = (serving.ways.shared_certificates, jittered(serving.ways.age));
            let peer = Peer::with_certificate(address, certificate, shared, age);
            place.proven();
            connection(stream, peer, serving, Some(place)).await;
        }
        Some(Err(error)) => tracing::warn!(%address, %error, "a node's TLS handshake failed"),
        None => {}
    }
}

/// `age`, a tenth more or less.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(rand::rng().random_range(0.9..=1.1))
}

/// `place`: `None` for one that could not be a stranger's.
async fn connection<I>(io: I, peer: Peer, serving: Serving, place: Option<Place>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let executor = TaskExecutor(serving.tasks.clone());
    let mut builder = auto::Builder::new(executor).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(STREAMS_PER_CONNECTION);
    let (stopping, expires) = (serving.tasks.stopping(), peer.expires());
    let routes = serving.routes.into_axum_router();
    let place = Arc::new(Mutex::new(place));
    let asked = Arc::new(AtomicBool::new(false));
    let (of_service, is_asked) = (Arc::clone(&place), Arc::clone(&asked));
    let service = tower::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        if !is_asked.swap(true, Ordering::Relaxed)
            && let Some(place) = &mut *of_service.lock()
        {
            place.proven();
        }
        request.extensions_mut().insert(peer.clone());
        // A router is always ready; what it answers is never an error.
        routes.clone().oneshot(request)
    });
    let served = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
    let mut served = std::pin::pin!(served);
    tokio::select! {
        ended = served.as_mut() => return log_end(ended),
        () = stopping.cancelled() => {}
        () = tokio::time::sleep_until(expires) => {}
        () = silent(&asked) => return tracing::debug!("a connection without a request is closed"),
    }
    served.as_mut().graceful_shutdown();
    match tokio::time::timeout(CLOSE_TIMEOUT, served).await {
        Ok(ended) => log_end(ended),
        Err(_) => tracing::debug!("a node's connection did not end by itself"),
    }
}

/// Resolves where no request came in time.
async fn silent(asked: &AtomicBool) {
    tokio::time::sleep(FIRST_REQUEST).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

fn log_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a node's connection broke");
    }
}

/// Lets hyper's tasks be joined at shutdown like all others.
#[derive(Debug, Clone)]
pub struct TaskExecutor(pub Tasks);

impl<F> hyper::rt::Executor<F> for TaskExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
