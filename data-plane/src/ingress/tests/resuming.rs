//! Answers that fail when the client has their beginning, and nothing of their content.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use proto::v1::Outcome;

use super::{
    gateway::{Gateway, claude, read},
    upstream::{Gate, Step, Upstream, send, sse, sse_head},
};

const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

/// Reads the beginning, which is not held back.
async fn begun(answer: &mut Incoming) {
    let beginning = [START, PING].concat();
    let mut seen = String::new();
    while seen.len() < beginning.len() {
        let frame = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        seen.push_str(std::str::from_utf8(&frame).unwrap());
    }
    assert_eq!(seen, beginning);
}

async fn rest(answer: Incoming) -> String {
    String::from_utf8(answer.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// An answer of which the client has the beginning goes on with another account, under the first one's ids.
#[tokio::test]
async fn a_stream_that_fails_behind_its_ping_goes_on_with_another_account_unseen() {
    let block = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    for (trouble, reason) in [
        (vec![send(OVERLOADED)], "stream_error"),
        (vec![Step::Cut], "cut"),
        (vec![send("data: {\"type\":\n\n")], "malformed"),
    ] {
        let gate = Gate::new();
        let script = [vec![sse_head(), send(START), send(PING), Step::Wait(gate.clone())], trouble].concat();
        let bad = Upstream::always(script).await;
        let second = START.replace("\"m\"", "\"other\"");
        let good = Upstream::always(sse(&[&second, PING, block, DELTA, STOP])).await;
        let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
        let mut answer = gateway.open(gateway.request("/v1/messages", STREAMED)).await.into_body();
        begun(&mut answer).await;
        gate.open();
        let rest = rest(answer).await;
        assert!(!rest.contains("message_start") && !rest.contains("error"), "{rest}");
        assert!(rest.contains("\"hi\"") && rest.ends_with("{\"type\":\"message_stop\"}\n\n"), "{rest}");
        let record = gateway.records(1).await.remove(0);
        assert_eq!((record.outcome(), record.status, record.attempts.len()), (Outcome::Completed, 200, 2));
        assert_eq!(record.attempts[0].reason, reason);
        assert!(record.conditions.contains(&"switched_late".to_owned()), "{:?}", record.conditions);
        assert_eq!(record.attempts[1].usage.as_ref().map(|usage| usage.output), Some(9));
    }
}

#[tokio::test]
async fn a_messages_stream_that_nobody_goes_on_with_breaks_off() {
    let gate = Gate::new();
    let script = vec![sse_head(), send(START), send(PING), Step::Wait(gate.clone()), send(OVERLOADED)];
    let bad = Upstream::always(script).await;
    let gateway = Gateway::limited(vec![claude(bad.url())], |limits| limits.retries.max = 0).await;
    let mut answer = gateway.open(gateway.request("/v1/messages", STREAMED)).await.into_body();
    begun(&mut answer).await;
    gate.open();
    assert_eq!(read(answer).await, (bytes::Bytes::new(), false));
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.attempts.len()), (Outcome::UpstreamError, 1));
}
