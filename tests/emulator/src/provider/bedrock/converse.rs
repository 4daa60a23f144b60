//! POST /model/{id}/converse and /model/{id}/converse-stream

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    converse_request::{self, Checked},
    converse_stream, model_id,
};
use crate::{
    provider::{Call, Failure},
    template::{Draft, ID},
    turn::{Stop, Turn, Usage},
};

pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let (_, turn) = turn(call)?;
    let mut content = Vec::new();
    if !turn.thinking.is_empty() {
        let text = turn.thinking.concat();
        let signature = signature(&text);
        content.push(json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}));
    }
    if !turn.pieces.is_empty() {
        content.push(json!({"text": turn.text()}));
    }
    for (index, tool) in turn.calls.iter().enumerate() {
        let called = json!({"toolUseId": tool_use_id(index), "name": tool.name, "input": tool.arguments});
        content.push(json!({ "toolUse": called }));
    }
    let answer = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(&turn.stop),
        "usage": usage(&turn.usage),
        "metrics": {"latencyMs": 1},
    });
    Ok(Draft::Json(answer.to_string().into_bytes()))
}

pub(crate) fn stream(call: &Call<'_>) -> Result<Draft, Failure> {
    let (_, turn) = turn(call)?;
    Ok(converse_stream::draft(&turn))
}

fn turn(call: &Call<'_>) -> Result<(Checked, Turn), Failure> {
    let id = model_id(call)?;
    let body: Value = serde_json::from_slice(call.body).unwrap_or_default();
    let checked = converse_request::check(&body, &id, call.profile.strict)?;
    let turn = Turn::new(&checked.prompt, call.behaviour);
    Ok((checked, turn))
}

pub(super) fn tool_use_id(index: usize) -> String {
    format!("tooluse_{ID}_{index}")
}

/// What is put under a thought, and wanted back with it.
pub(crate) fn signature(thought: &str) -> String {
    STANDARD.encode(Sha256::digest(format!("emulated reasoning\n{thought}")))
}

pub(super) const fn stop_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::ToolUse => "tool_use",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Refusal => "content_filtered",
    }
}

/// Input is without the cache here, the total is with it.
pub(super) fn usage(usage: &Usage) -> Value {
    let written = usage.cache_write_5m + usage.cache_write_1h;
    let mut counts = json!({
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.cache_read + written + usage.output,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": written,
    });
    let details: Vec<Value> = [("5m", usage.cache_write_5m), ("1h", usage.cache_write_1h)]
        .into_iter()
        .filter(|(_, tokens)| *tokens > 0)
        .map(|(ttl, tokens)| json!({"ttl": ttl, "inputTokens": tokens}))
        .collect();
    if !details.is_empty() {
        counts["cacheDetails"] = details.into();
    }
    counts
}
