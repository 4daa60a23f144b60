//! A panic on a request's way is that request's end and nobody else's: its client is told in its wire, and the ledger has
//! it once.

use http_body_util::BodyExt as _;
use proto::v1::Outcome;

use super::{
    gateway::{Gateway, PATIENCE, claude, read, until},
    upstream::{Gate, Script, Step, Upstream, end, json, send, sse_head},
};
use crate::faults::{
    Place,
    tests::{panic_at, panicked},
};

const GOOD: &str = r#"{"id":"m","type":"message","role":"assistant","model":"claude-opus-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":9}}"#;
const BEGIN: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-opus-5\",\"content\":[],\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const REST: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

struct Asked {
    path: &'static str,
    body: &'static str,
    /// What an error has in it.
    error: &'static str,
    /// How a stream ends that breaks off: with this, or with its connection.
    last: Option<&'static str>,
    /// The connection ends in order.
    whole: bool,
}

const PLAIN: [Asked; 4] = [
    Asked {
        path: "/v1/chat/completions",
        body: r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"a"}]}"#,
        error: r#""code":"internal_error""#,
        last: None,
        whole: true,
    },
    Asked {
        path: "/v1/responses",
        body: r#"{"model":"claude-opus-5","input":"a"}"#,
        error: r#""code":"internal_error""#,
        last: None,
        whole: true,
    },
    Asked {
        path: "/v1/messages",
        body: r#"{"model":"claude-opus-5","max_tokens":9,"messages":[{"role":"user","content":"a"}]}"#,
        error: r#""type":"api_error""#,
        last: None,
        whole: true,
    },
    Asked {
        path: "/v1beta/models/claude-opus-5:generateContent",
        body: r#"{"contents":[{"role":"user","parts":[{"text":"a"}]}]}"#,
        error: r#""status":"INTERNAL""#,
        last: None,
        whole: true,
    },
];

const STREAMED: [Asked; 4] = [
    Asked {
        path: "/v1/chat/completions",
        body: r#"{"model":"claude-opus-5","stream":true,"messages":[{"role":"user","content":"a"}]}"#,
        error: r#""code":"internal_error""#,
        last: Some("stream_interrupted"),
        whole: true,
    },
    Asked {
        path: "/v1/responses",
        body: r#"{"model":"claude-opus-5","stream":true,"input":"a"}"#,
        error: r#""code":"internal_error""#,
        last: Some("stream_interrupted"),
        whole: true,
    },
    Asked {
        path: "/v1/messages",
        body: r#"{"model":"claude-opus-5","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"a"}]}"#,
        error: r#""type":"api_error""#,
        last: None,
        whole: false,
    },
    Asked {
        path: "/v1beta/models/claude-opus-5:streamGenerateContent?alt=sse",
        body: r#"{"contents":[{"role":"user","parts":[{"text":"a"}]}]}"#,
        error: r#""status":"INTERNAL""#,
        last: None,
        whole: true,
    },
];

async fn upstream(gate: &Gate) -> Upstream {
    let script: Script = vec![sse_head(), send(BEGIN), Step::Wait(gate.clone()), send(REST), end()];
    Upstream::start(move |_, received| {
        match String::from_utf8_lossy(&received.body).contains("\"stream\":true") {
            true => script.clone(),
            false => json(200, GOOD),
        }
    })
    .await
}

#[tokio::test]
async fn a_panic_ahead_of_the_answer_is_an_error_in_the_clients_wire() {
    const AHEAD: [Place; 3] = [Place::Filter, Place::Plan, Place::Select];
    const UNDER_WAY: [Place; 3] = [Place::Adapt, Place::Head, Place::Respond];
    let plain = PLAIN.iter().map(|asked| (asked, Some(Place::Read)));
    for (asked, read) in plain.chain(STREAMED.iter().map(|asked| (asked, None))) {
        for place in AHEAD.into_iter().chain(UNDER_WAY).chain(read) {
            let gate = Gate::new();
            let upstream = upstream(&gate).await;
            let gateway = Gateway::start(vec![claude(upstream.url())]).await;
            panic_at(place);
            let answer = gateway.post(asked.path, asked.body).await;
            let (path, text) = (asked.path, answer.text());
            assert!(panicked(), "{path} does not come by {place:?}");
            assert_eq!(answer.status, 500, "{path} at {place:?}");
            assert!(text.contains(asked.error) && text.contains("send it again"), "{path}: {text}");
            // The connection goes on, and so does the node.
            gate.open();
            let again = gateway.post(asked.path, asked.body).await;
            assert!(again.status == 200 && again.whole, "{path}: {}", again.text());
            let count = if AHEAD.contains(&place) { 1 } else { 2 };
            let records = gateway.records(count).await;
            assert_eq!(records.len(), count, "{path} at {place:?}");
            if count > 1 {
                let record = &records[0];
                assert_eq!(record.outcome(), Outcome::CutOff);
                assert!(record.conditions.contains(&"panicked".to_owned()), "{:?}", record.conditions);
            }
            until("the slot is free", || gateway.snapshot.load().accounts[0].state.in_flight() == 0).await;
        }
    }
}

#[tokio::test]
async fn a_panic_within_a_stream_ends_it_as_its_wire_knows() {
    for asked in &STREAMED {
        let gate = Gate::new();
        let upstream = upstream(&gate).await;
        let gateway = Gateway::start(vec![claude(upstream.url())]).await;
        let mut response = gateway.open(gateway.request(asked.path, asked.body)).await;
        let first = tokio::time::timeout(PATIENCE, response.body_mut().frame()).await.unwrap();
        first.unwrap().unwrap();
        panic_at(Place::Stream);
        gate.open();
        let (rest, whole) = tokio::time::timeout(PATIENCE, read(response.into_body())).await.unwrap();
        assert!(panicked());
        let rest = String::from_utf8_lossy(&rest);
        assert_eq!(whole, asked.whole, "{}: {rest}", asked.path);
        assert!(asked.last.is_none_or(|last| rest.contains(last)), "{}: {rest}", asked.path);
        assert!(
            !rest.contains("message_stop") && !rest.contains("[DONE]") && !rest.contains("STOP"),
            "{rest}"
        );
        let record = gateway.records(1).await.remove(0);
        assert_eq!(record.outcome(), Outcome::CutOff);
        assert!(record.conditions.contains(&"panicked".to_owned()), "{:?}", record.conditions);
        until("the slot is free", || gateway.snapshot.load().accounts[0].state.in_flight() == 0).await;
        assert_eq!(gateway.proxy.metrics.node.streams(), 0);
    }
}

#[tokio::test]
async fn a_panic_while_an_upstream_is_read_on_leaves_a_record() {
    let gate = Gate::new();
    let upstream = upstream(&gate).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let asked = &STREAMED[2];
    let mut response = gateway.open(gateway.request(asked.path, asked.body)).await;
    tokio::time::timeout(PATIENCE, response.body_mut().frame()).await.unwrap().unwrap().unwrap();
    panic_at(Place::Drain);
    drop(response);
    let record = gateway.records(1).await.remove(0);
    assert!(panicked());
    assert_eq!(record.outcome(), Outcome::CutOff);
    assert!(record.conditions.contains(&"panicked".to_owned()), "{:?}", record.conditions);
}
