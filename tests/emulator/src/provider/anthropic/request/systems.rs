//! Messages of the system among the others: which models know them, where they may stand, and what they may hold.
//!
//! Several in a row stand where one of them would. One without content, which only sets something, may stand anywhere.

use serde_json::Value;

use super::field::{present, refuse};
use crate::provider::{
    Failure,
    anthropic::{invalid, model::Model},
};

const ANYWHERE: &str = "the directive-only form (content: [] with output_config) is accepted at any position";
const BLOCKS: &[&str] = &["text", "tool_addition", "tool_removal"];

pub(super) fn check(messages: &[Value], model: Model) -> Result<(), Failure> {
    for (index, message) in messages.iter().enumerate() {
        if is_system(message) && !is_directive(message) {
            check_content(message, index)?;
            check_place(messages, index, model)?;
        }
    }
    Ok(())
}

fn check_place(messages: &[Value], index: usize, model: Model) -> Result<(), Failure> {
    let (before, after) = messages.split_at_checked(index).unwrap_or_default();
    let path = format!("messages.{index}");
    let Some(before) = before.iter().rfind(|message| !is_system(message)) else {
        let what = format!("use the top-level 'system' parameter for the initial system prompt; {ANYWHERE}");
        return Err(refuse(&path, &what));
    };
    if !model.takes_system_messages() {
        return Err(invalid("role 'system' is not supported on this model"));
    }
    if role(before) != Some("user") && !ends_in_server_tool(before) {
        let what = format!(
            "role 'system' must follow a 'user' message or an 'assistant' message ending in a server tool result; {ANYWHERE}"
        );
        return Err(refuse(&path, &what));
    }
    // Of several in a row, the last one has somebody else behind it.
    match after.get(1).and_then(role) {
        None | Some("assistant" | "system") => Ok(()),
        Some(_) => {
            let what =
                format!("role 'system' must precede an 'assistant' message or end the array; {ANYWHERE}");
            Err(refuse(&path, &what))
        }
    }
}

fn check_content(message: &Value, index: usize) -> Result<(), Failure> {
    let path = format!("messages.{index}");
    let blocks = match message.get("content") {
        Some(Value::String(said)) if !said.is_empty() => return Ok(()),
        Some(Value::Array(blocks)) if !blocks.is_empty() => blocks,
        Some(Value::String(_) | Value::Array(_)) => {
            return Err(refuse(&path, "system content must contain at least one block"));
        }
        _ => return Ok(()),
    };
    let known = |block: &Value| kind(block).is_none_or(|kind| BLOCKS.contains(&kind));
    if blocks.iter().all(known) {
        return Ok(());
    }
    Err(refuse(&path, "role 'system' supports text, tool_addition, and tool_removal blocks only"))
}

pub(super) fn is_directive(message: &Value) -> bool {
    let empty = message.get("content").and_then(Value::as_array).is_some_and(Vec::is_empty);
    is_system(message) && empty && present(message, "output_config").is_some()
}

/// The provider was at work, and goes on.
pub(super) fn ends_in_server_tool(message: &Value) -> bool {
    let last = message.get("content").and_then(Value::as_array).and_then(|blocks| blocks.last());
    last.and_then(kind).is_some_and(|kind| {
        kind.ends_with("_tool_result") || matches!(kind, "server_tool_use" | "mcp_tool_use")
    })
}

fn is_system(message: &Value) -> bool {
    role(message) == Some("system")
}

fn role(message: &Value) -> Option<&str> {
    message.get("role").and_then(Value::as_str)
}

fn kind(block: &Value) -> Option<&str> {
    block.get("type").and_then(Value::as_str)
}
