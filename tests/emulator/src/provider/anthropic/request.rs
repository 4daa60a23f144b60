//! Reads and checks a messages body, and refuses it in the provider's own words.

use http::HeaderMap;
use serde_json::Value;

use crate::{
    provider::{
        Call, Failure,
        anthropic::{MODEL_PREFIXES, has_beta, invalid, model::Model, no_such_model},
        window::{self, Overflow},
    },
    turn::Prompt,
};
use field::{list, one_of, present, refuse, tag};

mod binding;
mod cache;
mod content;
mod field;
mod messages;
mod output;
mod prompt;
mod sampling;
mod systems;
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
    /// What thoughts are bound to.
    pub bound: Vec<u8>,
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
    if depends_on_head(&body, call.body) {
        // An answer is kept for the next call with the same body, whatever its head.
        call.memory.number();
    }
    let (name, headers) = (model, &call.parts.headers);
    let model = Model::of(name);
    sampling::check(&body, headers, model, call.profile.strict)?;
    check_version(&body, said, headers, call.profile.strict)?;
    check_most(max_tokens, name, model)?;
    check_labels(&body)?;
    check_system(&body)?;
    messages::check(said, model)?;
    binding::check(&body, headers, model, call.profile.strict)?;
    cache::check(&body, headers)?;
    if !call.profile.has_model(name, MODEL_PREFIXES) {
        return Err(no_such_model(name));
    }
    let tools = tools::read(&body)?;
    let (choice, parallel) = tools::choice(&body, &tools, model)?;
    let thinking = thinking::read(&body, headers, max_tokens, &choice, model)?;
    let (stop, format) = (stop_sequences(&body)?, output::read(&body, model)?);
    let tools = tools.callable;
    let prompt =
        Prompt { tools, choice, parallel, max_tokens, stop, format, thinking, ..prompt::said(&body, said) };
    if !counts_only {
        let wide = has_beta(headers, |beta| beta.starts_with("context-1m-"));
        check_length(name, model.window(wide), model, &prompt)?;
    }
    let bound = binding::of(&body, said, model);
    Ok(Checked { model: name.to_owned(), stream, prompt, bound })
}

/// Versions and betas decide over some of what is in the body.
fn depends_on_head(body: &Value, raw: &[u8]) -> bool {
    let fields = ["temperature", "top_p", "top_k", "context_management"];
    let budget = body["thinking"]["budget_tokens"].is_number();
    let inner = ["\"scope\"", "\"citations\"", "\"block_binding\""];
    budget
        || fields.iter().any(|name| present(body, name).is_some())
        || inner.iter().any(|name| memchr::memmem::find(raw, name.as_bytes()).is_some())
}

/// What needs a beta, which is only looked at where the caller is `strict`, and what a newer version takes no more.
fn check_version(body: &Value, said: &[Value], headers: &HeaderMap, strict: bool) -> Result<(), Failure> {
    let manages = |beta: &str| beta.starts_with("context-management-") || beta.starts_with("compact-");
    if strict && present(body, "context_management").is_some() && !has_beta(headers, manages) {
        return Err(refuse("context_management", "Extra inputs are not permitted"));
    }
    if headers.get("anthropic-version").is_none_or(|version| version != sampling::VERSION_WITHOUT) {
        return Ok(());
    }
    for (index, message) in said.iter().enumerate().filter(|(_, message)| message["role"] == "user") {
        let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let cites = |block: &Value| block["citations"].as_array().is_some_and(|all| !all.is_empty());
        if let Some(place) = blocks.iter().position(|block| block["type"] == "text" && cites(block)) {
            let path = format!("messages.{index}.content.{place}.text.citations");
            return Err(refuse(&path, "Extra inputs are not permitted"));
        }
    }
    Ok(())
}

/// The prompt fits into the model's window, and for older models the answer with it.
fn check_length(name: &str, most: u64, model: Model, prompt: &Prompt) -> Result<(), Failure> {
    if let Some(Overflow { tokens, most }) = window::overflow(name, most, prompt) {
        return Err(invalid(format!("prompt is too long: {tokens} tokens > {most} maximum")));
    }
    let (most, tokens) = (window::named(name).unwrap_or(most), window::length(prompt));
    let answer = prompt.max_tokens.filter(|_| !model.stops_at_window()).unwrap_or_default();
    if tokens.saturating_add(answer) <= most {
        return Ok(());
    }
    Err(invalid(format!(
        "input length and `max_tokens` exceed context limit: {tokens} + {answer} > {most}, decrease input length or `max_tokens` and try again"
    )))
}

/// What the model itself refuses, for a door that has a wire of its own: of these fields of a body, and of how the
/// conversation ends.
pub(crate) fn check_model(
    body: &Value,
    model: Model,
    ends_with_model: bool,
    strict: bool,
) -> Result<(), Failure> {
    sampling::check_model(body, model, strict)?;
    if let Some(kind) = present(body, "thinking").and_then(|thinking| thinking["type"].as_str()) {
        thinking::check_kind(kind, body, model)?;
    }
    if present(body, "output_config").is_some_and(|config| !config["effort"].is_null()) {
        output::check_effort(model)?;
    }
    if matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool")) {
        tools::check_force(model)?;
    }
    if ends_with_model && model.refuses_prefill() {
        return Err(invalid(messages::NO_PREFILL));
    }
    Ok(())
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

/// The model can say as much as it may.
fn check_most(max_tokens: Option<u64>, name: &str, model: Model) -> Result<(), Failure> {
    let (Some(asked), Some(most)) = (max_tokens, model.most_said()) else { return Ok(()) };
    if asked <= most {
        return Ok(());
    }
    Err(invalid(format!(
        "max_tokens: {asked} > {most}, which is the maximum allowed number of output tokens for {name}"
    )))
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
