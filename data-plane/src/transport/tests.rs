use std::{fs, net::SocketAddr, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use shared::tasks::Tasks;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

fn settings(url: &str, allow_plaintext: bool) -> ControlPlaneSettings {
    ControlPlaneSettings { url: url.into(), tls: None, server_name: None, allow_plaintext }
}

#[tokio::test]
async fn plaintext_stays_on_this_machine_unless_it_is_allowed() {
    for url in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
        assert!(ControlPlane::over_network(&settings(url, false)).is_ok(), "{url}");
    }
    let away = "http://10.0.0.1:1";
    assert!(matches!(
        ControlPlane::over_network(&settings(away, false)),
        Err(TransportError::PlaintextOffLoopback)
    ));
    assert!(ControlPlane::over_network(&settings(away, true)).is_ok());
}

#[tokio::test]
async fn mistakes_are_named() {
    let error = |url| ControlPlane::over_network(&settings(url, false)).unwrap_err();
    assert!(matches!(error("https://control:1"), TransportError::TlsFilesMissing));
    assert!(matches!(error("control:1"), TransportError::Url));
    assert!(matches!(error("ftp://control:1"), TransportError::Url));

    let folder = tempfile::tempdir().unwrap();
    let files = Authority::new("one").issue(folder.path());
    fs::write(&files.key, "no key").unwrap();
    let settings = ControlPlaneSettings { tls: Some(files), ..settings("https://control:1", false) };
    let error = ControlPlane::over_network(&settings).unwrap_err().to_string();
    assert!(error.contains("key.pem"), "{error}");
}

struct Authority {
    name: &'static str,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &'static str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { name, pem, issuer: Issuer::new(params, key) }
    }

    /// Writes a certificate for localhost, its key and the authority.
    fn issue(&self, folder: &Path) -> TlsFiles {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("of {}", self.name));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = TlsFiles {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            ca: folder.join("ca.pem"),
        };
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::write(&files.ca, &self.pem).unwrap();
        files
    }

    /// Takes only clients with a certificate of this authority, and says hello to them.
    async fn serve(&self, tasks: &Tasks) -> SocketAddr {
        let folder = tempfile::tempdir().unwrap();
        let files = self.issue(folder.path());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&files.ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![CertificateDer::from_pem_file(&files.certificate).unwrap()],
                PrivateKeyDer::from_pem_file(&files.key).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello").await;
                    _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
                }
            }
        });
        address
    }
}

/// What the server says on a new connection.
async fn greeting(address: SocketAddr, tls: &Arc<Tls>) -> io::Result<String> {
    let mut io = connect_tls(("localhost".into(), address.port()), Arc::clone(tls)).await?;
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut io, &mut said).await?;
    Ok(said)
}

#[tokio::test]
async fn certificates_are_read_anew_for_each_connection_and_half_a_replacement_breaks_nothing() {
    let tasks = Tasks::new();
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let (first, second) = (one.serve(&tasks).await, two.serve(&tasks).await);
    let folder = tempfile::tempdir().unwrap();
    let files = one.issue(folder.path());
    let name = ServerName::try_from("localhost").unwrap();
    let tls = Arc::new(Tls { last_good: Mutex::new(files.load().unwrap()), files: files.clone(), name });
    assert_eq!(greeting(first, &tls).await.unwrap(), "hello");
    assert!(greeting(second, &tls).await.is_err(), "an authority that this node does not trust");

    fs::write(&files.certificate, "half of a cert").unwrap();
    assert_eq!(greeting(first, &tls).await.unwrap(), "hello", "the last good files go on");

    two.issue(folder.path());
    assert_eq!(greeting(second, &tls).await.unwrap(), "hello");
    assert!(greeting(first, &tls).await.is_err());
}
