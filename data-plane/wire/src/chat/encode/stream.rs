//! Chunks of a stream.

use crate::canonical::{Delta, Event, Opening, Signature, Stop, ToolKind, legal::CHOICES_MAX};
use crate::chat::usage;
use crate::codec::{self, Context};
use crate::error::{WireError, stream_event};
use crate::json::write::{self, Object};
use shared::{usage::Usage, wire::Wire};

use super::message::{call, words};
use super::reasoning::{SEPARATOR, detail};
use super::{finish_reason, google_signature, own};

/// Writes a stream's frames: for each choice a chunk with its role first and one with its `finish_reason` last, then
/// the usage if it was asked for, and `[DONE]`.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    context: Context,
    phase: Phase,
    frame: Frame,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    Over,
}

/// What stands around the choices of every chunk.
#[derive(Debug, Default)]
struct Frame {
    head: Vec<u8>,
    tail: &'static str,
}

#[derive(Debug, Default)]
struct Choice {
    begun: bool,
    open: Open,
    calls: usize,
    /// Entries of `reasoning_details`.
    details: usize,
    /// Words of reasoning went out.
    reasoned: bool,
    refuses: bool,
}

/// The block that is open.
#[derive(Debug, Clone, Copy, Default)]
enum Open {
    /// None, or one that this wire has no words for.
    #[default]
    Nothing,
    Text,
    Refusal,
    /// `written`: it has an entry of `reasoning_details`. `parted`: its words stand apart from those of the reasoning
    /// before, or are the first.
    Reasoning {
        written: bool,
        parted: bool,
    },
    Call {
        index: usize,
        kind: ToolKind,
        empty: bool,
    },
}

impl StreamEncoder {
    pub(crate) fn new(context: Context) -> Self {
        Self { context, phase: Phase::Waiting, frame: Frame::default(), choices: Vec::new(), usage: None }
    }

    fn begin(&mut self, model: &str, out: &mut Vec<u8>) {
        self.phase = Phase::Running;
        let mut fields = Vec::new();
        write::object(&mut fields, |o| self.fields(o, model));
        // What follows stands in the same object.
        fields.pop();
        self.frame.head = [b"data: ", fields.as_slice(), b",\"choices\":["].concat();
        self.frame.tail = if self.context.include_usage { "],\"usage\":null}\n\n" } else { "]}\n\n" };
        self.choice(0, out);
    }

    fn fields(&self, o: &mut Object<'_>, model: &str) {
        o.value("id", &format_args!("chatcmpl-{}", self.context.id));
        o.string("object", "chat.completion.chunk");
        o.value("created", &self.context.created);
        o.string("model", if model.is_empty() { &self.context.model } else { model });
        o.value("system_fingerprint", &());
    }

    /// A choice, which begins if it has not yet.
    fn choice(&mut self, number: u32, out: &mut Vec<u8>) -> (&mut Choice, Chunks<'_>) {
        if self.phase == Phase::Waiting {
            self.begin("", out);
        }
        let at = (number as usize).min(CHOICES_MAX - 1);
        if self.choices.len() <= at {
            self.choices.resize_with(at + 1, Choice::default);
        }
        let chunks = Chunks { frame: &self.frame, number };
        let choice = &mut self.choices[at];
        if !std::mem::replace(&mut choice.begun, true) {
            chunks.delta(out, |o| {
                o.string("role", "assistant");
                o.string("content", "");
                o.value("refusal", &());
            });
        }
        (choice, chunks)
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.phase = Phase::Over;
        if let Some(usage) = self.usage.filter(|_| self.context.include_usage) {
            out.extend_from_slice(&self.frame.head);
            out.extend_from_slice(b"],");
            let mut field = Vec::new();
            write::object(&mut field, |o| usage::write(o, &usage));
            // Without its opening brace: it goes into the chunk's object.
            out.extend_from_slice(field.get(1..).unwrap_or_default());
            out.extend_from_slice(b"\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl codec::StreamEncoder for StreamEncoder {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        match event {
            Event::Start { model, .. } => {
                if self.phase == Phase::Waiting {
                    self.begin(model, out);
                }
            }
            Event::Open { choice, opening, .. } => {
                let (choice, chunks) = self.choice(*choice, out);
                choice.open(opening, chunks, out);
            }
            Event::Delta { choice, delta, .. } => {
                let (choice, chunks) = self.choice(*choice, out);
                choice.delta(delta, chunks, out);
            }
            Event::Close { choice, .. } => {
                let (choice, chunks) = self.choice(*choice, out);
                choice.close(chunks, out);
            }
            Event::Stop { choice, stop } => {
                let (choice, chunks) = self.choice(*choice, out);
                choice.stop(stop, chunks, out);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error(_) => {}
            Event::End => {
                self.choice(0, out);
                self.end(out);
            }
        }
    }

    fn error(&mut self, error: &WireError<'_>, out: &mut Vec<u8>) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            out.extend_from_slice(&stream_event(Wire::Chat, error));
        }
    }
}

/// Writes chunks of one choice.
#[derive(Clone, Copy)]
struct Chunks<'f> {
    frame: &'f Frame,
    number: u32,
}

