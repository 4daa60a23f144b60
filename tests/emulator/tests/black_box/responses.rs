mod models;
mod refusals;
mod remembered;

use emulator::{Behaviour, Emulator, Fault, Position, REFUSAL, REFUSE, SAY_SYSTEM};
use serde_json::{Value, json};

use crate::client::{Answer, OPENAI_KEY, call, emulator};

const PNG: &str = "data:image/png;base64,iVBORw0KGgo=";

fn body(input: Value) -> Value {
    json!({"model": "gpt-5.1", "input": input})
}

/// The body with these fields too.
fn with(input: Value, fields: Value) -> Value {
    let mut body = body(input);
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

async fn ask_as(emulator: &Emulator, key: &str, body: &Value) -> Answer {
    let (bearer, body) = (format!("Bearer {key}"), body.to_string());
    // Boxed: a test makes many calls, and each would take its room on the stack.
    Box::pin(call(emulator, "POST", "/v1/responses", &[("authorization", &bearer)], &body)).await
}

async fn ask(emulator: &Emulator, body: &Value) -> Answer {
    ask_as(emulator, OPENAI_KEY, body).await
}

async fn without_body(emulator: &Emulator, method: &str, path: &str) -> Answer {
    let bearer = format!("Bearer {OPENAI_KEY}");
    Box::pin(call(emulator, method, path, &[("authorization", &bearer)], "")).await
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

fn joined(events: &[Value], kind: &str) -> String {
    let of_kind = events.iter().filter(|event| event["type"] == kind);
    of_kind.filter_map(|event| event["delta"].as_str()).collect()
}

fn weather(strict: bool) -> Value {
    json!({"type": "function", "name": "get_weather", "strict": strict, "parameters": {"type": "object",
        "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}})
}

#[tokio::test]
async fn a_plain_answer_echoes_counts_and_repeats_the_request() {
    let emulator = emulator().await;
    let asked = with(
        json!("How are you?"),
        json!({"instructions": "12345678", "metadata": {"a": "b"}, "tools": [weather(true)], "user": "me"}),
    );
    let answer = ask(&emulator, &asked).await;
    let response = answer.json();
    assert_eq!((answer.status(), response["object"].as_str()), (200, Some("response")));
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!(
        (response["status"].as_str(), response["model"].as_str()),
        (Some("completed"), Some("gpt-5.1"))
    );
    assert_eq!(response["output"].as_array().unwrap().len(), 1);
    let message = &response["output"][0];
    assert_eq!((message["type"].as_str(), message["role"].as_str()), (Some("message"), Some("assistant")));
    assert_eq!(
        message["content"],
        json!([{"type": "output_text", "annotations": [], "logprobs": [], "text": "How are you?"}])
    );
    let input = 5 + emulator::TOKENS_PER_MESSAGE + emulator::TOKENS_PER_TOOL;
    assert_eq!(
        response["usage"],
        json!({"input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 3,
               "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + 3})
    );
    for (name, value) in [
        ("instructions", json!("12345678")),
        ("metadata", json!({"a": "b"})),
        ("user", json!("me")),
        ("store", json!(true)),
        ("tool_choice", json!("auto")),
        ("temperature", json!(1.0)),
        ("truncation", json!("disabled")),
        ("text", json!({"format": {"type": "text"}, "verbosity": "medium"})),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("error", Value::Null),
        ("incomplete_details", Value::Null),
        ("previous_response_id", Value::Null),
    ] {
        assert_eq!(response[name], value, "{name}");
    }
    assert_eq!(response["tools"][0]["description"], Value::Null);
}

#[tokio::test]
async fn a_stream_opens_fills_and_closes_each_item_in_order() {
    let emulator = emulator().await;
    let streamed = json!({"stream": true, "reasoning": {"effort": "low", "summary": "auto"}});
    let answer = ask(&emulator, &with(json!("How are you?"), streamed)).await;
    let events = answer.events();
    let text: &[&str] = &["response.output_text.delta"; 4];
    let expected = [
        &[
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
        ],
        text,
        &[
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ],
    ]
    .concat();
    assert_eq!(kinds(&events), expected);
    let names: Vec<String> =
        answer.text().lines().filter_map(|line| line.strip_prefix("event: ").map(str::to_owned)).collect();
    assert_eq!(names, kinds(&events), "each event is named as its data is");
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], json!(number));
    }
    assert_eq!(joined(&events, "response.output_text.delta"), "How are you?");
    assert!(
        events
            .iter()
            .filter(|event| event["delta"].is_string())
            .all(|event| event["obfuscation"].is_string())
    );
    let created = &events.first().unwrap()["response"];
    assert_eq!((created["status"].as_str(), &created["usage"]), (Some("in_progress"), &Value::Null));
    let response = &events.last().unwrap()["response"];
    let done: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    assert_eq!(response["output"].as_array().unwrap().iter().collect::<Vec<_>>(), done);
    let thought = response["output"][0]["summary"][0]["text"].as_str().unwrap();
    assert_eq!(thought, joined(&events, "response.reasoning_summary_text.delta"));
    for event in events.iter().filter(|event| event["item_id"].is_string()) {
        let at = usize::try_from(event["output_index"].as_u64().unwrap()).unwrap();
        assert_eq!(event["item_id"], response["output"][at]["id"]);
    }
    let reasoning = response["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
    assert_eq!(response["usage"]["output_tokens"], reasoning + 3);
}

#[tokio::test]
async fn an_answer_ends_for_length_and_in_refusal() {
    let emulator = emulator().await;
    let long = "x".repeat(100);
    let cut = ask(&emulator, &with(json!(long), json!({"max_output_tokens": 16}))).await.json();
    assert_eq!(
        (cut["status"].as_str(), cut["output"][0]["status"].as_str()),
        (Some("incomplete"), Some("incomplete"))
    );
    assert_eq!(cut["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(cut["output"][0]["content"][0]["text"].as_str().unwrap().len(), 64);
    let events =
        ask(&emulator, &with(json!(long), json!({"max_output_tokens": 16, "stream": true}))).await.events();
    assert_eq!(events.last().unwrap()["type"], "response.incomplete");

    let refused = ask(&emulator, &body(json!(REFUSE))).await.json();
    assert_eq!(refused["output"][0]["content"], json!([{"type": "refusal", "refusal": REFUSAL}]));
    let events = ask(&emulator, &with(json!(REFUSE), json!({"stream": true}))).await.events();
    assert_eq!(joined(&events, "response.refusal.delta"), REFUSAL);
    assert!(kinds(&events).contains(&"response.refusal.done"));
}

#[tokio::test]
async fn logprobs_come_with_each_piece_when_asked_for() {
    let emulator = emulator().await;
    let fields = json!({"stream": true, "include": ["message.output_text.logprobs"]});
    let events = ask(&emulator, &with(json!("How are you?"), fields)).await.events();
    let tokens = |logprobs: &Value| -> String {
        logprobs.as_array().unwrap().iter().filter_map(|one| one["token"].as_str()).collect()
    };
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    assert_eq!(deltas.map(|event| tokens(&event["logprobs"])).collect::<String>(), "How are you?");
    let whole = &events.last().unwrap()["response"]["output"][0]["content"][0]["logprobs"];
    assert_eq!((tokens(whole).as_str(), whole.as_array().unwrap().len()), ("How are you?", 4));
}

#[tokio::test]
async fn all_forms_of_input_are_read() {
    let emulator = emulator().await;
    let parts = json!([{"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        {"type": "input_file", "file_url": "https://x/y.pdf"}]);
    let cases = [
        (
            json!({"instructions": "Be brief."}),
            json!([{"role": "developer", "content": "Be kind."},
            {"role": "user", "content": SAY_SYSTEM}]),
            "Be brief.\nBe kind.",
        ),
        (
            json!({}),
            json!([{"role": "user", "content": parts}]),
            "Look [image/png, 8 bytes] [application/pdf, 2 bytes] [https://x/y.pdf]",
        ),
        (
            json!({}),
            json!([
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "Rain."}]}]),
            "Rain.",
        ),
        (
            json!({}),
            json!([
            {"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "a b"}]),
            "a b",
        ),
        (json!({"text": {"format": {"type": "json_object"}}}), json!("As JSON"), r#"{"answer":"As JSON"}"#),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "place", "strict": true, "schema":
            {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
             "additionalProperties": false}}}}),
            json!("Where?"),
            r#"{"city":"city"}"#,
        ),
    ];
    for (fields, input, said) in cases {
        let response = ask(&emulator, &with(input, fields)).await.json();
        assert_eq!(response["output"][0]["content"][0]["text"], said, "{response}");
    }
}

#[tokio::test]
async fn tools_of_all_kinds_are_called_and_their_outputs_required() {
    let emulator = emulator().await;
    let patch = json!({"type": "custom", "name": "apply_patch",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}});
    let files = json!({"type": "namespace", "name": "files", "description": "Files.",
        "tools": [{"type": "function", "name": "read_file", "parameters": {"type": "object"}}]});
    let tools = json!([weather(false), patch, files, {"type": "web_search"}]);
    let said = "Use get_weather, apply_patch and read_file";
    let response = ask(&emulator, &with(json!(said), json!({"tools": tools}))).await.json();
    let output = response["output"].as_array().unwrap().clone();
    let seen: Vec<(&str, &str)> =
        output.iter().map(|item| (item["type"].as_str().unwrap(), item["name"].as_str().unwrap())).collect();
    assert_eq!(
        seen,
        [
            ("function_call", "get_weather"),
            ("custom_tool_call", "apply_patch"),
            ("function_call", "read_file")
        ]
    );
    assert_eq!(output.first().unwrap()["arguments"], r#"{"city":"city"}"#);
    assert_eq!(output.get(1).unwrap()["input"], "input");
    assert_eq!(output.get(2).unwrap()["namespace"], "files");

    let events = ask(&emulator, &with(json!(said), json!({"tools": tools, "stream": true}))).await.events();
    let arguments = joined(&events, "response.function_call_arguments.delta");
    assert_eq!(arguments, r#"{"city":"city"}{}"#);
    assert_eq!(joined(&events, "response.custom_tool_call_input.delta"), "input");

    let mut items = vec![json!({"role": "user", "content": said})];
    items.extend(output.clone());
    let outputs = output.iter().map(|item| {
        let kind = format!("{}_output", item["type"].as_str().unwrap());
        json!({"type": kind, "call_id": item["call_id"], "output": "Done."})
    });
    let (mut answered, last) = (items.clone(), output.last().unwrap()["call_id"].as_str().unwrap());
    answered.extend(outputs);
    assert_eq!(
        ask(&emulator, &body(json!(answered))).await.json()["output"][0]["content"][0]["text"],
        "Done."
    );
    answered.pop();
    let refused = ask(&emulator, &body(json!(answered))).await.json();
    assert_eq!(refused["error"]["message"], format!("No tool output found for function call {last}."));

    for (choice, called) in [
        (json!("none"), None),
        (json!("required"), Some("get_weather")),
        (json!({"type": "custom", "name": "apply_patch"}), Some("apply_patch")),
        (json!({"type": "function", "name": "read_file"}), Some("read_file")),
        (
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "read_file"}]}),
            Some("read_file"),
        ),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom", "name": "apply_patch"}]}),
            Some("apply_patch"),
        ),
    ] {
        let fields = json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": false});
        let response = ask(&emulator, &with(json!(said), fields)).await.json();
        assert_eq!(response["output"].as_array().unwrap().len(), 1);
        assert_eq!(response["output"][0]["name"].as_str(), called, "{choice}");
    }
}

#[tokio::test]
async fn tokens_are_counted_without_an_answer() {
    let emulator = emulator().await;
    let bearer = format!("Bearer {OPENAI_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let asked = body(json!("12345678")).to_string();
    let counted = call(&emulator, "POST", "/openai/v1/responses/input_tokens", &headers, &asked).await.json();
    assert_eq!(
        counted,
        json!({"object": "response.input_tokens", "input_tokens": 2 + emulator::TOKENS_PER_MESSAGE})
    );
}

#[tokio::test]
async fn errors_under_way_are_events() {
    let emulator = emulator().await;
    let streamed = with(json!("Hi"), json!({"stream": true}));
    for (status, kind, code) in
        [(500, "error", "server_error"), (429, "response.failed", "rate_limit_exceeded")]
    {
        let fault = Fault::ErrorEvent { at: Position::Content(1), status, error: None };
        emulator.credential(OPENAI_KEY).next(Behaviour::failing(fault)).unwrap();
        let answer = ask(&emulator, &streamed).await;
        let events = answer.events();
        let last = events.last().unwrap();
        assert_eq!(last["type"], kind);
        let error = if status == 429 { &last["response"]["error"] } else { &last["error"] };
        assert_eq!(error["code"], code);
        assert!(answer.text().contains(&format!("event: {kind}\n")));
        if status == 429 {
            assert_eq!(last["response"]["id"], events.first().unwrap()["response"]["id"]);
        }
    }
}
