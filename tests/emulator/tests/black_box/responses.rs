use emulator::{
    Behaviour, Emulator, Fault, HIDDEN_REASONING_TOKENS, Position, REDACTED, REFUSAL, REFUSE, SAY_SYSTEM,
};
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
async fn a_sealed_thought_comes_back_whole_to_its_own_account() {
    let emulator = emulator().await;
    let seal =
        json!({"reasoning": {"effort": "high"}, "store": false, "include": ["reasoning.encrypted_content"]});
    let first = ask(&emulator, &with(json!("Think!"), seal.clone())).await.json();
    let thought = first["output"][0].clone();
    assert_eq!((thought["type"].as_str(), &thought["summary"]), (Some("reasoning"), &json!([])));
    assert!(thought["encrypted_content"].as_str().unwrap().starts_with("gAAAA"));
    assert_eq!(first["usage"]["output_tokens_details"]["reasoning_tokens"], HIDDEN_REASONING_TOKENS);
    let again = ask(&emulator, &with(json!("Think!"), seal.clone())).await.json();
    assert_ne!(again["output"][0]["encrypted_content"], thought["encrypted_content"]);

    let mut streamed = seal.clone();
    streamed["stream"] = json!(true);
    let events = ask(&emulator, &with(json!("Think!"), streamed)).await.events();
    let mut secret = seal.clone();
    secret["reasoning"]["summary"] = json!("auto");
    let hidden = ask(&emulator, &with(json!(REDACTED), secret)).await.json();
    assert_eq!(hidden["output"][0]["summary"], json!([]));
    assert!(hidden["output"][0]["encrypted_content"].is_string());
    let items: Vec<&Value> = events
        .iter()
        .filter(|event| event["item"]["type"] == "reasoning")
        .map(|event| &event["item"])
        .collect();
    assert_eq!(items.len(), 2);
    assert_ne!(items[0]["encrypted_content"], items[1]["encrypted_content"]);

    let replay = |thought: &Value| {
        with(
            json!([{"role": "user", "content": "Think!"}, thought, first["output"][1], {"role": "user", "content": "And?"}]),
            seal.clone(),
        )
    };
    assert_eq!(ask(&emulator, &replay(&thought)).await.status(), 200);
    let mut nameless = thought.clone();
    nameless.as_object_mut().unwrap().remove("id");
    assert_eq!(ask(&emulator, &replay(&nameless)).await.status(), 200);

    let code = |answer: Answer| (answer.status(), answer.json()["error"]["code"].clone());
    let refused = (400, json!("invalid_encrypted_content"));
    assert_eq!(code(ask_as(&emulator, "sk-other", &replay(&thought)).await), refused);
    let mut changed = thought.clone();
    changed["encrypted_content"] = items[0]["encrypted_content"].clone();
    assert_eq!(code(ask(&emulator, &replay(&changed)).await), refused);
    changed["encrypted_content"] = again["output"][0]["encrypted_content"].clone();
    assert_eq!(code(ask(&emulator, &replay(&changed)).await), refused);
    changed["encrypted_content"] = Value::Null;
    let lost = ask(&emulator, &replay(&changed)).await;
    assert_eq!(lost.status(), 404);
    assert!(lost.json()["error"]["message"].as_str().unwrap().contains("Items are not persisted"));
}

#[tokio::test]
async fn a_stored_answer_is_continued_referred_to_read_and_deleted() {
    let emulator = emulator().await;
    let tools = json!({"tools": [weather(true)], "reasoning": {"effort": "low"}});
    let first = ask(&emulator, &with(json!("get_weather"), tools)).await.json();
    let id = first["id"].as_str().unwrap();
    let path = format!("/v1/responses/{id}");
    assert_eq!(without_body(&emulator, "GET", &path).await.json(), first);

    let call_item = first["output"][1].clone();
    let output = json!({"type": "function_call_output", "call_id": call_item["call_id"], "output": "Rain."});
    let continued = with(json!([output]), json!({"previous_response_id": id}));
    let second = ask(&emulator, &continued).await.json();
    assert_eq!(second["output"][0]["content"][0]["text"], "Rain.");
    assert_eq!(second["previous_response_id"], json!(id));
    let third =
        ask(&emulator, &with(json!("And?"), json!({"previous_response_id": second["id"]}))).await.json();
    let tokens = |response: &Value| response["usage"]["input_tokens"].as_u64().unwrap();
    // The model sees the question, its own thought and call, and the output.
    assert_eq!(tokens(&second), 8 + 4 * emulator::TOKENS_PER_MESSAGE);
    assert!(tokens(&third) > tokens(&second));
    let refused = ask(&emulator, &with(json!("And?"), json!({"previous_response_id": id}))).await.json();
    assert!(
        refused["error"]["message"].as_str().unwrap().starts_with("No tool output found for function call")
    );

    let refer = |item: &Value| json!({"type": "item_reference", "id": item["id"]});
    let referred = json!([refer(&first["output"][0]), refer(&call_item), output]);
    assert_eq!(ask(&emulator, &body(referred)).await.status(), 200);
    let refused = ask(&emulator, &body(json!([call_item, output]))).await.json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("without its required 'reasoning' item"));
    let refused =
        ask(&emulator, &body(json!([first["output"][0], {"role": "user", "content": "Hi"}]))).await.json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("without its required following item"));

    let other = ask_as(&emulator, "sk-other", &continued).await;
    assert_eq!(other.json()["error"]["code"], "previous_response_not_found");
    let deleted = without_body(&emulator, "DELETE", &path).await.json();
    assert_eq!(deleted, json!({"id": id, "object": "response", "deleted": true}));
    assert_eq!(without_body(&emulator, "GET", &path).await.status(), 404);
    let gone = ask(&emulator, &continued).await;
    assert_eq!((gone.status(), gone.json()["error"]["param"].as_str()), (400, Some("previous_response_id")));
    assert_eq!(gone.json()["error"]["message"], format!("Previous response with id '{id}' not found."));
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

