//! Peers that are silent, slow or too many.

use std::net::Ipv4Addr;

use rcgen::CertifiedKey;
use rustls_pki_types::{ServerName, pem::PemObject as _};
use tokio::{net::TcpSocket, time::timeout};
use tokio_rustls::TlsConnector;

use super::*;

/// More than a moment, and far less than the grace of a shutdown.
const SOON: Duration = Duration::from_secs(8);

async fn running(adjust: impl FnOnce(&mut Settings)) -> (TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    settings.planes.allow_plaintext_planes = true;
    adjust(&mut settings);
    let ends = Ends { admin: None, nodes: NodesEnd::Listen };
    let running = start(settings, ends, Clock::System).await.unwrap();
    (folder, running)
}

/// A connection from that address of this machine.
async fn from(address: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// All that comes until the end.
async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is an end too.
    _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("it ends");
    String::from_utf8_lossy(&said).into_owned()
}

async fn asks(stream: &mut TcpStream) -> String {
    let request = b"GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    if stream.write_all(request).await.is_err() {
        return String::new();
    }
    rest(stream).await
}

#[tokio::test]
async fn an_address_with_many_connections_keeps_no_other_out() {
    let (_folder, running) = running(|settings| {
        settings.admin.admin_connections = 40;
        settings.admin.admin_connections_per_address = 20;
        settings.planes.grpc_strangers_per_address = 20;
    })
    .await;
    for address in [running.admin_address, running.grpc_address.unwrap()] {
        let mut silent = Vec::new();
        for _ in 0..60 {
            silent.push(from(Ipv4Addr::new(127, 0, 0, 66), address).await);
        }
        // Those beyond the bound are closed, and the first ones are not.
        assert_eq!(rest(&mut silent[50]).await, "");
        let mut said = [0; 1024];
        let first = timeout(Duration::from_millis(50), silent[0].read(&mut said)).await;
        assert!(!matches!(first, Ok(Ok(0) | Err(_))), "{first:?}");
    }
    let mut other = from(Ipv4Addr::new(127, 0, 0, 67), running.admin_address).await;
    assert!(asks(&mut other).await.starts_with("HTTP/1.1 200"));
    assert!(running.shutdown().await);
}

#[tokio::test]
async fn connections_of_trusted_proxies_count_in_all_only() {
    let (_folder, running) = running(|settings| {
        settings.admin.admin_connections_per_address = 8;
        settings.policy.trusted_proxies = vec!["127.0.0.66/32".parse().unwrap()];
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..30 {
        open.push(from(Ipv4Addr::new(127, 0, 0, 66), running.admin_address).await);
    }
    for stream in &mut open {
        assert!(asks(stream).await.starts_with("HTTP/1.1 200"));
    }
    assert!(running.shutdown().await);
}

#[tokio::test]
async fn who_asks_nothing_is_closed_in_time() {
    let (_folder, running) = running(|_| {}).await;
    tokio::time::pause();
    for (address, begun) in [
        (running.admin_address, &b""[..]),
        (running.admin_address, b"GET /healthz HT"),
        (running.admin_address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (running.grpc_address.unwrap(), b""),
        (running.grpc_address.unwrap(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let since = tokio::time::Instant::now();
        let mut said = Vec::new();
        _ = timeout(Duration::from_secs(70), stream.read_to_end(&mut said)).await.expect("it ends");
        assert!(since.elapsed() < Duration::from_secs(15), "{begun:?} after {:?}", since.elapsed());
    }
}

#[tokio::test]
async fn a_request_that_does_not_come_whole_holds_no_shutdown() {
    let begun = [
        "GET /healthz HTTP/1.1\r\nhost: te",
        "POST /api/auth/login HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"user",
    ];
    for begun in begun {
        let (_folder, running) = running(|_| {}).await;
        let mut stream = TcpStream::connect(running.admin_address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        // The server has read it by the time that another one is answered.
        assert_eq!(get(running.admin_address, "/healthz").await.0, 200);
        let ended = timeout(SOON, running.shutdown()).await;
        assert_eq!(ended, Ok(true), "{begun}");
        let said = rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 503"), "{said}");
    }
}

#[tokio::test]
async fn admins_come_over_tls_where_there_is_a_certificate() {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let (_folder, running) = running(|settings| {
        settings.admin.admin_tls_cert = Some(certificate.clone());
        settings.admin.admin_tls_key = Some(key.clone());
    })
    .await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(running.admin_address).await.unwrap();
    let connector = TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
    // Without TLS there is nothing to be had.
    let mut plain = TcpStream::connect(running.admin_address).await.unwrap();
    assert!(!asks(&mut plain).await.contains("200"));
    assert!(running.shutdown().await);
}

#[tokio::test]
async fn browsers_hear_of_tls_only_where_they_came_over_it() {
    for trusted in [false, true] {
        let (_folder, running) = running(|settings| {
            if trusted {
                settings.policy.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            }
        })
        .await;
        for (forwarded, expected) in [("", false), ("x-forwarded-proto: https\r\n", trusted)] {
            let mut plain = TcpStream::connect(running.admin_address).await.unwrap();
            let request =
                format!("GET /healthz HTTP/1.1\r\nhost: test\r\n{forwarded}connection: close\r\n\r\n");
            plain.write_all(request.as_bytes()).await.unwrap();
            let answer = rest(&mut plain).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(answer.contains("strict-transport"), expected, "{answer}");
        }
        assert!(running.shutdown().await);
    }
}
