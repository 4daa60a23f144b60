use serde_json::{Value, json};

use crate::client::{OPENAI_KEY, call, chat, chat_body, emulator};

mod models;

/// Headers, body; status, code, start of the message.
type Refusal<'a> = (Vec<(&'a str, &'a str)>, String, u16, Value, &'a str);

fn bearer() -> String {
    format!("Bearer {OPENAI_KEY}")
}

#[tokio::test]
async fn a_plain_answer_echoes_and_counts() {
    let emulator = emulator().await;
    let answer = chat(&emulator, &chat_body("How are you?", false)).await;
    let completion = answer.json();
    assert_eq!(completion["object"], "chat.completion");
    assert_eq!(completion["choices"][0]["message"]["content"], "How are you?");
    assert_eq!(completion["choices"][0]["finish_reason"], "stop");
    let prompt = 3 + emulator::TOKENS_PER_MESSAGE;
    assert_eq!(completion["usage"]["prompt_tokens"], prompt);
    assert_eq!(completion["usage"]["total_tokens"], prompt + 3);
    assert!(answer.head.header("x-request-id").unwrap().starts_with("req_"));
    assert_eq!(answer.head.header("x-ratelimit-limit-requests"), Some("10000"));
}

#[tokio::test]
async fn usage_is_in_the_stream_only_when_asked_for_and_then_null_in_all_but_the_last_chunk() {
    let emulator = emulator().await;
    let mut body = chat_body("How are you?", true);
    let plain = chat(&emulator, &body).await.events();
    assert_eq!(plain.last(), Some(&json!("[DONE]")));
    assert!(plain.iter().all(|chunk| chunk.get("usage").is_none()));

    body["stream_options"] = json!({"include_usage": true});
    let mut counted = chat(&emulator, &body).await.events();
    assert_eq!(counted.pop(), Some(json!("[DONE]")));
    let last = counted.pop().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 3);
    assert!(counted.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!(counted.len(), plain.len() - 1);
    let text: String =
        counted.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "How are you?");
}

#[tokio::test]
async fn each_of_n_choices_is_streamed_whole() {
    let emulator = emulator().await;
    let mut body = chat_body("abcd", true);
    body["n"] = json!(3);
    body["stream_options"] = json!({"include_usage": true});
    let events = chat(&emulator, &body).await.events();
    for index in 0..3 {
        let of_choice = |event: &&Value| event["choices"][0]["index"] == json!(index);
        let mine: Vec<&Value> = events.iter().filter(of_choice).collect();
        let text: String =
            mine.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, "abcd");
        assert_eq!(mine.last().unwrap()["choices"][0]["finish_reason"], "stop");
    }
    let usage = events.iter().find_map(|event| event["usage"].as_object()).unwrap();
    assert_eq!(usage["completion_tokens"], 3);
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_is_required() {
    let emulator = emulator().await;
    let mut body = chat_body("Use get_weather", true);
    body["tools"] = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
    let events = chat(&emulator, &body).await.events();
    let calls: Vec<&Value> =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["tool_calls"].get(0)).collect();
    let arguments: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, r#"{"city":"city"}"#);
    assert_eq!(calls.first().unwrap()["function"]["name"], "get_weather");

    body["stream"] = json!(false);
    let said = chat(&emulator, &body).await.json()["choices"][0]["message"].clone();
    assert_eq!(said["content"], Value::Null);
    let id = said["tool_calls"][0]["id"].clone();
    body["messages"].as_array_mut().unwrap().push(said);
    let refused = chat(&emulator, &body).await;
    assert_eq!((refused.status(), refused.json()["error"]["param"].as_str()), (400, Some("messages")));
    body["messages"]
        .as_array_mut()
        .unwrap()
        .push(json!({"role": "tool", "tool_call_id": id, "content": "Rain."}));
    assert_eq!(chat(&emulator, &body).await.json()["choices"][0]["message"]["content"], "Rain.");
}