#[tokio::test]
async fn what_a_real_provider_refuses_is_refused_in_its_words() {
    let emulator = emulator().await;
    let user = |parts: Value| json!([{"role": "user", "content": parts}]);
    let output = json!([{"type": "function_call_output", "call_id": "c1", "output": "x"}]);
    let named =
        |name: &str| json!({"tools": [{"type": "function", "name": name, "parameters": {"type": "object"}}]});
    let loose = json!({"tools": [{"type": "function", "name": "f", "strict": true, "parameters": {"type": "object",
        "properties": {"a": {"type": "string"}}, "required": [], "additionalProperties": false}}]});
    let many = "x".repeat(65);
    #[rustfmt::skip]
    let cases: Vec<(Value, Value, u16, Value, Value, &str)> = vec![
        (json!("Hi"), json!({"model": "gpt-unknown"}), 404, Value::Null, json!("model_not_found"), "The model `gpt-unknown` does not exist"),
        (json!("Hi"), json!({"model": null}), 400, json!("model"), json!("missing_required_parameter"), "Missing required parameter: 'model'."),
        (Value::Null, json!({}), 400, Value::Null, json!("missing_required_parameter"), "One of \"input\" or"),
        (json!(5), json!({}), 400, json!("input"), json!("invalid_type"), "Invalid type for 'input': expected one of a string or array of input items, but got an integer instead."),
        (json!("Hi"), json!({"messages": []}), 400, json!("messages"), json!("unsupported_parameter"), "Unsupported parameter: 'messages'. In the Responses API, this parameter has moved to 'input'."),
        (json!("Hi"), json!({"stop": ["x"]}), 400, json!("stop"), json!("unknown_parameter"), "Unknown parameter: 'stop'."),
        (json!("Hi"), json!({"max_output_tokens": 15}), 400, json!("max_output_tokens"), json!("integer_below_min_value"), "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 15 instead."),
        (json!("Hi"), json!({"temperature": 2.5}), 400, json!("temperature"), json!("decimal_above_max_value"), "Invalid 'temperature': decimal above maximum value."),
        (json!("Hi"), json!({"temperature": 0.5, "reasoning": {"effort": "low"}}), 400, json!("temperature"), json!("unsupported_parameter"), "Unsupported parameter: 'temperature' is not supported"),
        (json!("Hi"), json!({"reasoning": {"effort": "huge"}}), 400, json!("reasoning.effort"), json!("invalid_value"), "Invalid value: 'huge'. Supported values are: 'none', 'minimal'"),
        (json!("Hi"), json!({"model": "gpt-4o", "reasoning": {"effort": "low"}}), 400, json!("reasoning.effort"), json!("unsupported_parameter"), "Unsupported parameter: 'reasoning.effort'"),
        (json!("Hi"), json!({"model": "gpt-4o", "include": ["reasoning.encrypted_content"]}), 400, json!("include"), Value::Null, "Encrypted content is not supported with this model."),
        (json!("Hi"), json!({"include": ["all"]}), 400, json!("include[0]"), json!("invalid_value"), "Invalid value: 'all'."),
        (json!("Hi"), json!({"background": true}), 400, json!("background"), Value::Null, "Background"),
        (json!("Hi"), json!({"stream_options": {}}), 400, json!("stream_options"), Value::Null, "The 'stream_options' parameter"),
        (json!("Hi"), json!({"previous_response_id": "x"}), 400, json!("previous_response_id"), json!("invalid_value"), "Invalid 'previous_response_id': 'x'. Expected an ID that begins with 'resp'."),
        (json!("Hi"), json!({"text": {"format": {"type": "json_object"}}}), 400, json!("input"), Value::Null, "Response input messages must contain the word 'json'"),
        (json!("Hi"), json!({"text": {"format": {"type": "json_schema", "name": "a b", "schema": {"type": "object"}}}}), 400, json!("text.format.name"), json!("invalid_value"), "Invalid 'text.format.name': string does not match pattern."),
        (json!("Hi"), json!({"text": {"format": {"type": "json_schema", "name": "a", "strict": true, "schema": {"type": "object"}}}}), 400, json!("text.format.schema"), json!("invalid_json_schema"), "Invalid schema for response_format 'a': In context=()"),
        (json!("Hi"), json!({"tools": [{"type": "function", "function": {"name": "f"}}]}), 400, json!("tools[0].name"), json!("missing_required_parameter"), "Missing required parameter: 'tools[0].name'."),
        (json!("Hi"), named("a b"), 400, json!("tools[0].name"), json!("invalid_value"), "Invalid 'tools[0].name': string does not match pattern."),
        (json!("Hi"), named(&many), 400, json!("tools[0].name"), json!("string_above_max_length"), "Invalid 'tools[0].name': string too long."),
        (json!("Hi"), loose, 400, json!("tools[0].parameters"), json!("invalid_function_parameters"), "Invalid schema for function 'f': In context=(), 'required' is required"),
        (json!("Hi"), json!({"tools": [{"type": "teapot"}]}), 400, json!("tools[0].type"), json!("invalid_value"), "Invalid value: 'teapot'."),
        (json!("Hi"), json!({"tool_choice": {"type": "function", "name": "f"}}), 400, json!("tool_choice"), Value::Null, "Tool choice 'function' not found in 'tools' parameter."),
        (json!([{"role": "tool", "content": "x"}]), json!({}), 400, json!("input[0]"), json!("invalid_value"), "Invalid value: 'tool'. Supported values are: 'assistant', 'system', 'developer', and 'user'."),
        (json!([{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]), json!({}), 400, json!("input[0].content[0]"), json!("invalid_value"), "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'."),
        (user(json!([{"type": "input_image", "image_url": "nowhere"}])), json!({}), 400, json!("input[0].content[0].image_url"), json!("invalid_value"), "Invalid 'input[0].content[0].image_url'. Expected a valid URL"),
        (user(json!([{"type": "input_image", "image_url": "data:image/png;base64,%%"}])), json!({}), 400, json!("input[0].content[0].image_url"), json!("invalid_value"), "Invalid 'input[0].content[0].image_url'. Expected a base64-encoded data URL"),
        (user(json!([{"type": "input_image", "image_url": "data:text/plain;base64,aGk="}])), json!({}), 400, json!("input[0].content[0].image_url"), json!("invalid_value"), "Invalid 'input[0].content[0].image_url'. Expected a base64-encoded data URL"),
        (output, json!({}), 400, json!("input"), Value::Null, "No tool call found for function call output with call_id c1."),
        (json!([{"type": "function_call", "call_id": many, "name": "f", "arguments": "{}"}]), json!({}), 400, json!("input[0].call_id"), json!("string_above_max_length"), "Invalid 'input[0].call_id': string too long. Expected a string with maximum length 64, but got a string with length 65 instead."),
        (json!([{"type": "function_call", "id": "call_1", "call_id": "c", "name": "f", "arguments": "{}"}]), json!({}), 400, json!("input[0].id"), json!("invalid_value"), "Invalid 'input[0].id': 'call_1'. Expected an ID that begins with 'fc'."),
        (json!([{"type": "message", "id": "msg 1", "role": "user", "content": "x"}]), json!({}), 400, json!("input[0].id"), json!("invalid_value"), "Invalid 'input[0].id': 'msg 1'. Expected an ID that contains letters, numbers, underscores, or dashes"),
        (json!("Hi"), json!({"prompt_cache_key": many}), 400, json!("prompt_cache_key"), json!("string_above_max_length"), "Invalid 'prompt_cache_key': string too long."),
        (json!("Hi"), json!({"metadata": {"a": 1}}), 400, json!("metadata.a"), json!("invalid_type"), "Invalid type for 'metadata.a': expected a string, but got an integer instead."),
        (json!([{"type": "reasoning", "id": "rs_1"}]), json!({}), 400, json!("input[0].summary"), json!("missing_required_parameter"), "Missing required parameter: 'input[0].summary'."),
        (json!([{"type": "item_reference", "id": "msg_1"}]), json!({}), 404, json!("input"), Value::Null, "Item with id 'msg_1' not found."),
    ];
    for (input, fields, status, param, code, message) in cases {
        let asked = with(input, fields);
        let refused = ask(&emulator, &asked).await;
        let error = refused.json()["error"].clone();
        assert_eq!(
            (refused.status(), &error["param"], &error["code"]),
            (status, &param, &code),
            "{asked} {error}"
        );
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
    }
    let lost = without_body(&emulator, "GET", "/v1/responses/resp_1").await;
    assert_eq!(
        (lost.status(), lost.json()["error"]["message"].as_str()),
        (404, Some("Response with id 'resp_1' not found."))
    );
}
