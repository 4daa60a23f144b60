//! Streams: frames at once, legal endings on every path, and the right line in the ledger.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::time::Duration;

use emulator::{Behaviour, Condition, Fault, Position, UsageScript};
use futures_util::StreamExt as _;
use serde_json::json;
use tests::{Caller, Gateway, chat_body, eventually, messages_body, read};

const CLAUDE: &str = "sk-ant-streams";
const OPENAI: &str = "sk-streams";
const PATIENCE: Duration = Duration::from_secs(20);

async fn start() -> (Gateway, Caller) {
    start_with(&[]).await
}

async fn start_with(arguments: &[&str]) -> (Gateway, Caller) {
    let gateway = Gateway::standalone_with(arguments, &[]).await;
    gateway.account("claude-console", CLAUDE).await;
    gateway.account("openai", OPENAI).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    caller.offered("gpt-4o").await;
    (gateway, caller)
}

fn stream_body() -> Vec<u8> {
    serde_json::to_vec(&messages_body("one two three four five six seven eight", true)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn content_arrives_while_the_provider_still_writes() {
    let (gateway, caller) = start().await;
    let credential = gateway.emulator.credential(CLAUDE);
    credential.next(Behaviour::chunked(8).with_hold(Position::Content(3))).unwrap();
    let mut chunks = caller.post("/v1/messages", stream_body()).await.bytes_stream();
    let mut text = String::new();
    while text.matches("content_block_delta").count() < 2 * 3 {
        // The type stands twice in a frame: as its event, and in its data.
        text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(credential.counters().held, 1, "the provider has not written the rest");
    credential.release();
    while let Some(chunk) = chunks.next().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert!(text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_is_not_held_back_for_ever() {
    let (gateway, caller) = start().await;
    let credential = gateway.emulator.credential(CLAUDE);
    // Nothing but message_start: the head goes out when the hold is over.
    credential.next(Behaviour::chunked(8).with_hold(Position::Frame(1))).unwrap();
    let mut chunks = caller.post("/v1/messages", stream_body()).await.bytes_stream();
    let first = chunks.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: message_start"));
    assert_eq!(credential.counters().held, 1);
    credential.release();
    while chunks.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_after_the_first_content_ends_as_its_clients_understand_best_and_is_recorded() {
    let (gateway, caller) = start_with(&["--idle-timeout", "500ms"]).await;
    let usage = UsageScript { input: Some(100), output: Some(50), ..UsageScript::default() };
    for (count, fault) in
        [Fault::Cut(Position::Content(3)), Fault::Stall(Position::Content(3))].into_iter().enumerate()
    {
        let behaviour = Behaviour::chunked(8).with_fault(fault.clone()).with_usage(usage);
        gateway.emulator.credential(CLAUDE).next(behaviour.clone()).unwrap();
        let reply = caller.messages(&messages_body("one two three four five six seven eight", true)).await;
        assert!(!reply.whole, "{fault:?}: the client must see that it is not whole");
        assert!(
            reply.text().ends_with("}\n\n") && !reply.text().contains("message_stop"),
            "{fault:?}: {}",
            reply.text()
        );

        gateway.emulator.credential(OPENAI).next(behaviour).unwrap();
        let reply = caller.chat(&chat_body("one two three four five six seven eight", true)).await;
        assert!(reply.whole && reply.text().contains("data: {\"error\":{"), "{fault:?}: {}", reply.text());

        for record in gateway.records(2 * (count + 1)).await.iter().take(2) {
            assert_eq!(
                (record["outcome"].as_str(), record["status"].as_u64()),
                (Some("upstream_error"), Some(200)),
                "{record}"
            );
            assert_eq!(record["estimated"], true);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_metered_by_the_accounts_policy() {
    let gateway = Gateway::standalone().await;
    gateway.account_with("claude-console", CLAUDE, json!({ "client_gone": "drain" })).await;
    gateway.account_with("openai", OPENAI, json!({ "client_gone": "cancel" })).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    caller.offered("gpt-4o").await;
    let usage = UsageScript { input: Some(100), output: Some(50), ..UsageScript::default() };

    // Drained: the provider is read to its end, and all of it counts.
    let credential = gateway.emulator.credential(CLAUDE);
    credential.next(Behaviour::chunked(8).with_hold(Position::Content(2)).with_usage(usage)).unwrap();
    leave_in_mid_stream(&caller, "/v1/messages", stream_body()).await;
    credential.wait_for(Condition::held(1), PATIENCE).await.unwrap();
    // Released earlier, the answer could end before the gateway sees that nobody takes it.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    eventually("the gateway to see that the client left", async || {
        let metrics = http.get(format!("{}/metrics", gateway.url())).send().await.ok()?.text().await.ok()?;
        metrics.contains("switchyard_open_streams 0\n").then_some(())
    })
    .await;
    credential.release();
    let record = gateway.records(1).await.remove(0);
    assert_eq!(
        (record["outcome"].as_str(), record["estimated"].as_bool()),
        (Some("client_gone"), Some(false)),
        "{record}"
    );
    assert_eq!((record["input_tokens"].as_u64(), record["output_tokens"].as_u64()), (Some(100), Some(50)));

    // Cancelled: the provider's connection is closed, what was seen counts as an estimate.
    let credential = gateway.emulator.credential(OPENAI);
    credential.next(Behaviour::chunked(8).with_hold(Position::Content(2)).with_usage(usage)).unwrap();
    let body = serde_json::to_vec(&chat_body("one two three four five six seven eight", true)).unwrap();
    leave_in_mid_stream(&caller, "/v1/chat/completions", body).await;
    credential.wait_for(Condition::disconnects(1), PATIENCE).await.unwrap();
    let record = gateway.records(2).await.remove(0);
    assert_eq!(
        (record["outcome"].as_str(), record["estimated"].as_bool()),
        (Some("client_gone"), Some(true)),
        "{record}"
    );
}

async fn leave_in_mid_stream(caller: &Caller, path: &str, body: Vec<u8>) {
    let mut chunks = caller.post(path, body).await.bytes_stream();
    chunks.next().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_token_reaches_the_ledger_with_its_cost() {
    let (gateway, caller) = start().await;
    let usage = UsageScript {
        input: Some(1_000),
        cache_read: Some(2_000),
        cache_write_5m: Some(300),
        cache_write_1h: Some(40),
        output: Some(500),
        ..UsageScript::default()
    };
    for stream in [false, true] {
        gateway.emulator.credential(CLAUDE).next(Behaviour::default().with_usage(usage)).unwrap();
        let body = json!({ "model": "claude-sonnet-4-5", "max_tokens": 9, "stream": stream, "messages": [{ "role": "user", "content": "x" }] });
        assert_eq!(caller.messages(&body).await.status, 200);
    }
    for record in gateway.records(2).await {
        let count = |kind: &str| record[kind].as_u64().unwrap_or_else(|| panic!("no {kind} in {record}"));
        assert_eq!(
            [count("input_tokens"), count("cache_read_tokens"), count("output_tokens")],
            [1_000, 2_000, 500]
        );
        assert_eq!(
            [count("cache_write_tokens"), count("cache_write_5m_tokens"), count("cache_write_1h_tokens")],
            [340, 300, 40]
        );
        // Sonnet 4.5: 1000 × 3 + 2000 × 0.30 + 300 × 3.75 + 40 × 6 + 500 × 15, in millionths of a dollar.
        assert_eq!(record["cost"], "0.012465");
        assert!(record["first_token_ms"].as_u64().unwrap() <= record["total_ms"].as_u64().unwrap());
    }
    let summary = gateway.admin.get("/api/admin/usage/summary").await.ok();
    assert_eq!(summary["cost"], "0.02493", "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_gateway_lets_its_streams_finish() {
    let (mut gateway, caller) = start().await;
    let credential = gateway.emulator.credential(CLAUDE);
    credential.next(Behaviour::chunked(8).with_hold(Position::Content(2))).unwrap();
    let response = caller.post("/v1/messages", stream_body()).await;
    credential.wait_for(Condition::held(1), PATIENCE).await.unwrap();
    gateway.program.terminate();
    tests::eventually("new requests to be refused", async || {
        let asked = caller.http.get(format!("{}/readyz", caller.url)).send().await;
        asked.map_or(true, |answer| answer.status() == 503).then_some(())
    })
    .await;
    credential.release();
    let reply = read(response).await;
    assert!(
        reply.whole && reply.text().ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    );
    assert!(gateway.program.ended().success());
    gateway.restart().await;
    assert_eq!(gateway.records(1).await[0]["outcome"], "completed");
}