#[tokio::test]
async fn what_a_real_provider_refuses_is_refused_in_its_words() {
    let emulator = emulator().await;
    let bearer = bearer();
    let key = ("authorization", bearer.as_str());
    let full = chat_body("Hi", false);
    let without = |name: &str| {
        let mut body = full.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string()
    };
    let mut elsewhere = full.clone();
    elsewhere["model"] = json!("gpt-unknown");
    let mut options = full.clone();
    options["stream_options"] = json!({"include_usage": true});
    let cases: Vec<Refusal<'_>> = vec![
        (vec![], full.to_string(), 401, Value::Null, "You didn't provide an API key."),
        (
            vec![("x-api-key", OPENAI_KEY)],
            full.to_string(),
            401,
            Value::Null,
            "You didn't provide an API key.",
        ),
        (
            vec![("authorization", "Bearer sk-unknown-0123456789")],
            full.to_string(),
            401,
            json!("invalid_api_key"),
            "Incorrect API key provided: sk-unkno*********6789.",
        ),
        (vec![key], without("model"), 400, Value::Null, "you must provide a model parameter"),
        (
            vec![key],
            without("messages"),
            400,
            json!("missing_required_parameter"),
            "Missing required parameter: 'messages'.",
        ),
        (
            vec![key],
            elsewhere.to_string(),
            404,
            json!("model_not_found"),
            "The model `gpt-unknown` does not exist",
        ),
        (
            vec![key],
            options.to_string(),
            400,
            Value::Null,
            "The 'stream_options' parameter is only allowed when",
        ),
        (vec![key], "{".to_owned(), 400, Value::Null, "We could not parse the JSON body"),
    ];
    for (headers, body, status, code, message) in cases {
        let refused = call(&emulator, "POST", "/v1/chat/completions", &headers, &body).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status(), &error["code"]), (status, &code), "{body}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
    }
    let lost = call(&emulator, "POST", "/v1/nowhere", &[key], "{}").await;
    assert_eq!(
        (lost.status(), lost.json()["error"]["message"].as_str()),
        (404, Some("Invalid URL (POST /v1/nowhere)"))
    );
}

/// A body with some fields set.
fn with(mut body: Value, fields: &[(&str, Value)]) -> Value {
    for (name, value) in fields {
        body[name] = value.clone();
    }
    body
}

fn with_content(content: Value) -> Value {
    with(chat_body("", false), &[("messages", json!([{"role": "user", "content": content}]))])
}

fn function(name: &str, parameters: Value) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": parameters}})
}

fn weather() -> Value {
    function("get_weather", json!({"type": "object", "properties": {"city": {"type": "string"}}}))
}

