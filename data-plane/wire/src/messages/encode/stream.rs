//! Streams. What a block is written as may depend on what comes first in it, so its start waits for that.

use std::borrow::Cow;

use shared::{usage::Usage, wire::Wire};

use super::{
    part::{Part, is_redacted, own, proof},
    response::{ending, head},
};
use crate::{
    canonical::{Delta, Event, Opening, Origin, Signature, Stop},
    codec::{self, Context},
    error::{WireError, stream_event},
    json::{
        self,
        write::{self, Object},
    },
    messages::usage,
};

#[derive(Debug)]
pub(crate) struct StreamEncoder {
    context: Context,
    phase: Phase,
    block: Block,
    /// The number of the block that is open, or of the next one.
    number: u32,
    usage: Option<Usage>,
    tier: Option<String>,
    /// Said at the end only: usage often comes between.
    stop: Stop<'static>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was said but pings.
    Before,
    Running,
    /// The end or an error was said; nothing follows.
    Ended,
}

/// The block that is open.
#[derive(Debug)]
enum Block {
    None,
    /// Its start is not written yet.
    NewText,
    NewReasoning,
    /// `late`: a signature that came when the text could no longer stand behind it.
    Text {
        late: Option<Signature<'static>>,
    },
    Thinking,
    Call,
    /// Its start says all.
    Whole,
    /// Of another wire: not written at all.
    Skipped,
}

impl codec::StreamEncoder for StreamEncoder {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.phase == Phase::Ended {
            return;
        }
        match event {
            Event::Start { model, .. } => self.start(model, out),
            Event::Open { choice: 0, opening, .. } => self.open(opening, out),
            Event::Delta { choice: 0, delta, .. } => self.grow(delta, out),
            Event::Close { choice: 0, .. } => self.close(out),
            Event::Stop { choice: 0, stop } => {
                let sequence = stop.sequence.as_deref().map(|sequence| Cow::Owned(sequence.to_owned()));
                self.stop = Stop { reason: stop.reason, sequence };
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            // At the end there is no place for it.
            Event::ServiceTier(tier) => self.tier = Some(tier.as_ref().to_owned()),
            Event::Ping => frame(out, "ping", |_| {}),
            Event::End => self.end(out),
            // This wire knows one choice only.
            Event::Open { .. } | Event::Delta { .. } | Event::Close { .. } | Event::Stop { .. } => {}
            Event::Error(_) => {}
        }
    }

    fn error(&mut self, error: &WireError<'_>, out: &mut Vec<u8>) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            out.extend_from_slice(&stream_event(Wire::Messages, error));
        }
    }
}

