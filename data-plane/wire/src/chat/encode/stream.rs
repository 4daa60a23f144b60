//! Chunks of a stream.

use crate::canonical::{Delta, Event, Opening, Signature, Stop, ToolKind, legal::CHOICES_MAX};
use crate::chat::{decode::AUDIO, usage};
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
    tier: Option<String>,
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
    tail: Vec<u8>,
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
        Self {
            context,
            phase: Phase::Waiting,
            frame: Frame::default(),
            choices: Vec::new(),
            usage: None,
            tier: None,
        }
    }

    fn begin(&mut self, model: &str, out: &mut Vec<u8>) {
        self.phase = Phase::Running;
        let mut fields = Vec::new();
        write::object(&mut fields, |o| self.fields(o, model));
        // What follows stands in the same object.
        fields.pop();
        self.frame.head = [b"data: ", fields.as_slice(), b",\"choices\":["].concat();
        self.frame.tail = self.tail(None);
        self.choice(0, out);
    }

    /// What stands behind the choices.
    fn tail(&self, usage: Option<&Usage>) -> Vec<u8> {
        let mut fields = Vec::new();
        write::object(&mut fields, |o| {
            o.some_string("service_tier", self.tier.as_deref());
            match usage {
                Some(usage) => usage::write(o, usage),
                None if self.context.include_usage => o.value("usage", &()),
                None => {}
            }
        });
        // It goes on with the chunk's object.
        let fields = fields.get(1..).unwrap_or_default();
        let comma: &[u8] = if fields == b"}" { b"" } else { b"," };
        [b"]", comma, fields, b"\n\n"].concat()
    }

    fn fields(&self, o: &mut Object<'_>, model: &str) {
        o.value("id", &format_args!("{}", self.context.answer_id("chatcmpl-")));
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
            out.extend_from_slice(&self.tail(Some(&usage)));
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
            Event::ServiceTier(tier) => {
                self.tier = Some(tier.as_ref().to_owned());
                self.frame.tail = self.tail(None);
            }
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
        write::line(out, |o| {
            o.value("index", &self.number);
            o.object("delta", fill);
            o.raw("logprobs", logprobs);
            o.value("finish_reason", &finish);
        });
        out.extend_from_slice(&self.frame.tail);
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
            Opening::Opaque(opaque) => {
                if let Some(value) = own(Some(opaque)).filter(|_| opaque.kind == AUDIO) {
                    chunks.delta(out, |o| o.raw("audio", value));
                }
                Open::Nothing
            }
        };
    }

    fn delta(&mut self, delta: &Delta<'_>, chunks: Chunks<'_>, out: &mut Vec<u8>) {
        match (delta, &mut self.open) {
            (delta, _) if delta.is_empty() => {}
            (Delta::Text(text), Open::Text) => chunks.delta(out, |o| o.string("content", text)),
            (Delta::Text(text), Open::Refusal) => chunks.delta(out, |o| o.string("refusal", text)),
            (Delta::Text(text), Open::Reasoning { written, parted }) => {
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
                *empty = false;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::{Origin, SignatureKind, StopReason};
    use crate::codec::StreamEncoder as _;
    use crate::error::ErrorKind;

    fn context(include_usage: bool) -> Context {
        Context {
            id: "01J".to_owned(),
            created: 7,
            model: "asked".to_owned(),
            include_usage,
            ..Context::default()
        }
    }

    /// The frames, each without what is the same in all of them.
    fn frames(include_usage: bool, events: &[Event<'_>]) -> Vec<String> {
        let mut encoder = StreamEncoder::new(context(include_usage));
        let mut out = Vec::new();
        events.iter().for_each(|event| encoder.event(event, &mut out));
        let text = String::from_utf8(out).unwrap();
        let frames = text.split_terminator("\n\n").map(|frame| {
            let frame = frame.replace(HEAD, "").replace(r#""logprobs":null,"finish_reason":null"#, "…");
            frame.replace(r#""index":0,"delta":"#, "")
        });
        frames.collect()
    }

    const HEAD: &str = r#"data: {"id":"chatcmpl-01J","object":"chat.completion.chunk","created":7,"model":"served","system_fingerprint":null,"choices":["#;
    const ROLE: &str = r#"{{"role":"assistant","content":"","refusal":null},…}]}"#;

    fn start() -> Event<'static> {
        Event::Start { id: "up".into(), model: "served".into() }
    }

    fn open(index: u32, opening: Opening<'static>) -> Event<'static> {
        Event::Open { choice: 0, index, opening }
    }

    fn delta(index: u32, delta: Delta<'static>) -> Event<'static> {
        Event::Delta { choice: 0, index, delta }
    }

    fn call(kind: ToolKind) -> Opening<'static> {
        let proof =
            Signature { origin: Origin::Gemini, kind: SignatureKind::Proof, id: None, value: "s".into() };
        let signature = (kind == ToolKind::Function).then_some(proof);
        Opening::ToolCall { id: "x".into(), name: "f".into(), kind, namespace: None, signature }
    }

    fn stop(reason: StopReason) -> Event<'static> {
        Event::Stop { choice: 0, stop: Stop::of(reason) }
    }

    fn close(index: u32) -> Event<'static> {
        Event::Close { choice: 0, index }
    }

    #[test]
    fn words_come_between_the_role_and_the_reason() {
        let events = [
            start(),
            Event::Ping,
            open(0, Opening::Text),
            delta(0, Delta::Text("hi\n".into())),
            close(0),
            stop(StopReason::End),
            Event::End,
            Event::Ping,
        ];
        let expected = [
            ROLE,
            ": ping",
            r#"{{"content":"hi\n"},…}]}"#,
            r#"{{},"logprobs":null,"finish_reason":"stop"}]}"#,
            "data: [DONE]",
        ];
        assert_eq!(frames(false, &events), expected);
    }

    #[test]
    fn calls_are_counted_and_never_without_arguments() {
        let events = [
            start(),
            open(0, call(ToolKind::Function)),
            close(0),
            open(1, call(ToolKind::Custom)),
            delta(1, Delta::Arguments("ls".into())),
            close(1),
            stop(StopReason::ToolUse),
        ];
        let expected = [
            ROLE,
            r#"{{"tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":"f","arguments":""},"extra_content":{"google":{"thought_signature":"s"}}}]},…}]}"#,
            r#"{{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},…}]}"#,
            r#"{{"tool_calls":[{"index":1,"id":"x","type":"custom","custom":{"name":"f","input":""}}]},…}]}"#,
            r#"{{"tool_calls":[{"index":1,"custom":{"input":"ls"}}]},…}]}"#,
            r#"{{},"logprobs":null,"finish_reason":"tool_calls"}]}"#,
        ];
        assert_eq!(frames(false, &events), expected);
    }

    #[test]
    fn reasoning_goes_out_to_be_shown_and_to_be_handed_back() {
        let sealed = Signature {
            origin: Origin::OpenAi,
            kind: SignatureKind::Encrypted,
            id: Some("rs_1".into()),
            value: "q".into(),
        };
        let events = [
            start(),
            open(0, Opening::Reasoning),
            delta(0, Delta::Text("one".into())),
            delta(0, Delta::Signature(sealed)),
            close(0),
            open(1, Opening::Reasoning),
            delta(1, Delta::Text("two".into())),
            delta(1, Delta::Text("!".into())),
            close(1),
        ];
        let expected = [
            ROLE,
            r#"{{"reasoning_content":"one","reasoning_details":[{"type":"reasoning.text","text":"one","index":0}]},…}]}"#,
            r#"{{"reasoning_details":[{"type":"reasoning.encrypted","data":"sy1.openai.encrypted.rs_1.q","index":0}]},…}]}"#,
            r#"{{"reasoning_content":"\n\ntwo","reasoning_details":[{"type":"reasoning.text","text":"two","index":1}]},…}]}"#,
            r#"{{"reasoning_content":"!","reasoning_details":[{"type":"reasoning.text","text":"!","index":1}]},…}]}"#,
        ];
        assert_eq!(frames(false, &events), expected);
    }

    #[test]
    fn usage_has_a_chunk_of_its_own_where_it_was_asked_for() {
        let usage = Usage { input: 1, output: 2, ..Usage::default() };
        let events = [start(), Event::Usage(usage), stop(StopReason::Refusal), Event::End];
        let found = frames(true, &events);
        let role = ROLE.replace("]}", r#"],"usage":null}"#);
        assert_eq!(found[0], role);
        assert_eq!(found[1], r#"{{},"logprobs":null,"finish_reason":"content_filter"}],"usage":null}"#);
        assert!(
            found[2].starts_with(r#"],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"#)
        );
        assert_eq!((found[3].as_str(), found.len()), ("data: [DONE]", 4));
        assert_eq!(frames(false, &events).len(), 3);
    }

    #[test]
    fn each_choice_begins_with_its_role() {
        let text = Event::Open { choice: 1, index: 0, opening: Opening::Text };
        let words = Event::Delta { choice: 1, index: 0, delta: Delta::Text("b".into()) };
        let found = frames(false, &[start(), text, words]);
        assert_eq!(found.len(), 3);
        assert!(found[1].starts_with(r#"{"index":1,"delta":{"role":"assistant""#));
        assert!(found[2].starts_with(r#"{"index":1,"delta":{"content":"b"}"#));
    }

    #[test]
    fn a_stream_without_content_is_whole_and_an_error_ends_one() {
        let mut encoder = StreamEncoder::new(context(true));
        let mut out = Vec::new();
        encoder.event(&Event::End, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#""model":"asked""#) && text.contains(r#""role":"assistant""#), "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"));

        let mut encoder = StreamEncoder::new(context(true));
        let mut out = Vec::new();
        let kind = ErrorKind::Overloaded;
        let error =
            WireError { status: 529, kind, message: "busy", code: None, param: None, request_id: "01J" };
        encoder.event(&start(), &mut out);
        out.clear();
        encoder.error(&error, &mut out);
        encoder.event(&Event::End, &mut out);
        encoder.error(&error, &mut out);
        assert_eq!(out, stream_event(Wire::Chat, &error));
    }
}
