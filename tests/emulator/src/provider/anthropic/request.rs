//! Reads and checks a messages body, and refuses it in the provider's own words.

use serde_json::Value;

use crate::{
    provider::{
        Call, Failure,
        anthropic::{MODEL_PREFIXES, invalid, no_such_model},
    },
    turn::Prompt,
};
use field::{list, one_of, present, refuse, tag};

mod cache;
mod content;
mod field;
mod messages;
mod output;
mod prompt;
mod thinking;
mod tools;

pub(crate) use thinking::{sealed, signature};

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
    "diagnostics",
    "fallbacks",
    "fallback_credit_token",
    "billing_policy",
    "compaction",
    "thread",
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
    let Value::Object(fields) = &body else {
        return Err(invalid("Input should be a valid dictionary or object to extract fields from"));
    };
    if call.profile.strict
        && let Some(extra) = fields.keys().find(|name| !FIELDS.contains(&name.as_str()))
    {
        return Err(invalid(format!("{extra}: Extra inputs are not permitted")));
    }
    let model = field(&body, "model", "string", Value::as_str)?;
    let max_tokens = if counts_only { None } else { Some(max_tokens(&body)?) };
    let said = field(&body, "messages", "list", Value::as_array)?;
    let stream = match present(&body, "stream") {
        None => false,
        Some(value) => value.as_bool().ok_or_else(|| invalid("stream: Input should be a valid boolean"))?,
    };
    check_sampling(&body)?;
    check_labels(&body)?;
    check_system(&body)?;
    messages::check(said)?;
    cache::check(&body)?;
    if !call.profile.has_model(model, MODEL_PREFIXES) {
        return Err(no_such_model(model));
    }
    let tools = tools::read(&body)?;
    let (choice, parallel) = tools::choice(&body, &tools)?;
    let thinking = thinking::read(&body, &call.parts.headers, max_tokens, &choice)?;
    let (stop, format) = (stop_sequences(&body)?, output::read(&body)?);
    let tools = tools.callable;
    let prompt =
        Prompt { tools, choice, parallel, max_tokens, stop, format, thinking, ..prompt::said(&body, said) };
    Ok(Checked { model: model.to_owned(), stream, prompt })
}

fn field<'b, T: ?Sized>(
    body: &'b Value,
    name: &str,
    kind: &str,
    read: fn(&'b Value) -> Option<&'b T>,
) -> Result<&'b T, Failure> {
    let value = body.get(name).ok_or_else(|| invalid(format!("{name}: Field required")))?;
    read(value).ok_or_else(|| invalid(format!("{name}: Input should be a valid {kind}")))
}

fn max_tokens(body: &Value) -> Result<u64, Failure> {
    let value = body.get("max_tokens").ok_or_else(|| invalid("max_tokens: Field required"))?;
    let most = value.as_i64().ok_or_else(|| invalid("max_tokens: Input should be a valid integer"))?;
    match u64::try_from(most) {
        Ok(most) if most > 0 => Ok(most),
        _ => Err(invalid("max_tokens: must be greater than or equal to 1")),
    }
}

fn check_sampling(body: &Value) -> Result<(), Failure> {
    for name in ["temperature", "top_p"] {
        let Some(value) = present(body, name) else { continue };
        let number = value.as_f64().ok_or_else(|| refuse(name, "Input should be a valid number"))?;
        if !(0.0..=1.0).contains(&number) {
            return Err(refuse(name, "range: 0..1"));
        }
    }
    match present(body, "top_k").map(Value::as_i64) {
        None | Some(Some(0..)) => Ok(()),
        Some(None) => Err(refuse("top_k", "Input should be a valid integer")),
        Some(Some(_)) => Err(refuse("top_k", "Input should be greater than or equal to 0")),
    }
}

/// Who asks, and at what tier.
fn check_labels(body: &Value) -> Result<(), Failure> {
    if let Some(tier) = present(body, "service_tier") {
        one_of(tier, "service_tier", &["auto", "standard_only"])?;
    }
    let Some(metadata) = present(body, "metadata") else { return Ok(()) };
    if !metadata.is_object() {
        return Err(refuse("metadata", "Input should be a valid dictionary"));
    }
    if present(metadata, "user_id").is_some_and(|user| !user.is_string()) {
        return Err(refuse("metadata.user_id", "Input should be a valid string"));
    }
    Ok(())
}

fn check_system(body: &Value) -> Result<(), Failure> {
    let blocks = match present(body, "system") {
        None | Some(Value::String(_)) => return Ok(()),
        Some(blocks) => list(blocks, "system")?,
    };
    for (index, block) in blocks.iter().enumerate() {
        let path = format!("system.{index}");
        let kind = tag(block, &path, &["text"])?;
        content::check_plain(block, kind, &format!("{path}.text"), "system")?;
    }
    Ok(())
}

fn stop_sequences(body: &Value) -> Result<Vec<String>, Failure> {
    let Some(value) = present(body, "stop_sequences") else { return Ok(Vec::new()) };
    let mut sequences = Vec::new();
    for (index, sequence) in list(value, "stop_sequences")?.iter().enumerate() {
        let path = format!("stop_sequences.{index}");
        let sequence = sequence.as_str().ok_or_else(|| refuse(&path, "Input should be a valid string"))?;
        if sequence.trim().is_empty() {
            return Err(invalid("stop_sequences: each stop sequence must contain non-whitespace"));
        }
        sequences.push(sequence.to_owned());
    }
    Ok(sequences)
}
