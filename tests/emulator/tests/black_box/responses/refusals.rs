use serde_json::{Value, json};

use crate::{
    client::emulator,
    responses::{ask, with, without_body},
};

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
