//! What an upstream answered.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::usage::Usage;

use super::{
    block::{Block, Opaque},
    request::Extra,
};
use crate::{
    json,
    loss::{LossCode, Losses},
};

/// The names of blocks that most wires' answers have no place for, where they are left out.
pub(crate) const MEDIA: &str = "inlineData";
pub(crate) const TOOL_RESULT: &str = "tool_result";

/// Names the fields of an answer that only its own wire knows. A build's number and padding nobody misses.
pub(crate) fn lose_fields<'f>(
    fields: impl IntoIterator<Item = (&'f str, &'f RawValue)>,
    losses: &mut Losses,
) {
    for (name, value) in fields {
        if !matches!(name, "system_fingerprint" | "obfuscation") && json::is_filled(value.get()) {
            losses.add_path(LossCode::Field, &[name]);
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Response<'a> {
    /// The upstream's own.
    pub id: Cow<'a, str>,
    /// The model that the upstream says it served. Empty: it doesn't say.
    pub model: Cow<'a, str>,
    /// By index, mostly one.
    pub choices: Vec<Choice<'a>>,
    pub usage: Option<Usage>,
    /// In the upstream's word for it.
    pub service_tier: Option<Cow<'a, str>>,
    pub extras: Vec<Extra<'a>>,
    /// What the decoder found and has no place for.
    pub losses: Losses,
}

#[derive(Debug, Clone, Default)]
pub struct Choice<'a> {
    pub blocks: Vec<Block<'a>>,
    pub stop: Stop<'a>,
    /// In the form of the wire that made them.
    pub logprobs: Option<Opaque<'a>>,
}

/// Why there is no more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stop<'a> {
    pub reason: StopReason,
    /// The sequence that would have come next, where the upstream says it.
    pub sequence: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StopReason {
    #[default]
    End,
    /// The output's limit, the client's or the model's.
    Length,
    ToolUse,
    /// A stop sequence.
    Sequence,
    /// The model declined.
    Refusal,
    /// The provider's filter cut it.
    ContentFilter,
    /// The provider paused a long turn of its own tools; the client may send the turn back to go on.
    Pause,
    /// The model's context window was full.
    ContextWindow,
}

impl Stop<'_> {
    #[must_use]
    pub const fn of(reason: StopReason) -> Self {
        Self { reason, sequence: None }
    }
}

impl StopReason {
    /// An answer that calls tools stops for that, whatever word the upstream chose.
    #[must_use]
    pub const fn with_calls(self, calls_tools: bool) -> Self {
        match self {
            Self::End if calls_tools => Self::ToolUse,
            reason => reason,
        }
    }
}
