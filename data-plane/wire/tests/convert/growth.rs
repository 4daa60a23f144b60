//! What a client says sixty thousand times takes moments to convert: nothing of a body is looked through again for each
//! of its items.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::wire::Wire;
use wire::{convert, convert::Format};

use crate::requests::{ask, target};

const MANY: usize = 60_000;
/// Of a test that is not optimized, on a machine with other work. Looking through takes minutes.
const MOMENTS: Duration = Duration::from_secs(10);

fn takes_moments(wire: Wire, body: &Value, to: &[(Format, &str)]) {
    let body = body.to_string();
    for (format, model) in to {
        let started = Instant::now();
        let converted = convert::request(ask(wire, body.as_bytes()), target(*format, model)).unwrap();
        let took = started.elapsed();
        assert!(took < MOMENTS, "{wire} to {}: {took:?}", format.as_str());
        assert!(converted.body.len() > MANY, "{wire} to {}", format.as_str());
    }
}

fn many(each: impl Fn(usize) -> Value) -> Value {
    (0..MANY).map(each).collect()
}

/// The items of several lists, in turn.
fn all(lists: impl IntoIterator<Item = Value>) -> Value {
    lists.into_iter().flat_map(|list| list.as_array().cloned().unwrap()).collect()
}

const CHAT: (Format, &str) = (Format::Chat, "gpt-5.2");
const RESPONSES: (Format, &str) = (Format::Responses, "gpt-5.2");
const MESSAGES: (Format, &str) = (Format::Messages, "claude-sonnet-4-5");
const GEMINI: (Format, &str) = (Format::Gemini, "gemini-3-pro");
const CONVERSE: (Format, &str) = (Format::Converse, "amazon.nova-pro-v1:0");

fn called(kind: &str, id: &str, name: &str) -> Value {
    let call = if kind == "custom" {
        json!({"name": name, "input": "x"})
    } else {
        json!({"name": name, "arguments": "{}"})
    };
    json!({"id": id, "type": kind, kind: call})
}

#[test]
fn calls_of_tools_that_are_gone() {
    let calls = many(|n| called("function", &format!("c{n}"), &format!("f{n}")));
    let messages =
        json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "tool_calls": calls}]);
    takes_moments(Wire::Chat, &json!({"model": "m", "messages": messages}), &[MESSAGES, CONVERSE]);
}

#[test]
fn calls_of_one_id() {
    let calls = many(|_| called("custom", "c", "f"));
    let results = many(|_| json!({"role": "tool", "tool_call_id": "c", "content": "r"}));
    let one_turn = all([json!([{"role": "assistant", "content": "a", "tool_calls": calls}]), results]);
    takes_moments(Wire::Chat, &json!({"model": "m", "messages": one_turn}), &[CONVERSE]);
    let turns = (0..MANY / 2).flat_map(|_| {
        [
            json!({"role": "assistant", "content": "a", "tool_calls": [called("function", "c", "f")]}),
            json!({"role": "tool", "tool_call_id": "c", "content": "r"}),
        ]
    });
    takes_moments(Wire::Chat, &json!({"model": "m", "messages": Value::from_iter(turns)}), &[MESSAGES]);
}

#[test]
fn results_of_custom_tools() {
    let calls = many(|n| called("custom", &format!("c{n}"), "f"));
    let results =
        many(|n| json!({"role": "tool", "tool_call_id": format!("c{}", MANY - 1 - n), "content": "r"}));
    let messages = all([json!([{"role": "assistant", "content": "a", "tool_calls": calls}]), results]);
    takes_moments(Wire::Chat, &json!({"model": "m", "messages": messages}), &[CHAT]);
}

#[test]
fn tools_that_were_searched_for() {
    let tools = many(|n| json!({"type": "function", "name": format!("f{n}")}));
    let found = json!({"type": "tool_search_output", "execution": "client", "call_id": "c", "tools": tools});
    let search = json!({"type": "tool_search", "execution": "client"});
    let body = json!({"model": "m", "input": [{"role": "user", "content": "q"}, found], "tools": [search]});
    takes_moments(Wire::Responses, &body, &[CHAT]);
}

#[test]
fn tools_in_groups_and_a_choice_among_them() {
    let tools = many(
        |n| json!({"type": "namespace", "name": format!("g{n}"), "tools": [{"type": "custom", "name": format!("f{n}")}]}),
    );
    let names = many(|n| json!({"type": "custom", "name": format!("f{n}")}));
    let choice = json!({"type": "allowed_tools", "mode": "auto", "tools": names});
    let body = json!({"model": "m", "input": "q", "tools": tools, "tool_choice": choice});
    takes_moments(Wire::Responses, &body, &[CHAT, RESPONSES, MESSAGES]);
}

#[test]
fn proofs_of_gemini() {
    let content = (0..MANY).flat_map(|n| {
        [
            json!({"type": "thinking", "thinking": "", "signature": format!("sy1.gemini.encrypted..A{n}")}),
            json!({"type": "text", "text": "t"}),
        ]
    });
    let messages = json!([{"role": "assistant", "content": Value::from_iter(content)}]);
    takes_moments(Wire::Messages, &json!({"model": "m", "max_tokens": 9, "messages": messages}), &[GEMINI]);
}

#[test]
fn reasoning_on_calls() {
    let bundle = |n: usize| format!(r#"sy1.bundle.[{{"s":"sy1.claude.proof..A{n}","t":"x"}}]"#);
    let parts = many(|n| json!({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": bundle(n)}));
    let contents = json!([{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": parts}]);
    takes_moments(Wire::Gemini, &json!({ "contents": contents }), &[MESSAGES]);
}

#[test]
fn words_of_the_system_between_calls_and_results() {
    let turns = (0..MANY).flat_map(|n| {
        let id = format!("c{n}");
        [
            json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"}),
            json!({"type": "message", "role": "developer", "content": "d"}),
            json!({"type": "message", "role": "user", "content": "u"}),
            json!({"type": "function_call_output", "call_id": id, "output": "r"}),
        ]
    });
    let body = json!({"model": "m", "input": Value::from_iter(turns)});
    takes_moments(Wire::Responses, &body, &[CHAT]);
}
