use serde_json::{Value, json};

use crate::client::{ANTHROPIC_KEY, call, emulator, message_body, messages};

const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Headers, body; status, type, message.
type Refusal<'a> = (Vec<(&'a str, &'a str)>, String, u16, &'a str, &'a str);

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

#[tokio::test]
async fn a_plain_answer_echoes_and_counts() {
    let emulator = emulator().await;
    let answer = messages(&emulator, &message_body("How are you?", false)).await;
    assert_eq!(answer.status(), 200);
    let message = answer.json();
    assert_eq!(message["content"], json!([{"type": "text", "text": "How are you?"}]));
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["model"], "claude-sonnet-4-5");
    assert_eq!(message["usage"]["input_tokens"], 3 + emulator::TOKENS_PER_MESSAGE);
    assert_eq!(message["usage"]["output_tokens"], 3);
    assert!(message["id"].as_str().unwrap().starts_with("msg_"));
    assert!(answer.head.header("request-id").unwrap().starts_with("req_"));
    assert_eq!(answer.head.header("anthropic-ratelimit-requests-limit"), Some("4000"));
}

#[tokio::test]
async fn a_stream_has_every_event_in_order_and_restates_usage_at_its_end() {
    let emulator = emulator().await;
    let answer = messages(&emulator, &message_body("How are you?", true)).await;
    assert_eq!(answer.head.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let events = answer.events();
    assert_eq!(
        kinds(&events),
        [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, "How are you?");
    let names: Vec<String> =
        answer.text().lines().filter_map(|line| line.strip_prefix("event: ").map(str::to_owned)).collect();
    assert_eq!(names, kinds(&events), "each event is named as its data is");
    let start = &events.first().unwrap()["message"]["usage"];
    let end = &events.get(8).unwrap()["usage"];
    assert_eq!((&start["output_tokens"], &end["output_tokens"]), (&json!(1), &json!(3)));
    assert_eq!(start["input_tokens"], end["input_tokens"]);
}

#[tokio::test]
async fn thinking_is_signed_and_must_come_back_unchanged() {
    let emulator = emulator().await;
    let mut body = message_body("Think!", false);
    body["thinking"] = json!({"type": "adaptive"});
    let message = messages(&emulator, &body).await.json();
    let mut thought = message["content"][0].clone();
    assert_eq!(thought["type"], "thinking");
    body["stream"] = json!(true);
    let events = messages(&emulator, &body).await.events();
    let signed = events.iter().find_map(|event| event["delta"]["signature"].as_str());
    assert_eq!(signed, thought["signature"].as_str());

    let again = |thought: &Value| {
        let mut body = message_body("Think!", false);
        let list = body["messages"].as_array_mut().unwrap();
        list.push(json!({"role": "assistant", "content": [thought, {"type": "text", "text": "Done."}]}));
        list.push(json!({"role": "user", "content": "And now?"}));
        body
    };
    assert_eq!(messages(&emulator, &again(&thought)).await.status(), 200);
    thought["thinking"] = json!("Something else.");
    let refused = messages(&emulator, &again(&thought)).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(
        refused.json()["error"]["message"],
        "messages.1.content.0: Invalid `signature` in `thinking` block"
    );
}

#[tokio::test]
async fn a_tool_is_called_answered_and_talked_about() {
    let emulator = emulator().await;
    let mut body = message_body("Use get_weather for me", true);
    body["tools"] = json!([{"name": "get_weather", "input_schema": {"type": "object",
        "properties": {"city": {"type": "string"}}, "required": ["city"]}}]);
    let events = messages(&emulator, &body).await.events();
    let arguments: String =
        events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(arguments, r#"{"city":"city"}"#);
    let ending = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(ending["delta"]["stop_reason"], "tool_use");

    body["stream"] = json!(false);
    let called = messages(&emulator, &body).await.json()["content"][0].clone();
    let result = json!({"type": "tool_result", "tool_use_id": called["id"], "content": "Rain."});
    let list = body["messages"].as_array_mut().unwrap();
    list.push(json!({"role": "assistant", "content": [called]}));
    list.push(json!({"role": "user", "content": [result]}));
    let talked = messages(&emulator, &body).await.json();
    assert_eq!(talked["content"][0]["text"], "Rain.");
    body["messages"][2]["content"][0]["tool_use_id"] = json!("toolu_other");
    let refused = messages(&emulator, &body).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("unexpected `tool_use_id`"));
}

#[tokio::test]
async fn cache_marks_count_as_writes() {
    let emulator = emulator().await;
    let mut body = message_body("12345678", false);
    body["system"] = json!([
        {"type": "text", "text": "1234", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "12341234", "cache_control": {"type": "ephemeral"}}]);
    let usage = messages(&emulator, &body).await.json()["usage"].clone();
    assert_eq!(
        usage["cache_creation"],
        json!({"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1})
    );
    assert_eq!(usage["cache_creation_input_tokens"], 3);
    assert_eq!(usage["input_tokens"], 2 + emulator::TOKENS_PER_MESSAGE);
}

#[tokio::test]
async fn what_a_real_provider_refuses_is_refused_in_its_words() {
    let emulator = emulator().await;
    let key = ("x-api-key", ANTHROPIC_KEY);
    let full = message_body("Hi", false);
    let without = |name: &str| {
        let mut body = full.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string()
    };
    let mut elsewhere = full.clone();
    elsewhere["model"] = json!("gpt-4o");
    let cases: Vec<Refusal<'_>> = vec![
        (vec![VERSION], full.to_string(), 401, "authentication_error", "x-api-key header is required"),
        (
            vec![VERSION, ("x-api-key", "sk-ant-unknown")],
            full.to_string(),
            401,
            "authentication_error",
            "invalid x-api-key",
        ),
        (vec![key], full.to_string(), 400, "invalid_request_error", "anthropic-version: header is required"),
        (vec![key, VERSION], without("model"), 400, "invalid_request_error", "model: Field required"),
        (
            vec![key, VERSION],
            without("max_tokens"),
            400,
            "invalid_request_error",
            "max_tokens: Field required",
        ),
        (vec![key, VERSION], without("messages"), 400, "invalid_request_error", "messages: Field required"),
        (vec![key, VERSION], elsewhere.to_string(), 404, "not_found_error", "model: gpt-4o"),
    ];
    for (headers, body, status, kind, message) in cases {
        let refused = call(&emulator, "POST", "/v1/messages", &headers, &body).await;
        let error = refused.json();
        assert_eq!((refused.status(), error["type"].as_str()), (status, Some("error")), "{body}");
        assert_eq!(
            (error["error"]["type"].as_str(), error["error"]["message"].as_str()),
            (Some(kind), Some(message))
        );
        assert_eq!(error["request_id"].as_str(), refused.head.header("request-id"));
    }
    let broken = call(&emulator, "POST", "/v1/messages", &[key, VERSION], "{\"model\":").await;
    assert!(
        broken.json()["error"]["message"].as_str().unwrap().starts_with("The request body is not valid JSON")
    );
}

#[tokio::test]
async fn a_bearer_key_is_taken_too() {
    let emulator = emulator().await;
    let headers = [("authorization", "Bearer sk-ant-new"), ("anthropic-version", "2026-10-21")];
    let answer =
        call(&emulator, "POST", "/v1/messages", &headers, &message_body("Hi", false).to_string()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(emulator.credential("sk-ant-new").counters().requests, 1);
}

#[tokio::test]
async fn tokens_are_counted_and_models_listed_as_this_provider_does() {
    let emulator = emulator().await;
    let headers = [("x-api-key", ANTHROPIC_KEY), VERSION];
    let body = json!({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "12345678"}]});
    let counted = call(&emulator, "POST", "/v1/messages/count_tokens", &headers, &body.to_string()).await;
    assert_eq!(counted.json(), json!({"input_tokens": 2 + emulator::TOKENS_PER_MESSAGE}));
    let first = call(&emulator, "GET", "/v1/models?limit=1", &headers, "").await.json();
    assert_eq!((first["has_more"].as_bool(), first["data"][0]["type"].as_str()), (Some(true), Some("model")));
    let all = call(&emulator, "GET", "/anthropic/v1/models?limit=1000", &headers, "").await.json();
    assert_eq!(all["has_more"], false);
    let missing = call(&emulator, "GET", "/v1/models/gpt-4o", &headers, "").await;
    assert_eq!((missing.status(), missing.json()["error"]["type"].as_str()), (404, Some("not_found_error")));
}
