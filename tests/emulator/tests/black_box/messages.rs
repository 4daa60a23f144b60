use serde_json::{Value, json};

use crate::client::{ANTHROPIC_KEY, call, emulator, message_body, messages};

mod models;

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
    body["model"] = json!("claude-sonnet-4-6");
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

/// A body with something changed, by the path of names to it.
fn with(mut body: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(list) => list[name.parse::<usize>().unwrap()] = value.clone(),
            parent => parent[name] = value.clone(),
        }
    }
    body
}

fn with_content(content: Value) -> Value {
    with(message_body("Hi", false), &[("/messages/0/content", content)])
}

/// A user's question, an assistant's answer of these blocks, and a user's next turn of these.
fn turns(answer: Value, next: Value) -> Value {
    let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": answer},
        {"role": "user", "content": next}]);
    with(message_body("Hi", false), &[("/messages", messages)])
}

fn weather_tool() -> Value {
    json!({"name": "get_weather", "input_schema": {"type": "object", "properties": {}}})
}

#[tokio::test]
async fn fields_that_a_real_provider_refuses_are_refused_in_its_words() {
    let emulator = emulator().await;
    let body = |changes: &[(&str, Value)]| with(message_body("Hi", false), changes);
    let tool = |changes: &[(&str, Value)]| body(&[("/tools", json!([with(weather_tool(), changes)]))]);
    let image = |source: Value| with_content(json!([{"type": "image", "source": source}]));
    let thinking = |changes: &[(&str, Value)]| {
        let enabled = json!({"type": "enabled", "budget_tokens": 1024});
        with(body(&[("/thinking", enabled), ("/max_tokens", json!(2048))]), changes)
    };
    let marked = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let long = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}});
    let used = json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain."});
    let cases: Vec<(Value, &str)> = vec![
        (with_content(json!("")), "messages.0: all messages must have non-empty content"),
        (with_content(json!([])), "messages.0: all messages must have non-empty content"),
        (
            with_content(json!([{"type": "text", "text": ""}])),
            "messages: text content blocks must be non-empty",
        ),
        (with_content(json!(" \n")), "messages: text content blocks must contain non-whitespace text"),
        (
            with_content(json!([{"type": "video"}])),
            "messages.0.content.0: Input tag 'video' found using 'type'",
        ),
        (with_content(json!([{"type": "text"}])), "messages.0.content.0.text.text: Field required"),
        (with_content(json!([used])), "messages.0: `tool_use` blocks can only be in `assistant` messages"),
        (
            turns(json!([result]), json!("x")),
            "messages.1: `tool_result` blocks can only be in `user` messages",
        ),
        (
            image(json!({"type": "base64", "media_type": "image/bmp", "data": "AAAA"})),
            "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
        ),
        (
            image(json!({"type": "base64", "media_type": "image/png", "data": "data:image/png;base64,AAAA"})),
            "messages.0.content.0.image.source.base64: invalid base64 data",
        ),
        (
            image(json!({"type": "base64", "media_type": "image/png", "data": ""})),
            "messages.0.content.0.image.source.base64: image cannot be empty",
        ),
        (
            image(json!({"type": "url", "url": "ftp://x/y.png"})),
            "messages.0.content.0.image.source.url.url: Only HTTP and HTTPS URLs are supported",
        ),
        (
            with_content(json!([{"type": "document",
                "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}])),
            "messages.0.content.0.document.source.base64.media_type: Input should be 'application/pdf'",
        ),
        (
            turns(json!([with(used.clone(), &[("/id", json!("call.1"))])]), json!([result])),
            "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
        ),
        (turns(json!([used, used]), json!([result])), "messages.1: `tool_use` ids must be unique"),
        (
            turns(json!([used]), json!([result, result])),
            "messages.2.content.1: each tool_use must have a single result",
        ),
        (
            turns(json!([used]), json!([{"type": "text", "text": "First this"}, result])),
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
        ),
        (
            turns(
                json!([used]),
                json!([{"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true}]),
            ),
            "messages.2.content.0.tool_result: content cannot be empty if `is_error` is true",
        ),
        (
            tool(&[("/name", json!("get weather"))]),
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
        ),
        (tool(&[("/input_schema", json!({}))]), "tools.0.custom.input_schema.type: Field required"),
        (
            tool(&[("/input_schema/type", json!("string"))]),
            "tools.0.custom.input_schema.type: Input should be 'object'",
        ),
        (
            tool(&[("/input_schema/oneOf", json!([]))]),
            "tools.0.custom.input_schema: input_schema does not support",
        ),
        (
            tool(&[("/strict", json!(true))]),
            "tools.0.custom.input_schema: For 'object' type, 'additionalProperties'",
        ),
        (tool(&[("/type", json!("function"))]), "tools.0: Input tag 'function' found using 'type'"),
        (body(&[("/tools", json!([weather_tool(), weather_tool()]))]), "tools: Tool names must be unique."),
        (
            body(&[("/tool_choice", json!({"type": "any"}))]),
            "tool_choice may only be specified while providing tools.",
        ),
        (
            body(&[("/tool_choice", json!({"type": "required"}))]),
            "tool_choice: Input tag 'required' found using",
        ),
        (
            with(tool(&[]), &[("/tool_choice", json!({"type": "tool", "name": "other"}))]),
            "Tool 'other' not found in provided tools",
        ),
        (body(&[("/temperature", json!(1.5))]), "temperature: range: 0..1"),
        (
            body(&[("/stop_sequences", json!([" "]))]),
            "stop_sequences: each stop sequence must contain non-whitespace",
        ),
        (
            body(&[("/service_tier", json!("flex"))]),
            "service_tier: Input should be 'auto' or 'standard_only'",
        ),
        (body(&[("/metadata", json!({"user_id": 7}))]), "metadata.user_id: Input should be a valid string"),
        (
            body(&[("/system", json!([{"type": "text", "text": ""}]))]),
            "system: text content blocks must be non-empty",
        ),
        (
            body(&[("/messages/0/role", json!("system"))]),
            "messages.0: use the top-level 'system' parameter for the initial system prompt; the directive-only form",
        ),
        (
            body(&[("/output_config", json!({"effort": "minimal"}))]),
            "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
        ),
        (
            body(&[(
                "/output_config",
                json!({"format": {"type": "json_schema", "schema": {"type": "object"}}}),
            )]),
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        ),
        (
            thinking(&[("/thinking/budget_tokens", json!(1023))]),
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            thinking(&[("/max_tokens", json!(1024))]),
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        ),
        (thinking(&[("/thinking/type", json!("on"))]), "thinking: Input tag 'on' found using 'type'"),
        (
            thinking(&[("/temperature", json!(0.5))]),
            "`temperature` may only be set to 1 when thinking is enabled",
        ),
        (
            thinking(&[("/tools", json!([weather_tool()])), ("/tool_choice", json!({"type": "any"}))]),
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        (
            with(
                turns(json!([used]), json!([result])),
                &[
                    ("/thinking", json!({"type": "enabled", "budget_tokens": 1024})),
                    ("/max_tokens", json!(2048)),
                ],
            ),
            "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block",
        ),
        (
            turns(json!([{"type": "redacted_thinking", "data": "ErUBAAAA"}]), json!("x")),
            "messages.1.content.0: Invalid `data` in `redacted_thinking` block",
        ),
        (
            with_content(json!([marked, marked, marked, marked, marked])),
            "A maximum of 4 blocks with cache_control may be provided. Found 5.",
        ),
        (
            with_content(json!([marked, long])),
            "messages.0.content.1.cache_control.ttl: a ttl='1h' cache_control block must not come after",
        ),
        (
            with_content(json!([with(marked.clone(), &[("/cache_control/ttl", json!("1d"))])])),
            "messages.0.content.0.cache_control.ephemeral.ttl: Input should be '5m' or '1h'",
        ),
    ];
    for (body, message) in cases {
        let refused = messages(&emulator, &body).await;
        let error = refused.json()["error"].clone();
        assert_eq!(
            (refused.status(), error["type"].as_str()),
            (400, Some("invalid_request_error")),
            "{body}"
        );
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error} is not `{message}`");
    }
    let prefill = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "So "}]);
    let refused = messages(&emulator, &body(&[("/messages", prefill)])).await.json();
    assert_eq!(
        refused["error"]["message"],
        "messages: final assistant content cannot end with trailing whitespace"
    );
}

#[tokio::test]
async fn what_a_real_provider_takes_is_taken() {
    let emulator = emulator().await;
    let body = |changes: &[(&str, Value)]| with(message_body("Hi", false), changes);
    let thinking = json!({"type": "enabled", "budget_tokens": 4096});
    let server_tools = json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "mcp_toolset", "mcp_server_name": "x"}, {"type": "computer_toolset_20260801"}, {"type": "custom", "name": "x", "input_schema": {"type": "object"}}]);
    let user_id = "{\"device_id\":\"d\",\"account_uuid\":\"a\",\"session_id\":\"s\"}";
    let taken = [
        body(&[("/thinking", json!({"type": "disabled"})), ("/temperature", json!(0.2))]),
        body(&[
            ("/model", json!("claude-opus-4-7")),
            ("/thinking", json!({"type": "adaptive"})),
            ("/output_config", json!({"effort": "xhigh"})),
        ]),
        body(&[("/tools", server_tools), ("/messages/0/content", json!("Use web_search"))]),
        body(&[("/metadata", json!({"user_id": user_id})), ("/service_tier", json!("standard_only"))]),
        body(&[
            ("/cache_control", json!({"type": "ephemeral"})),
            ("/system", json!("")),
            ("/top_k", json!(5)),
        ]),
    ];
    for body in taken {
        let answer = messages(&emulator, &body).await;
        assert_eq!(
            (answer.status(), answer.json()["stop_reason"].as_str()),
            (200, Some("end_turn")),
            "{body}"
        );
    }
    // With interleaved thinking the budget spans several answers.
    let interleaved = ("anthropic-beta", "context-1m-2025-08-07, interleaved-thinking-2025-05-14");
    let headers = [("x-api-key", ANTHROPIC_KEY), VERSION, interleaved];
    let over = body(&[("/thinking", thinking)]).to_string();
    assert_eq!(call(&emulator, "POST", "/v1/messages", &headers[..2], &over).await.status(), 400);
    assert_eq!(call(&emulator, "POST", "/v1/messages", &headers, &over).await.status(), 200);
}

