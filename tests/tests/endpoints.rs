//! What stands beside the four wires: embeddings, counting, model lists, and ids that only one account knows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tests::{Caller, Gateway, eventually};

async fn good(caller: &Caller, path: &str, body: Value) -> Value {
    let reply = caller.ask(path, &body).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

/// An account of the type at the emulator's part for it.
async fn account(gateway: &Gateway, account_type: &str, key: &str, part: &str, more: Value) -> String {
    let mut fields = json!({ "base_url": format!("{}{part}", gateway.emulator.base_url()) });
    fields.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    gateway.account_with(account_type, key, fields).await
}

async fn azure(gateway: &Gateway, key: &str) -> String {
    let options = json!({ "options": { "api_version": "2024-10-21", "deployments": { "text-embedding-3-small": "small" } } });
    account(gateway, "azure-openai", key, "/azure", options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_come_from_openai_azure_and_gemini() {
    let gateway = Gateway::standalone().await;
    account(&gateway, "openai", "sk-embeds", "", json!({})).await;
    azure(&gateway, "azure-embeds").await;
    account(&gateway, "gemini-api", "AIza-embeds", "/google", json!({})).await;
    let caller = gateway.caller().await;
    caller.offered("gpt-4o").await;
    caller.offered("gemini-2.5-flash").await;
    for model in [
        "openai,text-embedding-3-small",
        "azure-openai,text-embedding-3-small",
        "gemini-api,gemini-embedding-001",
    ] {
        let body = json!({ "model": model, "input": ["one", "two"], "dimensions": 8 });
        let answer = good(&caller, "/v1/embeddings", body).await;
        let vectors = answer["data"].as_array().unwrap();
        assert_eq!((vectors.len(), &vectors[1]["index"]), (2, &json!(1)), "{model}: {answer}");
        assert_eq!(vectors[0]["embedding"].as_array().unwrap().len(), 8, "{model}");
        assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 0, "{model}: {answer}");
    }
    let records = gateway.records(3).await;
    assert!(records.iter().all(|record| record["outcome"] == "completed"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_by_the_upstream_or_estimated_and_said_to_be() {
    let gateway = Gateway::standalone().await;
    account(&gateway, "claude-console", "sk-ant-counts", "/anthropic", json!({})).await;
    account(&gateway, "openai", "sk-counts", "", json!({})).await;
    account(&gateway, "gemini-api", "AIza-counts", "/google", json!({})).await;
    azure(&gateway, "azure-counts").await;
    let caller = gateway.caller().await;
    for model in ["claude-sonnet-5", "gpt-4o", "gemini-2.5-flash"] {
        caller.offered(model).await;
    }
    let messages = |model: &str| json!({ "model": model, "system": "Be brief.", "messages": [{ "role": "user", "content": "How many?" }] });
    for (model, estimated) in [
        ("claude-sonnet-5", false),
        ("openai,gpt-4o", false),
        ("gemini-2.5-flash", false),
        ("azure-openai,gpt-4o", true),
    ] {
        let reply = caller.ask("/v1/messages/count_tokens", &messages(model)).await;
        assert_eq!(reply.status, 200, "{model}: {}", reply.text());
        assert!(reply.json()["input_tokens"].as_u64().unwrap() > 3, "{model}: {}", reply.text());
        assert_eq!(reply.headers.contains_key("x-switchyard-estimate"), estimated, "{model}");
        let contents = json!({ "contents": [{ "role": "user", "parts": [{ "text": "How many?" }] }] });
        let reply = caller.ask(&format!("/v1beta/models/{model}:countTokens"), &contents).await;
        assert_eq!(reply.status, 200, "{model}: {}", reply.text());
        assert!(reply.json()["totalTokens"].as_u64().unwrap() > 1, "{model}: {}", reply.text());
        assert_eq!(reply.headers.contains_key("x-switchyard-estimate"), estimated, "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_keeps_is_asked_of_the_account_that_has_it_and_by_whom_it_was_given_to() {
    let gateway = Gateway::standalone().await;
    let mut ids = Vec::new();
    for key in ["sk-keeps-1", "sk-keeps-2", "sk-keeps-3"] {
        ids.push((key, account(&gateway, "openai-responses", key, "", json!({})).await));
    }
    let caller = gateway.caller().await;
    caller.offered("gpt-5").await;
    let served = || -> Vec<usize> {
        ids.iter().map(|(key, _)| gateway.emulator.credential(key).counters().requests as usize).collect()
    };
    let ask = |text: &str| json!({ "model": "gpt-5", "input": text, "store": true });
    let first = good(&caller, "/v1/responses", ask("remember me")).await;
    let home = served().iter().position(|count| *count == 1).unwrap();
    let mut id = first["id"].clone();
    for turn in 0..6 {
        let mut next = ask("and then");
        next["previous_response_id"] = id;
        id = good(&caller, "/v1/responses", next).await["id"].clone();
        assert_eq!(served()[home], turn + 2, "a chain stays at its account");
    }
    let mut next = ask("and then");
    next["previous_response_id"] = id.clone();
    let other = gateway.caller_of("someone").await;
    let reply = other.ask("/v1/responses", &next).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["error"]["code"]), (400, &json!("unknown_id")));
    let path = format!("/api/admin/accounts/{}", ids[home].1);
    gateway.admin.put(&path, &path, json!({ "enabled": false })).await.ok();
    let gone = eventually("the node to know that the account is gone", async || {
        let reply = caller.ask("/v1/responses", &next).await;
        (reply.status == 400).then_some(reply)
    })
    .await;
    assert_eq!(gone.json()["error"]["code"], "bound_account_gone", "{}", gone.text());
}
