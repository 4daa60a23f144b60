//! What depends on which model is asked.

use serde_json::{Value, json};

use super::{ask, kinds, with};
use crate::client::emulator;

const TOO_LONG: &str =
    "Your input exceeds the context window of this model. Please adjust your input and try again.";

#[tokio::test]
async fn models_refuse_what_is_not_for_them() {
    let emulator = emulator().await;
    let to = |model: &str, fields: Value| {
        let mut body = with(json!("Hi"), fields);
        body["model"] = json!(model);
        body
    };
    let effort = |effort: &str| json!({"reasoning": {"effort": effort}});
    let search = json!({"tools": [{"type": "tool_search"}]});
    let thought = json!([{"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}]);
    let cases = [
        (
            to("gpt-5.5", effort("max")),
            json!("reasoning.effort"),
            json!("unsupported_value"),
            "Unsupported value: 'max' is not supported with the 'gpt-5.5' model. Supported values are: 'none', 'low', 'medium', 'high', and 'xhigh'.",
        ),
        (
            to("gpt-5-mini", effort("none")),
            json!("reasoning.effort"),
            json!("unsupported_value"),
            "Unsupported value: 'none' is not supported with the 'gpt-5-mini' model. Supported values are: 'minimal', 'low', 'medium', and 'high'.",
        ),
        (
            to("gpt-5", json!({"temperature": 0.5})),
            json!("temperature"),
            json!("unsupported_parameter"),
            "Unsupported parameter: 'temperature' is not supported with this model.",
        ),
        (
            to("gpt-5.4-nano", search.clone()),
            json!("tools"),
            Value::Null,
            "Tool 'tool_search' is not supported with gpt-5.4-nano.",
        ),
        (
            to("gpt-5.1", search.clone()),
            json!("tools"),
            Value::Null,
            "Tool 'tool_search' is not supported with gpt-5.1.",
        ),
        (
            with(thought, json!({})),
            json!("input[0].content"),
            json!("array_above_max_length"),
            "Invalid 'input[0].content': array too long. Expected an array with maximum length 0, but got an array with length 1 instead.",
        ),
    ];
    for (body, param, code, message) in cases {
        let refused = ask(&emulator, &body).await;
        let error =
            json!({"message": message, "type": "invalid_request_error", "param": param, "code": code});
        assert_eq!((refused.status(), &refused.json()["error"]), (400, &error), "{body}");
    }
    for body in [
        to("gpt-5.4-mini", search),
        to("gpt-5.1", json!({"temperature": 0.5})),
        to("gpt-5.6", effort("max")),
        to("gpt-5.5", json!({"temperature": 0.5, "reasoning": {"effort": "none"}})),
    ] {
        assert_eq!(ask(&emulator, &body).await.status(), 200, "{body}");
    }
}

#[tokio::test]
async fn a_prompt_ends_where_the_window_does() {
    let emulator = emulator().await;
    let long = |fields: Value| {
        let mut body = with(json!("x".repeat(120)), fields);
        body["model"] = json!("gpt-5.1-window-20");
        body
    };
    let refused = ask(&emulator, &long(json!({}))).await;
    let code = "context_length_exceeded";
    let error = json!({"message": TOO_LONG, "type": "invalid_request_error", "param": "input", "code": code});
    assert_eq!((refused.status(), &refused.json()["error"]), (400, &error));

    let events = ask(&emulator, &long(json!({"stream": true}))).await.events();
    assert_eq!(kinds(&events), ["response.created", "response.in_progress", "error", "response.failed"]);
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert_eq!(events[2]["error"], error);
    let failed = &events[3]["response"];
    assert_eq!(
        (&failed["status"], &failed["error"], &failed["usage"]),
        (&json!("failed"), &json!({"code": code, "message": TOO_LONG}), &Value::Null)
    );
    assert_eq!(failed["id"], events[0]["response"]["id"]);
    assert_eq!(ask(&emulator, &long(json!({"truncation": "auto"}))).await.status(), 200);
}

#[tokio::test]
async fn the_newest_names_are_answered_with_their_dates() {
    let emulator = emulator().await;
    let mut body = with(json!("Hi"), json!({"model": "gpt-5.4-mini"}));
    assert_eq!(ask(&emulator, &body).await.json()["model"], "gpt-5.4-mini-2026-03-17");
    body["stream"] = json!(true);
    let events = ask(&emulator, &body).await.events();
    assert_eq!(events[0]["response"]["model"], "gpt-5.4-mini-2026-03-17");
}
