//! POST /v1/responses and what belongs to it.

use http::{HeaderMap, HeaderName, request::Parts};
use serde_json::{Value, json};

use crate::{
    clock::CREATED_SECONDS,
    memory::Kept,
    provider::{
        Call, Failure, Provider,
        openai::{OPENAI, overflow, responses::object::Response},
    },
    refusal::Refused,
    template::Draft,
    turn::Turn,
};

mod content;
mod echo;
mod field;
mod input;
mod object;
mod reasoning;
mod request;
mod schema;
mod stored;
mod stream;
mod tools;

pub(crate) use stored::{delete, retrieve};

/// Higher than any number of a stream's own events: an error may come anywhere among them.
const ERROR_NUMBER: u64 = 1_000_000;

/// Said of a prompt that is beyond the model's window.
const TOO_LONG: &str =
    "Your input exceeds the context window of this model. Please adjust your input and try again.";
const TOO_LONG_CODE: &str = "context_length_exceeded";

pub(crate) static RESPONSES: Responses = Responses;

/// OpenAI, as it is within a stream of this endpoint.
#[derive(Debug)]
pub(crate) struct Responses;

/// POST /v1/responses
pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let checked = request::check(call)?;
    if checked.is_too_long {
        return match checked.stream {
            true => Ok(Draft::Stream(stream::failure(&checked, &checked.echo()))),
            false => Err(overflow(TOO_LONG, "input")),
        };
    }
    let turn = Turn::new(&checked.prompt, call.behaviour);
    let output = object::output(&checked, &turn, call.memory);
    let echo = checked.echo();
    let whole = || {
        let response = Response::ended(&checked, &echo, &output, &turn);
        serde_json::to_string(&response).unwrap_or_default()
    };
    if checked.store {
        let said = output.iter().map(|item| serde_json::to_value(item).unwrap_or_default());
        let items: Value = checked.conversation.iter().cloned().chain(said).collect();
        call.memory.keep(Kept { answer: whole(), items: items.to_string() });
    }
    if checked.stream {
        return Ok(Draft::Stream(stream::frames(&checked, &echo, &output, &turn)));
    }
    Ok(Draft::Json(whole().into_bytes()))
}

/// POST /v1/responses/input_tokens
pub(crate) fn input_tokens(call: &Call<'_>) -> Result<Draft, Failure> {
    let checked = request::check(call)?;
    let tokens = call.behaviour.usage.input.unwrap_or_else(|| checked.prompt.input_tokens());
    let counted = json!({"object": "response.input_tokens", "input_tokens": tokens});
    Ok(Draft::Json(counted.to_string().into_bytes()))
}

/// An error as an event. A limit that is met under way fails the response; what else goes wrong is an error of its own.
pub(crate) fn error_event(failure: &Failure, request_id: &str) -> Vec<u8> {
    let code = failure.code.as_deref().unwrap_or(&failure.kind);
    if failure.status != 429 {
        let error =
            json!({"type": failure.kind, "code": code, "message": failure.message, "param": failure.param});
        return event("error", &json!({"type": "error", "sequence_number": ERROR_NUMBER, "error": error}));
    }
    let id = format!("resp_{}", request_id.trim_start_matches("req_"));
    let response = json!({
        "id": id, "object": "response", "created_at": CREATED_SECONDS, "status": "failed", "background": false,
        "error": {"code": code, "message": failure.message}, "incomplete_details": null, "output": [],
        "usage": null, "user": null, "metadata": {},
    });
    let name = "response.failed";
    event(name, &json!({"type": name, "sequence_number": ERROR_NUMBER, "response": response}))
}

