//! From the canonical form to chat's JSON.
//!
//! Clients get reasoning twice: as `reasoning_content`, which many of them show, and with its proofs as
//! `reasoning_details`, which they hand back untouched if they keep what they do not know.

mod message;
mod reasoning;
mod request;
mod response;
mod stream;

pub(crate) use request::request;
pub(crate) use response::response;
pub(crate) use stream::StreamEncoder;

use crate::canonical::{Opaque, Origin, Signature, StopReason};
use crate::json::write::Object;
use shared::wire::Wire;

/// `finish_reason`. One who declines in words of its own stops like any other; the refusal tells.
const fn finish_reason(reason: StopReason, has_refusal: bool) -> &'static str {
    match reason {
        StopReason::End | StopReason::Sequence | StopReason::Pause => "stop",
        StopReason::Refusal if has_refusal => "stop",
        StopReason::Refusal | StopReason::ContentFilter => "content_filter",
        StopReason::Length | StopReason::ContextWindow => "length",
        StopReason::ToolUse => "tool_calls",
    }
}

/// Gemini's proof on a call, where Google's own chat front has it.
fn google_signature(o: &mut Object<'_>, signature: Option<&Signature<'_>>) {
    if let Some(signature) = signature {
        o.object("extra_content", |o| {
            o.object("google", |o| o.string("thought_signature", &signature.written(Origin::Gemini)));
        });
    }
}

/// The JSON of a value that is of this wire.
fn own<'o>(opaque: Option<&'o Opaque<'_>>) -> Option<&'o str> {
    opaque.filter(|opaque| opaque.origin == Wire::Chat).map(|opaque| opaque.value.get())
}
