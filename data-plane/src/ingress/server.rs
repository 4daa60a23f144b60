//! Accepts connections, and ends them in good order.

use std::{sync::Arc, time::Duration};

use shared::tasks::Tasks;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::{connection, proxy::Proxy};

/// What legal endings have to be written out, and records to be closed.
const CLOSING_TIME: Duration = Duration::from_secs(5);
/// After a failure to accept (no file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `tasks` are stopped. Then nothing new is taken; what runs may end by itself for `grace`, and is ended
/// in its client's wire after that. Returns once all connections are closed and all requests metered, or could not be.
pub async fn serve(proxy: Arc<Proxy>, listener: TcpListener, tasks: Tasks, grace: Duration) {
    let connections = TaskTracker::new();
    accept(&proxy, listener, &tasks, &connections).await;
    proxy.lifecycle.stop();
    tracing::info!(open = connections.len(), "no new requests are taken");
    if !all_end(&connections, &proxy.departed, grace).await {
        tracing::warn!(open = connections.len(), "the grace for running requests is over");
    }
    proxy.lifecycle.close();
    if !all_end(&connections, &proxy.departed, CLOSING_TIME).await {
        tracing::warn!(open = connections.len(), "some clients do not take the end of their streams");
    }
    proxy.upstream.close(CLOSING_TIME).await;
}

/// Connections, then the requests that their clients left behind. False: not within `time`.
async fn all_end(connections: &TaskTracker, departed: &TaskTracker, time: Duration) -> bool {
    let ending = async {
        connections.close();
        connections.wait().await;
        departed.close();
        departed.wait().await;
    };
    tokio::time::timeout(time, ending).await.is_ok()
}

async fn accept(proxy: &Arc<Proxy>, listener: TcpListener, tasks: &Tasks, connections: &TaskTracker) {
    let stopping = tasks.stopping();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let serving = connections.track_future(connection::serve(Arc::clone(proxy), stream));
                tasks.spawn(serving);
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