fn event(name: &str, data: &Value) -> Vec<u8> {
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

pub(crate) fn malformed_event() -> Vec<u8> {
    b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_bro\n\n".to_vec()
}

impl Provider for Responses {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        OPENAI.credential(parts)
    }

    fn unknown_credential(&self, key: &str) -> Failure {
        OPENAI.unknown_credential(key)
    }

    fn check_head(&self, parts: &Parts) -> Result<(), Failure> {
        OPENAI.check_head(parts)
    }

    fn no_such_path(&self, parts: &Parts) -> Failure {
        OPENAI.no_such_path(parts)
    }

    fn failure(&self, status: u16) -> Failure {
        OPENAI.failure(status)
    }

    fn refuses(&self, call: Refused<'_>) -> Failure {
        OPENAI.refuses(call)
    }

    fn error_body(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        OPENAI.error_body(failure, request_id)
    }

    fn error_event(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        error_event(failure, request_id)
    }

    fn malformed_event(&self) -> Vec<u8> {
        malformed_event()
    }

    fn request_id_header(&self) -> HeaderName {
        OPENAI.request_id_header()
    }

    fn limits(&self, status: u16, retry_after: Option<u64>, headers: &mut HeaderMap) {
        OPENAI.limits(status, retry_after, headers);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::{option, prelude::*, sample::select};

    use super::*;
    use crate::{credential::Credential, memory::Memory, provider::Profile, script::Behaviour};

    const SAID: &[&str] =
        &["", "How are you?", "Use f, g and h", "Refuse this.", "as JSON: ü€😀", "Think in secret."];

    fn ask(body: &Value) -> Result<Draft, Failure> {
        let (parts, ()) = Request::post("/").body(()).unwrap().into_parts();
        let (behaviour, profile) = (Behaviour::default(), Profile::default());
        let credential = Credential::new("sk-test", 0);
        let memory = Memory::new(&credential, 1);
        let (behaviour, profile, memory) = (&behaviour, &profile, &memory);
        let body = body.to_string();
        answer(&Call { parts: &parts, body: body.as_bytes(), behaviour, profile, name: None, memory })
    }

    /// A body with something of everything.
    fn right(said: &str, most: Option<u64>) -> Value {
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {"a": {"type": "array", "items": {"enum": ["ü"]}}}});
        json!({
            "model": "gpt-5.1", "instructions": "Be brief.", "max_output_tokens": most, "metadata": {"a": "b"},
            "input": [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [
                    {"type": "input_text", "text": "json"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                    {"type": "input_file", "filename": "a", "file_data": "data:application/pdf;base64,AAAA"}]},
                {"type": "reasoning", "encrypted_content": reasoning::sealed(3, "sk-test"),
                    "summary": [{"type": "summary_text", "text": "So."}]},
                {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "x"}]},
                {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "ls"},
                {"type": "custom_tool_call_output", "call_id": "c2", "output": "x"},
                {"role": "assistant", "content": [{"type": "output_text", "text": "y"}, {"type": "refusal", "refusal": "z"}]},
                {"role": "user", "content": said}],
            "tools": [
                {"type": "function", "name": "f", "strict": true, "parameters": schema},
                {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "regex", "definition": "."}},
                {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "h", "parameters": schema},
                    {"type": "function", "name": "f", "parameters": schema}]},
                {"type": "web_search"}],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"},
                {"type": "custom", "name": "g"}]},
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
            "text": {"format": {"type": "json_schema", "name": "n", "strict": true, "schema": schema}, "verbosity": "low"},
        })
    }

    fn events(frames: &[crate::template::Frame]) -> Vec<Value> {
        let data = frames.iter().map(|frame| std::str::from_utf8(&frame.bytes).unwrap());
        data.map(|frame| serde_json::from_str(frame.split_once("\ndata: ").unwrap().1).unwrap()).collect()
    }

    /// Puts the value in the place of the body's `at`th node, counted round.
    fn replace(body: &mut Value, at: usize, value: Value) {
        fn nodes(value: &Value) -> usize {
            1 + match value {
                Value::Array(list) => list.iter().map(nodes).sum(),
                Value::Object(map) => map.values().map(nodes).sum(),
                _ => 0,
            }
        }
        fn go(node: &mut Value, left: &mut usize, value: &mut Option<Value>) {
            if *left == 0 {
                if let Some(value) = value.take() {
                    *node = value;
                }
                return;
            }
            *left -= 1;
            let inner: Vec<&mut Value> = match node {
                Value::Array(list) => list.iter_mut().collect(),
                Value::Object(map) => map.values_mut().collect(),
                _ => return,
            };
            for inner in inner {
                if value.is_some() {
                    go(inner, left, value);
                }
            }
        }
        let mut left = at % nodes(body);
        go(body, &mut left, &mut Some(value));
    }

    proptest! {
        #[test]
        fn a_stream_says_what_the_whole_answer_says(
            said in select(SAID), most in option::of(16_u64..20), effort in select(&["none", "low"][..]),
            summary in option::of(Just("auto")), format in select(&["text", "json_object", "json_schema"][..]),
            choice in select(&["auto", "none", "required", "allowed"][..]), parallel in any::<bool>(),
        ) {
            let mut body = right(said, most);
            body["reasoning"] = json!({"effort": effort, "summary": summary});
            body["parallel_tool_calls"] = parallel.into();
            if format != "json_schema" {
                body["text"] = json!({"format": {"type": format}});
            }
            if choice != "allowed" {
                body["tool_choice"] = choice.into();
            }
            let Ok(Draft::Json(whole)) = ask(&body) else { panic!("{body}") };
            let whole: Value = serde_json::from_slice(&whole).unwrap();
            body["stream"] = true.into();
            let Ok(Draft::Stream(frames)) = ask(&body) else { panic!("{body}") };
            let events = events(&frames);
            prop_assert_eq!(&events.last().unwrap()["response"], &whole);
            let mut items: Vec<(Value, String)> = Vec::new();
            for (number, event) in events.iter().enumerate() {
                prop_assert_eq!(&event["sequence_number"], &json!(number));
                match event["type"].as_str().unwrap() {
                    "response.output_item.added" => items.push((Value::Null, String::new())),
                    "response.output_item.done" => items.last_mut().unwrap().0 = event["item"].clone(),
                    _ => items.last_mut().into_iter().for_each(|(_, said)| said.push_str(event["delta"].as_str().unwrap_or_default())),
                }
            }
            let done: Vec<&Value> = items.iter().map(|(item, _)| item).collect();
            prop_assert_eq!(done, whole["output"].as_array().unwrap().iter().collect::<Vec<_>>());
            for (item, said) in &items {
                let places = ["/summary/0/text", "/content/0/text", "/content/0/refusal", "/arguments", "/input"];
                let text = places.iter().find_map(|place| item.pointer(place)?.as_str()).unwrap_or_default();
                prop_assert_eq!(text, said);
            }
        }

        #[test]
        fn no_change_of_a_right_body_makes_it_panic(
            changes in proptest::collection::vec((any::<usize>(), select(&[
                "null", "true", "-1", "0", "1e300", "99999999999999999999", "\"\"", "\"f\"", "\"é\"", "[]", "{}", "[[]]",
                "{\"type\":\"function\"}", "\"data:,\"", "\"resp_000000000000000000000001\"",
            ][..])), 0..4),
        ) {
            let mut body = right("f", None);
            for (at, value) in changes {
                replace(&mut body, at, serde_json::from_str(value).unwrap());
            }
            match ask(&body) {
                Ok(Draft::Json(json)) => prop_assert!(serde_json::from_slice::<Value>(&json).is_ok()),
                Ok(Draft::Stream(frames)) => prop_assert!(!frames.is_empty()),
                Ok(Draft::Formed(_)) => prop_assert!(false, "responses have no form of their own"),
                Err(failure) => prop_assert!((400..500).contains(&failure.status)),
            }
        }
    }
}
