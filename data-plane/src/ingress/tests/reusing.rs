//! Connections to upstreams: kept, used again, and given up.

use std::time::Duration;

use proto::v1::Outcome;

use super::{
    gateway::{Gateway, claude, until},
    upstream::{Gate, Step, Upstream, json, send, sse, sse_head},
};

const PLAIN: &str = r#"{"model":"claude-opus-5","messages":[],"max_tokens":1}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#;
const ANSWER: &str = r#"{"type":"message","content":[{"type":"text","text":"hi"}],"usage":{"input_tokens":1,"output_tokens":1}}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[tokio::test]
async fn one_connection_serves_request_after_request_plain_or_streamed() {
    let upstream = Upstream::start(|number, _| match number % 2 {
        0 => json(200, ANSWER),
        _ => sse(&[START, STOP]),
    })
    .await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    for body in [PLAIN, STREAMED, PLAIN, STREAMED] {
        assert!(gateway.post("/v1/messages", body).await.whole);
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(gateway.proxy.upstream.idle(), 1);
}

#[tokio::test]
async fn a_connection_that_dies_ahead_of_the_answer_is_replaced_and_the_account_is_not_blamed() {
    // As a load balancer does that closes an idle connection while a request is on its way.
    let upstream = Upstream::start(|number, _| match number {
        0 | 2 => json(200, ANSWER),
        1 => vec![Step::Cut],
        _ => panic!("asked too often"),
    })
    .await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    for _ in 0..2 {
        assert_eq!(gateway.post("/v1/messages", PLAIN).await.status, 200);
    }
    let records = gateway.records(2).await;
    assert_eq!((records[1].attempts.len(), &*records[1].conditions), (1, &["resent".to_owned()][..]));
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_request_is_sent_once_more_only_where_the_connection_was_used_before_and_nothing_was_answered() {
    // On a fresh connection: the upstream hung up on this very request.
    let upstream = Upstream::always(vec![Step::Cut]).await;
    let gateway = Gateway::limited(vec![claude(upstream.url())], |limits| limits.retries.max = 0).await;
    assert_eq!(gateway.post("/v1/messages", PLAIN).await.status, 502);
    assert_eq!(upstream.received().len(), 1);
    // With a part of an answer: it was served, and would be paid twice.
    let upstream = Upstream::start(|number, _| match number {
        0 => json(200, ANSWER),
        _ => vec![Step::Send(b"HTTP/1.1 200 O".to_vec()), Step::Cut],
    })
    .await;
    let gateway = Gateway::limited(vec![claude(upstream.url())], |limits| limits.retries.max = 0).await;
    assert_eq!(gateway.post("/v1/messages", PLAIN).await.status, 200);
    assert_eq!(gateway.post("/v1/messages", PLAIN).await.status, 502);
    assert_eq!(upstream.received().len(), 2);
    // What the upstream may have served is charged to the account by an estimate.
    assert_eq!(gateway.records(2).await[1].conditions, ["no_usage_reported"]);
}

#[tokio::test]
async fn a_connection_that_the_upstream_has_closed_is_not_used_again() {
    let upstream = Upstream::start(|_, _| [json(200, ANSWER), vec![Step::Cut]].concat()).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    for _ in 0..3 {
        assert_eq!(gateway.post("/v1/messages", PLAIN).await.status, 200);
        until("the end of the connection is seen", || {
            gateway.proxy.upstream.sweep();
            gateway.proxy.upstream.idle() == 0
        })
        .await;
    }
    let records = gateway.records(3).await;
    assert!(records.iter().all(|record| record.conditions.is_empty()), "{records:#?}");
}

#[tokio::test]
async fn an_answer_that_is_left_in_the_middle_costs_its_connection() {
    let upstream = Upstream::always(vec![sse_head(), send(START), Step::Hang]).await;
    let gateway =
        Gateway::limited(vec![claude(upstream.url())], |limits| limits.drain = Duration::ZERO).await;
    drop(gateway.open(gateway.request("/v1/messages", STREAMED)).await);
    upstream.hung_up().await;
    assert_eq!(gateway.proxy.upstream.idle(), 0);
    assert_eq!(gateway.records(1).await[0].outcome(), Outcome::ClientGone);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_rests_for_long_is_closed() {
    let upstream = Upstream::always(json(200, ANSWER)).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    assert_eq!(gateway.send_and_wait(gateway.request("/v1/messages", PLAIN)).await.status, 200);
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(gateway.proxy.upstream.idle(), 1);
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(gateway.proxy.upstream.idle(), 0);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_nobodys() {
    const FORGED: &str = r#"{"type":"message","content":[{"type":"text","text":"forged"}],"usage":{"input_tokens":1,"output_tokens":1}}"#;
    let gate = Gate::new();
    let script = [json(200, ANSWER), vec![Step::Wait(gate.clone())], json(200, FORGED)].concat();
    let upstream = Upstream::start(move |number, _| match number {
        0 => script.clone(),
        _ => json(200, ANSWER),
    })
    .await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    assert_eq!(gateway.post("/v1/messages", PLAIN).await.text(), ANSWER);
    gate.open();
    // The sweep of the connections sees it as a request would.
    until("the forged answer is there", || {
        gateway.proxy.upstream.sweep();
        gateway.proxy.upstream.idle() == 0
    })
    .await;
    assert_eq!(gateway.post("/v1/messages", PLAIN).await.text(), ANSWER);
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_is_to_end_says_so_with_its_answer() {
    let gateway = Gateway::start(vec![claude("http://127.0.0.1:9".into())]).await;
    gateway.proxy.load.ask_to_shed(1);
    // It is answered at once, before anybody else could say anything.
    let answer = gateway.get("/healthz", &[]).await;
    assert_eq!(answer.headers["connection"], "close");
    assert!(!gateway.get("/healthz", &[]).await.headers.contains_key("connection"));
}
