//! Takes connections and serves them until told to stop.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{registry::Registry, service};

/// How long to wait after the system refused a connection, for want of descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
const BACKLOG: u32 = 8192;

#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    stop: DropGuard,
    tasks: TaskTracker,
}

impl Server {
    /// With an acceptor it serves TLS.
    pub(crate) async fn start(
        listen: SocketAddr,
        registry: Arc<Registry>,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Self> {
        let listener = bind(listen)?;
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, registry, tls, stop.clone(), tasks.clone()));
        Ok(Self { addr, stop: stop.drop_guard(), tasks })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        if listen.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

async fn accept(
    listener: TcpListener,
    registry: Arc<Registry>,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((connection, _)) => {
                tasks.spawn(serve(connection, Arc::clone(&registry), tls.clone(), stop.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// A connection ends by itself, by a script, or because the server stops; none of these is an error here.
async fn serve(
    connection: TcpStream,
    registry: Arc<Registry>,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    if connection.set_nodelay(true).is_err() {
        return;
    }
    let served = async {
        match tls {
            None => exchange(connection, registry).await,
            Some(tls) => {
                if let Ok(connection) = tls.accept(connection).await {
                    exchange(connection, registry).await;
                }
            }
        }
    };
    tokio::select! {
        () = served => {}
        () = stop.cancelled() => {}
    }
}

/// Request after request.
async fn exchange(connection: impl AsyncRead + AsyncWrite + Unpin, registry: Arc<Registry>) {
    let service = service_fn(move |request| service::handle(Arc::clone(&registry), request));
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(connection), service);
    let _ = connection.await;
}
