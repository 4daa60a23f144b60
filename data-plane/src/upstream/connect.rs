//! From a URL's origin to a connection: name, address, TCP, TLS, all within one time limit.

use std::{
    error::Error as StdError,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use rustls_pki_types::CertificateDer;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::Service as _;

use super::{OutboundError, OutboundSettings, address::Tcp};

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// Makes connections. Clones share what TLS sessions are resumed from.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: Tcp,
    tls: TlsConnector,
    limit: Duration,
}

/// A connection to an upstream.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    pub(super) fn new(settings: &OutboundSettings) -> Result<Self, OutboundError> {
        let tcp = Tcp::new(settings.allow_private, |http| {
            // Shared out among a name's addresses, so that a dead one does not use up all of the time; the other half is
            // for TLS.
            http.set_connect_timeout(Some(settings.connect_timeout / 2));
            http.set_keepalive(Some(Duration::from_secs(30)));
        });
        let tls = TlsConnector::from(Arc::new(tls(&settings.extra_roots)?));
        Ok(Self { tcp, tls, limit: settings.connect_timeout })
    }

    /// Gives up after a while, wherever it hangs: a name that is not resolved, a handshake that does not end.
    ///
    /// # Errors
    /// There is no connection; see [`super::CallError::Connect`].
    pub(super) async fn connect(self, to: Uri) -> Result<Stream, BoxError> {
        let limit = self.limit;
        let connecting = timeout(limit, self.connect_at_leisure(to));
        connecting.await.unwrap_or_else(|_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    async fn connect_at_leisure(mut self, to: Uri) -> Result<Stream, BoxError> {
        let name = match to.scheme_str() {
            Some("https") => Some(server_name(&to)?),
            _ => None,
        };
        let tcp = self.tcp.call(to).await?.into_inner();
        Ok(match name {
            Some(name) => Stream::Tls(Box::new(self.tls.connect(name, tcp).await?)),
            None => Stream::Plain(tcp),
        })
    }
}

fn server_name(to: &Uri) -> Result<ServerName<'static>, BoxError> {
    let host = to.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    Ok(ServerName::try_from(host)?.to_owned())
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
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What an idle connection's socket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    Nothing,
    Something,
    /// The other side closed it, or it broke.
    End,
}

impl Stream {
    /// Takes nothing, and asks the system only where the runtime knows of something new: it has looked at its sockets
    /// since this one was put to rest.
    pub(super) fn waiting(&self) -> Waiting {
        let tcp = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        let peek = || SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]);
        match tcp.try_io(Interest::READABLE, peek) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Waiting::Nothing,
            Ok(1..) => Waiting::Something,
            Ok(0) | Err(_) => Waiting::End,
        }
    }

    /// Until there may be something to read; with TLS only reading tells.
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    pub(super) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
