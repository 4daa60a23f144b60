//! A checked body, as far as the answer depends on it.

use serde_json::Value;

use super::{content, field::present, messages::texts_of};
use crate::{
    past,
    turn::{Prompt, PromptBytes},
};

/// Fills in what was said; the caller adds what was asked for.
pub(super) fn said(body: &Value, messages: &[Value]) -> Prompt {
    let last_user = messages.iter().rev().find(|message| role(message) == Some("user"));
    let last_content = last_user.and_then(|message| message.get("content"));
    let after_tool = last_content
        .and_then(Value::as_array)
        .is_some_and(|blocks| texts_of(blocks, "tool_result", "tool_use_id").next().is_some());
    Prompt {
        bytes: bytes(body, messages),
        messages: messages.len() as u64,
        past: past::read(messages),
        system: system(body, messages),
        last_user: last_content.map(text_of).unwrap_or_default(),
        media: last_content.map(content::media).unwrap_or_default(),
        after_tool,
        n: 1,
        ..Prompt::default()
    }
}

fn role(message: &Value) -> Option<&str> {
    message.get("role").and_then(Value::as_str)
}

/// The blocks of the system prompt, and the messages of the system among the others.
fn system(body: &Value, messages: &[Value]) -> String {
    let top = match body.get("system") {
        Some(Value::Array(blocks)) => blocks.as_slice(),
        Some(text) => std::slice::from_ref(text),
        None => &[],
    };
    let among = messages.iter().filter(|message| role(message) == Some("system"));
    let prompts = top.iter().chain(among.filter_map(|message| message.get("content"))).map(text_of);
    prompts.filter(|prompt| !prompt.is_empty()).collect::<Vec<_>>().join("\n")
}

fn bytes(body: &Value, messages: &[Value]) -> PromptBytes {
    let mut bytes = PromptBytes::default();
    count(body.get("tools"), &mut bytes, &|_| 0);
    count(body.get("system"), &mut bytes, &text_bytes);
    for message in messages {
        count(message.get("content"), &mut bytes, &text_bytes);
    }
    // A mark on the request stands for one on its last block.
    if let Some(mark) = present(body, "cache_control") {
        write(mark, &mut bytes);
    }
    bytes
}

/// Adds a part of the prompt. A block with a cache mark makes everything before it, and itself, a cache write.
fn count(part: Option<&Value>, bytes: &mut PromptBytes, measure: &dyn Fn(&Value) -> usize) {
    let blocks = match part {
        None => return,
        Some(Value::Array(blocks)) => blocks.as_slice(),
        Some(text) => std::slice::from_ref(text),
    };
    for block in blocks {
        bytes.plain += measure(block);
        if let Some(mark) = present(block, "cache_control") {
            write(mark, bytes);
        }
    }
}

fn write(mark: &Value, bytes: &mut PromptBytes) {
    let written = std::mem::take(&mut bytes.plain);
    if mark.get("ttl").and_then(Value::as_str) == Some("1h") {
        bytes.cached_1h += written;
    } else {
        bytes.cached_5m += written;
    }
}

fn text_bytes(block: &Value) -> usize {
    text_of(block).len()
}

/// All text in a block or in a list of them: text, thinking, the content of tool results, tool arguments.
pub(super) fn text_of(block: &Value) -> String {
    match block {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().map(text_of).collect(),
        Value::Object(block) => {
            let part = ["text", "thinking", "content"].iter().find_map(|name| block.get(*name));
            match (part, block.get("input")) {
                (Some(part), _) => text_of(part),
                (None, Some(input)) => input.to_string(),
                (None, None) => String::new(),
            }
        }
        _ => String::new(),
    }
}
