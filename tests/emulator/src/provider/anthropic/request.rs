//! Reads and checks a messages body, and refuses it in the provider's own words.

use base64::Engine as _;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    provider::{
        Call, Failure,
        anthropic::{MODEL_PREFIXES, invalid, no_such_model},
    },
    turn::{Choice, Prompt, PromptBytes, Thinking, Tool},
};

const FIELDS: &[&str] = &[
    "model",
    "max_tokens",
    "messages",
    "system",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "container",
    "context_management",
    "mcp_servers",
    "output_config",
    "output_format",
    "cache_control",
    "inference_geo",
    "speed",
];

/// A body that passed.
#[derive(Debug)]
pub(crate) struct Checked {
    pub model: String,
    pub stream: bool,
    pub prompt: Prompt,
}

/// `counts_only` is for count_tokens, which wants no max_tokens.
pub(crate) fn check(call: &Call<'_>, counts_only: bool) -> Result<Checked, Failure> {
    let body: Value = serde_json::from_slice(call.body)
        .map_err(|error| invalid(format!("The request body is not valid JSON: {error}")))?;
    let Value::Object(body) = body else {
        return Err(invalid("Input should be a valid dictionary or object to extract fields from"));
    };
    if call.profile.strict
        && let Some(extra) = body.keys().find(|name| !FIELDS.contains(&name.as_str()))
    {
        return Err(invalid(format!("{extra}: Extra inputs are not permitted")));
    }
    let model = field(&body, "model", "string", Value::as_str)?;
    let max_tokens = if counts_only { None } else { Some(max_tokens(&body)?) };
    let messages = field(&body, "messages", "list", Value::as_array)?;
    let stream = match body.get("stream") {
        None | Some(Value::Null) => false,
        Some(value) => value.as_bool().ok_or_else(|| invalid("stream: Input should be a valid boolean"))?,
    };
    check_messages(messages)?;
    if !call.profile.has_model(model, MODEL_PREFIXES) {
        return Err(no_such_model(model));
    }
    let prompt = prompt(&body, messages, max_tokens);
    if let Choice::Named(name) = &prompt.choice
        && !prompt.tools.iter().any(|tool| tool.name == *name)
    {
        return Err(invalid(format!("Tool '{name}' not found in provided tools")));
    }
    Ok(Checked { model: model.to_owned(), stream, prompt })
}

fn field<'b, T: ?Sized>(
    body: &'b Map<String, Value>,
    name: &str,
    kind: &str,
    read: fn(&'b Value) -> Option<&'b T>,
) -> Result<&'b T, Failure> {
    let value = body.get(name).ok_or_else(|| invalid(format!("{name}: Field required")))?;
    read(value).ok_or_else(|| invalid(format!("{name}: Input should be a valid {kind}")))
}

fn max_tokens(body: &Map<String, Value>) -> Result<u64, Failure> {
    let value = body.get("max_tokens").ok_or_else(|| invalid("max_tokens: Field required"))?;
    let most = value.as_i64().ok_or_else(|| invalid("max_tokens: Input should be a valid integer"))?;
    match u64::try_from(most) {
        Ok(most) if most > 0 => Ok(most),
        _ => Err(invalid("max_tokens: must be greater than or equal to 1")),
    }
}

fn check_messages(messages: &[Value]) -> Result<(), Failure> {
    if messages.is_empty() {
        return Err(invalid("messages: at least one message is required"));
    }
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str);
        let role = role.ok_or_else(|| invalid(format!("messages.{index}.role: Field required")))?;
        if !matches!(role, "user" | "assistant" | "system") {
            return Err(invalid(format!(
                "messages: Unexpected role \"{role}\". Allowed roles are \"user\" or \"assistant\""
            )));
        }
        let content = message
            .get("content")
            .ok_or_else(|| invalid(format!("messages.{index}.content: Field required")))?;
        let blocks = match content {
            Value::String(_) => &[],
            Value::Array(blocks) => blocks.as_slice(),
            _ => {
                return Err(invalid(format!("messages.{index}.content: Input should be a valid string")));
            }
        };
        check_results(index, blocks, &mut open)?;
        if role == "assistant" {
            check_signatures(index, blocks)?;
            open = texts_of(blocks, "tool_use", "id").collect();
        }
    }
    Ok(())
}

