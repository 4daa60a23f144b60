//! The connection to the control plane: mTLS, plaintext where that is allowed, or a pipe in the same process.

mod backoff;

pub(crate) use backoff::Backoff;

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proto::v1::{
    node_service_client::NodeServiceClient, refusal_service_client::RefusalServiceClient,
    snapshot_service_client::SnapshotServiceClient, usage_service_client::UsageServiceClient,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use url::{Host, Url};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection without traffic is asked whether it is alive after this, and given up after that.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest chunk of an update.
const CHUNK_BYTES: usize = 16 * 1024 * 1024;

/// Where the control plane is, and how it is trusted.
#[derive(Debug, Clone)]
pub struct ControlPlaneSettings {
    /// `https://host:port`, or `http://…` for plaintext.
    pub url: String,
    /// Needed for `https`.
    pub tls: Option<TlsFiles>,
    /// The name in the control plane's certificate. `None`: the URL's host.
    pub server_name: Option<String>,
    /// Plaintext also to hosts other than this one.
    pub allow_plaintext: bool,
}

/// PEM files; read anew for each connection, so that certificates can be replaced while the node runs.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Whose signature makes a control plane.
    pub ca: PathBuf,
}

/// The control plane can't be talked to as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("the control plane's URL must be https://host:port or http://host:port")]
    Url,
    #[error("for https to the control plane, --tls-cert, --tls-key and --tls-ca are needed")]
    TlsFilesMissing,
    #[error(
        "plaintext to a control plane on another machine is not allowed; use https, or set \
         SWITCHYARD_ALLOW_PLAINTEXT_PLANES=true"
    )]
    PlaintextOffLoopback,
    #[error("{}: {reason}", file.display())]
    File { file: PathBuf, reason: String },
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The connection, made when first needed and again when it is lost. Clones share it.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    channel: Channel,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Connected = TokioIo<Box<dyn Io>>;
type Connect = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Box<dyn Io>>> + Send + Sync>;

impl ControlPlane {
    /// A control plane over the network. Does not connect yet; the files are read once to find mistakes early.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn over_network(settings: &ControlPlaneSettings) -> Result<Self, TransportError> {
        let url = Url::parse(&settings.url).map_err(|_| TransportError::Url)?;
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(TransportError::Url);
        };
        let address = (host_text(&host), port);
        let connect: Connect = match url.scheme() {
            "https" => {
                let files = settings.tls.clone().ok_or(TransportError::TlsFilesMissing)?;
                let name = settings.server_name.clone().unwrap_or_else(|| address.0.clone());
                let name = ServerName::try_from(name).map_err(|_| TransportError::Url)?;
                let tls = Arc::new(Tls { last_good: Mutex::new(files.load()?), files, name });
                Arc::new(move || Box::pin(connect_tls(address.clone(), Arc::clone(&tls))))
            }
            "http" if settings.allow_plaintext || is_loopback(&host) => {
                Arc::new(move || Box::pin(connect_plain(address.clone())))
            }
            "http" => return Err(TransportError::PlaintextOffLoopback),
            _ => return Err(TransportError::Url),
        };
        Ok(Self::new(connect))
    }

    /// A control plane in the same process; `connect` opens a pipe to it.
    pub fn in_process<F>(connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<DuplexStream>> + Send + 'static,
    {
        let connect: Connect = Arc::new(move || {
            let pipe = connect();
            Box::pin(async move { Ok(Box::new(pipe.await?) as Box<dyn Io>) })
        });
        Self::new(connect)
    }

    fn new(connect: Connect) -> Self {
        // Only names the host in requests; `connect` knows the way, and does TLS where there is any.
        let endpoint = Endpoint::from_static("http://control-plane")
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .http2_adaptive_window(true);
        let connector = tower::service_fn(move |_| {
            let io = connect();
            async move { Ok::<Connected, io::Error>(TokioIo::new(io.await?)) }
        });
        Self { channel: endpoint.connect_with_connector_lazy(connector) }
    }

    pub(crate) fn snapshots(&self) -> SnapshotServiceClient<Channel> {
        SnapshotServiceClient::new(self.channel.clone()).max_decoding_message_size(CHUNK_BYTES)
    }

    pub(crate) fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone())
    }

    pub(crate) fn refusals(&self) -> RefusalServiceClient<Channel> {
        RefusalServiceClient::new(self.channel.clone())
    }

    pub(crate) fn usage(&self) -> UsageServiceClient<Channel> {
        UsageServiceClient::new(self.channel.clone())
    }
}

fn host_text(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => (*name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => Ipv4Addr::is_loopback(address),
        Host::Ipv6(address) => Ipv6Addr::is_loopback(address),
    }
}

async fn connect_tcp((host, port): (String, u16)) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn connect_plain(address: (String, u16)) -> io::Result<Box<dyn Io>> {
    Ok(Box::new(connect_tcp(address).await?))
}

async fn connect_tls(address: (String, u16), tls: Arc<Tls>) -> io::Result<Box<dyn Io>> {
    let stream = connect_tcp(address).await?;
    let connector = TlsConnector::from(tls.config());
    Ok(Box::new(connector.connect(tls.name.clone(), stream).await?))
}

#[derive(Debug)]
struct Tls {
    files: TlsFiles,
    name: ServerName<'static>,
    last_good: Mutex<Arc<ClientConfig>>,
}

impl Tls {
    /// By the files as they are now; where they can't be used (half of a replacement, say), as they were before.
    fn config(&self) -> Arc<ClientConfig> {
        match self.files.load() {
            Ok(config) => self.last_good.lock().clone_from(&config),
            Err(error) => {
                tracing::warn!(%error, "the TLS files can't be read; the node connects with what they were before");
            }
        }
        Arc::clone(&self.last_good.lock())
    }
}

impl TlsFiles {
    fn load(&self) -> Result<Arc<ClientConfig>, TransportError> {
        let error = |file: &PathBuf| {
            let file = file.clone();
            move |reason: rustls_pki_types::pem::Error| TransportError::File {
                file,
                reason: reason.to_string(),
            }
        };
        let certificates = |file: &PathBuf| {
            CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(error(file))
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate)?;
        }
        if roots.is_empty() {
            let reason = "holds no certificate".to_owned();
            return Err(TransportError::File { file: self.ca.clone(), reason });
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(error(&self.key))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&self.certificate)?, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests;
