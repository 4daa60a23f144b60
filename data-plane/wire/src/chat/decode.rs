//! From chat's JSON to the canonical form.
//!
//! A message's content becomes blocks in the order: reasoning, text, refusal, calls. Reasoning is read from
//! `reasoning_details`, which this gateway's own clients hand back with the proofs in it, else from
//! `reasoning_content` or `reasoning`, as most other servers name it.

mod media;
mod message;
mod read;
mod reasoning;
mod request;
mod response;
mod stream;
mod tools;

pub(crate) use request::request;
pub(crate) use response::response;
pub(crate) use stream::StreamDecoder;

use serde_json::value::RawValue;

use self::media::Unknown;
use crate::canonical::{Origin, Signature, SignatureKind, StopReason};
use crate::json::record::{Str, record};
use crate::loss::{LossCode, Losses};

/// The kind of an opaque block that is speech: the message's field `audio`, which stands beside the content.
pub(crate) const AUDIO: &str = "message.audio";

/// What losses of an answer's messages are named after.
const ANSWER: &str = "choices.message";

/// Names the unknown fields of what stands at `place`, `below` it: `tool_calls.`.
fn lose(losses: &mut Losses, place: &str, below: &str, unknown: &Unknown<'_>) {
    for (name, _) in unknown {
        losses.add_path(LossCode::Field, &[place, ".", below, name]);
    }
}

/// Why it ended, in the word of `finish_reason`. Servers have words of their own; what is none that is known is taken
/// for an ordinary end.
fn stop_reason(word: &str, losses: &mut Losses) -> StopReason {
    match word {
        "" | "stop" | "STOP" | "stop_sequence" | "end_turn" | "eos" | "eos_token" => StopReason::End,
        "length" | "max_tokens" | "MAX_TOKENS" => StopReason::Length,
        "tool_calls" | "function_call" => StopReason::ToolUse,
        "content_filter" | "safety" | "SAFETY" => StopReason::ContentFilter,
        "refusal" => StopReason::Refusal,
        word => {
            losses.add_path(LossCode::Field, &["choices.finish_reason.", word]);
            StopReason::End
        }
    }
}

record! {
    struct ExtraContent { google: Google<'a> = "google" }
}

record! {
    struct Google { thought_signature: Str<'a> = "thought_signature" }
}

/// Gemini's proof as Google's own chat front puts it on a call: `{"google":{"thought_signature"}}`. What has another
/// shape holds none.
fn google_signature(extra_content: Option<&RawValue>) -> Option<Signature<'_>> {
    let extra: ExtraContent<'_> = serde_json::from_str(extra_content?.get()).ok()?;
    let Str(value) = extra.google?.thought_signature?;
    Some(Signature::read(value, Origin::Gemini, SignatureKind::Proof))
}
