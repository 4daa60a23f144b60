//! One output item of a stream.

use serde_json::value::RawValue;

use super::{
    Frames,
    output::{self, COMPLETED, Called, Words},
};
use crate::{
    canonical::{Opaque, Opening, Origin, Signature, ToolKind},
    codec::Context,
    json::{
        self,
        write::{self, Object},
    },
};

const IN_PROGRESS: &str = "in_progress";

#[derive(Debug)]
pub(super) struct Item {
    /// Its own id and its place in the output, once it was announced.
    announced: Option<(String, usize)>,
    /// All that was said of it: text, or a call's arguments.
    said: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Text(Extra),
    Refusal,
    Reasoning { signature: Option<Signature<'static>> },
    Call { id: String, name: String, namespace: Option<String>, kind: ToolKind },
}

/// What belongs to a text.
#[derive(Debug, Default)]
struct Extra {
    annotations: Option<Opaque<'static>>,
    logprobs: Option<Opaque<'static>>,
    /// It came when the text had begun.
    signature: Option<Signature<'static>>,
}

impl Item {
    /// None: the block is told whole.
    pub(super) fn open(opening: &Opening<'_>) -> Option<Self> {
        let body = match opening {
            Opening::Text => Body::Text(Extra::default()),
            Opening::Refusal => Body::Refusal,
            Opening::Reasoning => Body::Reasoning { signature: None },
            Opening::ToolCall { id, name, kind, namespace, .. } => Body::Call {
                id: id.clone().into_owned(),
                name: name.clone().into_owned(),
                namespace: namespace.clone().map(std::borrow::Cow::into_owned),
                kind: *kind,
            },
            Opening::Opaque(_) => return None,
        };
        Some(Self { announced: None, said: String::new(), body })
    }

    /// Reasoning that holds nothing but a signature.
    pub(super) fn carrier(signature: &Signature<'_>) -> Self {
        let signature = Some(signature.clone().into_owned());
        Self { announced: None, said: String::new(), body: Body::Reasoning { signature } }
    }

    /// Text is announced when there is some: until then a signature may come that goes ahead of it.
    pub(super) const fn waits(&self) -> bool {
        matches!(self.body, Body::Text(_)) && self.announced.is_none()
    }

    pub(super) fn announce(
        &mut self,
        context: &Context,
        place: usize,
        frames: &mut Frames,
        out: &mut Vec<u8>,
    ) {
        if self.announced.is_some() {
            return;
        }
        let prefix = match &self.body {
            Body::Text(_) | Body::Refusal => "msg",
            Body::Reasoning { .. } => "rs",
            Body::Call { kind: ToolKind::Function, .. } => "fc",
            Body::Call { kind: ToolKind::Custom, .. } => "ctc",
        };
        let id = output::id(prefix, context, place);
        frames.write(out, "response.output_item.added", |o| {
            o.value("output_index", &place);
            o.object("item", |o| match &self.body {
                Body::Text(_) | Body::Refusal => output::message(o, &id, IN_PROGRESS, None),
                Body::Reasoning { .. } => output::reasoning(o, &id, "", None),
                Body::Call { .. } => self.call(o, &id, IN_PROGRESS, ""),
            });
        });
        self.announced = Some((id, place));
        if matches!(self.body, Body::Text(_) | Body::Refusal) {
            self.frame(frames, out, "response.content_part.added", |o| {
                o.value("content_index", &0);
                o.object("part", |o| self.part(o, ""));
            });
        }
    }

    pub(super) fn grow(&mut self, text: &str, frames: &mut Frames, out: &mut Vec<u8>) {
        if matches!(self.body, Body::Reasoning { .. }) && self.said.is_empty() {
            self.frame(frames, out, "response.reasoning_summary_part.added", |o| {
                o.value("summary_index", &0);
                o.object("part", |o| output::summary_part(o, ""));
            });
        }
        self.said.push_str(text);
        let (kind, index) = match &self.body {
            Body::Text(_) => ("response.output_text.delta", Some("content_index")),
            Body::Refusal => ("response.refusal.delta", Some("content_index")),
            Body::Reasoning { .. } => ("response.reasoning_summary_text.delta", Some("summary_index")),
            Body::Call { kind: ToolKind::Function, .. } => ("response.function_call_arguments.delta", None),
            Body::Call { kind: ToolKind::Custom, .. } => ("response.custom_tool_call_input.delta", None),
        };
        self.frame(frames, out, kind, |o| {
            o.some(index.unwrap_or_default(), index.map(|_| &0));
            o.string("delta", text);
            if matches!(self.body, Body::Text(_)) {
                o.raw("logprobs", "[]");
            }
        });
    }

    pub(super) fn sign(&mut self, signature: &Signature<'_>) {
        let place = match &mut self.body {
            Body::Text(extra) => &mut extra.signature,
            Body::Reasoning { signature } => signature,
            Body::Refusal | Body::Call { .. } => return,
        };
        *place = Some(signature.clone().into_owned());
    }

