//! The words for why there is no more.

use crate::{
    canonical::StopReason,
    loss::{LossCode, Losses},
};

/// A word that came later than this code is a plain end.
pub(super) fn reason(word: &str, losses: &mut Losses) -> StopReason {
    match word {
        "end_turn" => StopReason::End,
        "max_tokens" => StopReason::Length,
        "tool_use" => StopReason::ToolUse,
        "stop_sequence" => StopReason::Sequence,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        "model_context_window_exceeded" => StopReason::ContextWindow,
        word => {
            losses.add_path(LossCode::Field, &["stop_reason.", word]);
            StopReason::End
        }
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
        let losses = &mut Losses::default();
        for known in [
            "end_turn",
            "max_tokens",
            "tool_use",
            "stop_sequence",
            "refusal",
            "pause_turn",
            "model_context_window_exceeded",
        ] {
            assert_eq!(word(reason(known, losses)), known);
        }
        assert_eq!(reason(word(StopReason::ContentFilter), losses), StopReason::Refusal);
        assert!(losses.is_empty());
        assert_eq!(reason("compaction", losses), StopReason::End);
        assert!(!losses.is_empty());
    }
}
