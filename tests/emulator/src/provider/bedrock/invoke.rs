//! POST /model/{id}/invoke and /model/{id}/invoke-with-response-stream: Anthropic's own wire in AWS's envelope.
//!
//! The body is rewritten into what Anthropic's endpoint takes, and answered there.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, header, request::Parts};
use serde_json::{Map, Value, json};

use crate::{
    provider::{
        Call, Failure, Profile,
        anthropic::{self, model::Model},
        bedrock::{TOO_LONG, check_on_demand, claude, event_stream, invalid, model_id, says_too_much},
    },
    template::{Draft, Form, Formed, Frame, ID, Role},
};

const VERSION: &str = "bedrock-2023-05-31";
const FIELDS: &[&str] = &[
    "anthropic_version",
    "anthropic_beta",
    "max_tokens",
    "messages",
    "metadata",
    "system",
    "stop_sequences",
    "temperature",
    "top_k",
    "top_p",
    "tools",
    "tool_choice",
    "thinking",
    "context_management",
    "output_config",
];
/// Betas that the service takes; any other one spoils the request.
const BETAS: &[&str] = &[
    "claude-code-20250219",
    "compact-2026-01-12",
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
    "tool-search-tool-2025-10-19",
];
/// Tools that Anthropic runs itself, which this service does not offer.
const SERVER_TOOLS: &[&str] = &["web_search_", "web_fetch_", "code_execution_", "mcp_toolset"];
/// Of the padding that hides how long a chunk is.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let Draft::Json(body) = answered(call, Some(false))? else {
        return Err(invalid("The model gave no answer."));
    };
    let body = renamed(&String::from_utf8_lossy(&body));
    let message: Value = serde_json::from_str(&body).unwrap_or_default();
    let usage = &message["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap_or(0).to_string();
    let headers = vec![
        ("x-amzn-bedrock-input-token-count", count("input_tokens")),
        ("x-amzn-bedrock-output-token-count", count("output_tokens")),
        ("x-amzn-bedrock-cache-read-input-token-count", count("cache_read_input_tokens")),
        ("x-amzn-bedrock-cache-write-input-token-count", count("cache_creation_input_tokens")),
        ("x-amzn-bedrock-invocation-latency", "1".to_owned()),
    ];
    let frames = vec![Frame { role: Role::Content, bytes: body.into_bytes() }];
    Ok(Draft::Formed(Formed { form: Form::Json, frames, headers }))
}

pub(crate) fn stream(call: &Call<'_>) -> Result<Draft, Failure> {
    let Draft::Stream(events) = answered(call, Some(true))? else {
        return Err(invalid("The model gave no stream."));
    };
    let mut usage = Value::Null;
    let mut frames = Vec::with_capacity(events.len());
    for Frame { role, bytes } in events {
        let text = renamed(&String::from_utf8_lossy(&bytes));
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        if event["type"] == "ping" {
            continue;
        }
        for counts in [&event["message"]["usage"], &event["usage"]] {
            if counts.is_object() {
                usage = counts.clone();
            }
        }
        let told = match event["type"].as_str() {
            Some(kind @ "message_stop") => {
                format!(r#"{{"type":"{kind}","amazon-bedrock-invocationMetrics":{}}}"#, metrics(&usage))
            }
            _ => data.to_owned(),
        };
        frames.push(Frame { role, bytes: told.into_bytes() });
    }
    let headers = vec![("x-amzn-bedrock-content-type", "application/json".to_owned())];
    Ok(Draft::Formed(Formed { form: Form::Sealed(seal), frames, headers }))
}

fn metrics(usage: &Value) -> Value {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    json!({
        "inputTokenCount": count("input_tokens"),
        "outputTokenCount": count("output_tokens"),
        "invocationLatency": 1,
        "firstByteLatency": 1,
        "cacheReadInputTokenCount": count("cache_read_input_tokens"),
        "cacheWriteInputTokenCount": count("cache_creation_input_tokens"),
    })
}

/// An event of the model's as a message of the service's.
fn seal(event: &[u8]) -> Vec<u8> {
    let payload = json!({"bytes": STANDARD.encode(event), "p": padding(event.len())});
    event_stream::event("chunk", payload.to_string().as_bytes())
}

/// So long that it tells nothing; here it follows from the length, so that answers stay the same.
pub(super) fn padding(length: usize) -> &'static str {
    LETTERS.get(..1 + length % LETTERS.len()).unwrap_or(LETTERS)
}

/// Identifiers as this service makes them.
fn renamed(text: &str) -> String {
    text.replace(&format!("msg_{ID}"), &format!("msg_bdrk_{ID}"))
        .replace(&format!("toolu_{ID}"), &format!("toolu_bdrk_{ID}"))
}

