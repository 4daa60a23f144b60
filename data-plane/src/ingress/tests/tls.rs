//! Clients come over TLS: with good intentions, bad ones, and none.

use std::{fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rcgen::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    pki_types::ServerName,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use shared::tls::TlsFiles;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    gateway::{Gateway, PATIENCE, claude, read, until},
    upstream::{Upstream, json, sse},
};
use crate::ingress::{ClientTls, ReloadFailures, ServerSettings};

const MESSAGES: &str = r#"{"model":"claude-opus-5","messages":[],"max_tokens":1}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5","messages":[],"max_tokens":1,"stream":true}"#;
const MESSAGE: &str = r#"{"id":"m","type":"message","usage":{"input_tokens":7,"output_tokens":3}}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate that is its own authority, in files.
struct Certificate {
    folder: TempDir,
    pem: String,
}

impl Certificate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pem = write(folder.path());
        Self { folder, pem }
    }

    fn files(&self) -> TlsFiles {
        let file = |name| self.folder.path().join(name);
        TlsFiles { certificate: file("cert.pem"), key: file("key.pem"), client_ca: None }
    }

    fn tls(&self) -> ClientTls {
        ClientTls::load(self.files(), HANDSHAKE).unwrap()
    }
}

/// Writes a new certificate and gives its PEM.
fn write(folder: &Path) -> String {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.pem()
}

/// A client that trusts this certificate, and remembers its sessions.
fn trusting(pem: &str) -> Arc<ClientConfig> {
    speaking(rustls::ALL_VERSIONS, pem)
}

