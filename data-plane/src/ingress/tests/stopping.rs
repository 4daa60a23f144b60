//! Shutdown: what runs may end, then it is ended.

use std::time::Duration;

use http_body_util::BodyExt as _;
use proto::v1::Outcome;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use crate::{
    ingress::CLOSING_TIME,
    snapshot::{Revision, Snapshot},
};

use super::{
    gateway::{Gateway, PATIENCE, claude, read, until},
    upstream::{Gate, Step, Upstream, end, send, sse_head},
};

const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

async fn stopped(gateway: &mut Gateway) {
    let server = gateway.server.take().unwrap();
    tokio::time::timeout(PATIENCE, server).await.expect("the server does not stop").unwrap();
}

#[tokio::test]
async fn a_stream_that_runs_may_end_by_itself_and_new_connections_are_not_taken() {
    let gate = Gate::new();
    let script = vec![sse_head(), send(START), send(DELTA), Step::Wait(gate.clone()), send(STOP), end()];
    let upstream = Upstream::always(script).await;
    let mut gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let response = gateway.open(gateway.request("/v1/messages", STREAMED)).await;
    gateway.tasks.stop();
    let address = gateway.base.trim_start_matches("http://").to_owned();
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!gateway.proxy.ready());
    gate.open();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, [START, DELTA, STOP].concat());
    stopped(&mut gateway).await;
    assert_eq!(gateway.records(1).await[0].outcome(), Outcome::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_stays_unfinished_does_not_hold_up_a_shutdown() {
    let mut gateway = Gateway::start(vec![]).await;
    let address = gateway.base.trim_start_matches("http://").to_owned();
    let begun = async || {
        let mut client = TcpStream::connect(&address).await.unwrap();
        client.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
        client
    };
    let (_stalled, mut slow) = (begun().await, begun().await);
    until("both are served", || gateway.proxy.load.connections() == 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let server = gateway.server.take().unwrap();
    gateway.tasks.stop();
    let stopping = Instant::now();
    tokio::time::sleep(CLOSING_TIME / 2).await;
    slow.write_all(b" a\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    server.await.unwrap();
    let took = stopping.elapsed();
    assert!((CLOSING_TIME..CLOSING_TIME * 2).contains(&took), "{took:?}");
}

#[tokio::test]
async fn after_the_grace_a_messages_stream_breaks_off_behind_a_whole_frame() {
    let upstream = Upstream::always(vec![sse_head(), send(START), send(DELTA), Step::Hang]).await;
    let mut gateway =
        Gateway::with(vec![claude(upstream.url())], |_| {}, Duration::from_millis(50), true).await;
    let response = gateway.open(gateway.request("/v1/messages", STREAMED)).await;
    gateway.tasks.stop();
    assert_eq!(read(response.into_body()).await, ([START, DELTA].concat().into(), false));
    stopped(&mut gateway).await;
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), &*record.attempts[0].reason), (Outcome::CutOff, "stopped"));
    assert!(record.estimated);
}

#[tokio::test]
async fn after_the_grace_a_request_without_an_answer_is_refused() {
    let upstream = Upstream::always(vec![Step::Hang]).await;
    let mut gateway =
        Gateway::with(vec![claude(upstream.url())], |_| {}, Duration::from_millis(50), true).await;
    let request = gateway.request("/v1/messages", STREAMED);
    let stop = async {
        until("the upstream was asked", || upstream.received().len() == 1).await;
        gateway.tasks.stop();
    };
    let (answer, ()) = tokio::join!(gateway.send(request), stop);
    assert_eq!((answer.status.as_u16(), &answer.json()["type"]), (503, &"error".into()));
    stopped(&mut gateway).await;
    assert_eq!(gateway.records(1).await[0].outcome(), Outcome::CutOff);
}

