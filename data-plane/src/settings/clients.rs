//! What clients meet: TLS, and what browsers may do.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use shared::{
    settings::duration,
    tls::{TlsError, TlsFiles},
};

use crate::ingress::{ClientTls, Cors, CorsOrigin};

/// How clients come in.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ClientSettings {
    /// PEM file with the certificate chain that clients are shown; read again when it changes. Without it they come without
    /// TLS
    #[arg(long, env = "SWITCHYARD_LISTEN_TLS_CERT", requires = "listen_tls_key")]
    pub listen_tls_cert: Option<PathBuf>,
    /// PEM file with that certificate's private key
    #[arg(long, env = "SWITCHYARD_LISTEN_TLS_KEY", requires = "listen_tls_cert")]
    pub listen_tls_key: Option<PathBuf>,
    /// How long a client may take for the TLS handshake
    #[arg(long, env = "SWITCHYARD_TLS_HANDSHAKE_TIMEOUT", value_parser = duration, default_value = "10s")]
    pub tls_handshake_timeout: Duration,
    /// Origins whose pages may call the API from a browser, separated by commas, such as https://app.example.com; * for
    /// any [default: none]
    #[arg(long, env = "SWITCHYARD_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<CorsOrigin>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            listen_tls_cert: None,
            listen_tls_key: None,
            tls_handshake_timeout: Duration::from_secs(10),
            cors_origins: Vec::new(),
        }
    }
}

impl ClientSettings {
    /// `None`: the settings name no files.
    ///
    /// # Errors
    /// The files can't be used, or only one is named: clap sees that on the command line, and not in a settings file.
    pub(super) fn tls(&self) -> Result<Option<ClientTls>, TlsError> {
        let (certificate, key) = match (&self.listen_tls_cert, &self.listen_tls_key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            _ => return Err(TlsError::Incomplete),
        };
        let files = TlsFiles { certificate: certificate.clone(), key: key.clone(), client_ca: None };
        ClientTls::load(files, self.tls_handshake_timeout).map(Some)
    }

    pub(super) fn cors(&self) -> Option<Arc<Cors>> {
        Cors::of(self.cors_origins.clone()).map(Arc::new)
    }
}