fn speaking(versions: &[&'static SupportedProtocolVersion], pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

async fn gateway(url: String, tls: &ClientTls) -> Gateway {
    let settings = ServerSettings { tls: Some(tls.clone()), ..ServerSettings::default() };
    Gateway::serving(vec![claude(url)], settings).await
}

async fn nobody(tls: &ClientTls) -> Gateway {
    gateway("http://127.0.0.1:9".into(), tls).await
}

fn address(gateway: &Gateway) -> &str {
    gateway.base.trim_start_matches("http://")
}

async fn plain(gateway: &Gateway) -> TcpStream {
    TcpStream::connect(address(gateway)).await.unwrap()
}

async fn connect(gateway: &Gateway, client: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = TlsConnector::from(Arc::clone(client)).connect(name, plain(gateway).await);
    tokio::time::timeout(PATIENCE, connecting).await.expect("a handshake in time")
}

/// What a call answers on this connection.
async fn call(gateway: &Gateway, stream: TlsStream<TcpStream>, body: &str) -> (u16, Bytes, bool) {
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.unwrap();
    gateway.tasks.spawn(connection);
    let answer = sender.send_request(gateway.request("/v1/messages", body)).await.unwrap();
    let (parts, body) = answer.into_parts();
    let (body, whole) = read(body).await;
    (parts.status.as_u16(), body, whole)
}

/// Reads to the end of the connection; how that comes does not matter.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    _ = stream.read_to_end(&mut all).await;
    all
}

/// The first thing that a client of TLS says.
fn hello(pem: &str) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(trusting(pem), name).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

#[tokio::test]
async fn answers_and_streams_pass_over_tls() {
    let certificate = Certificate::new();
    let upstream = Upstream::start(|_, received| {
        if received.body.ends_with(b"true}") { sse(&[START, STOP]) } else { json(200, MESSAGE) }
    })
    .await;
    let gateway = gateway(upstream.url(), &certificate.tls()).await;
    let client = trusting(&certificate.pem);
    let stream = connect(&gateway, &client).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(call(&gateway, stream, MESSAGES).await, (200, MESSAGE.into(), true));
    let (status, body, _) = call(&gateway, connect(&gateway, &client).await.unwrap(), STREAMED).await;
    assert_eq!((status, body), (200, [START, STOP].concat().into()));
}

/// Two gateways stand for two workers: all that they share is what the listener gives both.
#[tokio::test]
async fn a_session_is_resumed_by_any_worker() {
    let certificate = Certificate::new();
    let upstream = Upstream::always(json(200, MESSAGE)).await;
    let tls = certificate.tls();
    let workers = [gateway(upstream.url(), &tls).await, gateway(upstream.url(), &tls).await];
    for version in rustls::ALL_VERSIONS {
        let client = speaking(&[version], &certificate.pem);
        let mut kinds = Vec::new();
        for worker in [0, 1, 0] {
            let stream = connect(&workers[worker], &client).await.unwrap();
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            // In TLS 1.3 the tickets come with the answer.
            assert_eq!(call(&workers[worker], stream, MESSAGES).await.0, 200);
        }
        assert_eq!(
            kinds,
            [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed],
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn changed_certificates_are_shown_to_the_next_client_and_bad_ones_to_nobody() {
    let certificate = Certificate::new();
    let tls = certificate.tls();
    let gateway = nobody(&tls).await;
    let failures = ReloadFailures::default();
    gateway.proxy.metrics.node.register(Box::new(failures.clone()));
    tls.watch_every(Duration::from_millis(10), &gateway.tasks, &failures);
    let before = trusting(&certificate.pem);
    let mut open = connect(&gateway, &before).await.unwrap();

    fs::write(certificate.files().key, "half a k").unwrap();
    let counted = || gateway.proxy.metrics.node.text().contains("switchyard_tls_reload_failures_total 1");
    until("the bad file is counted", counted).await;
    connect(&gateway, &before).await.unwrap();

    let after = trusting(&write(certificate.folder.path()));
    let shown = async { while connect(&gateway, &after).await.is_err() {} };
    tokio::time::timeout(PATIENCE, shown).await.expect("the new certificate is in use in time");
    let fresh_client = trusting(&certificate.pem);
    assert!(connect(&gateway, &fresh_client).await.is_err(), "the old one is shown no more");
    open.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "what is open stays so: {answer}");
}

#[tokio::test]
async fn a_client_that_speaks_http_is_told_what_to_speak() {
    let gateway = nobody(&Certificate::new().tls()).await;
    let mut client = plain(&gateway).await;
    client.write_all(b"POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    let mut answer = vec![0; 1024];
    let mut length = 0;
    while !answer[..length].ends_with(b"only.\n") {
        let read = tokio::time::timeout(PATIENCE, client.read(&mut answer[length..])).await.unwrap().unwrap();
        assert!(read > 0, "{:?}", String::from_utf8_lossy(&answer));
        length += read;
    }
    assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
}

#[tokio::test]
async fn garbage_is_answered_by_nothing_but_an_alert() {
    let gateway = nobody(&Certificate::new().tls()).await;
    for garbage in [&b"\0\x01\x02"[..], b"\x16\x03\x01\0\x05hello"] {
        let mut client = plain(&gateway).await;
        client.write_all(garbage).await.unwrap();
        let said = tokio::time::timeout(PATIENCE, read_to_end(&mut client)).await.expect("an end in time");
        assert!(said.is_empty() || said[0] == 21, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_is_closed_when_its_time_is_over() {
    let certificate = Certificate::new();
    let gateway = nobody(&certificate.tls()).await;
    let hello = hello(&certificate.pem);
    for said in [&b""[..], &hello[..hello.len() / 2], &hello, b"GET / HTTP/1.1\r\n"] {
        let mut client = plain(&gateway).await;
        client.write_all(said).await.unwrap();
        let started = Instant::now();
        read_to_end(&mut client).await;
        let took = started.elapsed();
        let of_http = said.starts_with(b"GET");
        assert!(of_http || (HANDSHAKE..HANDSHAKE * 2).contains(&took), "{took:?}");
        assert!(took < HANDSHAKE * 2);
    }
    until("all are closed", || gateway.proxy.load.connections() == 0).await;
}

#[tokio::test]
async fn peers_that_stop_half_way_keep_nobody_waiting() {
    let certificate = Certificate::new();
    let upstream = Upstream::always(json(200, MESSAGE)).await;
    let gateway = gateway(upstream.url(), &certificate.tls()).await;
    let hello = hello(&certificate.pem);
    let mut peers = Vec::new();
    for number in 0..100 {
        let mut peer = plain(&gateway).await;
        peer.write_all(&hello[..if number % 2 == 0 { hello.len() } else { 10 }]).await.unwrap();
        peers.push(peer);
    }
    until("all are there", || gateway.proxy.load.connections() == 100).await;
    let started = std::time::Instant::now();
    let stream = connect(&gateway, &trusting(&certificate.pem)).await.unwrap();
    assert_eq!(call(&gateway, stream, MESSAGES).await.0, 200);
    assert!(started.elapsed() < HANDSHAKE / 2);
}

#[tokio::test]
async fn a_shutdown_waits_for_no_handshake() {
    let certificate = Certificate::new();
    let mut gateway = nobody(&certificate.tls()).await;
    let _silent = plain(&gateway).await;
    until("it is there", || gateway.proxy.load.connections() == 1).await;
    gateway.tasks.stop();
    let server = gateway.server.take().unwrap();
    tokio::time::timeout(HANDSHAKE / 2, server).await.expect("the server stops at once").unwrap();
}

/// The bound on writes is below TLS: above it, what TLS has taken would look as if it were sent.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up_over_tls_too() {
    let certificate = Certificate::new();
    let ping = format!("event: ping\ndata: {{\"type\":\"ping\",\"x\":\"{}\"}}\n\n", "x".repeat(60_000));
    let mut frames = vec![&*ping; 400];
    frames.insert(0, START);
    let upstream = Upstream::always(sse(&frames)).await;
    let gateway = gateway(upstream.url(), &certificate.tls()).await;
    let stream = connect(&gateway, &trusting(&certificate.pem)).await.unwrap();
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.unwrap();
    gateway.tasks.spawn(connection);
    let mut answer = sender.send_request(gateway.request("/v1/messages", STREAMED)).await.unwrap();
    assert!(answer.frame().await.unwrap().is_ok());
    let given_up = async {
        while gateway.proxy.load.connections() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), given_up).await.expect("it is given up");
}
