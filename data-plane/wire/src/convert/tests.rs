//! What holds between any two wires.

mod answers;
mod claude;
mod excerpts;
mod losses;
mod openai;
mod requests;
mod samples;
mod signatures;
mod tools;

use serde_json::Value;
use shared::wire::Wire;

use super::*;

/// A model of each upstream that takes what is asked of it.
const fn model(format: Format) -> &'static str {
    match format {
        Format::Chat | Format::Responses => "gpt-5.2",
        Format::Messages => "claude-opus-4-6",
        Format::Gemini => "gemini-3-pro",
        Format::Converse => "amazon.nova-pro-v1:0",
    }
}

const fn target(format: Format, stream: bool) -> Target<'static> {
    Target {
        format,
        model: model(format),
        stream,
        default_max_output: 4096,
        max_output: None,
        fetches_urls: true,
        server_tools: true,
        system_turns: true,
        replayed: Replayed::OWN,
        tool_search: true,
        cache_marks: false,
    }
}

const fn ask(wire: Wire, body: &[u8], stream: bool) -> Ask<'_> {
    Ask {
        wire,
        body,
        model: "asked",
        stream,
        array: false,
        resume: None,
        wants_usage: true,
        memos: &[],
        id: "01J",
        now: 1_764_090_000,
    }
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

/// Every text in it, and those in the JSON of tools' arguments.
fn strings(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            if text.starts_with('{') {
                strings(&serde_json::from_str(text).unwrap_or_default(), all);
            }
            all.push(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, all)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, all)),
        _ => {}
    }
}

fn strings_of(body: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    strings(&json(body), &mut all);
    all
}
