//! HTTP/1.1 towards upstreams: connections that are kept and used again, TLS with Mozilla's roots, no Nagle delay.
//!
//! A [`Call`] is a request under way; whoever waits for its answer polls the connection with it, so that no other task
//! takes part. [`UpstreamClient`] has the connections that rest meanwhile: each worker has one of its own, since a
//! connection lives on the runtime that made it. [`link`] is one connection, which speaks HTTP/1.1 ([`head`], [`chunked`]),
//! [`connect`] makes it, and [`address`] says where none may lead.

mod address;
mod body;
mod call;
mod chunked;
mod connect;
mod decoding;
mod head;
mod link;
mod pool;

use std::{error::Error as StdError, fmt, io, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Uri, uri::PathAndQuery};
use rand::Rng as _;
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

pub use body::RequestBody;
pub use call::{Call, CallError};
pub use link::LinkError;

use address::PrivateAddress;
use connect::{BoxError, Connector};
use link::Link;
use pool::{Origin, Pool};

/// How connections to upstreams are made and kept.
#[derive(Debug, Clone)]
pub struct OutboundSettings {
    /// Connections to loopback, private and link-local addresses.
    pub allow_private: bool,
    /// Trusted besides Mozilla's roots.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// For name, connection and TLS together.
    pub connect_timeout: Duration,
    /// An unused connection is closed after this long: sooner than by the load balancers in front of most upstreams, which
    /// take 60 seconds.
    pub pool_idle_timeout: Duration,
    /// A connection is not used again after about this long: an upstream that moved to other addresses would keep its
    /// busy connections to the old ones for ever.
    pub max_connection_age: Duration,
    /// Unused connections kept for each upstream, by each client.
    pub pool_max_idle_per_host: usize,
    /// Unused connections kept altogether, by each client.
    pub pool_max_idle: usize,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self {
            allow_private: false,
            extra_roots: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            pool_idle_timeout: Duration::from_secs(50),
            max_connection_age: Duration::from_secs(600),
            pool_max_idle_per_host: 1024,
            pool_max_idle: 4096,
        }
    }
}

/// The client can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("TLS towards upstreams can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Sends requests. One for each runtime: see [`Self::for_another_runtime`].
pub struct UpstreamClient {
    connector: Connector,
    settings: OutboundSettings,
    pool: Pool,
}

impl fmt::Debug for UpstreamClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamClient").field("idle", &self.pool.len()).finish_non_exhaustive()
    }
}

impl UpstreamClient {
    /// # Errors
    /// See [`OutboundError`].
    pub fn new(settings: OutboundSettings) -> Result<Self, OutboundError> {
        Ok(Self::with(Connector::new(&settings)?, settings))
    }

    /// One with connections of its own, which shares the TLS sessions.
    #[must_use]
    pub fn for_another_runtime(&self) -> Self {
        Self::with(self.connector.clone(), self.settings.clone())
    }

    fn with(connector: Connector, settings: OutboundSettings) -> Self {
        let pool =
            Pool::new(settings.pool_idle_timeout, settings.pool_max_idle_per_host, settings.pool_max_idle);
        Self { connector, settings, pool }
    }

    /// Begins a request, whose URI is absolute. `fresh`: on a connection that no other request has used. None: the client
    /// is closed.
    #[must_use]
    pub fn send(self: &Arc<Self>, request: Request<RequestBody>, fresh: bool) -> Option<Call> {
        let (mut parts, body) = request.into_parts();
        let mut uri = std::mem::take(&mut parts.uri).into_parts();
        let origin = Origin { scheme: uri.scheme.take()?, authority: uri.authority.take()? };
        parts.uri = Uri::from(uri.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")));
        let request = Request::from_parts(parts, body);
        let rested = if fresh { None } else { self.pool.take(&origin) };
        Some(match rested {
            Some(link) => Call::on(Arc::clone(self), origin, link, request),
            None if self.pool.is_closed() => return None,
            None => {
                // Not all that began together end together.
                let age = self.settings.max_connection_age.mul_f64(rand::rng().random_range(0.8..1.2));
                let connecting = Box::pin(connected(self.connector.clone(), origin.clone(), age));
                Call::over(Arc::clone(self), origin, connecting, request)
            }
        })
    }

    /// Closes connections that were idle for too long, and those that their upstreams have closed. To be called now and then.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// How often [`Self::sweep`] has something to do.
    #[must_use]
    pub fn sweep_every(&self) -> Duration {
        (self.settings.pool_idle_timeout / 10).clamp(Duration::from_millis(100), Duration::from_secs(5))
    }

    /// Closes idle connections, and keeps none from now on.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Connections on which nothing is under way.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.pool.len()
    }
}

async fn connected(connector: Connector, origin: Origin, age: Duration) -> Result<Box<Link>, BoxError> {
    let host = HeaderValue::from_str(authority_without_default_port(&origin))?;
    let Origin { scheme, authority } = origin;
    let to = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build()?;
    let stream = connector.connect(to).await?;
    Ok(Box::new(Link::over(stream, host, Instant::now() + age)))
}

/// What the `host` header says.
fn authority_without_default_port(origin: &Origin) -> &str {
    let authority = origin.authority.as_str();
    // Never sent: what stands ahead of an @.
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let default = if origin.scheme == http::uri::Scheme::HTTPS { ":443" } else { ":80" };
    authority.strip_suffix(default).unwrap_or(authority)
}

/// Whether the connection was refused because of where it would have gone.
#[must_use]
pub fn is_private_address(error: &(dyn StdError + 'static)) -> bool {
    let inside = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<PrivateAddress>());
    source::<PrivateAddress>(error).is_some() || source::<io::Error>(error).is_some_and(inside)
}

/// The first cause of this type.
pub(crate) fn source<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
