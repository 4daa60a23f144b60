//! The node's workers: which of them take connections, and that nothing holds them up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use emulator::Behaviour;
use futures_util::{StreamExt as _, future::join_all};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tests::{Caller, Certificates, Gateway, eventually, messages_body};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;

const CREDENTIAL: &str = "sk-ant-workers";

/// Passes connections on to `to`, and counts them.
async fn counted(to: SocketAddr) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let passing = async move {
        while let Ok((mut near, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut far = TcpStream::connect(to).await.unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
            tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    tokio::spawn(passing);
    (format!("http://{address}"), count)
}

/// Callers with connections of their own.
fn callers(of: &Caller, count: usize) -> Vec<Caller> {
    (0..count).map(|_| Caller::new(&of.url, &of.key)).collect()
}

/// 32 clients that ask now and then, of a node that could take far more.
#[tokio::test(flavor = "multi_thread")]
async fn with_little_to_do_the_connections_to_upstreams_stay_warm() {
    let gateway = Gateway::standalone_with(&["--workers", "16"], &[]).await;
    let (url, connections) = counted(gateway.emulator.addr()).await;
    gateway.account_with("claude-console", CREDENTIAL, json!({ "base_url": url })).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-4-5").await;
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let mut asked = 0;
    for caller in callers(&caller, 32).iter().cycle().take(3 * 32) {
        pace.tick().await;
        let reply = caller.messages(&messages_body("hello", false)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        asked += 1;
    }
    let opened = connections.load(Ordering::Relaxed);
    assert!(opened * 5 <= asked, "{opened} connections were opened for {asked} requests");
}

/// How long each worker has worked, in seconds.
async fn worked(caller: &Caller) -> Vec<f64> {
    let text = caller.http.get(format!("{}/metrics", caller.url)).send().await.unwrap().text().await.unwrap();
    let series = text.lines().filter_map(|line| line.strip_prefix("switchyard_worker_busy_seconds_total{"));
    series.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn heavy_connections_are_shared_out_evenly() {
    let gateway = Gateway::standalone_with(&["--workers", "2"], &[]).await;
    gateway.account("claude-console", CREDENTIAL).await;
    gateway.emulator.credential(CREDENTIAL).set_default(Behaviour::chunked(300)).unwrap();
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-4-5").await;
    let before = worked(&caller).await;
    let end = Instant::now() + Duration::from_secs(4);
    let streaming = async |caller: &Caller| {
        while Instant::now() < end {
            assert!(caller.messages(&messages_body("hello", true)).await.whole);
        }
    };
    join_all(callers(&caller, 8).iter().map(streaming)).await;
    let worked = eventually("the work to be measured", async || {
        let after = worked(&caller).await;
        let since: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        (since.iter().sum::<f64>() > 0.5).then_some(since)
    })
    .await;
    let most = worked.iter().copied().fold(0.0, f64::max);
    assert!(most / worked.iter().sum::<f64>() <= 0.65, "{worked:?}");
}

/// The waits between two pieces of answers, while `go_on`.
async fn gaps(callers: &[Caller], body: &Value, go_on: &(dyn Fn() -> bool + Sync)) -> Vec<Duration> {
    let streaming = async |caller: &Caller| {
        let mut gaps = Vec::new();
        while go_on() {
            let body = serde_json::to_vec(body).unwrap();
            let mut chunks = caller.post("/v1/messages", body).await.bytes_stream();
            let mut last: Option<Instant> = None;
            while let Some(chunk) = chunks.next().await {
                chunk.unwrap();
                gaps.extend(last.replace(Instant::now()).map(|last| last.elapsed()));
            }
        }
        gaps
    };
    join_all(callers.iter().map(streaming)).await.concat()
}

fn p99(mut gaps: Vec<Duration>) -> Duration {
    gaps.sort_unstable();
    gaps[gaps.len() * 99 / 100]
}

/// Reading and converting a body of some megabytes takes a worker of this build about a second.
#[tokio::test(flavor = "multi_thread")]
async fn streams_go_on_while_long_requests_are_converted() {
    let gateway = Gateway::standalone_with(&["--workers", "2"], &[]).await;
    gateway.account("claude-console", CREDENTIAL).await;
    let paced = Behaviour::chunked(40).with_gap(Duration::from_millis(20));
    gateway.emulator.credential(CREDENTIAL).set_default(paced).unwrap();
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-4-5").await;
    let body = messages_body("hello", true);
    let end = Instant::now() + Duration::from_secs(8);
    let go_on = move || Instant::now() < end;
    // An image, since as much text would be too much for the model.
    let url = format!("data:image/png;base64,{}", "iVBORw0KGgoA".repeat(700_000));
    let content =
        json!([{ "type": "text", "text": "hello" }, { "type": "image_url", "image_url": { "url": url } }]);
    let long = json!({ "model": "claude-sonnet-4-5", "messages": [{ "role": "user", "content": content }] });
    let converting = async {
        let mut converted = 0;
        while go_on() {
            let reply = Caller::new(&caller.url, &caller.key).chat(&long).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            converted += 1;
        }
        converted
    };
    // What the machine itself lets wait, so that its other guests are not held against the gateway.
    let direct = [Caller::new(&gateway.emulator.base_url(), CREDENTIAL)];
    let through = callers(&caller, 8);
    let (converted, through, direct) =
        tokio::join!(converting, gaps(&through, &body, &go_on), gaps(&direct, &body, &go_on));
    assert!(converted > 0);
    hardly_more(through, direct);
}

fn hardly_more(through: Vec<Duration>, direct: Vec<Duration>) {
    let (through, direct) = (p99(through), p99(direct));
    assert!(through <= direct + Duration::from_millis(20), "{through:?} through, {direct:?} direct");
}

/// A client that shakes hands, 250 times a second, and asks for nothing. Gives how often it did.
async fn shake_hands(to: SocketAddr, authority: &str, go_on: &(dyn Fn() -> bool + Sync)) -> usize {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    let connector = TlsConnector::from(Arc::new(config));
    let mut pace = tokio::time::interval(Duration::from_millis(4));
    let mut shaken = 0;
    while go_on() {
        pace.tick().await;
        let stream = TcpStream::connect(to).await.unwrap();
        connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        shaken += 1;
    }
    shaken
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_go_on_while_clients_shake_hands() {
    let certificates = Certificates::new();
    let (certificate, key) = certificates.issue("node");
    let tls = ["--workers", "2", "--listen-tls-cert", &certificate, "--listen-tls-key", &key];
    let gateway = Gateway::standalone_with(&tls, &[]).await;
    gateway.account("claude-console", CREDENTIAL).await;
    let paced = Behaviour::chunked(40).with_gap(Duration::from_millis(20));
    gateway.emulator.credential(CREDENTIAL).set_default(paced).unwrap();
    let made = gateway.admin.post("/api/api-keys", json!({ "name": "test" })).await.ok();
    let authority =
        reqwest::Certificate::from_pem(&std::fs::read(certificates.authority()).unwrap()).unwrap();
    let http = || reqwest::Client::builder().no_proxy().tls_certs_only([authority.clone()]).build().unwrap();
    let (address, key) = (gateway.url().trim_start_matches("http://"), made["key"].as_str().unwrap());
    let caller = || Caller { http: http(), url: format!("https://{address}"), key: key.to_owned() };
    caller().offered("claude-sonnet-4-5").await;
    let body = messages_body("hello", true);
    let end = Instant::now() + Duration::from_secs(6);
    let go_on = move || Instant::now() < end;
    let direct = [Caller::new(&gateway.emulator.base_url(), CREDENTIAL)];
    let through: Vec<_> = (0..8).map(|_| caller()).collect();
    let (to, authority) = (address.parse().unwrap(), certificates.authority());
    let (first, second, through, direct) = tokio::join!(
        shake_hands(to, &authority, &go_on),
        shake_hands(to, &authority, &go_on),
        gaps(&through, &body, &go_on),
        gaps(&direct, &body, &go_on)
    );
    assert!(first + second > 1000, "{first} and {second} handshakes");
    hardly_more(through, direct);
}