/// Each tool use is answered in the next message, and nothing else is.
fn check_results(index: usize, blocks: &[Value], open: &mut Vec<&str>) -> Result<(), Failure> {
    for (place, block) in blocks.iter().enumerate() {
        let Some(id) = texts_of(std::slice::from_ref(block), "tool_result", "tool_use_id").next() else {
            continue;
        };
        let Some(at) = open.iter().position(|waiting| *waiting == id) else {
            return Err(invalid(format!(
                "messages.{index}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        };
        open.remove(at);
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(invalid(format!(
        "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        index.saturating_sub(1),
        open.join(", ")
    )))
}

/// Thinking comes back as it was given, or not at all.
fn check_signatures(index: usize, blocks: &[Value]) -> Result<(), Failure> {
    for (place, block) in blocks.iter().enumerate() {
        if block.get("type").and_then(Value::as_str) != Some("thinking") {
            continue;
        }
        let text = block.get("thinking").and_then(Value::as_str).unwrap_or_default();
        if block.get("signature").and_then(Value::as_str) != Some(signature(text).as_str()) {
            return Err(invalid(format!(
                "messages.{index}.content.{place}: Invalid `signature` in `thinking` block"
            )));
        }
    }
    Ok(())
}

/// What this provider puts under a thought of its own.
pub(crate) fn signature(thought: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(thought.as_bytes()))
}

fn texts_of<'b>(
    blocks: &'b [Value],
    kind: &'static str,
    name: &'static str,
) -> impl Iterator<Item = &'b str> {
    blocks
        .iter()
        .filter(move |block| block.get("type").and_then(Value::as_str) == Some(kind))
        .filter_map(move |block| block.get(name).and_then(Value::as_str))
}

fn prompt(body: &Map<String, Value>, messages: &[Value], max_tokens: Option<u64>) -> Prompt {
    let mut bytes = PromptBytes::default();
    count(body.get("tools"), &mut bytes, &|_| 0);
    count(body.get("system"), &mut bytes, &text_bytes);
    for message in messages {
        count(message.get("content"), &mut bytes, &text_bytes);
    }
    let last_user =
        messages.iter().rev().find(|message| message.get("role").and_then(Value::as_str) == Some("user"));
    let last_content = last_user.and_then(|message| message.get("content"));
    let after_tool = last_content
        .and_then(Value::as_array)
        .is_some_and(|blocks| texts_of(blocks, "tool_result", "tool_use_id").next().is_some());
    let thinking =
        match body.get("thinking").and_then(|thinking| thinking.get("type")).and_then(Value::as_str) {
            Some("enabled" | "adaptive") => Thinking::Shown,
            _ => Thinking::None,
        };
    let choice = body.get("tool_choice");
    let serial = choice.and_then(|choice| choice.get("disable_parallel_tool_use")).and_then(Value::as_bool);
    Prompt {
        bytes,
        messages: messages.len() as u64,
        tools: tools(body.get("tools")),
        choice: tool_choice(choice),
        parallel: serial != Some(true),
        last_user: last_content.map(text_of).unwrap_or_default(),
        after_tool,
        max_tokens,
        thinking,
        n: 1,
        ..Prompt::default()
    }
}

fn tools(tools: Option<&Value>) -> Vec<Tool> {
    let tools = tools.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tools
        .iter()
        .filter_map(|tool| {
            let name = tool.get("name")?.as_str()?.to_owned();
            Some(Tool { name, schema: tool.get("input_schema").cloned().unwrap_or_default() })
        })
        .collect()
}

fn tool_choice(choice: Option<&Value>) -> Choice {
    match choice.and_then(|choice| choice.get("type")).and_then(Value::as_str) {
        Some("none") => Choice::None,
        Some("any") => Choice::Any,
        Some("tool") => {
            let name = choice.and_then(|choice| choice.get("name")).and_then(Value::as_str);
            Choice::Named(name.unwrap_or_default().to_owned())
        }
        _ => Choice::Auto,
    }
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
        let Some(mark) = block.get("cache_control").filter(|mark| !mark.is_null()) else {
            continue;
        };
        let written = std::mem::take(&mut bytes.plain);
        if mark.get("ttl").and_then(Value::as_str) == Some("1h") {
            bytes.cached_1h += written;
        } else {
            bytes.cached_5m += written;
        }
    }
}

fn text_bytes(block: &Value) -> usize {
    text_of(block).len()
}

/// All text in a block or in a list of them: text, thinking, the content of tool results, tool arguments.
fn text_of(block: &Value) -> String {
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
