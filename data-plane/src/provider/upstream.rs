//! The HTTP client towards upstreams: pooled HTTP/1.1 connections, TLS with Mozilla's roots, no Nagle delay.

use std::{
    error::Error as StdError,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use http::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, ResponseFuture},
    rt::TokioTimer,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use shared::tasks::Tasks;
use tokio::time::timeout;
use tower::Service;

use super::{
    RequestBody,
    failure::Reason,
    private::{Connector, PrivateAddress},
};

type Client = legacy::Client<InTime<HttpsConnector<Connector>>, RequestBody>;

/// How connections to upstreams are made and kept.
#[derive(Debug, Clone)]
pub struct OutboundSettings {
    /// Connections to loopback, private and link-local addresses.
    pub allow_private: bool,
    /// Trusted besides Mozilla's roots.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// For name, connection and TLS together.
    pub connect_timeout: Duration,
    /// An unused connection is closed after this long.
    pub pool_idle_timeout: Duration,
    /// Unused connections kept for each upstream.
    pub pool_max_idle_per_host: usize,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self {
            allow_private: false,
            extra_roots: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            pool_idle_timeout: Duration::from_secs(60),
            pool_max_idle_per_host: 1024,
        }
    }
}

/// The client can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("TLS towards upstreams can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The HTTP client that all providers share.
pub struct UpstreamClient {
    client: ArcSwapOption<Client>,
    /// The connections' tasks. They end with the client, not with the node's other tasks.
    connections: Tasks,
}

impl fmt::Debug for UpstreamClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamClient").finish_non_exhaustive()
    }
}

impl UpstreamClient {
    /// Call from within a runtime.
    ///
    /// # Errors
    /// See [`OutboundError`].
    pub fn new(settings: &OutboundSettings) -> Result<Self, OutboundError> {
        let connector = Connector::new(settings.allow_private, |http| {
            // Shared out among a name's addresses, so that a dead one does not use up all of the time; the other half is
            // for TLS.
            http.set_connect_timeout(Some(settings.connect_timeout / 2));
            http.set_keepalive(Some(Duration::from_secs(30)));
        });
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&settings.extra_roots)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let connector = InTime { connector, limit: settings.connect_timeout };
        let connections = Tasks::new();
        let client = legacy::Client::builder(OnTasks(connections.clone()))
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.pool_idle_timeout)
            .pool_max_idle_per_host(settings.pool_max_idle_per_host)
            .build(connector);
        Ok(Self { client: ArcSwapOption::from_pointee(client), connections })
    }

    /// Sends a request; `None` once the client is closed.
    #[must_use]
    pub fn send(&self, request: Request<RequestBody>) -> Option<ResponseFuture> {
        self.client.load().as_ref().map(|client| client.request(request))
    }

    /// Closes idle connections and waits for the others, at most `grace`. True if all ended.
    pub async fn close(&self, grace: Duration) -> bool {
        self.client.store(None);
        self.connections.shutdown(grace).await
    }
}

fn tls(extra_roots: &[CertificateDer<'static>]) -> Result<ClientConfig, OutboundError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let (_, unreadable) = roots.add_parsable_certificates(extra_roots.iter().cloned());
    if unreadable > 0 {
        tracing::warn!(
            unreadable,
            "some of the extra certificate authorities can't be read and are not trusted"
        );
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Gives up connecting after a while, wherever it hangs: a name that is not resolved, a handshake that does not end.
#[derive(Debug, Clone)]
struct InTime<C> {
    connector: C,
    limit: Duration,
}

impl<C> Service<Uri> for InTime<C>
where
    C: Service<Uri, Error = Box<dyn StdError + Send + Sync>>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let connecting = timeout(self.limit, self.connector.call(destination));
        Box::pin(async move {
            connecting.await.unwrap_or_else(|_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

#[derive(Clone)]
struct OnTasks(Tasks);

impl<F> hyper::rt::Executor<F> for OnTasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Why no response head came.
#[must_use]
pub fn reason_of(error: &legacy::Error) -> Reason {
    if is_private_address(error) {
        Reason::PrivateAddress
    } else if !error.is_connect() {
        Reason::Cut
    } else if source::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        Reason::ConnectTimeout
    } else {
        Reason::Connect
    }
}

/// Whether the connection was refused because of where it would have gone.
pub(super) fn is_private_address(error: &(dyn StdError + 'static)) -> bool {
    let inside = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<PrivateAddress>());
    source::<PrivateAddress>(error).is_some() || source::<io::Error>(error).is_some_and(inside)
}

fn source<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
