//! Proxy tests: people try the data plane from the admin pages, as themselves.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use emulator::{Behaviour, Position};
use futures_util::StreamExt as _;
use reqwest::{Response, header::HeaderMap};
use serde_json::{Value, json};
use tests::{ADMIN_PASSWORD, Admin, Gateway, Split, chat_body, eventually, messages_body};

const CLAUDE: &str = "sk-ant-proxy-test";
const OPENAI: &str = "sk-proxy-test";
const TEXT: &str = "one two three four five six seven eight";

/// Someone without any right but their own; gives their id too.
async fn person(admin: &Admin, admin_url: &str, name: &str) -> (String, Admin) {
    let new = json!({ "name": name, "password": ADMIN_PASSWORD, "role": "user" });
    let id = admin.post("/api/admin/users", new).await.id();
    (id, Admin::log_in(admin_url, name, ADMIN_PASSWORD).await)
}

/// The record of the request whose answer has these headers, once it is closed.
async fn record(admin: &Admin, answered: &HeaderMap) -> Value {
    let id = answered["x-request-id"].to_str().unwrap();
    eventually("the request's record", async || {
        let answer = admin.get("/api/admin/usage/records").await.ok();
        let records = answer["records"].as_array().unwrap_or_else(|| panic!("{answer}"));
        records.iter().find(|record| record["request_id"] == id && record["outcome"] != "open").cloned()
    })
    .await
}

async fn refusal(answer: Response) -> (u16, String) {
    assert!(!answer.headers().contains_key("x-switchyard-relayed"));
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_streams_through_standalone_as_themselves() {
    let gateway = Gateway::standalone().await;
    gateway.account("claude-console", CLAUDE).await;
    gateway.caller().await.offered("claude-sonnet-5").await;
    let (_, ann) = person(&gateway.admin, gateway.admin_url(), "ann").await;
    let told = ann.get("/api/gateway").await.ok();
    assert_eq!((&told["public_api_url"], &told["live_nodes"]), (&json!(gateway.url()), &json!(1)));
    assert!(told["wires"].as_array().unwrap().contains(&json!("messages")), "{told}");

    let credential = gateway.emulator.credential(CLAUDE);
    credential.next(Behaviour::chunked(8).with_hold(Position::Content(3))).unwrap();
    let answer = ann.stream("/api/proxy-test/messages", &messages_body(TEXT, true)).await;
    let headers = answer.headers().clone();
    assert_eq!((answer.status().as_u16(), &headers["x-switchyard-relayed"]), (200, &"true".parse().unwrap()));
    let (mut chunks, mut text) = (answer.bytes_stream(), String::new());
    while text.matches("content_block_delta").count() < 2 * 3 {
        // The type stands twice in a frame: as its event, and in its data.
        text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(credential.counters().held, 1, "the provider has not written the rest");
    assert_eq!(ann.get("/api/api-keys").await.ok()["api_keys"], json!([]));
    let all = gateway.admin.get("/api/api-keys").await.ok();
    assert_eq!(all["api_keys"].as_array().unwrap().len(), 1, "the caller's alone: {all}");
    credential.release();
    while let Some(chunk) = chunks.next().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert!(text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{text}");

    let record = record(&gateway.admin, &headers).await;
    assert_eq!(
        [&record["user_name"], &record["outcome"], &record["wire"]],
        ["ann", "completed", "messages"],
        "{record}"
    );
    assert!(!gateway.program.log_lines().join("\n").contains("sk-"), "a key is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_planes_apart_the_key_is_known_in_time_and_gone_after() {
    let mut split = Split::start_with(2, &[("SWITCHYARD_HEARTBEAT_INTERVAL", "1s")]).await;
    split.account("openai", OPENAI).await;
    for caller in split.callers().await {
        caller.offered("gpt-4o").await;
    }
    let (id, ann) = person(&split.admin, &split.controls[0].admin_url, "ann").await;
    let ask = async || ann.stream("/api/proxy-test/chat", &chat_body(TEXT, false)).await;
    assert_eq!(refusal(ask().await).await, (409, "public_api_url_missing".into()));

    let settings = "/api/admin/settings";
    for node in &split.nodes {
        split.admin.put(settings, settings, json!({ "public_api_url": node.url })).await.ok();
        assert_eq!(ann.get("/api/gateway").await.ok()["public_api_url"], json!(node.url));
        for _ in 0..3 {
            let answer = ask().await;
            let headers = answer.headers().clone();
            let (status, body) = (answer.status().as_u16(), answer.text().await.unwrap());
            assert!(status == 200 && body.contains(TEXT), "{status} {body}");
            let record = record(&split.admin, &headers).await;
            assert_eq!([&record["user_name"], &record["node"]], ["ann", node.name.as_str()], "{record}");
        }
    }
    eventually("the tests' keys to be gone", async || {
        let left = split.sql("SELECT COUNT(*) FROM proxy_test_keys; SELECT COUNT(*) FROM api_keys");
        (left.split_whitespace().collect::<Vec<_>>() == ["0", "1"]).then_some(())
    })
    .await;

    for node in &mut split.nodes {
        node.program.kill();
    }
    eventually("the control plane to miss its nodes", async || {
        (refusal(ask().await).await == (503, "no_live_node".into())).then_some(())
    })
    .await;
    let path = format!("/api/admin/users/{id}");
    split.admin.put(&path, &path, json!({ "enabled": false })).await.ok();
    assert_eq!(refusal(ask().await).await, (401, "session_ended".into()));
}
