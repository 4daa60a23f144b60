//! What a worker does: serves the connections that it is handed, and ends them in good order.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::task::TaskTracker;

use super::{
    acceptor::Accepted,
    connection,
    cors::Cors,
    tls::{ClientTls, Handshakes},
};
use crate::proxy::Proxy;

/// What legal endings have to be written out, and records to be closed.
pub(crate) const CLOSING_TIME: Duration = Duration::from_secs(5);
/// How often a worker shows that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// What the acceptor hands over.
pub type Handed = mpsc::UnboundedReceiver<Accepted>;

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

/// Where one worker's connections are served.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) proxy: Arc<Proxy>,
    pub(super) settings: ServerSettings,
    pub(super) handshakes: Handshakes,
}

impl Server {
    pub(super) fn new(proxy: Arc<Proxy>, settings: ServerSettings) -> Arc<Self> {
        Arc::new(Self { proxy, settings, handshakes: Handshakes::default() })
    }
}

/// Serves until nobody hands over connections any more. What runs then may end by itself for `grace`, and is ended in its
/// client's wire after that. Returns once all connections are closed and all requests metered, or could not be.
pub async fn serve(proxy: Arc<Proxy>, settings: ServerSettings, handed: Handed, grace: Duration) {
    let server = Server::new(Arc::clone(&proxy), settings);
    tokio::select! {
        () = run(&server, handed, grace) => {}
        () = show_alive(&proxy) => {}
        () = sweep(&proxy) => {}
        () = take_departed(&proxy) => {}
    }
    for left in proxy.departed.close() {
        left.end();
    }
    proxy.upstream.close();
}

async fn run(server: &Arc<Server>, mut handed: Handed, grace: Duration) {
    let (proxy, connections) = (&server.proxy, TaskTracker::new());
    while let Some(Accepted { stream, counted, spare }) = handed.recv().await {
        match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => {
                let serving =
                    connections.track_future(connection::serve(Arc::clone(server), stream, counted, spare));
                proxy.tasks.spawn(serving);
            }
            Err(error) => tracing::warn!(%error, "a connection can't be served"),
        }
    }
    proxy.lifecycle.stop();
    if all_end(&connections, proxy, grace).await {
        return;
    }
    tracing::warn!(open = connections.len(), "the grace for running requests is over");
    // For all workers, whose grace began with this one's.
    proxy.lifecycle.close();
    if !all_end(&connections, proxy, CLOSING_TIME).await {
        tracing::warn!(open = connections.len(), "some clients do not take the end of their streams");
    }
}

/// Connections, then the requests that their clients left behind. False: not within `time`.
async fn all_end(connections: &TaskTracker, proxy: &Proxy, time: Duration) -> bool {
    let ending = async {
        connections.close();
        connections.wait().await;
        proxy.departed.ended().await;
    };
    tokio::time::timeout(time, ending).await.is_ok()
}

/// Never returns.
async fn take_departed(proxy: &Proxy) {
    loop {
        let left = proxy.departed.next().await;
        // Made here, so that it ends in order also where its task never has a turn.
        let draining = left.what.read_on();
        proxy.tasks.spawn(async move {
            draining.await;
            drop(left.counted);
        });
    }
}

/// Never returns.
async fn show_alive(proxy: &Proxy) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        proxy.load.show_alive();
    }
}

/// Never returns.
async fn sweep(proxy: &Proxy) {
    loop {
        tokio::time::sleep(proxy.upstream.sweep_every()).await;
        tokio::task::coop::unconstrained(async { proxy.upstream.sweep() }).await;
    }
}
