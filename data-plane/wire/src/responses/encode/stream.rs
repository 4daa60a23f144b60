//! A stream's events, numbered, each item told step by step and then whole.

mod item;

use shared::{usage::Usage, wire::Wire};

use self::item::Item;
use super::{
    object::{self, Head, Status},
    output,
};
use crate::{
    canonical::{Delta, Event, Opaque, Opening, Origin, Signature, StopReason},
    codec::{self, Context},
    error::WireError,
    json::write::{self, Object},
    responses::{error, names_a_part},
};

#[derive(Debug)]
pub(crate) struct StreamEncoder {
    context: Context,
    /// The upstream's word for it.
    model: String,
    phase: Phase,
    frames: Frames,
    /// Whole items, as JSON.
    output: Vec<String>,
    open: Option<Item>,
    usage: Option<Usage>,
    tier: Option<String>,
    reason: StopReason,
    refuses: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Ahead,
    Running,
    Over,
}

/// Writes frames and counts them.
#[derive(Debug, Default)]
struct Frames {
    sequence_number: u64,
}

impl Frames {
    fn write(&mut self, out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut Object<'_>)) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        write::line(out, |o| {
            o.string("type", kind);
            o.value("sequence_number", &self.sequence_number);
            fill(o);
        });
        out.extend_from_slice(b"\n\n");
        self.sequence_number += 1;
    }
}

impl codec::StreamEncoder for StreamEncoder {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            _ if self.phase == Phase::Over => {}
            Event::Start { model, .. } => self.start(model, out),
            Event::Open { choice: 0, opening, .. } => self.open(opening, out),
            Event::Delta { choice: 0, delta, .. } => self.delta(delta, out),
            Event::Close { choice: 0, .. } => self.close(out),
            Event::Stop { choice: 0, stop } => self.reason = stop.reason,
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::ServiceTier(tier) => self.tier = Some(tier.as_ref().to_owned()),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => self.end(out),
            Event::Error(_)
            | Event::Open { .. }
            | Event::Delta { .. }
            | Event::Close { .. }
            | Event::Stop { .. } => {}
        }
    }

    fn error(&mut self, error: &WireError<'_>, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        self.phase = Phase::Over;
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(&error::numbered_event(error, self.frames.sequence_number));
        out.extend_from_slice(b"\n\nevent: response.failed\ndata: ");
        let id = self.context.answer_id("resp_").to_string();
        out.extend_from_slice(&error::numbered_failed(error, &id, self.frames.sequence_number + 1));
        out.extend_from_slice(b"\n\n");
    }
}

impl StreamEncoder {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            model: String::new(),
            phase: Phase::Ahead,
            frames: Frames::default(),
            output: Vec::new(),
            open: None,
            usage: None,
            tier: None,
            reason: StopReason::default(),
            refuses: false,
        }
    }

    fn start(&mut self, model: &str, out: &mut Vec<u8>) {
        if self.phase != Phase::Ahead {
            return;
        }
        self.phase = Phase::Running;
        model.clone_into(&mut self.model);
        self.object("response.created", Status::InProgress, out);
        self.object("response.in_progress", Status::InProgress, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start("", out);
        self.close(out);
        self.phase = Phase::Over;
        let status = Status::of(self.reason, self.refuses);
        let kind = match status {
            Status::Incomplete(_) => "response.incomplete",
            Status::Completed | Status::InProgress => "response.completed",
        };
        self.object(kind, status, out);
    }

    fn object(&mut self, kind: &str, status: Status, out: &mut Vec<u8>) {
        let (context, output) = (&self.context, &self.output);
        let usage = self.usage.as_ref().filter(|_| !matches!(status, Status::InProgress));
        let head =
            Head { status, model: &self.model, usage, service_tier: self.tier.as_deref(), extras: &[] };
        self.frames.write(out, kind, |o| {
            o.object("response", |o| {
                object::write(o, context, &head, |a| output.iter().for_each(|item| a.raw(item)));
            });
        });
    }

    fn open(&mut self, opening: &Opening<'_>, out: &mut Vec<u8>) {
        self.start("", out);
        self.close(out);
        match opening {
            Opening::Opaque(own) => self.opaque(own, out),
            Opening::ToolCall { signature, .. } => self.carry(signature.as_ref(), out),
            Opening::Refusal => self.refuses = true,
            Opening::Text | Opening::Reasoning => {}
        }
        self.open = Item::open(opening);
        if let Some(item) = self.open.as_mut().filter(|item| !item.waits()) {
            item.announce(&self.context, self.output.len(), &mut self.frames, out);
        }
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(mut item) = self.open.take() else { return };
        match delta {
            Delta::Text(text) | Delta::Arguments(text) if !text.is_empty() => {
                item.announce(&self.context, self.output.len(), &mut self.frames, out);
                item.grow(text, &mut self.frames, out);
            }
            Delta::Text(_) | Delta::Arguments(_) => {}
            Delta::Signature(signature) => {
                if item.waits() {
                    self.carry(Some(signature), out);
                } else {
                    item.sign(signature);
                }
            }
            Delta::Annotation(own) if own.origin == Wire::Responses => {
                item.announce(&self.context, self.output.len(), &mut self.frames, out);
                item.annotate(own, &mut self.frames, out);
            }
            Delta::Logprobs(own) if own.origin == Wire::Responses => item.weigh(own),
            Delta::Annotation(_) | Delta::Logprobs(_) => {}
        }
        self.open = Some(item);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(mut item) = self.open.take() else { return };
        item.announce(&self.context, self.output.len(), &mut self.frames, out);
        self.output.push(item.close(&mut self.frames, out));
        // Text went ahead of the signature; what is behind it can still carry it.
        self.carry(item.late_signature(), out);
    }

    /// Gemini signs parts: here the signature is reasoning that holds nothing else.
    fn carry(&mut self, signature: Option<&Signature<'_>>, out: &mut Vec<u8>) {
        let Some(signature) = signature.filter(|signature| signature.origin == Origin::Gemini) else {
            return;
        };
        let mut item = Item::carrier(signature);
        item.announce(&self.context, self.output.len(), &mut self.frames, out);
        self.output.push(item.close(&mut self.frames, out));
    }

    fn opaque(&mut self, own: &Opaque<'_>, out: &mut Vec<u8>) {
        if own.origin != Wire::Responses || names_a_part(&own.kind) {
            return;
        }
        for kind in ["response.output_item.added", "response.output_item.done"] {
            self.frames.write(out, kind, |o| {
                o.value("output_index", &self.output.len());
                o.raw("item", own.value.get());
            });
        }
        self.output.push(own.value.get().to_owned());
    }
}
