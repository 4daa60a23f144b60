//! mTLS towards nodes, with files that are read again when they change: see [`shared::tls`].

use shared::tls::{ReloadingTls, TlsError, TlsFiles};

use crate::settings::PlaneSettings;

/// gRPC is HTTP/2.
const PROTOCOLS: &[&[u8]] = &[b"h2"];

/// `None`: the settings name no files; clap sees to it that all three are named together.
///
/// # Errors
/// The files can't be used.
pub fn from_settings(settings: &PlaneSettings) -> Result<Option<ReloadingTls>, TlsError> {
    let (Some(certificate), Some(key), Some(client_ca)) =
        (&settings.grpc_tls_cert, &settings.grpc_tls_key, &settings.grpc_tls_client_ca)
    else {
        return Ok(None);
    };
    load(TlsFiles { certificate: certificate.clone(), key: key.clone(), client_ca: Some(client_ca.clone()) })
        .map(Some)
}

/// # Errors
/// The files can't be used.
pub fn load(files: TlsFiles) -> Result<ReloadingTls, TlsError> {
    ReloadingTls::load(files, PROTOCOLS)
}