#[tokio::test]
async fn fields_that_a_real_provider_refuses_are_refused_in_its_words() {
    let emulator = emulator().await;
    let body = |fields: &[(&str, Value)]| with(chat_body("Hi", false), fields);
    let tools = |tool: Value| body(&[("tools", json!([tool]))]);
    let part = |part: Value| with_content(json!([part]));
    let image = |url: &str| part(json!({"type": "image_url", "image_url": {"url": url}}));
    let format = |schema: Value| {
        let named = json!({"name": "place", "strict": true, "schema": schema});
        body(&[("response_format", json!({"type": "json_schema", "json_schema": named}))])
    };
    let history = |list: Value| body(&[("messages", list)]);
    let long = "x".repeat(41);
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let open_object = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let optional =
        with(open_object.clone(), &[("additionalProperties", json!(false)), ("required", json!([]))]);
    let strict = |parameters: Value| {
        let mut tool = function("get_weather", parameters);
        tool["function"]["strict"] = json!(true);
        tools(tool)
    };
    // Body; code, param, start of the message.
    let cases: Vec<(Value, Value, Value, &str)> = vec![
        (
            history(json!([{"role": "user"}])),
            Value::Null,
            json!("messages.[0].content"),
            "Invalid value for 'content': expected a string, got null.",
        ),
        (
            history(json!([{"role": "robot", "content": "x"}])),
            json!("invalid_value"),
            json!("messages[0].role"),
            "Invalid value: 'robot'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.",
        ),
        (
            with_content(json!([])),
            json!("empty_array"),
            json!("messages[0].content"),
            "Invalid 'messages[0].content': empty array.",
        ),
        (
            with_content(json!(7)),
            json!("invalid_type"),
            json!("messages[0].content"),
            "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got an integer instead.",
        ),
        (
            part(json!({"type": "image", "source": {}})),
            json!("invalid_value"),
            json!("messages[0].content[0].type"),
            "Invalid value: 'image'. Supported values are: 'text', 'image_url', 'input_audio', and 'file'.",
        ),
        (
            part(json!({"type": "image_url", "image_url": "https://x/y.png"})),
            json!("invalid_type"),
            json!("messages[0].content[0].image_url"),
            "Invalid type for 'messages[0].content[0].image_url': expected an object, but got a string instead.",
        ),
        (
            image("data:image/bmp;base64,AAAA"),
            json!("invalid_image_format"),
            Value::Null,
            "You uploaded an unsupported image.",
        ),
        (image("data:image/png;base64,*"), json!("invalid_base64"), Value::Null, "Invalid base64 image_url."),
        (
            image("file:///x.png"),
            json!("invalid_value"),
            json!("messages[0].content[0].image_url.url"),
            "Invalid 'messages[0].content[0].image_url.url'. Expected a valid URL",
        ),
        (
            part(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "ogg"}})),
            json!("invalid_value"),
            json!("messages[0].content[0].input_audio.format"),
            "Invalid value: 'ogg'. Supported values are: 'wav' and 'mp3'.",
        ),
        (
            part(json!({"type": "file", "file": {"file_data": "AAAA", "filename": "x.pdf"}})),
            json!("invalid_value"),
            json!("messages[0].content[0].file.file_data"),
            "Invalid 'messages[0].content[0].file.file_data'. Expected a base64-encoded data URL",
        ),
        (
            history(
                json!([{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]),
            ),
            json!("invalid_value"),
            json!("messages[0].content[0].type"),
            "Invalid value: 'image_url'. Supported values are: 'text'.",
        ),
        (
            history(json!([{"role": "assistant", "tool_calls": [call(&long)]}])),
            json!("string_above_max_length"),
            json!("messages[0].tool_calls[0].id"),
            "Invalid 'messages[0].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length 41 instead.",
        ),
        (
            history(json!([{"role": "assistant", "tool_calls": [call("a"), call("b")]},
                {"role": "tool", "tool_call_id": "a", "content": "x"}, {"role": "user", "content": "x"}])),
            Value::Null,
            json!("messages"),
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: b",
        ),
        (
            history(
                json!([{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "a", "content": "x"}]),
            ),
            Value::Null,
            json!("messages"),
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message",
        ),
        (
            tools(function("get weather", open_object.clone())),
            json!("invalid_value"),
            json!("tools[0].function.name"),
            "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
        ),
        (
            tools(function(&"x".repeat(65), open_object.clone())),
            json!("string_above_max_length"),
            json!("tools[0].function.name"),
            "Invalid 'tools[0].function.name': string too long.",
        ),
        (
            tools(json!({"type": "web_search"})),
            json!("invalid_value"),
            json!("tools[0].type"),
            "Invalid value: 'web_search'. Supported values are: 'function' and 'custom'.",
        ),
        (
            tools(function("f", json!({"type": "object"}))),
            json!("invalid_function_parameters"),
            json!("tools[0].function.parameters"),
            "Invalid schema for function 'f': In context=(), object schema missing properties.",
        ),
        (
            strict(open_object.clone()),
            json!("invalid_function_parameters"),
            json!("tools[0].function.parameters"),
            "Invalid schema for function 'get_weather': In context=(), 'additionalProperties' is required to be supplied and to be false.",
        ),
        (
            body(&[("tools", json!([]))]),
            json!("empty_array"),
            json!("tools"),
            "Invalid 'tools': empty array.",
        ),
        (
            body(&[("tool_choice", json!("auto"))]),
            Value::Null,
            json!("tool_choice"),
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
        ),
        (
            with(tools(weather()), &[("tool_choice", json!("any"))]),
            json!("invalid_value"),
            json!("tool_choice"),
            "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'.",
        ),
        (
            format(optional.clone()),
            Value::Null,
            json!("response_format"),
            "Invalid schema for response_format 'place': In context=(), 'required' is required to be supplied and to be an array including every key in properties. Missing 'city'.",
        ),
        (
            body(&[("response_format", json!({"type": "json_object"}))]),
            Value::Null,
            json!("messages"),
            "'messages' must contain the word 'json' in some form",
        ),
        (
            body(&[("model", json!("o3-mini")), ("max_tokens", json!(9))]),
            json!("unsupported_parameter"),
            json!("max_tokens"),
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ),
        (
            body(&[("model", json!("gpt-5-mini")), ("temperature", json!(0.2))]),
            json!("unsupported_value"),
            json!("temperature"),
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
        ),
        (
            body(&[("reasoning_effort", json!("low"))]),
            Value::Null,
            Value::Null,
            "Unrecognized request argument supplied: reasoning_effort",
        ),
        (
            body(&[("model", json!("gpt-5.1")), ("reasoning_effort", json!("most"))]),
            json!("invalid_value"),
            json!("reasoning_effort"),
            "Invalid value: 'most'. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'.",
        ),
        (
            body(&[("temperature", json!(2.5))]),
            json!("decimal_above_max_value"),
            json!("temperature"),
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
        ),
        (
            body(&[("presence_penalty", json!(-3))]),
            json!("decimal_below_min_value"),
            json!("presence_penalty"),
            "Invalid 'presence_penalty': decimal below minimum value. Expected a value >= -2, but got -3 instead.",
        ),
        (
            body(&[("n", json!(129))]),
            json!("integer_above_max_value"),
            json!("n"),
            "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead.",
        ),
        (
            body(&[("stop", json!(["a", "b", "c", "d", "e"]))]),
            json!("array_above_max_length"),
            json!("stop"),
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead.",
        ),
        (
            body(&[("top_logprobs", json!(2))]),
            Value::Null,
            json!("top_logprobs"),
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
        ),
    ];
    for (body, code, param, message) in cases {
        let refused = chat(&emulator, &body).await;
        let error = refused.json()["error"].clone();
        assert_eq!(
            (refused.status(), &error["code"], &error["param"]),
            (400, &code, &param),
            "{body}: {error}"
        );
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error} is not `{message}`");
    }
}

