//! Compressed bodies: requests are decoded on the way, and so are answers that a provider compressed unasked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use emulator::{Behaviour, Coding, Refusal};
use serde_json::{Value, json};
use tests::{Caller, Gateway, Reply, chat_body, eventually, messages_body, read};

const CLAUDE: &str = "sk-ant-codings";
const OPENAI: &str = "sk-codings";
const SAID: &str = "one two three four five six seven eight";

async fn start() -> (Gateway, Caller) {
    let gateway = Gateway::standalone().await;
    gateway.account("claude-console", CLAUDE).await;
    gateway.account("openai", OPENAI).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    caller.offered("gpt-4o").await;
    (gateway, caller)
}

/// As Codex sends them.
async fn ask_compressed(caller: &Caller, path: &str, body: &Value) -> Reply {
    let body = zstd::encode_all(&*serde_json::to_vec(body).unwrap(), 3).unwrap();
    let request = caller.http.post(format!("{}{path}", caller.url)).bearer_auth(&caller.key);
    read(request.header("content-encoding", "zstd").body(body).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_gets_a_compressed_request_as_it_was_before() {
    let (gateway, caller) = start().await;
    let gemini = json!({ "contents": [{ "role": "user", "parts": [{ "text": SAID }] }] });
    for (path, body, credential, raw) in [
        ("/v1/messages", messages_body(SAID, true), CLAUDE, true),
        ("/v1/chat/completions", chat_body(SAID, false), OPENAI, true),
        ("/v1/responses", json!({ "model": "gpt-4o", "input": SAID, "store": false }), OPENAI, true),
        ("/v1beta/models/gpt-4o:generateContent", gemini, OPENAI, false),
    ] {
        let reply = ask_compressed(&caller, path, &body).await;
        assert!(reply.status == 200 && reply.text().contains("eight"), "{path}: {}", reply.text());
        let call = gateway.emulator.credential(credential).calls().pop().unwrap();
        assert_eq!(call.header("content-encoding"), None);
        if raw {
            assert_eq!(serde_json::from_slice::<Value>(&call.body).unwrap(), body);
        }
    }
    let refused = ask_compressed(&caller, "/v1/chat/completions", &json!({})).await;
    assert_eq!(refused.status, 400, "it is read, and lacks a model");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_were_compressed_unasked_reach_clients_as_any_other_and_are_metered() {
    let (gateway, caller) = start().await;
    let (claude, openai) = (gateway.emulator.credential(CLAUDE), gateway.emulator.credential(OPENAI));
    let mut asked = 0;
    for coding in Coding::ALL {
        for stream in [false, true] {
            claude.next(Behaviour::chunked(4).with_coding(coding)).unwrap();
            let raw = caller.messages(&messages_body(SAID, stream)).await;
            openai.next(Behaviour::chunked(4).with_coding(coding)).unwrap();
            let converted = caller.ask("/v1/messages", &converted_body(stream)).await;
            for reply in [raw, converted] {
                asked += 1;
                assert!(reply.whole && reply.text().contains("stop_reason"), "{coding:?}: {}", reply.text());
                assert!(!reply.headers.contains_key("content-encoding"));
            }
        }
    }
    for record in gateway.records(asked).await {
        assert_eq!(
            (&record["outcome"], &record["estimated"]),
            (&"completed".into(), &false.into()),
            "{record}"
        );
    }
}

fn converted_body(stream: bool) -> Value {
    let mut body = messages_body(SAID, stream);
    body["model"] = "gpt-4o".into();
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_error_is_read_for_whose_fault_it_is() {
    let (gateway, caller) = start().await;
    for coding in Coding::ALL {
        let words = Behaviour::status(400).with_coding(coding);
        gateway.emulator.credential(OPENAI).next(words).unwrap();
        let reply = caller.chat(&chat_body(SAID, false)).await;
        assert!(reply.status == 400 && reply.json()["error"]["message"].is_string(), "{}", reply.text());
    }
    // A 400 as well, and the account's own.
    let other = "sk-ant-codings-without-credit";
    gateway.account_with("claude-console", other, json!({ "priority": 1 })).await;
    let without = gateway.emulator.credential(other);
    without.set_default(Behaviour::refused(Refusal::NoCredit).with_coding(Coding::Br)).unwrap();
    eventually("the account without credit to be tried", async || {
        let reply = caller.messages(&messages_body(SAID, false)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        (without.counters().requests > 0).then_some(())
    })
    .await;
}
