//! Opens connections, with TLS or without.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;

pub(crate) type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Opens connections to one address.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub addr: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Dialer {
    pub(crate) const fn plain(addr: SocketAddr) -> Self {
        Self { addr, tls: None }
    }

    /// With the authority's PEM file it speaks TLS.
    pub(crate) fn new(addr: SocketAddr, authority: Option<&Path>) -> io::Result<Self> {
        Ok(Self { addr, tls: authority.map(connector).transpose()? })
    }

    pub(crate) async fn dial(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.addr).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Either::Left(stream)),
            Some(tls) => {
                let name = ServerName::from(self.addr.ip());
                Ok(Either::Right(Box::new(tls.connect(name, stream).await?)))
            }
        }
    }
}

fn connector(authority: &Path) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each handshake is a whole one, whoever is asked.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
