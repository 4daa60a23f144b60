//! What a worker does: serves the connections that it is handed, and ends them in good order.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::task::TaskTracker;

use super::{acceptor::Accepted, connection, proxy::Proxy};
use crate::pipeline;

/// What legal endings have to be written out, and records to be closed.
pub(crate) const CLOSING_TIME: Duration = Duration::from_secs(5);
/// How often a worker shows that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// What the acceptor hands over.
pub type Handed = mpsc::UnboundedReceiver<Accepted>;

/// Serves until nobody hands over connections any more. What runs then may end by itself for `grace`, and is ended in its
/// client's wire after that. Returns once all connections are closed and all requests metered, or could not be.
pub async fn serve(proxy: Arc<Proxy>, handed: Handed, grace: Duration) {
    tokio::select! {
        () = run(&proxy, handed, grace) => {}
        () = show_alive(&proxy) => {}
        () = sweep(&proxy) => {}
        () = take_departed(&proxy) => {}
    }
    for flight in proxy.departed.close() {
        pipeline::end_departed(flight);
    }
    proxy.upstream.close();
}

async fn run(proxy: &Arc<Proxy>, mut handed: Handed, grace: Duration) {
    let connections = TaskTracker::new();
    while let Some(Accepted { stream, counted, spare }) = handed.recv().await {
        match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => {
                let serving =
                    connections.track_future(connection::serve(Arc::clone(proxy), stream, counted, spare));
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
        let draining = pipeline::drain(left.what);
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
