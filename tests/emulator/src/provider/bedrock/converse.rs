//! POST /model/{id}/converse and /model/{id}/converse-stream

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{TOO_LONG, check_on_demand, converse_request, converse_stream, model_id, model_says};
use crate::{
    BLOCK_PROMPT,
    provider::{Call, Failure, anthropic::model::Model, window},
    script::Behaviour,
    template::{Draft, ID},
    turn::{Choice, Stop, Thinking, Turn, Usage},
};

/// Said by a guardrail.
const GUARDED: &str = "Sorry, the model cannot answer this question.";
const DIGEST: usize = 32;

pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let (turn, stop_reason) = turn(call)?;
    let mut content = Vec::new();
    if !turn.thinking.is_empty() {
        let text = turn.thinking.concat();
        let reasoning = if turn.redacted {
            json!({"redactedContent": sealed(&text)})
        } else {
            json!({"reasoningText": {"text": text, "signature": signature(&text)}})
        };
        content.push(json!({ "reasoningContent": reasoning }));
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
        "stopReason": stop_reason,
        "usage": usage(&turn.usage),
        "metrics": {"latencyMs": 1},
    });
    Ok(Draft::Json(answer.to_string().into_bytes()))
}

pub(crate) fn stream(call: &Call<'_>) -> Result<Draft, Failure> {
    let (turn, stop_reason) = turn(call)?;
    Ok(converse_stream::draft(&turn, stop_reason))
}

/// What is said, and why there is no more.
fn turn(call: &Call<'_>) -> Result<(Turn, &'static str), Failure> {
    let id = model_id(call)?;
    let body: Value = serde_json::from_slice(call.body).unwrap_or_default();
    check_on_demand(&id, call.profile.strict)?;
    let mut prompt = converse_request::check(&body, &id, call.profile.strict)?.prompt;
    if window::overflow(&id, Model::of(&id).window(false), &prompt).is_some() {
        return Err(model_says(TOO_LONG));
    }
    if prompt.last_user.contains(BLOCK_PROMPT) {
        // A guardrail answers in the model's place.
        (prompt.choice, prompt.thinking) = (Choice::None, Thinking::None);
        prompt.stop.clear();
        let guarded = Behaviour { text: Some(GUARDED.to_owned()), ..call.behaviour.clone() };
        return Ok((Turn::new(&prompt, &guarded), "guardrail_intervened"));
    }
    let turn = Turn::new(&prompt, call.behaviour);
    let stop_reason = stop_reason(&turn.stop);
    Ok((turn, stop_reason))
}

pub(super) fn tool_use_id(index: usize) -> String {
    format!("tooluse_{ID}_{index}")
}

/// What is put under a thought, and wanted back with it.
pub(crate) fn signature(thought: &str) -> String {
    STANDARD.encode(Sha256::digest(format!("emulated reasoning\n{thought}")))
}

/// A thought that nobody else can read: its digest, and a seal over that.
pub(super) fn sealed(thought: &str) -> String {
    let digest = Sha256::digest(thought);
    STANDARD.encode([digest.as_slice(), &seal(&digest)].concat())
}

/// Whether these bytes are of [`sealed`].
pub(super) fn is_sealed(content: &str) -> bool {
    let bytes = STANDARD.decode(content).unwrap_or_default();
    bytes.split_at_checked(DIGEST).is_some_and(|(digest, sealed)| sealed == seal(digest))
}

fn seal(digest: &[u8]) -> Vec<u8> {
    Sha256::digest([b"emulated seal".as_slice(), digest].concat()).to_vec()
}

const fn stop_reason(stop: &Stop) -> &'static str {
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
