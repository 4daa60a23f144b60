use std::{net::SocketAddr, process::Command, sync::mpsc::channel};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use shared::tasks::Tasks;
use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use super::*;
use crate::{
    allocations,
    ingress::{
        SPARE, ServerSettings, accept,
        tests::{
            gateway::{KEY, Unconfigured, openai, snapshot_of},
            upstream::{Upstream, json},
        },
    },
    snapshot::Revision,
};

const GRACE: Duration = Duration::from_secs(30);

/// Workers with nothing configured: health and metrics are all they answer.
struct Started {
    workers: Workers,
    common: Common,
    listening: Tasks,
    address: SocketAddr,
    _folder: TempDir,
}

async fn start(count: usize) -> Started {
    start_with(count, 1000).await
}

/// `most`: connections.
async fn start_with(count: usize, most: usize) -> Started {
    let loads = (0..count).map(|_| Arc::default());
    let Unconfigured { common, upstream, folder, .. } = Unconfigured::new(loads, true, &Tasks::new());
    let (workers, hands) = Workers::start(&common, &ServerSettings::default(), &upstream, GRACE).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listening = Tasks::new();
    listening.spawn(workers.measure(listening.stopping()));
    listening.spawn(accept(listener, hands, most, listening.stopping()));
    Started { workers, common, listening, address, _folder: folder }
}

impl Started {
    /// What `GET path` answers, on a connection of its own.
    async fn get(&self, path: &str) -> (u16, String) {
        let client: Client<_, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let request = Request::get(format!("http://{}{path}", self.address)).body(Full::default()).unwrap();
        let answer = client.request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Has the worker of this number do nothing but wait, until the sender is dropped.
    fn hang(&self, number: usize) -> std::sync::mpsc::Sender<()> {
        let (release, held) = channel::<()>();
        let (hangs, told) = channel();
        self.workers.threads[number].runtime.spawn(async move {
            hangs.send(()).unwrap();
            _ = held.recv();
        });
        told.recv().unwrap();
        release
    }
}

#[tokio::test]
async fn workers_serve_and_end_once_nobody_hands_them_connections() {
    let started = start(3).await;
    assert_eq!(started.get("/healthz").await, (200, "ok\n".into()));
    let (_, metrics) = started.get("/metrics").await;
    assert!(metrics.contains("switchyard_worker_connections{worker=\"2\"} 0"), "{metrics}");
    assert!(started.listening.shutdown(GRACE).await);
    assert!(started.workers.ended().await);
    // A worker that has nothing to do must not end what another one's clients still wait for.
    assert_eq!(started.common.lifecycle.phase(), crate::proxy::Phase::Stopping);
}

#[tokio::test]
async fn a_worker_that_hangs_fails_the_health_check_and_does_not_hold_up_the_shutdown_of_the_others() {
    let started = start(2).await;
    let release = started.hang(0);
    // The first connections go to it, and hang with it.
    let asking = async {
        loop {
            match tokio::time::timeout(Duration::from_secs(1), started.get("/healthz")).await {
                Ok((200, _)) | Err(_) => tokio::task::yield_now().await,
                Ok(answer) => return answer,
            }
        }
    };
    let answer = tokio::time::timeout(SILENT * 2, asking).await.expect("the node looks healthy");
    assert_eq!(answer, (503, "worker 0 does not go on\n".into()));
    assert!(started.listening.shutdown(GRACE).await);
    assert!(!tokio::time::timeout(SILENT, started.workers.ended()).await.expect("the shutdown waits for it"));
    drop(release);
}

/// In a process of its own, since it ends.
#[test]
fn a_worker_that_panics_ends_the_process() {
    const INSIDE: &str = "SWITCHYARD_TEST_PANICKING_WORKER";
    if std::env::var_os(INSIDE).is_some() {
        end_process_on_panic(|| panic!("as asked"));
        return;
    }
    let name = "worker::tests::a_worker_that_panics_ends_the_process";
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(PANICKED), "{}", String::from_utf8_lossy(&ended.stdout));
}

/// The issue of pools that stay warm: connections that do little are all served by workers that know their upstream.
#[tokio::test]
async fn connections_that_do_little_are_served_by_few_of_many_workers() {
    let started = start(16).await;
    let mut connections = Vec::new();
    for _ in 0..32 {
        connections.push(tokio::net::TcpStream::connect(started.address).await.unwrap());
        let taken = || started.common.metrics.loads().map(|load| load.connections()).sum::<usize>();
        while taken() < connections.len() {
            tokio::task::yield_now().await;
        }
        // As by requests that come one in a second.
        started.common.metrics.loads().for_each(|load| load.forget_fresh(1));
    }
    let counts: Vec<_> = started.common.metrics.loads().map(|load| load.connections()).collect();
    assert_eq!(counts[0], 32, "{counts:?}");
}

/// Each costs time, most of all where threads share an allocator.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_request_allocates_little() {
    const REQUESTS: usize = 100;
    let answer = format!(
        r#"{{"choices":[],"text":"{}","usage":{{"prompt_tokens":1,"completion_tokens":1}}}}"#,
        "x".repeat(900)
    );
    let upstream = Upstream::always(json(200, &answer)).await;
    let started = start(1).await;
    let configured = snapshot_of(&started.common.live, vec![openai(upstream.url())]);
    started.common.snapshot.publish(configured, Revision { epoch: [1; 16], version: 1 });
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let body =
        format!(r#"{{"model":"gpt-5","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(900));
    let asking = async || {
        for _ in 0..REQUESTS {
            let request = Request::post(format!("http://{}/v1/chat/completions", started.address))
                .header("authorization", format!("Bearer {KEY}"))
                .header("content-type", "application/json")
                .header("user-agent", "test")
                .body(Full::new(Bytes::from(body.clone())))
                .unwrap();
            let answer = client.request(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.unwrap();
        }
    };
    let allocated = async || {
        let counting = started.workers.threads[0].runtime.spawn(async { allocations::of_this_thread() });
        counting.await.unwrap()
    };
    let all = async || futures_util::future::join_all((0..32).map(|_| asking())).await;
    all().await;
    let before = allocated().await;
    all().await;
    let each = (allocated().await - before) / (32 * REQUESTS as u64);
    assert!(each <= 40, "{each} allocations for each request");
}

/// What a worker has not come to yet counts too: a burst would let in as many as there are file descriptors.
#[tokio::test]
async fn no_more_connections_are_taken_than_may_be_however_busy_the_workers_are() {
    let started = start_with(1, 2).await;
    let release = started.hang(0);
    let mut connections = Vec::new();
    for _ in 0..2 + SPARE + 3 {
        connections.push(tokio::net::TcpStream::connect(started.address).await.unwrap());
    }
    for connection in &mut connections[2 + SPARE..] {
        let mut said = String::new();
        tokio::time::timeout(GRACE, connection.read_to_string(&mut said)).await.expect("it is open").unwrap();
        assert!(said.starts_with("HTTP/1.1 503") && said.contains("retry-after: 1"), "{said}");
    }
    assert_eq!(started.common.metrics.loads().map(|load| load.connections()).sum::<usize>(), 2 + SPARE);
    drop(release);
}

#[tokio::test]
async fn a_node_that_is_full_still_says_that_it_is_well() {
    let started = start_with(1, 1).await;
    let _only = tokio::net::TcpStream::connect(started.address).await.unwrap();
    assert_eq!(started.get("/healthz").await.0, 200);
    let (status, said) = started.get("/v1/models").await;
    assert!(status == 503 && said.contains("too_many_connections"), "{status} {said}");
}
