//! Reads and checks a chat completion body, and refuses it in the provider's own words.

use serde_json::{Map, Value};

use crate::{
    provider::{
        Call, Failure,
        openai::{MODEL_PREFIXES, bad_json, invalid, missing, no_such_model, wrong_type},
    },
    turn::{Choice, Prompt, PromptBytes, Thinking, Tool},
};

const MOST_CHOICES: u64 = 128;

const FIELDS: &[&str] = &[
    "model",
    "messages",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// A body that passed.
#[derive(Debug)]
pub(crate) struct Checked {
    pub model: String,
    pub stream: bool,
    pub include_usage: bool,
    pub prompt: Prompt,
}

pub(crate) fn check(call: &Call<'_>) -> Result<Checked, Failure> {
    let Ok(Value::Object(body)) = serde_json::from_slice(call.body) else {
        return Err(bad_json());
    };
    if call.profile.strict
        && let Some(extra) = body.keys().find(|name| !FIELDS.contains(&name.as_str()))
    {
        let failure = invalid(format!("Unknown parameter: '{extra}'."));
        return Err(failure.with_param(extra.clone()).with_code("unknown_parameter"));
    }
    let model = match body.get("model") {
        None => return Err(invalid("you must provide a model parameter")),
        Some(model) => model.as_str().ok_or_else(|| wrong_type("model", "a string"))?,
    };
    let messages = body.get("messages").ok_or_else(|| missing("messages"))?;
    let messages = messages.as_array().ok_or_else(|| wrong_type("messages", "an array of objects"))?;
    check_messages(messages)?;
    let stream = flag(&body, "stream")?;
    let include_usage = include_usage(&body, stream)?;
    if !call.profile.has_model(model, MODEL_PREFIXES) {
        return Err(no_such_model(model));
    }
    let prompt = prompt(&body, messages)?;
    Ok(Checked { model: model.to_owned(), stream, include_usage, prompt })
}

fn flag(body: &Map<String, Value>, name: &str) -> Result<bool, Failure> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| wrong_type(name, "a boolean")),
    }
}

fn include_usage(body: &Map<String, Value>, stream: bool) -> Result<bool, Failure> {
    let options = match body.get("stream_options") {
        None | Some(Value::Null) => return Ok(false),
        Some(options) => options.as_object().ok_or_else(|| wrong_type("stream_options", "an object"))?,
    };
    if !stream {
        let failure = invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.");
        return Err(failure.with_param("stream_options"));
    }
    flag(options, "include_usage")
}

fn count(body: &Map<String, Value>, name: &str) -> Result<Option<u64>, Failure> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number @ 1..) => Ok(Some(number)),
            Some(0) => Err(invalid(format!(
                "Invalid '{name}': integer below minimum value. Expected a value >= 1, but got 0 instead."
            ))
            .with_param(name)
            .with_code("integer_below_min_value")),
            None => Err(wrong_type(name, "an integer")),
        },
    }
}

fn check_messages(messages: &[Value]) -> Result<(), Failure> {
    if messages.is_empty() {
        let failure = invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        );
        return Err(failure.with_param("messages").with_code("empty_array"));
    }
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let param = format!("messages[{index}].role");
        let role = message.get("role").and_then(Value::as_str).ok_or_else(|| missing(&param))?;
        match role {
            "tool" => take_result(message, &mut open)?,
            "developer" | "system" | "user" | "assistant" | "function" => check_answered(&open)?,
            _ => {
                let words = "Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.";
                let failure = invalid(format!("Invalid value: '{role}'. {words}"));
                return Err(failure.with_param(param).with_code("invalid_value"));
            }
        }
        if let Some(calls) = message.get("tool_calls").and_then(Value::as_array) {
            open = calls.iter().filter_map(|call| call.get("id").and_then(Value::as_str)).collect();
        }
    }
    check_answered(&open)
}

fn take_result(message: &Value, open: &mut Vec<&str>) -> Result<(), Failure> {
    let id = message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
    match open.iter().position(|waiting| *waiting == id) {
        Some(at) => {
            open.remove(at);
            Ok(())
        }
        None => Err(invalid("Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
            .with_param("messages")),
    }
}

fn check_answered(open: &[&str]) -> Result<(), Failure> {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(invalid(message).with_param("messages"))
}

fn prompt(body: &Map<String, Value>, messages: &[Value]) -> Result<Prompt, Failure> {
    let n = count(body, "n")?.unwrap_or(1);
    if n > MOST_CHOICES {
        let failure = invalid(format!(
            "Invalid 'n': integer above maximum value. Expected a value <= {MOST_CHOICES}, but got {n} instead."
        ));
        return Err(failure.with_param("n").with_code("integer_above_max_value"));
    }
    let max_tokens = count(body, "max_completion_tokens")?.or(count(body, "max_tokens")?);
    let plain = messages.iter().map(message_bytes).sum();
    let last = messages
        .iter()
        .rev()
        .find(|message| matches!(message.get("role").and_then(Value::as_str), Some("user" | "tool")));
    let thinking = match body.get("reasoning_effort").and_then(Value::as_str) {
        None | Some("none") => Thinking::None,
        Some(_) => Thinking::Hidden,
    };
    Ok(Prompt {
        bytes: PromptBytes { plain, ..PromptBytes::default() },
        messages: messages.len() as u64,
        tools: tools(body.get("tools")),
        choice: tool_choice(body.get("tool_choice")),
        parallel: body.get("parallel_tool_calls").and_then(Value::as_bool) != Some(false),
        last_user: last.and_then(|message| message.get("content")).map(text_of).unwrap_or_default(),
        after_tool: last.and_then(|message| message.get("role")).and_then(Value::as_str) == Some("tool"),
        max_tokens,
        thinking,
        n,
        ..Prompt::default()
    })
}

fn tools(tools: Option<&Value>) -> Vec<Tool> {
    let tools = tools.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tools
        .iter()
        .filter_map(|tool| {
            let function = tool.get("function")?;
            let name = function.get("name")?.as_str()?.to_owned();
            Some(Tool { name, schema: function.get("parameters").cloned().unwrap_or_default() })
        })
        .collect()
}

fn tool_choice(choice: Option<&Value>) -> Choice {
    match choice {
        Some(Value::String(mode)) if mode == "none" => Choice::None,
        Some(Value::String(mode)) if mode == "required" => Choice::Any,
        Some(Value::Object(named)) => {
            let name =
                named.get("function").and_then(|function| function.get("name")).and_then(Value::as_str);
            name.map_or(Choice::Auto, |name| Choice::Named(name.to_owned()))
        }
        _ => Choice::Auto,
    }
}

fn message_bytes(message: &Value) -> usize {
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let arguments = calls.iter().filter_map(|call| call.get("function")?.get("arguments")?.as_str());
    message.get("content").map(text_of).unwrap_or_default().len() + arguments.map(str::len).sum::<usize>()
}

/// All text in a message's content.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}
