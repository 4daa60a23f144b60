//! Output items as clients get them, whole.

use serde_json::value::RawValue;
use shared::wire::Wire;

use crate::{
    canonical::{Opaque, Origin, Signature, ToolKind},
    codec::Context,
    json::write::Object,
};

pub(super) const COMPLETED: &str = "completed";

/// `{kind}_{request}_{place}`.
pub(super) fn id(kind: &str, context: &Context, place: usize) -> String {
    format!("{kind}_{}_{place}", context.id)
}

/// Text with what belongs to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Words<'w> {
    pub(super) text: &'w str,
    pub(super) annotations: Option<&'w RawValue>,
    pub(super) logprobs: Option<&'w RawValue>,
}

/// The value, if its form is this wire's.
pub(super) fn own<'o>(opaque: Option<&'o Opaque<'_>>) -> Option<&'o RawValue> {
    opaque.filter(|opaque| opaque.origin == Wire::Responses).map(|opaque| &*opaque.value)
}

/// Without a part the content is empty, as when the item begins.
pub(super) fn message(o: &mut Object<'_>, id: &str, status: &str, part: Option<&dyn Fn(&mut Object<'_>)>) {
    o.string("id", id);
    o.string("type", "message");
    o.string("status", status);
    o.array("content", |a| {
        if let Some(part) = part {
            a.object(part);
        }
    });
    o.string("role", "assistant");
}

pub(super) fn text_part(o: &mut Object<'_>, words: Words<'_>) {
    o.string("type", "output_text");
    o.raw("annotations", words.annotations.map_or("[]", RawValue::get));
    o.raw("logprobs", words.logprobs.map_or("[]", RawValue::get));
    o.string("text", words.text);
}

pub(super) fn refusal_part(o: &mut Object<'_>, words: &str) {
    o.string("type", "refusal");
    o.string("refusal", words);
}

pub(super) fn summary(o: &mut Object<'_>, text: &str) {
    o.array("summary", |a| {
        if !text.is_empty() {
            a.object(|o| summary_part(o, text));
        }
    });
}

pub(super) fn summary_part(o: &mut Object<'_>, text: &str) {
    o.string("type", "summary_text");
    o.string("text", text);
}

pub(super) fn reasoning(o: &mut Object<'_>, id: &str, text: &str, signature: Option<&Signature<'_>>) {
    o.string("id", id);
    o.string("type", "reasoning");
    summary(o, text);
    if let Some(signature) = signature {
        o.string("encrypted_content", &signature.written(Origin::OpenAi));
    }
}

/// A call, without its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Called<'c> {
    pub(super) id: &'c str,
    pub(super) name: &'c str,
    pub(super) namespace: Option<&'c str>,
    pub(super) kind: ToolKind,
}

impl Called<'_> {
    /// What the item's own id starts with.
    pub(super) const fn prefix(self) -> &'static str {
        match self.kind {
            ToolKind::Function => "fc",
            ToolKind::Custom => "ctc",
        }
    }
}

pub(super) fn call(o: &mut Object<'_>, id: &str, called: Called<'_>, status: &str, arguments: &str) {
    let (kind, field) = match called.kind {
        ToolKind::Function => ("function_call", "arguments"),
        ToolKind::Custom => ("custom_tool_call", "input"),
    };
    o.string("id", id);
    o.string("type", kind);
    o.string("status", status);
    o.string(field, arguments);
    o.string("call_id", called.id);
    o.string("name", called.name);
    o.some_string("namespace", called.namespace);
}

/// A function's arguments are an object, also where there are none.
pub(super) fn arguments(kind: ToolKind, text: &str) -> &str {
    match kind {
        ToolKind::Function if text.trim().is_empty() => "{}",
        _ => text,
    }
}
