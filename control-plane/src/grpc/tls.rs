//! mTLS towards nodes, with files that are read again when they change.
//!
//! A connection is served with the certificates of the moment it was accepted, to its end. New files that can't be
//! used (half written, a key that does not fit) are logged and counted, and those in use stay.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use shared::tasks::Tasks;
use tokio_rustls::TlsAcceptor;

use crate::{metrics::Metrics, settings::PlaneSettings};

/// The three PEM files.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub client_ca: PathBuf,
}

/// The files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no usable PEM: {reason}", path.display())]
    Pem { path: PathBuf, reason: String },
    #[error("the certificate, its key and the client authorities do not fit together: {0}")]
    Config(String),
}

impl TlsFiles {
    /// `None` where the settings name no files; clap sees to it that all three are named together.
    #[must_use]
    pub fn from_settings(settings: &PlaneSettings) -> Option<Self> {
        Some(Self {
            certificate: settings.grpc_tls_cert.clone()?,
            key: settings.grpc_tls_key.clone()?,
            client_ca: settings.grpc_tls_client_ca.clone()?,
        })
    }

    fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
        };
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?.into(),
            client_ca: read(&self.client_ca)?,
        })
    }

    fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let unusable = |reason: String| TlsError::Pem { path: path.to_owned(), reason };
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found = found.map_err(|error| unusable(error.to_string()))?;
        if found.is_empty() { Err(unusable("no certificate".into())) } else { Ok(found) }
    }

    fn config(&self, contents: &Contents) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = Self::certificates(&self.certificate, &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| TlsError::Pem { path: self.key.clone(), reason: error.to_string() })?;
        let mut roots = RootCertStore::empty();
        for authority in Self::certificates(&self.client_ca, &contents.client_ca)? {
            roots.add(authority).map_err(|error| TlsError::Config(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| TlsError::Config(error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Config(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| TlsError::Config(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

struct Contents {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
    client_ca: Vec<u8>,
}

impl Contents {
    fn fingerprint(&self) -> [u8; 32] {
        let parts = [&self.certificate, &*self.key, &self.client_ca];
        let sum = parts
            .iter()
            .fold(Sha256::new(), |sum, part| sum.chain_update(part.len().to_le_bytes()).chain_update(part));
        sum.finalize().into()
    }
}

/// What connections are accepted with now.
#[derive(Debug)]
pub struct ReloadingTls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    /// Of the files last looked at, good or bad, so that a bad one is reported once.
    seen: RwLock<[u8; 32]>,
}

impl ReloadingTls {
    /// # Errors
    /// The files can't be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let config = files.config(&contents)?;
        let seen = RwLock::new(contents.fingerprint());
        Ok(Self { files, current: RwLock::new(Arc::new(config)), seen })
    }

    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read()))
    }

    /// Looks at the files. True: they changed and are in use from now on.
    ///
    /// # Errors
    /// They changed and can't be used; those before stay. Not reported again until they change once more.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let contents = self.files.read()?;
        let fingerprint = contents.fingerprint();
        if *self.seen.read() == fingerprint {
            return Ok(false);
        }
        *self.seen.write() = fingerprint;
        let config = self.files.config(&contents)?;
        *self.current.write() = Arc::new(config);
        Ok(true)
    }

    /// Looks at the files every so often, until shutdown.
    pub async fn watch(self: Arc<Self>, every: Duration, tasks: Tasks, metrics: Metrics) {
        let stopping = tasks.stopping();
        while stopping.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let tls = Arc::clone(&self);
            match tasks.spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => tracing::info!("new certificates are in use for nodes"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    metrics.tls_reload_failures.inc();
                    tracing::error!(%error, "changed certificates can't be used, those before stay");
                }
                Err(error) => tracing::error!(%error, "looking at the certificates failed"),
            }
        }
    }
}
