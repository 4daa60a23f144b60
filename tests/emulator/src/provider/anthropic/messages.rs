//! POST /v1/messages

use serde::Serialize;
use serde_json::Value;

use crate::{
    provider::{
        Call, Failure,
        anthropic::{message_stream, request},
    },
    template::{Draft, ID},
    turn::{Stop, Thinking, Turn, Usage},
};

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub model: &'a str,
    pub id: String,
    pub r#type: &'static str,
    pub role: &'static str,
    pub content: Vec<Block>,
    pub stop_reason: Option<&'static str>,
    pub stop_sequence: Option<&'a str>,
    pub stop_details: Option<StopDetails>,
    pub usage: UsagePart,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text { text: String },
    Thinking { thinking: String, signature: String },
    RedactedThinking { data: String },
    ToolUse { id: String, name: String, input: Value },
}

/// What more there is to say of a refusal.
#[derive(Serialize)]
pub(super) struct StopDetails {
    r#type: &'static str,
    category: Option<&'static str>,
    explanation: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct UsagePart {
    pub input_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    pub cache_creation: CacheCreation,
    pub output_tokens: u64,
    /// Only at the end, and only where there was thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<OutputDetails>,
    pub service_tier: &'static str,
}

#[derive(Serialize)]
pub(super) struct OutputDetails {
    pub thinking_tokens: u64,
}

#[derive(Serialize)]
pub(super) struct CacheCreation {
    pub ephemeral_5m_input_tokens: u64,
    pub ephemeral_1h_input_tokens: u64,
}

impl UsagePart {
    /// Before anything but a first token is out.
    pub(super) fn at_start(usage: &Usage) -> Self {
        Self { output_tokens: usage.output.min(1), output_tokens_details: None, ..Self::new(usage) }
    }

    pub(super) fn new(usage: &Usage) -> Self {
        let thinking_tokens = usage.reasoning;
        Self {
            input_tokens: usage.input,
            cache_creation_input_tokens: usage.cache_write_5m + usage.cache_write_1h,
            cache_read_input_tokens: usage.cache_read,
            cache_creation: CacheCreation {
                ephemeral_5m_input_tokens: usage.cache_write_5m,
                ephemeral_1h_input_tokens: usage.cache_write_1h,
            },
            output_tokens: usage.output,
            output_tokens_details: (thinking_tokens > 0).then_some(OutputDetails { thinking_tokens }),
            service_tier: "standard",
        }
    }
}

impl<'a> Message<'a> {
    pub(super) fn empty(model: &'a str, usage: UsagePart) -> Self {
        Self {
            model,
            id: format!("msg_{ID}"),
            r#type: "message",
            role: "assistant",
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            stop_details: None,
            usage,
        }
    }
}

pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let checked = request::check(call, false)?;
    let turn = Turn::new(&checked.prompt, call.behaviour);
    if checked.stream {
        return Ok(Draft::Stream(message_stream::frames(&checked, &turn)));
    }
    let mut message = Message::empty(&checked.model, UsagePart::new(&turn.usage));
    message.content.extend(thought(&turn, &checked.bound));
    if !turn.pieces.is_empty() {
        message.content.push(Block::Text { text: turn.text() });
    }
    for (index, tool) in turn.calls.iter().enumerate() {
        let input = tool.arguments.clone();
        message.content.push(Block::ToolUse { id: tool_id(index), name: tool.name.clone(), input });
    }
    message.stop_reason = Some(stop_reason(&turn.stop));
    message.stop_sequence = stop_sequence(&turn.stop);
    message.stop_details = stop_details(&turn.stop);
    Ok(Draft::Json(serde_json::to_vec(&message).unwrap_or_default()))
}

/// The block that stands for the turn's thinking, if there was any.
pub(super) fn thought(turn: &Turn, bound: &[u8]) -> Option<Block> {
    let thinking = turn.thinking.concat();
    match turn.thinks {
        Thinking::None => None,
        _ if turn.redacted => Some(Block::RedactedThinking { data: request::sealed(&thinking) }),
        Thinking::Shown | Thinking::Hidden => {
            let signature = request::signature(&thinking, bound);
            Some(Block::Thinking { thinking, signature })
        }
    }
}

pub(super) fn tool_id(index: usize) -> String {
    format!("toolu_{ID}_{index}")
}

pub(super) const fn stop_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::ToolUse => "tool_use",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Refusal => "refusal",
    }
}

pub(super) fn stop_sequence(stop: &Stop) -> Option<&str> {
    match stop {
        Stop::Sequence(sequence) => Some(sequence),
        _ => None,
    }
}

pub(super) fn stop_details(stop: &Stop) -> Option<StopDetails> {
    (*stop == Stop::Refusal).then_some(StopDetails { r#type: "refusal", category: None, explanation: None })
}
