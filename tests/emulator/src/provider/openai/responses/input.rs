//! The items of a request's input: checked one by one, then as a conversation.

use serde_json::{Value, json};

use crate::{
    memory::Memory,
    provider::{
        Failure,
        openai::{
            invalid, missing,
            responses::{
                content::{self, Speaker},
                field::{Fields, at_most, unknown_value, wrong, wrong_type},
                reasoning::check_sealed,
                stored,
            },
        },
    },
};

const LONGEST_ID: usize = 64;
const ROLES: &[&str] = &["assistant", "system", "developer", "user"];
/// Items of tools that the provider runs, or that this emulator takes as they are.
const UNREAD: &[&str] = &[
    "additional_tools",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "computer_call",
    "computer_call_output",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
];
const READ: &[&str] = &[
    "custom_tool_call",
    "custom_tool_call_output",
    "function_call",
    "function_call_output",
    "item_reference",
    "message",
    "reasoning",
];

/// The items of `input`, references replaced by what they mean.
pub(super) fn read(input: &Value, memory: &Memory<'_>) -> Result<Vec<Value>, Failure> {
    let given = match input {
        Value::String(text) => {
            let content = json!([{"type": "input_text", "text": text}]);
            return Ok(vec![json!({"type": "message", "role": "user", "content": content})]);
        }
        Value::Array(items) => items,
        other => return Err(wrong_type("input", "one of a string or array of input items", other)),
    };
    let mut items = Vec::with_capacity(given.len());
    for (index, item) in given.iter().enumerate() {
        let path = format!("input[{index}]");
        let fields = Fields::of(item, &path)?;
        match kind(fields)? {
            "item_reference" => items.push(stored::item(fields.need_text("id")?, memory)?),
            kind => {
                check_item(fields, kind, memory)?;
                let mut item = fields.map.clone();
                item.insert("type".to_owned(), kind.into());
                items.push(Value::Object(item));
            }
        }
    }
    check_thoughts(&items, memory)?;
    Ok(items)
}

/// Messages need not say what they are, and references neither.
fn kind(item: Fields<'_>) -> Result<&str, Failure> {
    match item.text("type")? {
        Some(kind) if READ.contains(&kind) || UNREAD.contains(&kind) => Ok(kind),
        Some(other) => {
            let mut known = [READ, UNREAD].concat();
            known.sort_unstable();
            Err(unknown_value(item.path, other, &known))
        }
        None if item.get("role").is_some() => Ok("message"),
        None if item.get("id").is_some() => Ok("item_reference"),
        None => Err(missing(&item.param("type"))),
    }
}

fn check_item(item: Fields<'_>, kind: &str, memory: &Memory<'_>) -> Result<(), Failure> {
    let prefix = match kind {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "custom_tool_call" => "ctc",
        _ => "",
    };
    let id = item.text("id")?;
    if let Some(id) = id {
        check_id(&item.param("id"), id, prefix)?;
    }
    match kind {
        "message" => check_message(item),
        "reasoning" => check_reasoning(item, id, memory),
        "function_call" => check_call(item, "arguments"),
        "custom_tool_call" => check_call(item, "input"),
        "function_call_output" | "custom_tool_call_output" => check_output(item),
        _ => Ok(()),
    }
}

fn check_id(param: &str, id: &str, prefix: &str) -> Result<(), Failure> {
    at_most(param, id, LONGEST_ID)?;
    let words = if id.is_empty()
        || id.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !b"_-".contains(&byte))
    {
        format!(
            "'{id}'. Expected an ID that contains letters, numbers, underscores, or dashes, but this value contained additional characters."
        )
    } else if !id.starts_with(prefix) {
        format!("'{id}'. Expected an ID that begins with '{prefix}'.")
    } else {
        return Ok(());
    };
    Err(wrong(param, &words, "invalid_value"))
}

fn check_message(item: Fields<'_>) -> Result<(), Failure> {
    let role = item.need_text("role")?;
    if !ROLES.contains(&role) {
        return Err(unknown_value(item.path, role, ROLES));
    }
    let speaker = if role == "assistant" { Speaker::Assistant } else { Speaker::Other };
    content::check(item.need("content")?, &item.param("content"), speaker)
}

