//! The order of messages and blocks: who may say what, and that each tool use is answered at once.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    content,
    field::{present, refuse},
    systems, thinking,
};
use crate::provider::{
    Failure,
    anthropic::{invalid, model::Model},
};

/// Said where the conversation may not end with the model's own words.
pub(super) const NO_PREFILL: &str =
    "This model does not support assistant message prefill. The conversation must end with a user message.";

pub(super) fn check(messages: &[Value], model: Model) -> Result<(), Failure> {
    if messages.is_empty() {
        return Err(invalid("messages: at least one message is required"));
    }
    systems::check(messages, model)?;
    let mut open: Vec<&str> = Vec::new();
    let mut used: HashSet<&str> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages.{index}");
        let role = role(message, index)?;
        let last = index + 1 == messages.len();
        let may_be_empty = last && role == "assistant" || systems::is_directive(message);
        let blocks = blocks(message, &path, may_be_empty)?;
        for (place, block) in blocks.iter().enumerate() {
            let at = format!("{path}.content.{place}");
            content::check(block, &at)?;
            check_place(block, role, &path)?;
        }
        take_results(index, blocks, &mut open)?;
        if role == "assistant" {
            thinking::check_blocks(index, blocks)?;
            open = texts_of(blocks, "tool_use", "id").collect();
            if !open.iter().all(|id| used.insert(id)) {
                return Err(refuse(&path, "`tool_use` ids must be unique"));
            }
        }
    }
    check_answered(messages.len(), &open)?;
    check_prefill(messages, model)
}

fn role(message: &Value, index: usize) -> Result<&str, Failure> {
    let role = message.get("role").and_then(Value::as_str);
    match role.ok_or_else(|| invalid(format!("messages.{index}.role: Field required")))? {
        role @ ("user" | "assistant" | "system") => Ok(role),
        role => Err(invalid(format!(
            "messages: Unexpected role \"{role}\". Allowed roles are \"user\" or \"assistant\""
        ))),
    }
}

/// The blocks of a message; a string has none.
fn blocks<'b>(message: &'b Value, path: &str, may_be_empty: bool) -> Result<&'b [Value], Failure> {
    let content = message.get("content").ok_or_else(|| invalid(format!("{path}.content: Field required")))?;
    let (blocks, empty): (&[Value], _) = match content {
        Value::String(said) => {
            if !said.is_empty() {
                content::check_said(said, "messages")?;
            }
            (&[], said.is_empty())
        }
        Value::Array(blocks) => (blocks, blocks.is_empty()),
        _ => return Err(invalid(format!("{path}.content: Input should be a valid string"))),
    };
    if empty && !may_be_empty {
        return Err(refuse(
            path,
            "all messages must have non-empty content except for the optional final assistant message",
        ));
    }
    Ok(blocks)
}

fn check_place(block: &Value, role: &str, path: &str) -> Result<(), Failure> {
    let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
    let owner = match kind {
        "tool_use" | "server_tool_use" | "thinking" | "redacted_thinking" => "assistant",
        "tool_result" | "image" | "document" => "user",
        _ => return Ok(()),
    };
    if owner == role {
        return Ok(());
    }
    Err(refuse(path, &format!("`{kind}` blocks can only be in `{owner}` messages")))
}

/// Each tool use is answered at the start of the next message, and nothing else is.
fn take_results<'b>(index: usize, blocks: &'b [Value], open: &mut Vec<&'b str>) -> Result<(), Failure> {
    let mut answered: Vec<&str> = Vec::new();
    let mut leading = true;
    for (place, block) in blocks.iter().enumerate() {
        let Some(id) = texts_of(std::slice::from_ref(block), "tool_result", "tool_use_id").next() else {
            leading = false;
            continue;
        };
        if answered.contains(&id) {
            return Err(invalid(format!(
                "messages.{index}.content.{place}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
            )));
        }
        match open.iter().position(|waiting| *waiting == id) {
            Some(at) if leading => open.remove(at),
            // Something was said first: the use counts as not answered.
            Some(_) => break,
            None => {
                return Err(invalid(format!(
                    "messages.{index}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )));
            }
        };
        answered.push(id);
    }
    check_answered(index, open)
}

/// `index` is that of the message which should have held the answers.
fn check_answered(index: usize, open: &[&str]) -> Result<(), Failure> {
    if open.is_empty() {
        return Ok(());
    }
    Err(invalid(format!(
        "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        index.saturating_sub(1),
        open.join(", ")
    )))
}

/// The beginning of an answer that the caller puts into the model's mouth.
fn check_prefill(messages: &[Value], model: Model) -> Result<(), Failure> {
    let last = messages.last().filter(|last| last.get("role").and_then(Value::as_str) == Some("assistant"));
    if model.refuses_prefill() && last.is_some_and(|last| !systems::ends_in_server_tool(last)) {
        return Err(invalid(NO_PREFILL));
    }
    let said = last.and_then(|last| match present(last, "content")? {
        Value::Array(blocks) => blocks.last()?.get("text")?.as_str(),
        content => content.as_str(),
    });
    if said.is_some_and(|said| said.ends_with(char::is_whitespace)) {
        return Err(invalid("messages: final assistant content cannot end with trailing whitespace"));
    }
    Ok(())
}

/// The field `name` of each block of a kind.
pub(super) fn texts_of<'b>(
    blocks: &'b [Value],
    kind: &'static str,
    name: &'static str,
) -> impl Iterator<Item = &'b str> {
    blocks
        .iter()
        .filter(move |block| block.get("type").and_then(Value::as_str) == Some(kind))
        .filter_map(move |block| block.get(name).and_then(Value::as_str))
}
