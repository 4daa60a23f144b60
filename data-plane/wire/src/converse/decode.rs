//! Converse's answers in canonical form.

mod response;
mod stream;

pub(crate) use response::response;
pub(crate) use stream::StreamDecoder;

use crate::canonical::StopReason;

/// None: a word that came later than this code, or that has no counterpart (`malformed_model_output`,
/// `malformed_tool_use`): the answer just ends.
fn stop_reason(word: &str) -> Option<StopReason> {
    Some(match word {
        "end_turn" => StopReason::End,
        "tool_use" => StopReason::ToolUse,
        "max_tokens" => StopReason::Length,
        "stop_sequence" => StopReason::Sequence,
        "guardrail_intervened" | "content_filtered" => StopReason::ContentFilter,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        _ => return None,
    })
}
