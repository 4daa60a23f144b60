//! Parts of a content.

use serde_json::value::RawValue;
use shared::wire::Wire;

use crate::{
    canonical::{Media, Opaque, Origin, Signature, Source, ToolCall, ToolKind, bundle::Carried},
    gemini::signature,
    json::write::{Array, Object},
};

pub(super) fn text(a: &mut Array<'_>, text: &str, signature: Option<&Signature<'_>>) {
    a.object(|o| {
        o.string("text", text);
        signed(o, signature);
    });
}

/// Signed by whomever: what is not Google's is packed.
pub(super) fn thought(a: &mut Array<'_>, text: &str, signature: Option<&Signature<'_>>) {
    a.object(|o| {
        o.string("text", text);
        o.value("thought", &true);
        if let Some(signature) = signature {
            o.string("thoughtSignature", &signature::written(signature));
        }
    });
}

/// `carried`: the reasoning that led to it, where it has no signature of its own.
pub(super) fn call(a: &mut Array<'_>, call: &ToolCall<'_>, id: Option<&str>, carried: &[Carried<'_>]) {
    a.object(|o| {
        o.object("functionCall", |o| {
            o.some_string("id", id);
            o.string("name", &call.name);
            match call.kind {
                ToolKind::Function => o.raw("args", &call.object()),
                ToolKind::Custom => o.object("args", |o| o.string("input", &call.arguments)),
            }
        });
        match own_signature(call.signature.as_ref()) {
            Some(own) => o.string("thoughtSignature", &own.value),
            None => o.some_string("thoughtSignature", signature::written_on_call(carried).as_deref()),
        }
    });
}

/// Whether the wire can say it.
pub(super) fn is_sayable(media: &Media<'_>) -> bool {
    !matches!(media.source, Source::File { origin, .. } if origin != Wire::Gemini)
}

pub(super) fn media(a: &mut Array<'_>, media: &Media<'_>, signature: Option<&Signature<'_>>) {
    if !is_sayable(media) {
        return;
    }
    a.object(|o| {
        match &media.source {
            Source::Base64 { media_type, data } => o.object("inlineData", |o| {
                o.string("mimeType", media_type);
                o.string("data", data);
            }),
            Source::Url { url, media_type } => o.object("fileData", |o| {
                o.some_string("mimeType", media_type.as_deref());
                o.string("fileUri", url);
            }),
            Source::File { id, .. } => o.object("fileData", |o| o.string("fileUri", id)),
            Source::Text { text } => o.string("text", text),
        }
        signed(o, signature);
    });
}

/// A part of Google's own.
pub(super) fn own<'o>(opaque: &'o Opaque<'_>) -> Option<&'o RawValue> {
    (opaque.origin == Wire::Gemini).then_some(&*opaque.value)
}

/// A part's signature can only be Gemini's own.
fn signed(o: &mut Object<'_>, signature: Option<&Signature<'_>>) {
    o.some_string("thoughtSignature", own_signature(signature).map(|signature| &*signature.value));
}

fn own_signature<'s, 'a>(signature: Option<&'s Signature<'a>>) -> Option<&'s Signature<'a>> {
    signature.filter(|signature| signature.origin == Origin::Gemini)
}

/// Another provider's reasoning, which is to stand on the call that follows.
pub(super) fn is_foreign(signature: Option<&Signature<'_>>) -> bool {
    signature.is_some_and(|signature| signature.origin != Origin::Gemini)
}
