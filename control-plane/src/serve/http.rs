//! The listener of REST, pages, health and metrics.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, header};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use ipnet::IpNet;
use shared::{
    tasks::Tasks,
    tls::{ReloadingTls, TlsError, TlsFiles},
    write_deadline::WriteDeadline,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tower::ServiceExt as _;

use crate::{
    grpc::server::TaskExecutor,
    listen::{self, CLOSING, FIRST_REQUEST, WRITE_TIMEOUT, handshake, places::Places},
    rest::{
        extract::{OverTls, Stopping},
        forwarded,
    },
    settings::AdminListener,
};

/// How long a client may take to send a request's head, also the next one on the same connection: longer than load
/// balancers keep an idle connection (60 seconds, mostly), which would otherwise use one that is just being closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Bytes and headers of a request's head; with more it is answered 431.
const HEAD_BYTES: usize = 64 << 10;
const HEADERS: usize = 100;
/// Of one connection at the same time.
const STREAMS: u32 = 64;
/// For as long a browser that came over TLS comes over TLS only.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// What is offered in the handshake, the best first.
const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// The certificate of the settings, if they name one.
///
/// # Errors
/// The files can't be used.
pub(super) fn tls(settings: &AdminListener) -> Result<Option<ReloadingTls>, TlsError> {
    let (Some(certificate), Some(key)) = (&settings.admin_tls_cert, &settings.admin_tls_key) else {
        return Ok(None);
    };
    let files = TlsFiles { certificate: certificate.clone(), key: key.clone(), client_ca: None };
    ReloadingTls::load(files, PROTOCOLS).map(Some)
}

/// What connections are served with.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) router: Router,
    pub(super) tls: Option<Arc<ReloadingTls>>,
    pub(super) places: Places,
    /// Of the connections; at shutdown requests that run are finished.
    pub(super) tasks: Tasks,
}

/// Accepts until shutdown.
pub(super) async fn serve(listener: TcpListener, serving: Serving) {
    while let Some((stream, address, place)) =
        listen::accept(&listener, &serving.places, "admin", &serving.tasks).await
    {
        let of_connection = serving.clone();
        serving.tasks.spawn(async move {
            of_connection.connection(stream, address).await;
            drop(place);
        });
    }
}

impl Serving {
    async fn connection(self, stream: TcpStream, address: SocketAddr) {
        let Some(tls) = self.tls.clone() else {
            return self.serve_io(WriteDeadline::new(stream, WRITE_TIMEOUT), address, false).await;
        };
        let stopping = self.tasks.stopping();
        match stopping.run_until_cancelled(handshake::shake(&tls, stream)).await {
            Some(Ok(stream)) => self.serve_io(stream, address, true).await,
            // Anybody can bring it about.
            Some(Err(error)) => tracing::debug!(%address, %error, "a TLS handshake failed"),
            None => {}
        }
    }

    async fn serve_io<I>(self, io: I, address: SocketAddr, over_tls: bool)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stopping = self.tasks.stopping();
        let requests = Arc::new(Requests::default());
        let service = {
            let (router, requests, stopping) = (self.router, Arc::clone(&requests), stopping.clone());
            tower::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                let running = requests.begin();
                let extensions = request.extensions_mut();
                extensions.insert(ConnectInfo(address));
                extensions.insert(Stopping(stopping.clone()));
                if over_tls {
                    extensions.insert(OverTls);
                }
                let answering = router.clone().oneshot(request);
                async move {
                    let answer = answering.await;
                    drop(running);
                    answer
                }
            })
        };
        let builder = builder(self.tasks);
        let served = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
        let mut served = std::pin::pin!(served);
        let ended = tokio::select! {
            ended = served.as_mut() => Some(ended),
            () = requests.never_came() => None,
            () = stopping.cancelled() => {
                served.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = served.as_mut() => Some(ended),
                    () = requests.none_runs() => None,
                }
            }
        };
        match ended {
            Some(Err(error)) => tracing::debug!(%address, %error, "a connection broke"),
            Some(Ok(())) => {}
            None => tracing::debug!(%address, "a connection without a request is closed"),
        }
    }
}

fn builder(tasks: Tasks) -> auto::Builder<TaskExecutor> {
    let mut builder = auto::Builder::new(TaskExecutor(tasks));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32);
    builder
}

/// The requests of one connection.
#[derive(Default)]
struct Requests {
    any: AtomicBool,
    running: AtomicUsize,
}

struct Running(Arc<Requests>);

impl Requests {
    fn begin(self: &Arc<Self>) -> Running {
        self.any.store(true, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Resolves where no request came in time.
    async fn never_came(&self) {
        sleep(FIRST_REQUEST).await;
        if self.any.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves a moment after the last request was answered: what has begun of a further one is not waited for.
    async fn none_runs(&self) {
        loop {
            sleep(CLOSING).await;
            if self.running.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A layer: has browsers that came over TLS, here or to a proxy in front, come so from now on.
pub(super) async fn demand_tls(
    State(proxies): State<Arc<[IpNet]>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let over_tls = forwarded::came_over_tls(&parts, &proxies);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if over_tls {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}
