//! The response object, which a stream sends three times.

use shared::{usage::Usage, wire::Wire};

use crate::{
    canonical::{Extra, StopReason},
    codec::Context,
    json::write::{Array, Object},
    responses::{echo::FIELDS, usage},
};

#[derive(Debug, Clone, Copy)]
pub(super) enum Status {
    InProgress,
    Completed,
    /// With `incomplete_details.reason`.
    Incomplete(&'static str),
}

impl Status {
    /// `refuses`: the answer holds the model's own words of refusal.
    pub(super) const fn of(reason: StopReason, refuses: bool) -> Self {
        match reason {
            StopReason::End | StopReason::ToolUse | StopReason::Sequence | StopReason::Pause => {
                Self::Completed
            }
            StopReason::Length | StopReason::ContextWindow => Self::Incomplete("max_output_tokens"),
            StopReason::Refusal if refuses => Self::Completed,
            StopReason::Refusal | StopReason::ContentFilter => Self::Incomplete("content_filter"),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

/// What the object says beside its output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'h> {
    pub(super) status: Status,
    /// Empty: the context's.
    pub(super) model: &'h str,
    pub(super) usage: Option<&'h Usage>,
    pub(super) service_tier: Option<&'h str>,
    pub(super) extras: &'h [Extra<'h>],
}

pub(super) fn write(
    o: &mut Object<'_>,
    context: &Context,
    head: &Head<'_>,
    output: impl FnOnce(&mut Array<'_>),
) {
    o.string("id", &context.answer_id("resp_").to_string());
    o.string("object", "response");
    o.value("created_at", &context.created);
    o.string("status", head.status.as_str());
    o.raw("error", "null");
    match head.status {
        Status::Incomplete(reason) => o.object("incomplete_details", |o| o.string("reason", reason)),
        Status::InProgress | Status::Completed => o.raw("incomplete_details", "null"),
    }
    o.string("model", if head.model.is_empty() { &context.model } else { head.model });
    o.array("output", output);
    for (name, default) in FIELDS {
        let said = context.echo.iter().find(|(said, _)| *said == name);
        o.raw(name, said.map_or(default, |(_, value)| value));
    }
    o.string("service_tier", head.service_tier.unwrap_or("default"));
    match (head.usage, head.status) {
        (Some(usage), _) => usage::write(o, usage),
        (None, Status::InProgress) => o.raw("usage", "null"),
        // Clients that check what they read take none at the end, but not null.
        (None, _) => {}
    }
    for extra in head.extras.iter().filter(|extra| extra.origin == Wire::Responses) {
        o.raw(&extra.name, extra.value.get());
    }
}
