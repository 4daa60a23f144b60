//! mTLS on loopback, with certificates made on the spot.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use shared::{
    tasks::Tasks,
    tls::{ReloadingTls, TlsError, TlsFiles},
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::{
    service::Routes,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::listen::places::Places;
use crate::{
    grpc::{
        server::{self, Listener, Ways},
        tls,
    },
    metrics::Metrics,
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A listener over TLS that serves the health service.
struct Server {
    folder: TempDir,
    tls: Arc<ReloadingTls>,
    address: SocketAddr,
    tasks: Tasks,
}

fn files(folder: &Path) -> TlsFiles {
    let file = |name| folder.join(name);
    TlsFiles { certificate: file("cert.pem"), key: file("key.pem"), client_ca: Some(file("ca.pem")) }
}

fn write(folder: &Path, (certificate, key): &(String, String), client_ca: &str) {
    let files = files(folder);
    fs::write(files.certificate, certificate).unwrap();
    fs::write(files.key, key).unwrap();
    fs::write(files.client_ca.unwrap(), client_ca).unwrap();
}

impl Server {
    async fn start(of_server: &Authority, of_clients: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &of_server.issue("localhost"), &of_clients.pem());
        let tls = Arc::new(tls::load(files(folder.path())).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        let (_, health) = tonic_health::server::health_reporter();
        let listener = Listener::Tcp { listener, tls: Some(Arc::clone(&tls)) };
        let ways = Ways {
            places: Places::new(8, 4, Vec::new()),
            shared_certificates: true,
            age: Duration::from_secs(60),
        };
        tasks.spawn(server::serve(listener, Routes::new(health), tasks.clone(), ways));
        Self { folder, tls, address, tasks }
    }

    /// Whether a client that trusts `trusted` and shows `identity` is served.
    async fn serves(&self, trusted: &Authority, identity: Option<(String, String)>) -> bool {
        let mut tls = ClientTlsConfig::new()
            .domain_name("localhost")
            .ca_certificate(Certificate::from_pem(trusted.pem()));
        if let Some((certificate, key)) = identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint =
            Endpoint::from_shared(format!("https://{}", self.address)).unwrap().tls_config(tls).unwrap();
        let asked = async {
            let channel = endpoint.connect().await.ok()?;
            HealthClient::new(channel).check(HealthCheckRequest::default()).await.ok()
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("an answer in time").is_some()
    }
}

#[tokio::test]
async fn only_clients_of_the_operators_authority_are_served() {
    let (of_server, of_clients, foreign) = (Authority::new(), Authority::new(), Authority::new());
    let server = Server::start(&of_server, &of_clients).await;
    assert!(server.serves(&of_server, Some(of_clients.issue("node"))).await);
    assert!(!server.serves(&of_server, None).await, "without a certificate");
    assert!(!server.serves(&of_server, Some(foreign.issue("node"))).await, "with a foreign certificate");
    assert!(
        !server.serves(&foreign, Some(of_clients.issue("node"))).await,
        "the server must prove itself too"
    );
    assert!(server.tasks.shutdown(PATIENCE).await);
}

#[tokio::test]
async fn changed_certificates_are_used_by_the_next_connection() {
    let (before, after, of_clients) = (Authority::new(), Authority::new(), Authority::new());
    let server = Server::start(&before, &of_clients).await;
    let node = of_clients.issue("node");
    assert!(server.serves(&before, Some(node.clone())).await);
    assert!(!server.tls.reload().unwrap(), "nothing changed");
    write(server.folder.path(), &after.issue("localhost"), &of_clients.pem());
    assert!(server.tls.reload().unwrap());
    assert!(server.serves(&after, Some(node.clone())).await);
    assert!(!server.serves(&before, Some(node)).await);
}

#[tokio::test]
async fn an_authority_that_was_taken_out_lets_nobody_in() {
    let (of_server, leaving, coming) = (Authority::new(), Authority::new(), Authority::new());
    let server = Server::start(&of_server, &leaving).await;
    let (old_node, new_node) = (leaving.issue("node"), coming.issue("node"));
    assert!(server.serves(&of_server, Some(old_node.clone())).await);
    let both = format!("{}{}", leaving.pem(), coming.pem());
    write(server.folder.path(), &of_server.issue("localhost"), &both);
    assert!(server.tls.reload().unwrap());
    assert!(
        server.serves(&of_server, Some(old_node.clone())).await
            && server.serves(&of_server, Some(new_node.clone())).await
    );
    write(server.folder.path(), &of_server.issue("localhost"), &coming.pem());
    assert!(server.tls.reload().unwrap());
    assert!(server.serves(&of_server, Some(new_node)).await);
    assert!(!server.serves(&of_server, Some(old_node)).await);
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_those_before_in_use() {
    let (of_server, of_clients) = (Authority::new(), Authority::new());
    let server = Server::start(&of_server, &of_clients).await;
    let other_key = of_server.issue("localhost").1;
    fs::write(files(server.folder.path()).key, other_key).unwrap();
    assert!(matches!(server.tls.reload(), Err(TlsError::Config(_))), "a key of another certificate");
    assert!(!server.tls.reload().unwrap(), "reported once");
    fs::write(files(server.folder.path()).certificate, "half a fi").unwrap();
    assert!(matches!(server.tls.reload(), Err(TlsError::Pem { .. })));
    fs::remove_file(files(server.folder.path()).client_ca.unwrap()).unwrap();
    assert!(matches!(server.tls.reload(), Err(TlsError::Read { .. })));
    assert!(server.serves(&of_server, Some(of_clients.issue("node"))).await);
}

#[tokio::test]
async fn files_are_looked_at_by_themselves() {
    let (before, after, of_clients) = (Authority::new(), Authority::new(), Authority::new());
    let server = Server::start(&before, &of_clients).await;
    let metrics = Metrics::default();
    let failures = metrics.tls_reload_failures.clone();
    let failed = move || _ = failures.inc();
    let every = Duration::from_millis(10);
    let watch = Arc::clone(&server.tls).watch("nodes", every, server.tasks.clone(), failed);
    server.tasks.spawn(watch);
    fs::write(files(server.folder.path()).key, "no key").unwrap();
    let counted = async {
        while metrics.tls_reload_failures.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("the bad file is noticed in time");
    assert!(server.serves(&before, Some(of_clients.issue("node"))).await);
    write(server.folder.path(), &after.issue("localhost"), &of_clients.pem());
    let used = async { while !server.serves(&after, Some(of_clients.issue("node"))).await {} };
    tokio::time::timeout(PATIENCE, used).await.expect("the new files are used in time");
    assert!(server.tasks.shutdown(PATIENCE).await);
}
