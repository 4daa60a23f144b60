use emulator::Emulator;
use serde_json::{Value, json};

use crate::client::{Answer, OPENAI_KEY, call, chat_body, emulator};

async fn ask(emulator: &Emulator, method: &str, path: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {OPENAI_KEY}");
    call(emulator, method, &format!("/compatible{path}"), &[("authorization", &bearer)], body).await
}

#[tokio::test]
async fn it_chats_and_lists_its_models_and_has_nothing_else() {
    let emulator = emulator().await;
    for (method, path) in
        [("POST", "/v1/responses"), ("GET", "/v1/responses/resp_1"), ("POST", "/v1/embeddings")]
    {
        let refused = ask(&emulator, method, path, r#"{"model": "gpt-5.5", "input": "Hi"}"#).await;
        assert_eq!((refused.status(), refused.json()), (404, json!({"detail": "Not Found"})), "{path}");
    }
    assert_eq!(ask(&emulator, "GET", "/v1/models", "").await.json()["object"], "list");
    let mut body = chat_body("Hi", false);
    body["model"] = json!("qwen-unknown");
    let refused = ask(&emulator, "POST", "/v1/chat/completions", &body.to_string()).await;
    assert_eq!((refused.status(), &refused.json()["error"]["code"]), (404, &json!("model_not_found")));
    let stranger = call(&emulator, "POST", "/compatible/v1/chat/completions", &[], "{}").await;
    assert_eq!(stranger.status(), 401);
}

#[tokio::test]
async fn its_models_have_no_rules_of_openais() {
    let emulator = emulator().await;
    let mut body = chat_body("Use f", false);
    body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    body["temperature"] = json!(0.5);
    body["max_tokens"] = json!(100);
    body["reasoning_effort"] = json!("high");
    for model in ["gpt-5.5", "qwen-3-coder", "gpt-5.1-codex"] {
        body["model"] = json!(model);
        let answer = ask(&emulator, "POST", "/v1/chat/completions", &body.to_string()).await.json();
        assert_eq!(
            (&answer["model"], &answer["choices"][0]["finish_reason"]),
            (&json!(model), &json!("tool_calls"))
        );
    }
    body["tool_choice"] = Value::Null;
    body["model"] = json!("qwen-3-window-20");
    let refused = ask(&emulator, "POST", "/v1/chat/completions", &body.to_string()).await;
    assert_eq!(refused.json()["error"]["code"], "context_length_exceeded");
}