#[tokio::test]
async fn images_and_documents_are_told_of_also_in_tool_results() {
    let emulator = emulator().await;
    let png =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let url = json!({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}});
    let file = json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}});
    let pdf = json!({"type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAAAA=="}});
    let text =
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}});
    let asked = with_content(json!([{"type": "text", "text": "Look"}, png, url, file, pdf, text]));
    assert_eq!(
        messages(&emulator, &asked).await.json()["content"][0]["text"],
        "Look [image/png, 3 bytes] [https://x/y.png] [file_1] [application/pdf, 4 bytes] [text/plain, 3 bytes]"
    );
    let used = json!({"type": "tool_use", "id": "toolu_1", "name": "see", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": [png]});
    let talked = messages(&emulator, &turns(json!([used]), json!([result]))).await.json();
    assert_eq!(talked["content"][0]["text"], " [image/png, 3 bytes]");
}

#[tokio::test]
async fn the_system_prompt_is_all_of_its_blocks_and_messages() {
    let emulator = emulator().await;
    let system = json!([{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]);
    let list = json!([{"role": "user", "content": emulator::SAY_SYSTEM},
        {"role": "system", "content": [{"type": "text", "text": "Be done."}]}]);
    let model = json!("claude-opus-4-8");
    let body = with(message_body("", false), &[("/system", system), ("/messages", list), ("/model", model)]);
    let said = messages(&emulator, &body).await.json();
    assert_eq!(said["content"][0]["text"], "Be brief.\nBe kind.\nBe done.");
}

#[tokio::test]
async fn an_answer_ends_at_a_stop_sequence_or_in_a_refusal_and_says_so() {
    let emulator = emulator().await;
    let stop = with(message_body("one, two", false), &[("/stop_sequences", json!(["zebra", ", "]))]);
    let cases = [
        (stop, "one", "stop_sequence", json!(", ")),
        (message_body(emulator::REFUSE, false), emulator::REFUSAL, "refusal", Value::Null),
    ];
    for (body, said, reason, sequence) in cases {
        let message = messages(&emulator, &body).await.json();
        assert_eq!(message["content"], json!([{"type": "text", "text": said}]));
        assert_eq!((&message["stop_reason"], &message["stop_sequence"]), (&json!(reason), &sequence));
        let events = messages(&emulator, &with(body, &[("/stream", json!(true))])).await.events();
        let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
        let ending = &events.iter().find(|event| event["type"] == "message_delta").unwrap()["delta"];
        assert_eq!(
            (text.as_str(), &ending["stop_reason"], &ending["stop_sequence"]),
            (said, &json!(reason), &sequence)
        );
        assert_eq!(ending["stop_details"], message["stop_details"]);
        assert_eq!(ending["stop_details"]["type"] == "refusal", reason == "refusal");
    }
}

#[tokio::test]
async fn json_is_made_by_the_schema_of_either_field() {
    let emulator = emulator().await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": false});
    let format = json!({"type": "json_schema", "schema": schema});
    for change in [("/output_config", json!({"format": format})), ("/output_format", format.clone())] {
        let message = messages(&emulator, &with(message_body("Where?", false), &[change])).await.json();
        assert_eq!(message["content"][0]["text"], r#"{"city":"city"}"#);
    }
}

#[tokio::test]
async fn secret_thinking_comes_sealed_ahead_of_a_call_and_comes_back_as_it_was() {
    let emulator = emulator().await;
    let ask = format!("{} Then get_weather", emulator::REDACTED);
    let body = with(
        message_body(&ask, false),
        &[
            ("/thinking", json!({"type": "enabled", "budget_tokens": 1024})),
            ("/max_tokens", json!(2048)),
            ("/tools", json!([weather_tool()])),
        ],
    );
    let message = messages(&emulator, &body).await.json();
    let (sealed, used) = (&message["content"][0], &message["content"][1]);
    assert_eq!((&sealed["type"], &used["type"]), (&json!("redacted_thinking"), &json!("tool_use")));
    let events = messages(&emulator, &with(body.clone(), &[("/stream", json!(true))])).await.events();
    let started: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "content_block_start")
        .map(|event| &event["content_block"])
        .collect();
    assert_eq!((started[0], &started[1]["type"]), (sealed, &json!("tool_use")));

    let mut next = body;
    let list = next["messages"].as_array_mut().unwrap();
    list.push(json!({"role": "assistant", "content": message["content"]}));
    let result = json!({"type": "tool_result", "tool_use_id": used["id"], "content": "Rain."});
    list.push(json!({"role": "user", "content": [result]}));
    let talked = messages(&emulator, &next).await.json();
    assert_eq!(talked["content"][1], json!({"type": "text", "text": "Rain."}));
    assert_eq!(talked["content"][0]["type"], "thinking");
}

#[tokio::test]
async fn thinking_that_is_not_shown_is_signed_all_the_same() {
    let emulator = emulator().await;
    let thinking = json!({"type": "adaptive", "display": "omitted"});
    let changes = [("/thinking", thinking), ("/model", json!("claude-sonnet-4-6"))];
    let body = with(message_body("Hi", false), &changes);
    let message = messages(&emulator, &body).await.json();
    assert_eq!(message["content"][0]["thinking"], "");
    assert_eq!(message["usage"]["output_tokens"], 1 + emulator::HIDDEN_REASONING_TOKENS);
    assert_eq!(
        message["usage"]["output_tokens_details"],
        json!({"thinking_tokens": emulator::HIDDEN_REASONING_TOKENS})
    );
    let back = turns(message["content"].clone(), json!("And now?"));
    assert_eq!(messages(&emulator, &back).await.status(), 200);
}

#[tokio::test]
async fn tools_are_called_side_by_side_unless_that_is_forbidden() {
    let emulator = emulator().await;
    let second = with(weather_tool(), &[("/name", json!("get_time"))]);
    let mut body = message_body("get_time and get_weather", false);
    body["tools"] = json!([weather_tool(), second]);
    let used = |message: &Value| message["content"].as_array().unwrap().len();
    assert_eq!(used(&messages(&emulator, &body).await.json()), 2);
    body["stream"] = json!(true);
    let events = messages(&emulator, &body).await.events();
    let indexes: Vec<u64> = events
        .iter()
        .filter(|event| event["content_block"]["type"] == "tool_use")
        .filter_map(|event| event["index"].as_u64())
        .collect();
    assert_eq!(indexes, [0, 1]);
    body["stream"] = json!(false);
    body["tool_choice"] = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(used(&messages(&emulator, &body).await.json()), 1);
}

#[tokio::test]
async fn an_access_token_needs_its_beta_and_its_header_and_has_an_end() {
    let emulator = emulator().await;
    let (fresh, expired) = ("Bearer sk-ant-oat01-fresh", "Bearer sk-ant-oat01-expired");
    let beta = ("anthropic-beta", "claude-code-20250219,oauth-2025-04-20");
    let cases = [
        (vec![("authorization", fresh), beta], 200, None),
        (vec![("authorization", fresh)], 401, Some("OAuth authentication is currently not supported.")),
        (
            vec![("authorization", expired), beta],
            401,
            Some("OAuth token has expired. Please obtain a new token or refresh your existing token."),
        ),
        (vec![("x-api-key", "sk-ant-oat01-fresh"), beta], 401, Some("invalid x-api-key")),
        (vec![("authorization", "Bearer sk-ant-oat01-unknown"), beta], 401, Some("Invalid bearer token")),
    ];
    let body = message_body("Hi", false).to_string();
    for (mut headers, status, message) in cases {
        headers.push(VERSION);
        let answer = call(&emulator, "POST", "/v1/messages", &headers, &body).await;
        assert_eq!(
            (answer.status(), answer.json()["error"]["message"].as_str()),
            (status, message),
            "{headers:?}"
        );
    }
    assert_eq!(
        emulator.credential("sk-ant-oat01-expired").counters().requests,
        1,
        "it is told apart all the same"
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