impl Chunks<'_> {
    fn delta(self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        self.write(out, fill, "null", None);
    }

    fn write(
        self,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Object<'_>),
        logprobs: &str,
        finish: Option<&str>,
    ) {
        out.extend_from_slice(&self.frame.head);
        write::object(out, |o| {
            o.value("index", &self.number);
            o.object("delta", fill);
            o.raw("logprobs", logprobs);
            o.value("finish_reason", &finish);
        });
        out.extend_from_slice(self.frame.tail.as_bytes());
    }

    /// A piece of a call's arguments.
    fn arguments(self, out: &mut Vec<u8>, index: usize, kind: ToolKind, text: &str) {
        let (word, field) = words(kind);
        self.delta(out, |o| {
            o.array("tool_calls", |a| {
                a.object(|o| {
                    o.value("index", &index);
                    o.object(word, |o| o.string(field, text));
                });
            });
        });
    }
}

impl Choice {
    fn open(&mut self, opening: &Opening<'_>, chunks: Chunks<'_>, out: &mut Vec<u8>) {
        self.open = match opening {
            Opening::Text => Open::Text,
            Opening::Reasoning => Open::Reasoning { written: false, parted: !self.reasoned },
            Opening::Refusal => {
                self.refuses = true;
                Open::Refusal
            }
            Opening::ToolCall { id, name, kind, signature, .. } => {
                let index = self.calls;
                self.calls += 1;
                chunks.delta(out, |o| {
                    o.array("tool_calls", |a| {
                        a.object(|o| {
                            o.value("index", &index);
                            o.string("id", id);
                            call(o, *kind, name, "");
                            google_signature(o, signature.as_ref());
                        });
                    });
                });
                Open::Call { index, kind: *kind, empty: true }
            }
            Opening::Opaque(_) => Open::Nothing,
        };
    }

    fn delta(&mut self, delta: &Delta<'_>, chunks: Chunks<'_>, out: &mut Vec<u8>) {
        match (delta, &mut self.open) {
            (Delta::Text(text), Open::Text) => chunks.delta(out, |o| o.string("content", text)),
            (Delta::Text(text), Open::Refusal) => chunks.delta(out, |o| o.string("refusal", text)),
            (Delta::Text(text), Open::Reasoning { written, parted }) if !text.is_empty() => {
                *written = true;
                let separator = if std::mem::replace(parted, true) { "" } else { SEPARATOR };
                self.reasoned = true;
                let index = self.details;
                chunks.delta(out, |o| {
                    o.value("reasoning_content", &format_args!("{separator}{text}"));
                    detail(o, index, text, None);
                });
            }
            (Delta::Arguments(text), Open::Call { index, kind, empty }) => {
                *empty &= text.is_empty();
                chunks.arguments(out, *index, *kind, text);
            }
            (Delta::Signature(signature), open @ (Open::Text | Open::Reasoning { .. })) => {
                if let Open::Reasoning { written, .. } = open {
                    *written = true;
                }
                let is_of_text = matches!(open, Open::Text);
                self.signature(signature, is_of_text, chunks, out);
            }
            (Delta::Annotation(annotation), Open::Text) => {
                if let Some(value) = own(Some(annotation)) {
                    chunks.delta(out, |o| o.raw("annotations", value));
                }
            }
            (Delta::Logprobs(logprobs), Open::Text | Open::Refusal) => {
                if let Some(value) = own(Some(logprobs)) {
                    chunks.write(out, |o| o.string("content", ""), value, None);
                }
            }
            _ => {}
        }
    }

    /// A proof of a text is an entry of its own.
    fn signature(
        &mut self,
        signature: &Signature<'_>,
        is_of_text: bool,
        chunks: Chunks<'_>,
        out: &mut Vec<u8>,
    ) {
        let index = self.details;
        self.details += usize::from(is_of_text);
        chunks.delta(out, |o| detail(o, index, "", Some(signature)));
    }

    fn close(&mut self, chunks: Chunks<'_>, out: &mut Vec<u8>) {
        match std::mem::take(&mut self.open) {
            Open::Reasoning { written: true, .. } => self.details += 1,
            // Clients parse a function's arguments.
            Open::Call { index, kind: ToolKind::Function, empty: true } => {
                chunks.arguments(out, index, ToolKind::Function, "{}");
            }
            _ => {}
        }
    }

    fn stop(&mut self, stop: &Stop<'_>, chunks: Chunks<'_>, out: &mut Vec<u8>) {
        let finish = finish_reason(stop.reason, self.refuses);
        chunks.write(out, |_| {}, "null", Some(finish));
    }
}