#[tokio::test]
async fn what_a_real_provider_takes_is_taken() {
    let emulator = emulator().await;
    let body = |fields: &[(&str, Value)]| with(chat_body("Hi", false), fields);
    let closed = json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"],
        "additionalProperties": false});
    let exact = json!({"type": "function", "function": {"name": "f", "strict": true, "parameters": closed}});
    let taken = [
        body(&[
            ("model", json!("o3")),
            ("max_completion_tokens", json!(64)),
            ("reasoning_effort", json!("high")),
        ]),
        body(&[("model", json!("gpt-5.1")), ("temperature", json!(0)), ("reasoning_effort", json!("none"))]),
        body(&[("seed", json!(-1)), ("logit_bias", json!({"50256": -100})), ("temperature", Value::Null)]),
        body(&[("tools", json!([exact, {"type": "function", "function": {"name": "bare"}}]))]),
        body(&[(
            "messages",
            json!([{"role": "developer", "content": [{"type": "text", "text": "x"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "b", "content": "x"},
            {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "y"}]}]),
        )]),
    ];
    for body in taken {
        let answer = chat(&emulator, &body).await;
        assert_eq!(answer.status(), 200, "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn images_files_and_sounds_are_told_of() {
    let emulator = emulator().await;
    let asked = with_content(json!([{"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "file", "file": {"filename": "x.pdf", "file_data": "data:application/pdf;base64,AAAAAA=="}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]));
    assert_eq!(
        chat(&emulator, &asked).await.json()["choices"][0]["message"]["content"],
        "Look [image/png, 3 bytes] [https://x/y.png] [application/pdf, 4 bytes] [file-1] [audio/wav, 3 bytes]"
    );
}

#[tokio::test]
async fn the_system_prompt_a_stop_and_a_format_show_in_the_answer() {
    let emulator = emulator().await;
    let prompts = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": emulator::SAY_SYSTEM},
        {"role": "developer", "content": "Be kind."}]);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "place", "schema": schema}});
    let object = json!({"type": "json_object"});
    let cases = [
        (chat_body("", false), ("messages", prompts), "Be brief.\nBe kind."),
        (chat_body("one, two", false), ("stop", json!(", ")), "one"),
        (chat_body("one, two", false), ("stop", json!(["x", "two"])), "one, "),
        (chat_body("Where?", false), ("response_format", format), r#"{"city":"city"}"#),
        (chat_body("Say JSON", false), ("response_format", object), r#"{"answer":"Say JSON"}"#),
    ];
    for (body, field, said) in cases {
        let choice = chat(&emulator, &with(body, &[field])).await.json()["choices"][0].clone();
        assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!(said), &json!("stop")));
    }
}