impl StreamEncoder {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            phase: Phase::Before,
            block: Block::None,
            number: 0,
            usage: None,
            tier: None,
            stop: Stop::default(),
        }
    }

    fn start(&mut self, model: &str, out: &mut Vec<u8>) {
        self.phase = Phase::Running;
        frame(out, "message_start", |o| {
            o.object("message", |o| {
                head(o, &self.context, model);
                o.array("content", |_| {});
                o.value("stop_reason", &());
                o.value("stop_sequence", &());
                o.object("usage", |o| {
                    match &self.usage {
                        Some(usage) => usage::write(o, usage),
                        None => usage::write_totals(o, &Usage::default()),
                    }
                    o.some_string("service_tier", self.tier.as_deref());
                });
            });
        });
    }

    fn open(&mut self, opening: &Opening<'_>, out: &mut Vec<u8>) {
        self.block = match opening {
            Opening::Text | Opening::Refusal => Block::NewText,
            Opening::Reasoning => Block::NewReasoning,
            Opening::ToolCall { id, name, signature, .. } => {
                if let Some(signature) = signature {
                    self.carry(signature, out);
                }
                self.begin(out, |o| {
                    o.object("content_block", |o| {
                        o.string("type", "tool_use");
                        o.string("id", id);
                        o.string("name", name);
                        o.object("input", |_| {});
                    });
                });
                Block::Call
            }
            Opening::Opaque(opaque) => match own(opaque) {
                Some(value) => {
                    self.begin(out, |o| o.raw("content_block", value.get()));
                    Block::Whole
                }
                None => Block::Skipped,
            },
        };
    }

    fn grow(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        match (delta, &mut self.block) {
            (Delta::Text(text) | Delta::Arguments(text), _) if text.is_empty() => {}
            (Delta::Text(text), Block::NewText | Block::Text { .. }) => {
                self.begin_text(out);
                self.delta(out, "text_delta", |o| o.string("text", text));
            }
            (Delta::Text(text), Block::NewReasoning | Block::Thinking) => {
                self.begin_thinking(out);
                self.delta(out, "thinking_delta", |o| o.string("thinking", text));
            }
            (Delta::Arguments(text), Block::Call) => {
                self.delta(out, "input_json_delta", |o| o.string("partial_json", text));
            }
            (Delta::Signature(signature), Block::NewText) => self.carry(signature, out),
            (Delta::Signature(signature), Block::Text { late }) => {
                *late = Some(signature.clone().into_owned());
            }
            (Delta::Signature(signature), Block::NewReasoning) if is_redacted(signature) => {
                self.begin_part(out, &Part::Redacted { data: &signature.value });
                self.block = Block::Whole;
            }
            (Delta::Signature(signature), Block::NewReasoning | Block::Thinking) => {
                self.begin_thinking(out);
                self.delta(out, "signature_delta", |o| o.string("signature", &proof(signature)));
            }
            (Delta::Annotation(annotation), Block::NewText | Block::Text { .. }) => {
                if let Some(value) = own(annotation) {
                    self.begin_text(out);
                    self.cite(value.get(), out);
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        match self.block {
            Block::NewText => self.begin_text(out),
            Block::NewReasoning => self.begin_thinking(out),
            _ => {}
        }
        let late = match std::mem::replace(&mut self.block, Block::None) {
            Block::None | Block::Skipped => return,
            Block::Text { late } => late,
            _ => None,
        };
        self.finish(out);
        if let Some(signature) = late {
            self.carry(&signature, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.phase = Phase::Ended;
        frame(out, "message_delta", |o| {
            o.object("delta", |o| ending(o, &self.stop));
            o.object("usage", |o| usage::write(o, &self.usage.unwrap_or_default()));
        });
        frame(out, "message_stop", |_| {});
    }

    fn begin_text(&mut self, out: &mut Vec<u8>) {
        if matches!(self.block, Block::NewText) {
            self.begin_part(out, &Part::plain(""));
            self.block = Block::Text { late: None };
        }
    }

    fn begin_thinking(&mut self, out: &mut Vec<u8>) {
        if matches!(self.block, Block::NewReasoning) {
            self.begin_part(out, &Part::Thinking { text: "", signature: Cow::Borrowed("") });
            self.block = Block::Thinking;
        }
    }

    /// A block of its own, with a signature that the block behind it can't carry.
    fn carry(&mut self, signature: &Signature<'_>, out: &mut Vec<u8>) {
        if signature.origin == Origin::Gemini {
            self.begin_part(out, &Part::Thinking { text: "", signature: Cow::Borrowed("") });
            self.delta(out, "signature_delta", |o| o.string("signature", &signature.packed()));
            self.finish(out);
        }
    }

    /// `citations`: a list of them, or one.
    fn cite(&self, citations: &str, out: &mut Vec<u8>) {
        let mut one = |citation: &str| {
            self.delta(out, "citations_delta", |o| o.raw("citation", citation));
        };
        if citations.starts_with('[') {
            // The canonical form holds valid JSON only.
            let _ = json::array(citations, one);
        } else {
            one(citations);
        }
    }

    fn begin_part(&self, out: &mut Vec<u8>, part: &Part<'_>) {
        self.begin(out, |o| o.object("content_block", |o| part.fill(o)));
    }

    fn begin(&self, out: &mut Vec<u8>, block: impl FnOnce(&mut Object<'_>)) {
        frame(out, "content_block_start", |o| {
            o.value("index", &self.number);
            block(o);
        });
    }

    fn delta(&self, out: &mut Vec<u8>, kind: &str, delta: impl FnOnce(&mut Object<'_>)) {
        frame(out, "content_block_delta", |o| {
            o.value("index", &self.number);
            o.object("delta", |o| {
                o.string("type", kind);
                delta(o);
            });
        });
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        frame(out, "content_block_stop", |o| o.value("index", &self.number));
        self.number += 1;
    }
}

/// One event; `fill` adds to its type.
fn frame(out: &mut Vec<u8>, event: &str, fill: impl FnOnce(&mut Object<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    write::line(out, |o| {
        o.string("type", event);
        fill(o);
    });
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::{
        canonical::{Opaque, SignatureKind, StopReason, ToolKind},
        codec::StreamEncoder as _,
        error::ErrorKind,
    };

    fn encoder() -> StreamEncoder {
        StreamEncoder::new(Context { id: "01J".into(), model: "asked".into(), ..Context::default() })
    }

    /// The data of the frames that the events make behind the start, ahead of the end.
    fn written(events: &[Event<'_>]) -> Vec<String> {
        let (mut encoder, mut out) = (encoder(), Vec::new());
        encoder.event(&Event::Start { id: "x".into(), model: "".into() }, &mut Vec::new());
        events.iter().for_each(|event| encoder.event(event, &mut out));
        datas(&out)
    }

    fn datas(out: &[u8]) -> Vec<String> {
        let text = std::str::from_utf8(out).unwrap();
        let frames = text.split_terminator("\n\n").map(|frame| {
            let (event, data) = frame.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            let event = event.strip_prefix("event: ").unwrap();
            assert!(data.starts_with(&format!(r#"{{"type":"{event}""#)) && !data.contains('\n'), "{frame}");
            data.to_owned()
        });
        frames.collect()
    }

    const fn open(opening: Opening<'static>) -> Event<'static> {
        Event::Open { choice: 0, index: 0, opening }
    }

    const fn delta(delta: Delta<'static>) -> Event<'static> {
        Event::Delta { choice: 0, index: 0, delta }
    }

    fn text(text: &'static str) -> Event<'static> {
        delta(Delta::Text(text.into()))
    }

    fn signed(origin: Origin, kind: SignatureKind) -> Signature<'static> {
        Signature { origin, kind, id: None, value: "v".into() }
    }

    const CLOSE: Event<'static> = Event::Close { choice: 0, index: 0 };

    fn start(index: u32, block: &str) -> String {
        format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#)
    }

    fn grown(index: u32, delta: &str) -> String {
        format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#)
    }

    fn stop(index: u32) -> String {
        format!(r#"{{"type":"content_block_stop","index":{index}}}"#)
    }

    #[test]
    fn an_answer_without_content_is_whole() {
        let (mut encoder, mut out) = (encoder(), Vec::new());
        let usage = |input, output| Event::Usage(Usage { input, output, ..Usage::default() });
        for event in [
            Event::Ping,
            usage(3, 0),
            Event::Start { id: "x".into(), model: "served".into() },
            Event::Stop {
                choice: 0,
                stop: Stop { reason: StopReason::Sequence, sequence: Some("S".into()) },
            },
            usage(3, 7),
            Event::End,
            Event::Ping,
            text("late"),
        ] {
            encoder.event(&event, &mut out);
        }
        let error = WireError {
            status: 500,
            kind: ErrorKind::Api,
            message: "late",
            code: None,
            param: None,
            request_id: "r",
        };
        encoder.error(&error, &mut out);
        let usage = |input: u64, output: u64| {
            format!(
                r#"{{"input_tokens":{input},"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":{output},"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}}}}"#
            )
        };
        let message = format!(
            r#"{{"id":"msg_01J","type":"message","role":"assistant","model":"served","content":[],"stop_reason":null,"stop_sequence":null,"usage":{}}}"#,
            usage(3, 0)
        );
        let expected = [
            r#"{"type":"ping"}"#.to_owned(),
            format!(r#"{{"type":"message_start","message":{message}}}"#),
            format!(
                r#"{{"type":"message_delta","delta":{{"stop_reason":"stop_sequence","stop_sequence":"S"}},"usage":{}}}"#,
                usage(3, 7)
            ),
            r#"{"type":"message_stop"}"#.to_owned(),
        ];
        assert_eq!(datas(&out), expected);
    }

    #[test]
    fn a_start_that_knows_no_usage_splits_nothing() {
        let mut out = Vec::new();
        encoder().event(&Event::Start { id: "x".into(), model: "".into() }, &mut out);
        let [start] = &*datas(&out) else { panic!("{out:?}") };
        let usage = r#""usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}"#;
        assert!(start.ends_with(usage) && start.contains(r#""model":"asked""#), "{start}");
    }

    #[test]
    fn text_and_calls_are_written_step_by_step() {
        let call = Opening::ToolCall {
            id: "t".into(),
            name: "f".into(),
            kind: ToolKind::Function,
            namespace: None,
            signature: Some(signed(Origin::Gemini, SignatureKind::Proof)),
        };
        let said = written(&[
            open(Opening::Text),
            text("a"),
            text(""),
            text("b"),
            CLOSE,
            open(call),
            delta(Delta::Arguments("{}".into())),
            CLOSE,
            open(Opening::Refusal),
            text("no"),
            CLOSE,
            open(Opening::Text),
            CLOSE,
        ]);
        let expected = [
            start(0, r#"{"type":"text","text":""}"#),
            grown(0, r#"{"type":"text_delta","text":"a"}"#),
            grown(0, r#"{"type":"text_delta","text":"b"}"#),
            stop(0),
            start(1, r#"{"type":"thinking","thinking":"","signature":""}"#),
            grown(1, r#"{"type":"signature_delta","signature":"sy1.gemini.proof..v"}"#),
            stop(1),
            start(2, r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#),
            grown(2, r#"{"type":"input_json_delta","partial_json":"{}"}"#),
            stop(2),
            start(3, r#"{"type":"text","text":""}"#),
            grown(3, r#"{"type":"text_delta","text":"no"}"#),
            stop(3),
            start(4, r#"{"type":"text","text":""}"#),
            stop(4),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn reasoning_is_what_its_first_step_makes_it() {
        let signature = |origin, kind| delta(Delta::Signature(signed(origin, kind)));
        let said = written(&[
            open(Opening::Reasoning),
            text("hm"),
            signature(Origin::Claude, SignatureKind::Proof),
            CLOSE,
            open(Opening::Reasoning),
            signature(Origin::Claude, SignatureKind::Encrypted),
            CLOSE,
            open(Opening::Reasoning),
            signature(Origin::OpenAi, SignatureKind::Encrypted),
            CLOSE,
            open(Opening::Reasoning),
            CLOSE,
        ]);
        let thinking = r#"{"type":"thinking","thinking":"","signature":""}"#;
        let expected = [
            start(0, thinking),
            grown(0, r#"{"type":"thinking_delta","thinking":"hm"}"#),
            grown(0, r#"{"type":"signature_delta","signature":"v"}"#),
            stop(0),
            start(1, r#"{"type":"redacted_thinking","data":"v"}"#),
            stop(1),
            start(2, thinking),
            grown(2, r#"{"type":"signature_delta","signature":"sy1.openai.encrypted..v"}"#),
            stop(2),
            start(3, thinking),
            stop(3),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_texts_signature_stands_ahead_if_it_can_and_else_behind() {
        let signature = || delta(Delta::Signature(signed(Origin::Gemini, SignatureKind::Proof)));
        let kinds = |events: &[Event<'_>]| {
            let kinds = written(events).into_iter().filter_map(|data| {
                let block = data.split_once(r#""content_block":{"type":""#)?.1;
                Some(block.split_once('"')?.0.to_owned())
            });
            kinds.collect::<Vec<_>>()
        };
        let ahead = [open(Opening::Text), signature(), text("a"), CLOSE];
        assert_eq!(kinds(&ahead), ["thinking", "text"]);
        let behind = [open(Opening::Text), text("a"), signature(), text("b"), CLOSE];
        assert_eq!(kinds(&behind), ["text", "thinking"]);
    }

    #[test]
    fn values_of_this_wire_are_on_one_line_and_others_are_left_out() {
        let opaque = |origin, json: &str| {
            let value = Cow::Owned(RawValue::from_string(json.to_owned()).unwrap());
            Opaque { origin, kind: "k".into(), value }
        };
        let said = written(&[
            open(Opening::Opaque(opaque(Wire::Gemini, "{}"))),
            CLOSE,
            open(Opening::Opaque(opaque(Wire::Messages, "{\n\"type\":\r\n\"k\"}"))),
            CLOSE,
            open(Opening::Text),
            delta(Delta::Annotation(opaque(Wire::Messages, r#"[{"n":1},{"n":2}]"#))),
            delta(Delta::Annotation(opaque(Wire::Messages, r#"{"n":3}"#))),
            delta(Delta::Annotation(opaque(Wire::Chat, "[]"))),
            CLOSE,
            Event::Open { choice: 1, index: 0, opening: Opening::Text },
        ]);
        let expected = [
            start(0, "{ \"type\":  \"k\"}"),
            stop(0),
            start(1, r#"{"type":"text","text":""}"#),
            grown(1, r#"{"type":"citations_delta","citation":{"n":1}}"#),
            grown(1, r#"{"type":"citations_delta","citation":{"n":2}}"#),
            grown(1, r#"{"type":"citations_delta","citation":{"n":3}}"#),
            stop(1),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn an_error_ends_it_whatever_is_open() {
        let (mut encoder, mut out) = (encoder(), Vec::new());
        encoder.event(&open(Opening::Text), &mut out);
        let error = WireError {
            status: 529,
            kind: ErrorKind::Overloaded,
            message: "busy",
            code: None,
            param: None,
            request_id: "r",
        };
        encoder.error(&error, &mut out);
        encoder.event(&Event::End, &mut out);
        let expected =
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"},"request_id":"r"}"#;
        assert_eq!(datas(&out), [expected]);
    }
}