/// What Anthropic's endpoint says to the same request; without `streams`, how many tokens it counts.
pub(super) fn answered(call: &Call<'_>, streams: Option<bool>) -> Result<Draft, Failure> {
    let id = model_id(call)?;
    let Some(model) = claude(&id) else {
        return Err(invalid(
            "This action doesn't support the model that you provided. Try again with a supported text or chat model.",
        ));
    };
    if streams.is_some() {
        check_on_demand(&id, call.profile.strict)?;
    }
    let (mut body, betas) = checked(call.body, streams.is_none())?;
    body.insert("model".to_owned(), model.into());
    if let Some(streams) = streams {
        body.insert("stream".to_owned(), streams.into());
    }
    let body = Value::Object(body).to_string();
    let parts = as_anthropic(call.parts, &betas);
    let profile = Profile { models: None, ..call.profile.clone() };
    let (parts, profile) = (&parts, &profile);
    let inner = Call { parts, body: body.as_bytes(), profile, name: None, ..*call };
    let answer =
        if streams.is_some() { anthropic::messages::answer } else { anthropic::count_tokens::answer };
    answer(&inner).map_err(|failure| match failure.message {
        message if message.starts_with("prompt is too long") => invalid(TOO_LONG),
        message if message.contains("maximum allowed number of output tokens") => {
            says_too_much(Model::of(model).most_said().unwrap_or_default())
        }
        message => invalid(message),
    })
}

/// The body without what only this service has, and the betas.
fn checked(body: &[u8], counting: bool) -> Result<(Map<String, Value>, Vec<String>), Failure> {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(body) else {
        return Err(malformed(&["expected type: JSONObject".to_owned()]));
    };
    let mut wrong = Vec::new();
    match body.get("anthropic_version") {
        None => wrong.push("required key [anthropic_version] not found".to_owned()),
        Some(version) if version != VERSION => {
            wrong.push(format!("anthropic_version: {version} is not a valid enum value"));
        }
        Some(_) => {}
    }
    if counting && !body.contains_key("max_tokens") {
        wrong.push("required key [max_tokens] not found".to_owned());
    }
    let extraneous = ["stream", "model"].into_iter().filter(|name| body.contains_key(*name));
    wrong.extend(extraneous.map(|name| format!("extraneous key [{name}] is not permitted")));
    if !wrong.is_empty() {
        return Err(malformed(&wrong));
    }
    if let Some(extra) = body.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(invalid(format!("{extra}: Extra inputs are not permitted")));
    }
    check_offer(&body)?;
    let managed = body.get("context_management").is_some_and(|given| !given.is_null());
    body.remove("anthropic_version");
    let betas = match body.remove("anthropic_beta") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(given)) => given
            .iter()
            .map(|beta| beta.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| invalid("anthropic_beta: Input should be a valid list"))?,
        Some(_) => return Err(invalid("anthropic_beta: Input should be a valid list")),
    };
    if betas.iter().any(|beta| !BETAS.contains(&beta.as_str())) {
        return Err(invalid("invalid beta flag"));
    }
    let manages = |beta: &String| beta.starts_with("context-management-") || beta.starts_with("compact-");
    if managed && !betas.iter().any(manages) {
        return Err(invalid("context_management: Extra inputs are not permitted"));
    }
    Ok((body, betas))
}

fn malformed(wrong: &[String]) -> Failure {
    let wrong: String = wrong.iter().map(|what| format!("#: {what}")).collect();
    invalid(format!("Malformed input request: {wrong}, please reformat your input and try again."))
}

/// What Anthropic has and this service does not: its own tools, messages of the system, and sources by address.
fn check_offer(body: &Map<String, Value>) -> Result<(), Failure> {
    let tools = body.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, tool) in tools.iter().enumerate() {
        let kind = tool["type"].as_str().unwrap_or_default();
        if SERVER_TOOLS.iter().any(|start| kind.starts_with(start)) {
            return Err(invalid(format!(
                "tools.{index}: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'bash_20250124', 'custom', 'memory_20250818', 'text_editor_20250124', 'text_editor_20250429', 'text_editor_20250728'"
            )));
        }
    }
    let messages = body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, message) in messages.iter().enumerate() {
        if message["role"] == "system" && index > 0 {
            return Err(invalid("role 'system' is not supported on this model"));
        }
        let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (place, block) in blocks.iter().enumerate() {
            let kind = block["type"].as_str().unwrap_or_default();
            let source = block["source"]["type"].as_str().unwrap_or_default();
            if matches!((kind, source), ("image" | "document", "url" | "file")) {
                return Err(invalid(format!(
                    "messages.{index}.content.{place}.{kind}.source: Input tag '{source}' found using 'type' does not match any of the expected tags: 'base64'"
                )));
            }
        }
    }
    Ok(())
}

/// The head of the same call at Anthropic's.
fn as_anthropic(parts: &Parts, betas: &[String]) -> Parts {
    let mut parts = parts.clone();
    parts.headers.remove(header::AUTHORIZATION);
    parts.headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    parts.headers.remove("anthropic-beta");
    if let Ok(betas) = HeaderValue::from_str(&betas.join(","))
        && !betas.is_empty()
    {
        parts.headers.insert("anthropic-beta", betas);
    }
    parts
}