    pub(super) fn annotate(&mut self, own: &Opaque<'_>, frames: &mut Frames, out: &mut Vec<u8>) {
        let Body::Text(Extra { annotations: place @ None, .. }) = &mut self.body else { return };
        *place = Some(own.clone().into_owned());
        let mut index = 0_u64;
        // Annotations that are no array stand in the whole item only.
        let _ = json::array(own.value.get(), |annotation| {
            self.frame(frames, out, "response.output_text.annotation.added", |o| {
                o.value("content_index", &0);
                o.value("annotation_index", &index);
                o.raw("annotation", annotation);
            });
            index += 1;
        });
    }

    pub(super) fn weigh(&mut self, own: &Opaque<'_>) {
        if let Body::Text(Extra { logprobs: place @ None, .. }) = &mut self.body {
            *place = Some(own.clone().into_owned());
        }
    }

    /// Tells the item whole, and returns it.
    pub(super) fn close(&mut self, frames: &mut Frames, out: &mut Vec<u8>) -> String {
        match &self.body {
            Body::Text(extra) => {
                let logprobs = output::own(extra.logprobs.as_ref());
                self.frame(frames, out, "response.output_text.done", |o| {
                    o.value("content_index", &0);
                    o.string("text", &self.said);
                    o.raw("logprobs", logprobs.map_or("[]", RawValue::get));
                });
                self.close_part(frames, out);
            }
            Body::Refusal => {
                self.frame(frames, out, "response.refusal.done", |o| {
                    o.value("content_index", &0);
                    o.string("refusal", &self.said);
                });
                self.close_part(frames, out);
            }
            Body::Reasoning { .. } => self.close_summary(frames, out),
            Body::Call { kind, .. } => {
                let kind = *kind;
                let whole = output::arguments(kind, &self.said).to_owned();
                if whole != self.said {
                    self.said.clear();
                    self.grow(&whole, frames, out);
                }
                let (event, field) = match kind {
                    ToolKind::Function => ("response.function_call_arguments.done", "arguments"),
                    ToolKind::Custom => ("response.custom_tool_call_input.done", "input"),
                };
                self.frame(frames, out, event, |o| o.string(field, &whole));
            }
        }
        let mut item = Vec::new();
        write::object(&mut item, |o| self.whole(o));
        let item = String::from_utf8(item).unwrap_or_default();
        if let Some((_, place)) = &self.announced {
            frames.write(out, "response.output_item.done", |o| {
                o.value("output_index", place);
                o.raw("item", &item);
            });
        }
        item
    }

    pub(super) fn late_signature(&self) -> Option<&Signature<'static>> {
        match &self.body {
            Body::Text(extra) => extra.signature.as_ref(),
            _ => None,
        }
    }

    fn close_part(&self, frames: &mut Frames, out: &mut Vec<u8>) {
        self.frame(frames, out, "response.content_part.done", |o| {
            o.value("content_index", &0);
            o.object("part", |o| self.part(o, &self.said));
        });
    }

    fn close_summary(&self, frames: &mut Frames, out: &mut Vec<u8>) {
        if self.said.is_empty() {
            return;
        }
        self.frame(frames, out, "response.reasoning_summary_text.done", |o| {
            o.value("summary_index", &0);
            o.string("text", &self.said);
        });
        self.frame(frames, out, "response.reasoning_summary_part.done", |o| {
            o.value("summary_index", &0);
            o.object("part", |o| output::summary_part(o, &self.said));
        });
    }

    /// An event of this item.
    fn frame(&self, frames: &mut Frames, out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let Some((id, place)) = &self.announced else { return };
        frames.write(out, kind, |o| {
            o.string("item_id", id);
            o.value("output_index", place);
            fill(o);
        });
    }

    fn part(&self, o: &mut Object<'_>, text: &str) {
        match &self.body {
            Body::Refusal => output::refusal_part(o, text),
            Body::Text(extra) if !text.is_empty() => output::text_part(o, extra.words(text)),
            _ => output::text_part(o, Words { text, ..Words::default() }),
        }
    }

    fn call(&self, o: &mut Object<'_>, item: &str, status: &str, arguments: &str) {
        if let Body::Call { id, name, namespace, kind } = &self.body {
            let called = Called { id, name, namespace: namespace.as_deref(), kind: *kind };
            output::call(o, item, called, status, arguments);
        }
    }

    fn whole(&self, o: &mut Object<'_>) {
        let Some((id, _)) = &self.announced else { return };
        match &self.body {
            Body::Text(_) | Body::Refusal => {
                output::message(o, id, COMPLETED, Some(&|o| self.part(o, &self.said)));
            }
            Body::Reasoning { signature } => {
                let own = signature.as_ref().filter(|signature| signature.origin == Origin::OpenAi);
                let id = own.and_then(|own| own.id.as_deref()).unwrap_or(id);
                output::reasoning(o, id, &self.said, signature.as_ref());
            }
            Body::Call { .. } => self.call(o, id, COMPLETED, &self.said),
        }
    }
}

impl Extra {
    fn words<'w>(&'w self, text: &'w str) -> Words<'w> {
        let (annotations, logprobs) =
            (output::own(self.annotations.as_ref()), output::own(self.logprobs.as_ref()));
        Words { text, annotations, logprobs }
    }
}