fn check_reasoning(item: Fields<'_>, id: Option<&str>, memory: &Memory<'_>) -> Result<(), Failure> {
    let param = item.param("summary");
    let summary = item.list("summary")?.ok_or_else(|| missing(&param))?;
    for (index, part) in summary.iter().enumerate() {
        let path = format!("{param}[{index}]");
        let part = Fields::of(part, &path)?;
        part.one_of("type", &["summary_text"])?.ok_or_else(|| missing(&part.param("type")))?;
        part.need_text("text")?;
    }
    if let Some(said) = item.list("content")?.filter(|said| !said.is_empty()) {
        let words = format!(
            "array too long. Expected an array with maximum length 0, but got an array with length {} instead.",
            said.len()
        );
        return Err(wrong(&item.param("content"), &words, "array_above_max_length"));
    }
    match (item.text("encrypted_content")?, id) {
        (Some(sealed), id) => check_sealed(sealed, id, memory.owner()),
        (None, Some(id)) => stored::item(id, memory).map(|_| ()),
        (None, None) => Err(missing(&item.param("id"))),
    }
}

fn check_call(item: Fields<'_>, input: &str) -> Result<(), Failure> {
    at_most(&item.param("call_id"), item.need_text("call_id")?, LONGEST_ID)?;
    item.need_name("name")?;
    item.text("namespace")?;
    item.need_text(input)?;
    Ok(())
}

fn check_output(item: Fields<'_>) -> Result<(), Failure> {
    at_most(&item.param("call_id"), item.need_text("call_id")?, LONGEST_ID)?;
    content::check(item.need("output")?, &item.param("output"), Speaker::Other)
}

/// A thought stands ahead of what it led to, and what came of a remembered thought does not come without it.
fn check_thoughts(items: &[Value], memory: &Memory<'_>) -> Result<(), Failure> {
    let field = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    for (index, item) in items.iter().enumerate() {
        let Some(id) = field(item, "id") else { continue };
        let kind = field(item, "type").unwrap_or_default();
        if kind == "reasoning" {
            if !items.get(index + 1).is_some_and(is_output) {
                let message = format!(
                    "Item '{id}' of type 'reasoning' was provided without its required following item."
                );
                return Err(invalid(message).with_param("input"));
            }
            continue;
        }
        // A sealed thought may have lost its id on the way.
        let is = |other: &Value, thought: &String| match field(other, "id") {
            Some(id) => id == *thought,
            None => field(other, "type").as_deref() == Some("reasoning"),
        };
        if let Some(thought) = stored::thought_of(&id, memory)
            && !items.iter().any(|other| is(other, &thought))
        {
            let message = format!(
                "Item '{id}' of type '{kind}' was provided without its required 'reasoning' item: '{thought}'."
            );
            return Err(invalid(message).with_param("input"));
        }
    }
    Ok(())
}

/// Something that a model says or does.
fn is_output(item: &Value) -> bool {
    match item.get("type").and_then(Value::as_str).unwrap_or_default() {
        "message" => item.get("role").and_then(Value::as_str) == Some("assistant"),
        kind => kind == "reasoning" || kind == "compaction" || kind.ends_with("_call"),
    }
}

/// Each call is answered later on, and nothing else is.
pub(super) fn check_pairs(items: &[Value]) -> Result<(), Failure> {
    let mut open: Vec<(&str, &str)> = Vec::new();
    for item in items {
        let id = item.get("call_id").and_then(Value::as_str).unwrap_or_default();
        match item.get("type").and_then(Value::as_str).unwrap_or_default() {
            "function_call" => open.push(("function call", id)),
            "custom_tool_call" => open.push(("custom tool call", id)),
            "function_call_output" => take("function call", id, &mut open)?,
            "custom_tool_call_output" => take("custom tool call", id, &mut open)?,
            _ => {}
        }
    }
    match open.first() {
        None => Ok(()),
        Some((kind, id)) => {
            Err(invalid(format!("No tool output found for {kind} {id}.")).with_param("input"))
        }
    }
}

fn take<'i>(kind: &'i str, id: &'i str, open: &mut Vec<(&'i str, &'i str)>) -> Result<(), Failure> {
    match open.iter().position(|waiting| *waiting == (kind, id)) {
        Some(at) => {
            open.remove(at);
            Ok(())
        }
        None => {
            let message = format!("No tool call found for {kind} output with call_id {id}.");
            Err(invalid(message).with_param("input"))
        }
    }
}
