//! What depends on which model is asked.

use serde_json::{Value, json};

use super::with;
use crate::client::{chat, chat_body, emulator};

fn to(model: &str, fields: &[(&str, Value)]) -> Value {
    with(with(chat_body("Hi", false), &[("model", json!(model))]), fields)
}

/// Each body with its status, and the parameter, code and text of the refusal.
async fn check(cases: Vec<(Value, u16, Value, Value, &str)>) {
    let emulator = emulator().await;
    for (body, status, param, code, message) in cases {
        let answer = chat(&emulator, &body).await;
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status(), &error["param"], &error["code"], error["message"].as_str().unwrap_or_default()),
            (status, &param, &code, message),
            "{body}"
        );
        assert!(status == 200 || error["type"] == "invalid_request_error");
    }
}

fn taken(body: Value) -> (Value, u16, Value, Value, &'static str) {
    (body, 200, Value::Null, Value::Null, "")
}

#[tokio::test]
async fn newer_models_call_functions_in_chats_only_while_they_do_not_think() {
    let function = json!([{"type": "function", "function": {"name": "f"}}]);
    let custom = json!([{"type": "custom", "custom": {"name": "f"}}]);
    let tools = ("tools", function);
    let effort = |effort: &str| ("reasoning_effort", json!(effort));
    let words = |model: &str| {
        format!(
            "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        )
    };
    let texts = ["gpt-5.4", "gpt-5.5", "gpt-5.6-terra"].map(words);
    fn refused(body: Value, text: &str) -> (Value, u16, Value, Value, &str) {
        (body, 400, json!("reasoning_effort"), Value::Null, text)
    }
    check(vec![
        refused(to("gpt-5.4", &[tools.clone(), effort("low")]), &texts[0]),
        refused(to("gpt-5.5", std::slice::from_ref(&tools)), &texts[1]),
        refused(to("gpt-5.6-terra", &[tools.clone(), effort("high")]), &texts[2]),
        taken(to("gpt-5.4", std::slice::from_ref(&tools))),
        taken(to("gpt-5.5", &[tools.clone(), effort("none")])),
        taken(to("gpt-5.5", &[("tools", custom), effort("low")])),
        taken(to("gpt-5.2", &[tools.clone(), effort("high")])),
        taken(to("gpt-5.4-chat-latest", std::slice::from_ref(&tools))),
        taken(to("gpt-5.5", &[effort("high")])),
    ])
    .await;
}

#[tokio::test]
async fn some_models_do_not_chat() {
    let message = "This model is only supported in v1/responses and not in v1/chat/completions.";
    let refused = |model: &str| (to(model, &[]), 404, json!("model"), Value::Null, message);
    check(["gpt-5.1-codex", "gpt-5-pro", "o3-pro", "codex-mini-latest"].map(refused).into()).await;
}

#[tokio::test]
async fn models_think_only_as_hard_as_they_can() {
    let effort = |effort: &str| ("reasoning_effort", json!(effort));
    let refused =
        |body: Value, text| (body, 400, json!("reasoning_effort"), json!("unsupported_value"), text);
    check(vec![
        refused(
            to("gpt-5.1", &[effort("xhigh")]),
            "Unsupported value: 'reasoning_effort' does not support 'xhigh' with this model. Supported values are: 'none', 'low', 'medium', and 'high'.",
        ),
        refused(
            to("gpt-5-mini", &[effort("none")]),
            "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'minimal', 'low', 'medium', and 'high'.",
        ),
        refused(
            to("gpt-5.5", &[effort("max")]),
            "Unsupported value: 'reasoning_effort' does not support 'max' with this model. Supported values are: 'none', 'low', 'medium', 'high', and 'xhigh'.",
        ),
        taken(to("gpt-5.6", &[effort("max")])),
        (
            to("gpt-5.5", &[("temperature", json!(0.5))]),
            400,
            json!("temperature"),
            json!("unsupported_value"),
            "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.",
        ),
        taken(to("gpt-5.4", &[("temperature", json!(0.5))])),
    ])
    .await;
}

#[tokio::test]
async fn models_say_only_so_much() {
    let refused = |body: Value, param, text| (body, 400, json!(param), json!("invalid_value"), text);
    check(vec![
        refused(
            to("gpt-4o", &[("max_tokens", json!(32_000))]),
            "max_tokens",
            "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.",
        ),
        refused(
            to("gpt-5.1", &[("max_completion_tokens", json!(200_000))]),
            "max_completion_tokens",
            "max_completion_tokens is too large: 200000. This model supports at most 128000 completion tokens, whereas you provided 200000.",
        ),
        taken(to("gpt-4.1", &[("max_tokens", json!(32_768))])),
    ])
    .await;
}

#[tokio::test]
async fn names_of_users_are_short() {
    let text = |name: &str| {
        format!(
            "Invalid '{name}': string too long. Expected a string with maximum length 64, but got a string with length 65 instead."
        )
    };
    let names = ["user", "safety_identifier", "prompt_cache_key"];
    let texts = names.map(text);
    let long = json!("x".repeat(65));
    let cases = names.iter().zip(&texts).map(|(name, text)| {
        let body = to("gpt-4o", &[(name, long.clone())]);
        (body, 400, json!(name), json!("string_above_max_length"), text.as_str())
    });
    check(cases.chain([taken(to("gpt-4o", &[("user", json!("x".repeat(64)))]))]).collect()).await;
}

#[tokio::test]
async fn a_prompt_ends_where_the_window_does() {
    let long = ("messages", json!([{"role": "user", "content": "x".repeat(120)}]));
    let tools = ("tools", json!([{"type": "function", "function": {"name": "f"}}]));
    let refused = |body: Value, text| (body, 400, json!("messages"), json!("context_length_exceeded"), text);
    check(vec![
        refused(
            to("gpt-4o-window-20", std::slice::from_ref(&long)),
            "This model's maximum context length is 20 tokens. However, your messages resulted in 33 tokens. Please reduce the length of the messages.",
        ),
        refused(
            to("gpt-4o-window-50", &[long.clone(), tools]),
            "This model's maximum context length is 50 tokens. However, your messages resulted in 53 tokens (33 in the messages, 20 in the functions). Please reduce the length of the messages or functions.",
        ),
        refused(
            to("gpt-5.1-window-20", &[long.clone(), ("stream", json!(true))]),
            "Input tokens exceed the configured limit of 20 tokens. Your messages resulted in 33 tokens. Please reduce the length of the messages.",
        ),
        taken(to("gpt-4o-window-33", &[long])),
    ])
    .await;
}

#[tokio::test]
async fn the_newest_names_are_answered_with_their_dates() {
    let emulator = emulator().await;
    for (asked, served) in [("gpt-5.5", "gpt-5.5-2026-04-23"), ("gpt-5.1", "gpt-5.1")] {
        let whole = chat(&emulator, &to(asked, &[])).await.json();
        assert_eq!(whole["model"], served);
        let events = chat(&emulator, &to(asked, &[("stream", json!(true))])).await.events();
        assert_eq!(events[0]["model"], served);
    }
}
