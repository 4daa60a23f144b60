//! The listener of REST, health and metrics.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use shared::tasks::Tasks;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::ServiceExt as _;

use crate::grpc::server::TaskExecutor;

/// Connections at the same time; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// How long a client may take to send a request's head, also the next one on the same connection: longer than load
/// balancers keep an idle connection (60 seconds, mostly), which would otherwise use one that is just being closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// After a failed accept (no file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until shutdown; requests that run then are finished.
pub(super) async fn serve(listener: TcpListener, router: Router, tasks: Tasks) {
    let stopping = tasks.stopping();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = stopping.run_until_cancelled(async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        });
        match accepted.await {
            None | Some(None) => return,
            Some(Some((place, Ok((stream, address))))) => {
                let (router, of_connection) = (router.clone(), tasks.clone());
                tasks.spawn(async move {
                    connection(stream, address, router, of_connection).await;
                    drop(place);
                });
            }
            Some(Some((_, Err(error)))) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, address: SocketAddr, router: Router, tasks: Tasks) {
    // Without it small messages wait for the peer's acknowledgement; a socket that refuses is only slower.
    _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(TaskExecutor(tasks.clone()));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_TIMEOUT);
    let service = tower::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        router.clone().oneshot(request)
    });
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = tasks.stopping().cancelled_owned() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "a connection broke");
    }
}
