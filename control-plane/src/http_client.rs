//! The HTTP client of the control plane: it goes where it is sent, and nowhere else.

use std::{sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    #[error(transparent)]
    Client(#[from] reqwest::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// A client that follows no redirect, takes no proxy from the environment, and trusts whom the system trusts. On a
/// system that has no certificates (a container of one program, say) it trusts the authorities that browsers do.
///
/// # Errors
/// See [`HttpClientError`].
pub fn new() -> Result<reqwest::Client, HttpClientError> {
    match builder().build() {
        Ok(client) => Ok(client),
        Err(error) => {
            tracing::info!(%error, "the system's certificates can't be used; those of browsers are");
            Ok(builder().tls_backend_preconfigured(browsers_authorities()?).build()?)
        }
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("switchyard-control/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
}

fn browsers_authorities() -> Result<ClientConfig, rustls::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_certificates_has_a_client_too() {
        builder().tls_backend_preconfigured(browsers_authorities().unwrap()).build().unwrap();
    }
}