/// What the first choice's deltas say in a field, put together.
fn streamed(events: &[Value], field: &str) -> String {
    let deltas = events.iter().filter(|event| event["choices"][0]["index"] == 0);
    deltas.filter_map(|event| event["choices"][0]["delta"][field].as_str()).collect()
}

#[tokio::test]
async fn a_refusal_has_its_own_field() {
    let emulator = emulator().await;
    let body = with(chat_body(emulator::REFUSE, false), &[("logprobs", json!(true)), ("n", json!(2))]);
    let choice = chat(&emulator, &body).await.json()["choices"][1].clone();
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&Value::Null, &json!("stop")));
    assert_eq!(choice["message"]["refusal"], emulator::REFUSAL);
    assert_eq!(
        (&choice["logprobs"]["content"], &choice["logprobs"]["refusal"][0]["token"]),
        (&Value::Null, &json!(emulator::REFUSAL))
    );
    let events = chat(&emulator, &with(body, &[("stream", json!(true))])).await.events();
    assert_eq!(
        (streamed(&events, "refusal").as_str(), streamed(&events, "content").as_str()),
        (emulator::REFUSAL, "")
    );
    assert_eq!(events[0]["choices"][0]["delta"]["content"], Value::Null);
}

#[tokio::test]
async fn logprobs_tell_of_each_piece() {
    let emulator = emulator().await;
    let body = with(chat_body("abcd", false), &[("logprobs", json!(true)), ("top_logprobs", json!(2))]);
    let whole = chat(&emulator, &body).await.json()["choices"][0]["logprobs"]["content"].clone();
    let tokens: Vec<&str> =
        whole.as_array().unwrap().iter().filter_map(|one| one["token"].as_str()).collect();
    assert_eq!(tokens, ["a", "b", "c", "d"]);
    let top = whole[0]["top_logprobs"].as_array().unwrap();
    assert_eq!((top.len(), &top[0]["logprob"]), (2, &whole[0]["logprob"]));
    assert!(top[0]["logprob"].as_f64() > top[1]["logprob"].as_f64());
    assert_eq!(whole[0]["bytes"], json!([97]));
    let events = chat(&emulator, &with(body, &[("stream", json!(true))])).await.events();
    let pieces: Vec<Value> = events
        .iter()
        .filter_map(|event| event["choices"][0]["logprobs"]["content"].get(0).cloned())
        .collect();
    assert_eq!(Value::from(pieces), whole);
}