#[tokio::test]
async fn a_stream_whose_key_is_revoked_is_cut_only_where_the_operators_say_so() {
    for cut in [false, true] {
        let gate = Gate::new();
        let script = vec![sse_head(), send(START), send(DELTA), Step::Wait(gate.clone()), send(STOP), end()];
        let upstream = Upstream::always(script).await;
        let gateway =
            Gateway::limited(vec![claude(upstream.url())], |limits| limits.cut_revoked_streams = cut).await;
        let response = gateway.open(gateway.request("/v1/messages", STREAMED)).await;
        let mut changed = (*gateway.snapshot.load_full()).clone();
        changed.keys.clear();
        gateway.snapshot.publish(changed, Revision { epoch: [1; 16], version: 2 });
        gate.open();
        let (body, whole) = read(response.into_body()).await;
        let outcome = if cut { Outcome::CutOff } else { Outcome::Completed };
        assert_eq!(
            (String::from_utf8_lossy(&body).contains("message_stop"), whole),
            (!cut, !cut),
            "{body:?}"
        );
        assert_eq!(gateway.records(1).await[0].outcome(), outcome);
        assert_eq!(gateway.post("/v1/messages", STREAMED).await.status, 401);
    }
}

#[tokio::test]
async fn a_silent_stream_is_cut_at_once_when_its_key_or_its_account_goes() {
    type Change = fn(&mut Snapshot);
    let changes: [Change; 3] = [
        |changed| changed.keys.clear(),
        |changed| changed.accounts.clear(),
        // The setting comes behind what it is about.
        |changed| (changed.policy.cut_revoked_streams, _) = (true, changed.keys.clear()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let script = vec![sse_head(), send(START), send(DELTA), Step::Hang];
        let upstream = Upstream::always(script).await;
        let cut = number < 2;
        let gateway =
            Gateway::limited(vec![claude(upstream.url())], |limits| limits.cut_revoked_streams = cut).await;
        let mut response = gateway.open(gateway.request("/v1/messages", STREAMED)).await;
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("content_block_delta") {
            seen.extend_from_slice(&response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap());
        }
        let mut changed = (*gateway.snapshot.load_full()).clone();
        change(&mut changed);
        gateway.snapshot.publish(changed, Revision { epoch: [1; 16], version: 2 });
        // Nothing else wakes it.
        let (_, whole) = read(response.into_body()).await;
        assert!(!whole);
        let record = gateway.records(1).await.remove(0);
        assert_eq!((record.outcome(), &*record.attempts[0].reason), (Outcome::CutOff, "revoked"));
    }
}

#[tokio::test]
async fn what_a_client_left_behind_is_metered_before_the_server_stops() {
    for waits in [true, false] {
        let gate = Gate::new();
        let script = vec![sse_head(), send(START), send(DELTA), Step::Wait(gate.clone()), send(STOP), end()];
        let upstream = Upstream::always(script).await;
        let grace = if waits { Duration::from_secs(60) } else { Duration::from_millis(50) };
        let mut gateway = Gateway::with(vec![claude(upstream.url())], |_| {}, grace, true).await;
        drop(gateway.open(gateway.request("/v1/messages", STREAMED)).await);
        until("the client is seen to be gone", || gateway.proxy.metrics.node.streams() == 0).await;
        gateway.tasks.stop();
        if waits {
            gate.open();
        }
        stopped(&mut gateway).await;
        let (_, records) = gateway.journal_now();
        assert_eq!(records[0].outcome(), Outcome::ClientGone);
        assert_eq!(records[0].conditions, [if waits { "drained" } else { "drain_cut" }]);
    }
}

#[tokio::test]
async fn a_request_is_given_up_in_time_though_others_are_being_converted() {
    let soon = Duration::from_millis(200);
    // What is asked for is not known yet.
    let limited =
        |limits: &mut crate::snapshot::Policy| (limits.deadline, limits.plain_deadline) = (soon, soon);
    let gateway = Gateway::limited(vec![claude("http://127.0.0.1:9".into())], limited).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let compute = gateway.proxy.compute.clone();
    // The only thread there is.
    let holding = gateway.tasks.spawn(async move { compute.run(move || _ = held.recv()).await });
    let long = STREAMED.replace("[]", &format!("[\"{}\"]", "x".repeat(crate::compute::LARGE)));
    let answer = gateway.post("/v1/messages", &long).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (504, &"not_in_time".into()));
    drop(release);
    holding.await.unwrap().unwrap();
}
