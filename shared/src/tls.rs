//! TLS of the programs' own listeners, with files that are read again when they change; and authorities from PEM files.
//!
//! A connection is served with the certificates of the moment it was accepted, to its end. New files that can't be
//! used (half written, a key that does not fit) are logged and told to whoever counts them, and those in use stay.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::tasks::Tasks;

/// The PEM files of a listener.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain that is shown, the listener's own certificate first.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The authorities that peers' certificates must come from. `None`: peers need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// The files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no usable PEM: {reason}", path.display())]
    Pem { path: PathBuf, reason: String },
    #[error("the certificate and its key must both be named")]
    Incomplete,
    #[error("the certificate, its key and the client authorities do not fit together: {0}")]
    Config(String),
}

/// The authorities in a PEM file: at least one, each of which can be trusted.
///
/// # Errors
/// The file can't be read, or holds something else.
pub fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = certificates(path, &read(path)?)?;
    store(path, &found)?;
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn unusable(path: &Path, reason: impl ToString) -> TlsError {
    TlsError::Pem { path: path.to_owned(), reason: reason.to_string() }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unusable(path, error))?;
    if found.is_empty() { Err(unusable(path, "no certificate")) } else { Ok(found) }
}

fn store(path: &Path, authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

fn config_error(error: impl ToString) -> TlsError {
    TlsError::Config(error.to_string())
}

impl TlsFiles {
    fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?.into(),
            client_ca: self.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn config(&self, contents: &Contents, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate, &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| unusable(&self.key, error))?;
        let verifier = self.verifier(contents, &provider)?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(config_error)?;
        let mut config = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        }
        .with_single_cert(chain, key)
        .map_err(config_error)?;
        if self.client_ca.is_none() {
            // A client keeps its session itself, so that any number of them resume; what a peer with a certificate has
            // proved is kept here, and ends with the authorities that it was held against.
            config.ticketer = aws_lc_rs::Ticketer::new().map_err(config_error)?;
        }
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }

    fn verifier(
        &self,
        contents: &Contents,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let (Some(path), Some(pem)) = (&self.client_ca, &contents.client_ca) else {
            return Ok(None);
        };
        let roots = Arc::new(store(path, &certificates(path, pem)?)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        Ok(Some(verifier.build().map_err(config_error)?))
    }
}

struct Contents {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    fn fingerprint(&self) -> [u8; 32] {
        let parts = [&self.certificate, &*self.key, self.client_ca.as_deref().unwrap_or_default()];
        let sum = parts
            .iter()
            .fold(Sha256::new(), |sum, part| sum.chain_update(part.len().to_le_bytes()).chain_update(part));
        sum.finalize().into()
    }
}

/// What connections are accepted with now. Whoever accepts them shares it, and with it the sessions that are resumed.
#[derive(Debug)]
pub struct ReloadingTls {
    files: TlsFiles,
    protocols: &'static [&'static [u8]],
    current: RwLock<Arc<ServerConfig>>,
    /// Of the files last looked at, good or bad, so that a bad one is reported once.
    seen: RwLock<[u8; 32]>,
}

impl ReloadingTls {
    /// `protocols`: those that are offered in the handshake (ALPN), the best one first.
    ///
    /// # Errors
    /// The files can't be used.
    pub fn load(files: TlsFiles, protocols: &'static [&'static [u8]]) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let config = files.config(&contents, protocols)?;
        let seen = RwLock::new(contents.fingerprint());
        Ok(Self { files, protocols, current: RwLock::new(Arc::new(config)), seen })
    }

    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read())
    }

    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config())
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
        let config = self.files.config(&contents, self.protocols)?;
        *self.current.write() = Arc::new(config);
        Ok(true)
    }

    /// Looks at the files every so often, until shutdown. `whom`: who connects, for the log. `failed` is called for each
    /// look that found changed files of no use.
    pub async fn watch(
        self: Arc<Self>,
        whom: &'static str,
        every: Duration,
        tasks: Tasks,
        failed: impl Fn() + Send,
    ) {
        let stopping = tasks.stopping();
        while stopping.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let tls = Arc::clone(&self);
            match tasks.spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => tracing::info!(whom, "new certificates are in use"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    failed();
                    tracing::error!(whom, %error, "changed certificates can't be used, those before stay");
                }
                Err(error) => tracing::error!(whom, %error, "looking at the certificates failed"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::CertifiedKey;

    use super::*;

    fn own_certificate() -> (String, String) {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    #[test]
    fn a_listener_that_asks_for_no_certificate_hands_out_tickets_and_offers_its_protocols() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name| folder.path().join(name);
        let files = TlsFiles { certificate: file("cert"), key: file("key"), client_ca: None };
        let write = |(certificate, key): (String, String)| {
            fs::write(&files.certificate, certificate).unwrap();
            fs::write(&files.key, key).unwrap();
        };
        write(own_certificate());
        let tls = ReloadingTls::load(files.clone(), &[b"http/1.1"]).unwrap();
        let first = tls.config();
        assert!(first.ticketer.enabled());
        assert_eq!(first.alpn_protocols, [b"http/1.1"]);
        assert!(Arc::ptr_eq(&first, &tls.config()), "one for all");
        assert!(!tls.reload().unwrap());
        write(own_certificate());
        assert!(tls.reload().unwrap());
        assert!(!Arc::ptr_eq(&first, &tls.config()));
    }

    #[test]
    fn authorities_are_certificates_and_at_least_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let said = |path: &Path| read_authorities(path).unwrap_err().to_string();
        assert!(said(&path).starts_with(&format!("cannot read {}", path.display())));
        for useless in ["", "not PEM", &own_certificate().1] {
            fs::write(&path, useless).unwrap();
            assert!(said(&path).ends_with("holds no usable PEM: no certificate"), "{}", said(&path));
        }
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(&path, garbage).unwrap();
        assert!(matches!(read_authorities(&path), Err(TlsError::Pem { .. })));
        fs::write(&path, own_certificate().0 + &own_certificate().0).unwrap();
        assert_eq!(read_authorities(&path).unwrap().len(), 2);
    }
}
