//! An answer that is no stream.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::{
    fields::{parse, text_of},
    items::{Place, Reader},
};
use crate::{
    canonical::{Block, Choice, Extra, Opaque, Response, Stop, StopReason, attach_signatures},
    codec::Unreadable,
    error::upstream::UpstreamError,
    json::record::{Str, record},
    loss::{LossCode, Losses},
    responses::{echo::FIELDS, usage},
};

record! {
    pub(super) struct Answer {
        id: Str<'a> = "id",
        object: &'a RawValue = "object",
        created_at: &'a RawValue = "created_at",
        completed_at: &'a RawValue = "completed_at",
        model: Str<'a> = "model",
        status: Str<'a> = "status",
        error: &'a RawValue = "error",
        incomplete_details: &'a RawValue = "incomplete_details",
        output: Vec<&'a RawValue> = "output",
        output_text: &'a RawValue = "output_text",
        usage: &'a RawValue = "usage",
        service_tier: Str<'a> = "service_tier",
    }
}

record! {
    struct Details {
        reason: Str<'a> = "reason",
    }
}

/// # Errors
/// The body can't be understood, or says that the answer failed.
pub(crate) fn response(body: &[u8]) -> Result<Response<'_>, Unreadable> {
    let mut answer: Answer<'_> = parse(text_of(body)?, String::new)?;
    if let Some(error) = failure(&answer) {
        return Err(Unreadable::new("error", format!("is set: {}", error.message)));
    }
    let Some(output) = answer.output.take() else {
        return Err(Unreadable::new("output", "is missing"));
    };
    let mut reader = Reader::default();
    let mut blocks = Vec::new();
    for (index, raw) in output.into_iter().enumerate() {
        blocks.extend(reader.item(raw, Place { list: "output", index })?.1);
    }
    attach_signatures(&mut blocks);
    let stop = Stop::of(reason(&answer, &blocks, &mut reader.losses));
    let logprobs = reader.logprobs.map(logprobs);
    let extras = answer.unknown.into_iter().filter(|(name, _)| !is_echo(name));
    Ok(Response {
        id: answer.id.map(|id| id.0).unwrap_or_default(),
        model: answer.model.map(|model| model.0).unwrap_or_default(),
        choices: vec![Choice { blocks, stop, logprobs }],
        usage: answer.usage.and_then(|raw| usage::read(raw.get())),
        service_tier: answer.service_tier.map(|tier| tier.0),
        extras: extras.map(|(name, value)| Extra { origin: Wire::Responses, name, value }).collect(),
        losses: reader.losses,
    })
}

/// Whether the answer repeats it of the request.
fn is_echo(name: &str) -> bool {
    FIELDS.iter().any(|(known, _)| *known == name)
}

impl Answer<'_> {
    /// What it says of itself that only this wire knows.
    pub(super) fn extras(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        let fields = self.unknown.iter().map(|(name, value)| (&**name, *value));
        fields.filter(|(name, _)| !is_echo(name))
    }
}

pub(super) fn logprobs(value: &RawValue) -> Opaque<'_> {
    Opaque { origin: Wire::Responses, kind: Cow::Borrowed("logprobs"), value: Cow::Borrowed(value) }
}

/// Why there is no answer, if there is none.
pub(super) fn failure(answer: &Answer<'_>) -> Option<UpstreamError> {
    let status = answer.status.as_ref().map(|status| &*status.0);
    let has_failed = matches!(status, Some("failed" | "cancelled"));
    match answer.error {
        Some(error) => Some(UpstreamError::read(error.get())),
        None => has_failed.then(|| UpstreamError {
            message: format!("the answer was {}", status.unwrap_or_default()),
            ..UpstreamError::default()
        }),
    }
}

fn reason(answer: &Answer<'_>, blocks: &[Block<'_>], losses: &mut Losses) -> StopReason {
    let calls = blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
    let refuses = blocks.iter().any(|block| matches!(block, Block::Refusal(_)));
    stop_reason(answer, calls, refuses, losses)
}

/// Why the answer ended, given what is in it.
pub(super) fn stop_reason(
    answer: &Answer<'_>,
    calls_tools: bool,
    refuses: bool,
    losses: &mut Losses,
) -> StopReason {
    let details = answer.incomplete_details.map(RawValue::get).unwrap_or_default();
    let details: Details<'_> = serde_json::from_str(details).unwrap_or_default();
    let word = details.reason.as_ref().map(|reason| &*reason.0);
    if let Some(word) = word.filter(|word| !matches!(*word, "content_filter" | "max_output_tokens")) {
        losses.add_path(LossCode::Field, &["incomplete_details.reason.", word]);
    }
    match word {
        Some("content_filter") => StopReason::ContentFilter,
        Some("max_output_tokens") => StopReason::Length,
        None if answer.status.as_ref().is_some_and(|status| status.0 == "incomplete") => StopReason::Length,
        _ if calls_tools => StopReason::ToolUse,
        _ if refuses => StopReason::Refusal,
        _ => StopReason::End,
    }
}
