use emulator::{Behaviour, Emulator};
use serde_json::{Value, json};

use crate::client::{Answer, call, emulator};

async fn ask(emulator: &Emulator, token: &str, account: Option<&str>, body: &Value) -> Answer {
    let (bearer, body) = (format!("Bearer {token}"), body.to_string());
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(account.map(|account| ("chatgpt-account-id", account)));
    Box::pin(call(emulator, "POST", "/chatgpt/responses", &headers, &body)).await
}

fn with(fields: Value) -> Value {
    let mut body = json!({"model": "gpt-5.1-codex", "input": [{"role": "user", "content": "Hi"}],
        "store": false, "stream": true});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_request_of_codex_is_streamed_and_not_stored() {
    let emulator = emulator().await;
    let body = with(json!({"instructions": "Be brief.", "prompt_cache_key": "k", "tool_choice": "auto",
        "reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "custom", "name": "apply_patch"}, {"type": "web_search"}]}));
    let answer = ask(&emulator, "token", Some("acc"), &body).await;
    assert_eq!(answer.head.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let events = answer.events();
    let response = &events.last().unwrap()["response"];
    assert_eq!((response["status"].as_str(), &response["store"]), (Some("completed"), &json!(false)));
    assert!(response["output"][0]["encrypted_content"].is_string());
    let continued = with(json!({"previous_response_id": response["id"]}));
    let lost = ask(&emulator, "token", Some("acc"), &continued).await;
    assert_eq!(lost.json()["error"]["code"], "previous_response_not_found");
}

#[tokio::test]
async fn what_the_backend_refuses_is_refused_in_its_words() {
    let emulator = emulator().await;
    let acc = Some("acc");
    let unsupported = |name: &str| json!(format!("Unsupported parameter: {name}"));
    let cases = [
        ("token", acc, json!({"store": true}), 400, json!("Store must be set to false")),
        ("token", acc, json!({"store": null}), 400, json!("Store must be set to false")),
        ("token", acc, json!({"stream": false}), 400, json!("Stream must be set to true")),
        ("token", acc, json!({"max_output_tokens": 100}), 400, unsupported("max_output_tokens")),
        ("token", acc, json!({"temperature": 1}), 400, unsupported("temperature")),
        (
            "token",
            acc,
            json!({"model": "gpt-4o"}),
            400,
            json!("The 'gpt-4o' model is not supported when using Codex with a ChatGPT account."),
        ),
        ("token", acc, json!({"input": "Hi"}), 400, json!("Input must be a list")),
        ("token", None, json!({}), 401, json!("Unauthorized")),
        ("unknown", acc, json!({}), 401, json!("Unauthorized")),
    ];
    for (token, account, fields, status, detail) in cases {
        let refused = ask(&emulator, token, account, &with(fields)).await;
        assert_eq!((refused.status(), refused.json()), (status, json!({"detail": detail})));
    }
    let expired = ask(&emulator, "expired-token", acc, &with(json!({}))).await;
    assert_eq!((expired.status(), expired.json()["error"]["code"].as_str()), (401, Some("token_expired")));
    assert_eq!(emulator.credential("expired-token").counters().requests, 1);
    let malformed = ask(&emulator, "token", acc, &with(json!({"input": [5]}))).await;
    assert_eq!(malformed.json()["error"]["code"], "invalid_type");

    emulator.credential("token").next(Behaviour::status(429)).unwrap();
    let limited = ask(&emulator, "token", acc, &with(json!({}))).await;
    assert_eq!(limited.json()["error"]["type"], "usage_limit_reached");
    assert_eq!(limited.head.header("x-codex-primary-used-percent"), Some("100"));
}