#[tokio::test]
async fn custom_tools_are_called_with_text_and_side_by_side_with_functions() {
    let emulator = emulator().await;
    let custom = json!({"type": "custom", "custom": {"name": "shell", "description": "Runs it"}});
    let fields = [("tools", json!([custom, weather()]))];
    let mut body = with(chat_body("shell, then get_weather", false), &fields);
    let calls = chat(&emulator, &body).await.json()["choices"][0]["message"]["tool_calls"].clone();
    assert_eq!((&calls[0]["type"], &calls[1]["type"]), (&json!("custom"), &json!("function")));
    assert_eq!(calls[0]["custom"], json!({"name": "shell", "input": "input"}));
    assert!(calls[0].get("function").is_none());
    body["stream"] = json!(true);
    let events = chat(&emulator, &body).await.events();
    let deltas: Vec<&Value> =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["tool_calls"].get(0)).collect();
    let input: String = deltas.iter().filter_map(|delta| delta["custom"]["input"].as_str()).collect();
    assert_eq!((&deltas[0]["custom"]["name"], input.as_str()), (&json!("shell"), "input"));
    assert_eq!(deltas.last().unwrap()["index"], 1);

    body["stream"] = json!(false);
    let only = json!({"type": "function", "function": {"name": "get_weather"}});
    for (choice, name) in [
        (json!({"type": "custom", "custom": {"name": "shell"}}), "custom"),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [only]}}),
            "function",
        ),
    ] {
        body["tool_choice"] = choice;
        let calls = chat(&emulator, &body).await.json()["choices"][0]["message"]["tool_calls"].clone();
        assert_eq!((calls.as_array().unwrap().len(), &calls[0]["type"]), (1, &json!(name)));
    }
}

#[tokio::test]
async fn a_compatible_server_thinks_aloud() {
    let emulator = emulator().await;
    let headers = [("authorization", "Bearer sk-reasoner-1")];
    let ask = |stream: bool| {
        let body = with(
            chat_body("Hi", stream),
            &[("model", json!("deepseek-reasoner")), ("max_tokens", json!(64))],
        );
        body.to_string()
    };
    let path = "/v1/chat/completions";
    let completion = call(&emulator, "POST", path, &headers, &ask(false)).await.json();
    let message = &completion["choices"][0]["message"];
    let thought = message["reasoning_content"].as_str().unwrap();
    assert_eq!((message["content"].as_str(), thought.is_empty()), (Some("Hi"), false));
    assert!(completion["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64() > Some(0));
    let events = call(&emulator, "POST", path, &headers, &ask(true)).await.events();
    assert_eq!(
        (streamed(&events, "reasoning_content").as_str(), streamed(&events, "content").as_str()),
        (thought, "Hi")
    );
    let both = |event: &&Value| {
        let delta = &event["choices"][0]["delta"];
        delta["content"].is_string() && delta["reasoning_content"].is_string()
    };
    assert_eq!(events.iter().find(both), None, "one of them is null");
    let plain = chat(&emulator, &chat_body("Hi", false)).await.json();
    assert!(plain["choices"][0]["message"].get("reasoning_content").is_none());
}

#[tokio::test]
async fn embeddings_and_models_are_served() {
    let emulator = emulator().await;
    let bearer = bearer();
    let headers = [("authorization", bearer.as_str())];
    let body = json!({"model": "text-embedding-3-small", "input": ["12345", "1234"], "dimensions": 8});
    let list = call(&emulator, "POST", "/v1/embeddings", &headers, &body.to_string()).await.json();
    assert_eq!(list["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    let vector: Vec<f64> = serde_json::from_value(list["data"][1]["embedding"].clone()).unwrap();
    assert_eq!(vector.len(), 8);
    assert!((vector.iter().map(|part| part * part).sum::<f64>() - 1.0).abs() < 1e-4);
    let models = call(&emulator, "GET", "/v1/models", &headers, "").await.json();
    assert_eq!(
        (models["object"].as_str(), models["data"][0]["object"].as_str()),
        (Some("list"), Some("model"))
    );
    assert_eq!(call(&emulator, "GET", "/v1/models/gpt-4o", &headers, "").await.json()["id"], "gpt-4o");
}
