//! Who is at the other end of a connection.
//!
//! A node names itself in its messages (`node_id`). With mTLS its certificate comes from the authority that the
//! operator set, which makes it a node; which one, the certificate may say: where it carries URI names of the form
//! `switchyard://node/<node_id>`, only these may be used over its connections. A certificate without such a name speaks
//! for no node, unless a setting says that nodes share theirs.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls_pki_types::CertificateDer;
use tokio::time::Instant;
use tonic::{Request, Status};

/// In front of the node's id in a certificate's URI name.
pub const NODE_URI_PREFIX: &str = "switchyard://node/";

/// Bytes of a node's id at most.
const NODE_ID_MAX: usize = 128;

/// How long streams go on after their connection was told to end, so that the node knows before they do.
const STREAM_LAG: Duration = Duration::from_millis(500);

/// One connection's other end; in the extensions of its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Absent: the same process.
    pub address: Option<SocketAddr>,
    /// `None`: any node.
    nodes: Option<Arc<[String]>>,
    expires: Instant,
}

impl Peer {
    /// The other end of a connection without a certificate, which may be any node.
    #[must_use]
    pub fn any(address: Option<SocketAddr>, age: Duration) -> Self {
        Self { address, nodes: None, expires: Instant::now() + age }
    }

    /// `shared`: a certificate that names no node speaks for any.
    #[must_use]
    pub fn with_certificate(
        address: SocketAddr,
        certificate: &CertificateDer<'_>,
        shared: bool,
        age: Duration,
    ) -> Self {
        let named = node_names(certificate);
        let nodes = (!(shared && named.is_empty())).then(|| named.into());
        Self { nodes, ..Self::any(Some(address), age) }
    }

    /// The connection's end, as set when it was accepted.
    #[must_use]
    pub fn expires(&self) -> Instant {
        self.expires
    }

    /// Resolves when streams of this connection should end.
    pub async fn streams_end(&self) {
        tokio::time::sleep_until(self.expires + STREAM_LAG).await;
    }

    /// The peer of a request.
    ///
    /// # Errors
    /// `internal`: the request did not come through the server of this module.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get().cloned().ok_or_else(|| Status::internal("the connection has no peer"))
    }

    /// Takes a node's id from a message.
    ///
    /// # Errors
    /// `invalid_argument`: no id; `permission_denied`: the certificate names other nodes.
    pub fn node(&self, node_id: &str) -> Result<(), Status> {
        let fits = !node_id.is_empty() && node_id.len() <= NODE_ID_MAX;
        if !fits || !node_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)) {
            return Err(Status::invalid_argument("node_id: 1 to 128 letters, digits, or any of . _ : -"));
        }
        let speaks = |nodes: &[String]| nodes.iter().any(|name| name == node_id);
        if self.nodes.as_deref().is_none_or(speaks) {
            return Ok(());
        }
        Err(Status::permission_denied(format!(
            "the certificate does not name the node {node_id}: it needs the URI name {NODE_URI_PREFIX}{node_id}, or the \
             control plane the setting --grpc-shared-certificates"
        )))
    }
}

fn node_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    certificate
        .valid_uri_names()
        .filter_map(|name| name.strip_prefix(NODE_URI_PREFIX))
        .map(Into::into)
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn peer(uris: &[&str], shared: bool) -> Peer {
        let mut params = CertificateParams::new(vec!["data-plane.internal".to_owned()]).unwrap();
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let address = "192.0.2.1:1".parse().unwrap();
        Peer::with_certificate(address, certificate.der(), shared, Duration::from_secs(1))
    }

    #[tokio::test]
    async fn a_certificate_that_names_nodes_speaks_for_no_other() {
        for shared in [false, true] {
            let names = ["switchyard://node/one", "switchyard://node/two", "spiffe://other/three"];
            let peer = peer(&names, shared);
            assert!(peer.node("one").is_ok());
            assert!(peer.node("two").is_ok());
            assert_eq!(peer.node("three").unwrap_err().code(), tonic::Code::PermissionDenied);
        }
    }

    #[tokio::test]
    async fn a_certificate_that_names_no_node_speaks_for_none_unless_it_is_shared() {
        assert_eq!(peer(&[], false).node("one").unwrap_err().code(), tonic::Code::PermissionDenied);
        assert!(peer(&[], true).node("one").is_ok());
        assert!(Peer::any(None, Duration::from_secs(1)).node("one").is_ok());
    }

    #[tokio::test]
    async fn an_id_that_would_not_fit_in_a_log_line_is_refused() {
        for id in ["", "a b", "a\n", &"n".repeat(129)] {
            assert_eq!(peer(&[], true).node(id).unwrap_err().code(), tonic::Code::InvalidArgument, "{id:?}");
        }
    }
}
