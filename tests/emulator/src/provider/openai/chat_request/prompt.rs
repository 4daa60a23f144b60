//! A checked body, as far as the answer depends on it.

use serde_json::Value;

use super::content;
use crate::{
    past,
    turn::{Prompt, PromptBytes},
};

/// Fills in what was said; the caller adds what was asked for.
pub(super) fn said(messages: &[Value]) -> Prompt {
    let last = messages.iter().rev().find(|message| matches!(role(message), Some("user" | "tool")));
    let last_content = last.and_then(|message| message.get("content"));
    let instructions =
        messages.iter().filter(|message| matches!(role(message), Some("system" | "developer")));
    let prompts = instructions.filter_map(|message| message.get("content")).map(text_of);
    Prompt {
        bytes: PromptBytes { plain: messages.iter().map(message_bytes).sum(), ..PromptBytes::default() },
        messages: messages.len() as u64,
        past: past::read(messages),
        system: prompts.filter(|prompt| !prompt.is_empty()).collect::<Vec<_>>().join("\n"),
        last_user: last_content.map(text_of).unwrap_or_default(),
        media: last_content.map(content::media).unwrap_or_default(),
        after_tool: last.and_then(role) == Some("tool"),
        ..Prompt::default()
    }
}

fn role(message: &Value) -> Option<&str> {
    message.get("role").and_then(Value::as_str)
}

fn message_bytes(message: &Value) -> usize {
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let arguments = calls.iter().filter_map(|call| {
        let function = call.get("function").and_then(|function| function.get("arguments"));
        function.or_else(|| call.get("custom").and_then(|custom| custom.get("input")))?.as_str()
    });
    message.get("content").map(text_of).unwrap_or_default().len() + arguments.map(str::len).sum::<usize>()
}

/// All text in a message's content.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}
