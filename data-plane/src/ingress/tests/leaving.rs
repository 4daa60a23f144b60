//! Clients that leave: what was consumed is learnt, or the upstream is closed.

use http_body_util::BodyExt as _;
use proto::v1::{Outcome, Usage};

use super::{
    gateway::{Gateway, PATIENCE, claude, until},
    upstream::{Gate, Step, Upstream, end, json, send, sse_head},
};
use crate::snapshot::ClientGone;

const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// Reads until the client has this much, then leaves.
async fn read_and_leave(gateway: &Gateway, text: &str) {
    let mut response = gateway.open(gateway.request("/v1/messages", STREAMED)).await;
    let mut seen = 0;
    while seen < text.len() {
        let frame = tokio::time::timeout(PATIENCE, response.body_mut().frame()).await.unwrap();
        seen += frame.unwrap().unwrap().into_data().unwrap().len();
    }
}

#[tokio::test]
async fn the_upstream_of_a_client_that_left_is_read_on_to_learn_the_usage() {
    let gate = Gate::new();
    let script = vec![sse_head(), send(START), send(DELTA), Step::Wait(gate.clone()), send(STOP), end()];
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    read_and_leave(&gateway, &[START, DELTA].concat()).await;
    until("the client is seen to be gone", || gateway.proxy.metrics.node.streams() == 0).await;
    gate.open();
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.status, record.estimated), (Outcome::ClientGone, 200, false));
    assert_eq!(record.conditions, ["drained"]);
    assert_eq!(record.attempts[0].usage, Some(Usage { input: 7, output: 9, ..Usage::default() }));
    until("the slot is free", || gateway.snapshot.load().accounts[0].state.in_flight() == 0).await;
}

#[tokio::test]
async fn where_the_account_says_so_the_upstream_is_closed_and_the_usage_is_an_estimate() {
    let upstream = Upstream::always(vec![sse_head(), send(START), send(DELTA), Step::Hang]).await;
    let account = claude(upstream.url()).but(|account| account.client_gone = ClientGone::Cancel);
    let gateway = Gateway::start(vec![account]).await;
    read_and_leave(&gateway, &[START, DELTA].concat()).await;
    upstream.hung_up().await;
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.estimated), (Outcome::ClientGone, true));
    assert_eq!(record.conditions, ["cancelled"]);
    assert_eq!(record.attempts[0].usage.unwrap().input, 7);
}

#[tokio::test]
async fn reading_on_is_bounded() {
    let upstream = Upstream::always(vec![sse_head(), send(START), send(DELTA), Step::Hang]).await;
    let gateway = Gateway::limited(vec![claude(upstream.url())], |limits| {
        limits.drain = std::time::Duration::from_millis(50);
    })
    .await;
    read_and_leave(&gateway, &[START, DELTA].concat()).await;
    upstream.hung_up().await;
    let record = gateway.records(1).await.remove(0);
    assert_eq!(record.conditions, ["drain_cut"]);
    assert!(record.estimated);
}

#[tokio::test]
async fn a_client_that_leaves_ahead_of_the_answer_is_metered_too() {
    let gate = Gate::new();
    let answer = json(200, r#"{"usage":{"input_tokens":3,"output_tokens":4}}"#);
    let script = [Step::Wait(gate.clone())].into_iter().chain(answer).collect();
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    {
        let request = gateway.request("/v1/messages", &STREAMED.replace("true", "false"));
        let answer = gateway.open(request);
        let asked = until("the upstream was asked", || upstream.received().len() == 1);
        tokio::select! {
            _ = answer => panic!("there is no answer yet"),
            () = asked => {}
        }
    }
    gate.open();
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.status), (Outcome::ClientGone, 0));
    assert_eq!(record.attempts[0].usage, Some(Usage { input: 3, output: 4, ..Usage::default() }));
    assert_eq!(record.conditions, ["drained"]);
}

#[tokio::test]
async fn a_client_that_hangs_up_at_the_legal_end_has_got_everything() {
    let upstream = Upstream::always(vec![sse_head(), send(START), send(DELTA), send(STOP), Step::Hang]).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    read_and_leave(&gateway, &[START, DELTA, STOP].concat()).await;
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.estimated), (Outcome::Completed, false));
}

/// Nobody waits for an answer to it, and nobody has begun one.
#[tokio::test]
async fn a_request_that_is_not_sent_as_a_whole_is_given_up_with_its_client() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    let gateway = Gateway::start(vec![claude(url)]).await;
    // More than the two sockets' buffers take.
    let body = format!(r#"{{"model":"claude-opus-5","messages":["{}"]}}"#, "x".repeat(24 << 20));
    let request = gateway.request("/v1/messages", &body);
    let asking = gateway.open(request);
    let accepted = async {
        let accepted = upstream.accept().await.unwrap();
        until("the rest of the body waits", || gateway.proxy.requests.held() > 16 << 20).await;
        accepted
    };
    let _unread = tokio::select! {
        _ = asking => panic!("it was answered"),
        accepted = accepted => accepted,
    };
    let record = gateway.records(1).await.remove(0);
    assert_eq!(
        (record.outcome(), record.estimated, &*record.conditions),
        (Outcome::ClientGone, false, &["cancelled".to_owned()][..])
    );
    until("the body is let go of", || gateway.proxy.requests.held() == 0).await;
}
