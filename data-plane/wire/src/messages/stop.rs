//! The words for why there is no more.

use crate::canonical::StopReason;

/// A word that came later than this code is a plain end.
pub(super) fn reason(word: &str) -> StopReason {
    match word {
        "max_tokens" => StopReason::Length,
        "tool_use" => StopReason::ToolUse,
        "stop_sequence" => StopReason::Sequence,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        _ => StopReason::End,
    }
}

pub(super) const fn word(reason: StopReason) -> &'static str {
    match reason {
        StopReason::End => "end_turn",
        StopReason::Length => "max_tokens",
        StopReason::ToolUse => "tool_use",
        StopReason::Sequence => "stop_sequence",
        StopReason::Refusal | StopReason::ContentFilter => "refusal",
        StopReason::Pause => "pause_turn",
        StopReason::ContextWindow => "model_context_window_exceeded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_reasons_stand_for_each_other() {
        for known in [
            "end_turn",
            "max_tokens",
            "tool_use",
            "stop_sequence",
            "refusal",
            "pause_turn",
            "model_context_window_exceeded",
        ] {
            assert_eq!(word(reason(known)), known);
        }
        assert_eq!(reason("compaction"), StopReason::End);
        assert_eq!(reason(word(StopReason::ContentFilter)), StopReason::Refusal);
    }
}
