//! What the content filter adds to answers.

use serde_json::{Value, json};

use crate::template::{Draft, Frame, Role};

/// Of something that passed.
fn passed() -> Value {
    let safe = || json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe(), "self_harm": safe(), "sexual": safe(), "violence": safe()})
}

/// Of a prompt that passed.
fn prompt_results() -> Value {
    let mut results = passed();
    if let Some(results) = results.as_object_mut() {
        results.insert("jailbreak".to_owned(), json!({"filtered": false, "detected": false}));
    }
    json!([{"prompt_index": 0, "content_filter_results": results}])
}

/// Of a prompt that did not.
pub(super) fn refusal() -> Value {
    let mut results = passed();
    if let Some(results) = results.as_object_mut() {
        results.insert("violence".to_owned(), json!({"filtered": true, "severity": "medium"}));
        results.insert("jailbreak".to_owned(), json!({"filtered": false, "detected": false}));
    }
    results
}

/// A chat completion as it leaves the filter: the prompt's results first, each choice's with it.
pub(super) fn chat(draft: Draft) -> Draft {
    match draft {
        Draft::Json(bytes) => {
            let mut whole: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            mark(&mut whole);
            if let Some(whole) = whole.as_object_mut() {
                whole.insert("prompt_filter_results".to_owned(), prompt_results());
            }
            Draft::Json(whole.to_string().into_bytes())
        }
        Draft::Stream(frames) => {
            let first = json!({"choices": [], "created": 0, "id": "", "model": "", "object": "",
                "prompt_filter_results": prompt_results()});
            let first = Frame { role: Role::Preamble, bytes: framed(&first) };
            Draft::Stream([first].into_iter().chain(frames.into_iter().map(chunk)).collect())
        }
        Draft::Formed(_) => draft,
    }
}

fn chunk(frame: Frame) -> Frame {
    let data = frame.bytes.strip_prefix(b"data: ").unwrap_or_default();
    let Ok(mut chunk) = serde_json::from_slice::<Value>(data) else {
        return frame;
    };
    mark(&mut chunk);
    Frame { role: frame.role, bytes: framed(&chunk) }
}

/// Sets the results of each choice: full ones where it says something.
fn mark(answer: &mut Value) {
    let choices = answer.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten().filter_map(Value::as_object_mut) {
        let said = ["message", "delta"].iter().find_map(|name| choice.get(*name)?.get("content")?.as_str());
        let results = if said.is_some_and(|said| !said.is_empty()) { passed() } else { json!({}) };
        choice.insert("content_filter_results".to_owned(), results);
    }
}

fn framed(chunk: &Value) -> Vec<u8> {
    format!("data: {chunk}\n\n").into_bytes()
}
