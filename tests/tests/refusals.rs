//! Bad input: a clear error in the caller's own wire, nothing forwarded, nothing in the ledger.

#![expect(clippy::panic, reason = "a test fails by panicking, its helpers too")]

use serde_json::{Value, json};
use tests::{Caller, Gateway, Reply, chat_body, eventually, messages_body, read};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const CLAUDE: &str = "sk-ant-refusals";
const OPENAI: &str = "sk-refusals";

async fn start() -> (Gateway, Caller) {
    let gateway =
        Gateway::standalone_with(&["--max-body-bytes", "100000", "--body-timeout", "1s"], &[]).await;
    gateway.account("claude-console", CLAUDE).await;
    gateway.account("openai", OPENAI).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    caller.offered("gpt-4o").await;
    (gateway, caller)
}

/// The messages wire's error type and message.
fn anthropic_error(reply: &Reply) -> (String, String) {
    let body = reply.json();
    assert_eq!(body["type"], "error", "{body}");
    assert!(body["request_id"].is_string() && reply.headers.contains_key("request-id"), "{body}");
    (text(&body["error"]["type"]), text(&body["error"]["message"]))
}

/// The chat wire's error code and message.
fn openai_error(reply: &Reply) -> (Value, String) {
    let body = reply.json();
    assert!(reply.headers.contains_key("x-request-id"));
    (body["error"]["code"].clone(), text(&body["error"]["message"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_in_the_callers_wire_and_leaves_no_record() {
    let (gateway, caller) = start().await;

    let reply = read(caller.post("/v1/messages", r#"{"model":"claude-sonnet-5","#).await).await;
    assert_eq!(reply.status, 400);
    assert_eq!(anthropic_error(&reply).0, "invalid_request_error");

    let reply = read(caller.post("/v1/chat/completions", r#"["no object"]"#).await).await;
    assert_eq!(reply.status, 400);
    assert!(openai_error(&reply).1.contains("JSON object"), "{:?}", reply.body);

    let reply = caller.messages(&json!({ "max_tokens": 1, "messages": [] })).await;
    assert_eq!(reply.status, 400);
    assert!(anthropic_error(&reply).1.contains("model"), "{:?}", reply.body);

    let reply = caller.chat(&json!({ "model": 7, "messages": [] })).await;
    assert_eq!(reply.status, 400);
    assert!(openai_error(&reply).1.contains("model"), "{:?}", reply.body);

    let reply = caller.messages(&json!({ "model": "no-such-model", "max_tokens": 1, "messages": [] })).await;
    assert_eq!(reply.status, 404);
    assert_eq!(anthropic_error(&reply).0, "not_found_error");

    let long = "x".repeat(100_000);
    let reply = caller.messages(&messages_body(&long, false)).await;
    assert_eq!(reply.status, 413);
    assert_eq!(anthropic_error(&reply).0, "request_too_large");
    let reply = caller.chat(&chat_body(&long, false)).await;
    assert_eq!(reply.status, 413);

    let reply = caller.ask("/v1/no/such/route", &json!({})).await;
    assert_eq!(reply.status, 404);
    assert!(!reply.json()["error"]["message"].as_str().unwrap().is_empty());

    let stranger = Caller::new(&caller.url, &format!("sk-{}", "0".repeat(64)));
    let reply = stranger.messages(&messages_body("x", false)).await;
    assert_eq!(reply.status, 401);
    assert_eq!(anthropic_error(&reply).0, "authentication_error");
    assert!(!reply.text().contains(&stranger.key), "an error must not repeat the key");
    let reply = stranger.chat(&chat_body("x", false)).await;
    assert_eq!((reply.status.as_u16(), openai_error(&reply).0), (401, json!("invalid_api_key")));

    // One good request is the only one that the providers and the ledger saw.
    assert_eq!(caller.messages(&messages_body("good", false)).await.status, 200);
    let records = gateway.records(1).await;
    assert_eq!(records[0]["outcome"], "completed");
    assert_eq!(gateway.emulator.credential(CLAUDE).counters().requests, 1);
    assert_eq!(gateway.emulator.credential(OPENAI).counters().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_sending_a_key_is_taken() {
    let (_gateway, caller) = start().await;
    let body = messages_body("x", false);
    let post = |url: String| caller.http.post(url).header("anthropic-version", "2023-06-01").json(&body);
    for (name, value) in [
        ("authorization", format!("Bearer {}", caller.key)),
        ("x-api-key", caller.key.clone()),
        ("x-goog-api-key", caller.key.clone()),
        ("api-key", caller.key.clone()),
    ] {
        let reply = post(format!("{}/v1/messages", caller.url)).header(name, value).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{name}");
    }
    let reply = post(format!("{}/v1/messages?key={}", caller.url, caller.key)).send().await.unwrap();
    assert_eq!(reply.status(), 200, "?key=");
    let reply = post(format!("{}/v1/messages", caller.url)).send().await.unwrap();
    assert_eq!(reply.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_is_refused() {
    let (gateway, _) = start().await;
    let made = gateway.admin.post("/api/api-keys", json!({ "name": "to be disabled" })).await.ok();
    let (id, key) = (text(&made["id"]), text(&made["key"]));
    let caller = Caller::new(gateway.url(), &key);
    caller.admitted().await;
    let path = format!("/api/api-keys/{id}");
    gateway.admin.put(&format!("{path}/toggle"), &path, json!({ "enabled": false })).await.ok();
    let reply = eventually("the key to be refused", async || {
        let reply = caller.messages(&messages_body("x", false)).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!(reply.status, 401);
    assert_eq!(anthropic_error(&reply).0, "authentication_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_send_its_body_is_told_to_go() {
    let (gateway, caller) = start().await;
    let mut stream = TcpStream::connect(gateway.url().trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: 1000\r\n\r\n{{\"model\":",
        caller.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}
