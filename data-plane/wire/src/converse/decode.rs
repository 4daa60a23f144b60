//! Converse's answers in canonical form.

mod response;
mod stream;

pub(crate) use response::response;
pub(crate) use stream::StreamDecoder;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    canonical::StopReason,
    json::record::{Str, record},
    loss::{LossCode, Losses},
};

/// A word that came later than this code, or that has no counterpart (`malformed_model_output`,
/// `malformed_tool_use`): the answer just ends.
fn stop_reason(word: Option<Str<'_>>, losses: &mut Losses) -> StopReason {
    match &*word.unwrap_or_default().0 {
        "end_turn" => StopReason::End,
        "tool_use" => StopReason::ToolUse,
        "max_tokens" => StopReason::Length,
        "stop_sequence" => StopReason::Sequence,
        "guardrail_intervened" | "content_filtered" => StopReason::ContentFilter,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        word => {
            losses.add_path(LossCode::Field, &["stopReason.", word]);
            StopReason::End
        }
    }
}

/// `of`: what they are fields of, with a dot behind it, where their names alone don't tell.
fn lose(losses: &mut Losses, code: LossCode, of: &str, unknown: &[(Cow<'_, str>, &RawValue)]) {
    for (name, _) in unknown {
        losses.add_path(code, &[of, name]);
    }
}

/// The tier in `{"type":"priority"}`.
fn tier(said: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let Tier { kind, .. } = serde_json::from_str(said?.get()).ok()?;
    kind.map(|Str(kind)| kind)
}

record! { struct Tier { kind: Str<'a> = "type" } }

const OF_CALL: &str = "toolUse.";
const OF_REASONING: &str = "reasoningContent.";

/// Of a call that Bedrock runs itself, which its type tells.
const SERVER_CALL: &str = "toolUse.type";
const CITATIONS: &str = "citationsContent.citations";
