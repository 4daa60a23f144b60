//! Streams: named events; blocks are numbered by the upstream.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::wire::Wire;
use smallvec::SmallVec;

use super::{
    Place,
    block::{Reader, signature},
    response::{CONTENT, rest_of_usage},
};
use crate::{
    canonical::{
        Block, Delta, Event, MEDIA, Opaque, Opening, Reasoning, SignatureKind, Sink, Stop, TOOL_RESULT,
        ToolCall, ToolKind, lose_fields,
    },
    codec,
    error::upstream::UpstreamError,
    json::{
        self,
        record::{Str, record},
    },
    loss::{LossCode, Losses},
    messages::{stop, usage::Counts},
};

/// Bytes of one text's citations that are kept; what is above is left out.
const CITATIONS_MAX: usize = 1 << 20;

/// What a frame that can't be read is refused with.
const UNREADABLE: &str = "an event's fields are not of this wire";

#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    counts: Counts,
    open: SmallVec<[(u32, Open); 2]>,
    stopped: bool,
    /// The end or an error was said.
    ended: bool,
    losses: Losses,
}

/// What a block that is open takes.
#[derive(Debug)]
enum Open {
    /// Its citations so far, as items of a JSON array: they come one by one, and are said at once as the block ends,
    /// in the form that plain answers have.
    Text {
        citations: String,
    },
    Reasoning,
    /// `said`: some of its arguments came.
    Call {
        said: bool,
    },
    /// A call that came with its input.
    Whole,
    /// One that is said as it starts, or not at all: how it grows is lost.
    Unknown {
        kind: String,
    },
}

record! {
    struct Frame {
        kind: Str<'a> = "type",
        index: u32 = "index",
        message: &'a RawValue = "message",
        content_block: &'a RawValue = "content_block",
        delta: &'a RawValue = "delta",
        usage: &'a RawValue = "usage",
        error: &'a RawValue = "error",
    }
}

record! {
    struct Start {
        id: Str<'a> = "id",
        model: Str<'a> = "model",
        usage: &'a RawValue = "usage",
        // The same in every answer.
        kind: &'a RawValue = "type",
        role: &'a RawValue = "role",
        content: &'a RawValue = "content",
    }
}

record! {
    struct Grown {
        kind: Str<'a> = "type",
        text: Str<'a> = "text",
        thinking: Str<'a> = "thinking",
        signature: Str<'a> = "signature",
        partial_json: Str<'a> = "partial_json",
        citation: &'a RawValue = "citation",
    }
}

record! {
    struct Ending {
        stop_reason: Str<'a> = "stop_reason",
        stop_sequence: Str<'a> = "stop_sequence",
    }
}

impl codec::StreamDecoder for StreamDecoder {
    fn frame(&mut self, event: Option<&str>, data: &str, out: &mut Sink<'_>) -> Result<(), &'static str> {
        if self.ended {
            return Ok(());
        }
        match data.trim_ascii() {
            "" if event == Some("ping") => out(Event::Ping),
            "" => {}
            // Not of this wire, but routers in front of other models close with it.
            "[DONE]" => self.close(out),
            _ => match growth(data) {
                Some((index, delta)) => self.grow_by(index, delta, out),
                None => {
                    let frame = serde_json::from_str(data)
                        .map_err(|error| if error.is_data() { UNREADABLE } else { "the data is not JSON" })?;
                    self.take(event, &frame, out)?;
                }
            },
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Sink<'_>) {
        if self.stopped {
            self.end(out);
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }

    fn usage_is_unreadable(&self) -> bool {
        self.counts.are_unreadable()
    }
}

impl StreamDecoder {
    fn take(
        &mut self,
        event: Option<&str>,
        frame: &Frame<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), &'static str> {
        let kind = frame.kind.as_ref().map(|Str(kind)| &**kind).or(event);
        match kind {
            Some("message_start") => self.start(frame, out)?,
            Some("content_block_start") => self.open(frame, out)?,
            Some("content_block_delta") => self.grow(frame, out)?,
            Some("content_block_stop") => self.shut(number(frame)?, out),
            Some("message_delta") => self.stop(frame, out)?,
            Some("message_stop") => self.end(out),
            Some("ping") => out(Event::Ping),
            Some("error") => self.fail(frame, out),
            None if frame.error.is_some() => self.fail(frame, out),
            None => return Err("the data has no `type`"),
            // An event that came later than this code; clients skip it too.
            Some(kind) => self.losses.add_path(LossCode::Block, &[kind]),
        }
        Ok(())
    }

    fn start(&mut self, frame: &Frame<'_>, out: &mut Sink<'_>) -> Result<(), &'static str> {
        let start: Start<'_> = frame.message.map(fields).transpose()?.unwrap_or_default();
        lose_fields(start.unknown.iter().map(|(name, value)| (&**name, *value)), &mut self.losses);
        // Ahead of the start, so that clients are told then what the prompt took.
        self.count(start.usage, out);
        out(Event::Start { id: start.id.unwrap_or_default().0, model: start.model.unwrap_or_default().0 });
        Ok(())
    }

    fn count(&mut self, usage: Option<&RawValue>, out: &mut Sink<'_>) {
        let Some(usage) = usage else { return };
        self.counts.restate(usage.get());
        if let Some(tier) = rest_of_usage(usage.get(), &mut self.losses) {
            out(Event::ServiceTier(tier));
        }
        if let Some(usage) = self.counts.usage() {
            out(Event::Usage(usage));
        }
    }

    fn open(&mut self, frame: &Frame<'_>, out: &mut Sink<'_>) -> Result<(), &'static str> {
        let index = number(frame)?;
        let value = frame.content_block.ok_or("a block's start has no block")?;
        let block = Reader { losses: &mut self.losses, area: CONTENT }.block(value, &Place::Body);
        let open = match block.map_err(|_| UNREADABLE)? {
            Block::Text(text) => {
                open(index, Opening::Text, out);
                grow(index, Delta::Text(text.text), out);
                let mut citations = String::new();
                if let Some(all) = text.annotations {
                    let mut kept = true;
                    let _ = json::array(all.value.get(), |citation| kept &= keep(&mut citations, citation));
                    if !kept {
                        self.losses.add(LossCode::Annotation, "citations");
                    }
                }
                Open::Text { citations }
            }
            Block::Reasoning(reasoning) => {
                open_reasoning(index, reasoning, out);
                Open::Reasoning
            }
            Block::ToolCall(call) => open_call(index, call, out),
            Block::Opaque(opaque) => {
                let kind = opaque.kind.clone().into_owned();
                open(index, Opening::Opaque(opaque), out);
                Open::Unknown { kind }
            }
            // Not what models say.
            Block::Media(_) => self.leave_out(MEDIA),
            Block::ToolResult(_) | Block::Refusal(_) => self.leave_out(TOOL_RESULT),
        };
        self.open.retain(|(number, _)| *number != index);
        self.open.push((index, open));
        Ok(())
    }

    fn grow(&mut self, frame: &Frame<'_>, out: &mut Sink<'_>) -> Result<(), &'static str> {
        let index = number(frame)?;
        self.grow_by(index, fields(frame.delta.ok_or("a block's delta has no delta")?)?, out);
        Ok(())
    }

    fn grow_by(&mut self, index: u32, mut delta: Grown<'_>, out: &mut Sink<'_>) {
        let Str(kind) = delta.kind.take().unwrap_or_default();
        let unknown = std::mem::take(&mut delta.unknown);
        if self.takes(index, &kind, delta, out) {
            for (name, _) in unknown {
                self.losses.add_path(LossCode::Field, &[CONTENT, ".", &name]);
            }
        } else {
            self.lose(index, &kind);
        }
    }

    /// Whether the delta is one that its block can grow by.
    fn takes(&mut self, index: u32, kind: &str, delta: Grown<'_>, out: &mut Sink<'_>) -> bool {
        match (kind, delta) {
            ("text_delta", Grown { text: Some(Str(text)), .. }) => {
                let takes = matches!(self.text(index, out), Open::Text { .. });
                if takes {
                    grow(index, Delta::Text(text), out);
                }
                takes
            }
            ("citations_delta", Grown { citation: Some(citation), .. }) => match self.text(index, out) {
                Open::Text { citations } => keep(citations, citation.get()),
                _ => false,
            },
            ("thinking_delta", Grown { thinking: Some(Str(thinking)), .. }) => {
                let takes = matches!(self.reasoning(index, out), Open::Reasoning);
                if takes {
                    grow(index, Delta::Text(thinking), out);
                }
                takes
            }
            ("signature_delta", Grown { signature: Some(Str(proof)), .. }) => {
                let takes = matches!(self.reasoning(index, out), Open::Reasoning);
                if let Some(proof) = signature(proof, SignatureKind::Proof).filter(|_| takes) {
                    out(Event::Delta { choice: 0, index, delta: Delta::Signature(proof) });
                }
                takes
            }
            ("input_json_delta", Grown { partial_json: Some(Str(text)), .. }) => match self.find(index) {
                Some(Open::Call { said }) => {
                    *said |= !text.is_empty();
                    grow(index, Delta::Arguments(text), out);
                    true
                }
                // All of it came with the call.
                Some(Open::Whole) => true,
                _ => false,
            },
            // Of a kind that came later than this code.
            _ => false,
        }
    }

    /// Names a delta, or the block that can't grow by any.
    fn lose(&mut self, index: u32, delta: &str) {
        let open = self.open.iter().find(|(number, _)| *number == index);
        match open {
            Some((_, Open::Unknown { kind })) => self.losses.add_path(LossCode::Block, &[kind]),
            _ if delta == "citations_delta" => self.losses.add(LossCode::Annotation, "citations"),
            _ => self.losses.add_path(LossCode::Block, &[delta]),
        }
    }

    fn leave_out(&mut self, kind: &'static str) -> Open {
        self.losses.add(LossCode::Block, kind);
        Open::Unknown { kind: kind.to_owned() }
    }

    fn find(&mut self, index: u32) -> Option<&mut Open> {
        self.open.iter_mut().find_map(|(number, open)| (*number == index).then_some(open))
    }

    /// The block, which is opened if its start never came.
    fn text(&mut self, index: u32, out: &mut Sink<'_>) -> &mut Open {
        self.find_or(index, Opening::Text, Open::Text { citations: String::new() }, out)
    }

    fn reasoning(&mut self, index: u32, out: &mut Sink<'_>) -> &mut Open {
        self.find_or(index, Opening::Reasoning, Open::Reasoning, out)
    }

    fn find_or(&mut self, index: u32, opening: Opening<'_>, fresh: Open, out: &mut Sink<'_>) -> &mut Open {
        let at = self.open.iter().position(|(number, _)| *number == index).unwrap_or_else(|| {
            open(index, opening, out);
            self.open.push((index, fresh));
            self.open.len() - 1
        });
        &mut self.open[at].1
    }

    fn shut(&mut self, index: u32, out: &mut Sink<'_>) {
        if let Some(at) = self.open.iter().position(|(number, _)| *number == index) {
            let (_, open) = self.open.remove(at);
            shut(index, open, out);
        }
    }

    /// Blocks that the upstream did not close.
    fn shut_all(&mut self, out: &mut Sink<'_>) {
        for (index, open) in self.open.drain(..) {
            shut(index, open, out);
        }
    }

    fn stop(&mut self, frame: &Frame<'_>, out: &mut Sink<'_>) -> Result<(), &'static str> {
        let ending: Ending<'_> = frame.delta.map(fields).transpose()?.unwrap_or_default();
        let unknown = frame.unknown.iter().chain(&ending.unknown);
        lose_fields(unknown.map(|(name, value)| (&**name, *value)), &mut self.losses);
        self.count(frame.usage, out);
        if let Some(Str(word)) = ending.stop_reason.filter(|_| !self.stopped) {
            self.stopped = true;
            self.shut_all(out);
            let reason = stop::reason(&word, &mut self.losses);
            let sequence = ending.stop_sequence.map(|Str(sequence)| sequence);
            out(Event::Stop { choice: 0, stop: Stop { reason, sequence } });
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        if !self.ended {
            self.ended = true;
            self.shut_all(out);
            out(Event::End);
        }
    }

    fn fail(&mut self, frame: &Frame<'_>, out: &mut Sink<'_>) {
        self.ended = true;
        let error = frame.error.map(|error| UpstreamError::read(error.get()));
        out(Event::Error(error.unwrap_or_default()));
    }
}

/// A block that grows by a text: nearly all frames are that, and need not be taken apart as others are. None: it is
/// something else, or may be.
fn growth(data: &str) -> Option<(u32, Grown<'_>)> {
    let (mut is_growth, mut index, mut delta) = (false, None, None);
    let frame = json::object(data, |field| match &*field.name() {
        "type" => is_growth = field.value == "\"content_block_delta\"",
        "index" => index = field.value.parse().ok(),
        "delta" => delta = Some(field.value),
        _ => {}
    });
    if frame.is_err() || !is_growth {
        return None;
    }
    let (mut grown, mut is_plain) = (Grown::default(), true);
    let read = json::object(delta?, |field| {
        let text = match &*field.name() {
            "type" => &mut grown.kind,
            "text" => &mut grown.text,
            "thinking" => &mut grown.thinking,
            "signature" => &mut grown.signature,
            "partial_json" => &mut grown.partial_json,
            _ => return is_plain = false,
        };
        *text = json::string(field.value).map(Str);
        is_plain &= text.is_some();
    });
    (read.is_ok() && is_plain).then_some((index?, grown))
}

fn number(frame: &Frame<'_>) -> Result<u32, &'static str> {
    frame.index.ok_or("a block's event has no `index`")
}

fn fields<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Result<T, &'static str> {
    serde_json::from_str(value.get()).map_err(|_| UNREADABLE)
}

fn open(index: u32, opening: Opening<'_>, out: &mut Sink<'_>) {
    out(Event::Open { choice: 0, index, opening });
}

/// Nothing for nothing.
fn grow(index: u32, delta: Delta<'_>, out: &mut Sink<'_>) {
    if !delta.is_empty() {
        out(Event::Delta { choice: 0, index, delta });
    }
}

fn open_reasoning(index: u32, reasoning: Reasoning<'_>, out: &mut Sink<'_>) {
    open(index, Opening::Reasoning, out);
    grow(index, Delta::Text(reasoning.text), out);
    if let Some(proof) = reasoning.signature {
        out(Event::Delta { choice: 0, index, delta: Delta::Signature(proof) });
    }
}

fn open_call(index: u32, call: ToolCall<'_>, out: &mut Sink<'_>) -> Open {
    let ToolCall { id, name, arguments, .. } = call;
    let kind = ToolKind::Function;
    open(index, Opening::ToolCall { id, name, kind, namespace: None, signature: None }, out);
    if !json::is_filled(&arguments) {
        return Open::Call { said: false };
    }
    grow(index, Delta::Arguments(arguments), out);
    Open::Whole
}

fn shut(index: u32, open: Open, out: &mut Sink<'_>) {
    match open {
        Open::Text { citations } if !citations.is_empty() => {
            if let Ok(value) = RawValue::from_string(format!("[{citations}]")) {
                let (origin, kind) = (Wire::Messages, Cow::Borrowed("citations"));
                let annotation = Delta::Annotation(Opaque { origin, kind, value: Cow::Owned(value) });
                grow(index, annotation, out);
            }
        }
        // Elsewhere arguments are never nothing at all.
        Open::Call { said: false } => grow(index, Delta::Arguments(Cow::Borrowed("{}")), out),
        _ => {}
    }
    out(Event::Close { choice: 0, index });
}

/// Adds to the list of citations, unless it grew too long.
fn keep(citations: &mut String, citation: &str) -> bool {
    if citations.len() + citation.len() > CITATIONS_MAX {
        return false;
    }
    if !citations.is_empty() {
        citations.push(',');
    }
    citations.push_str(citation);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::StreamDecoder as _;

    /// What a stream of these events' data says, one line each; or what is wrong with it.
    fn said(frames: &[&str]) -> Result<Vec<String>, &'static str> {
        let mut lines = Vec::new();
        let mut decoder = StreamDecoder::default();
        let mut out = |event: Event<'_>| lines.push(line(&event));
        for frame in frames {
            decoder.frame(None, frame, &mut out)?;
        }
        decoder.close(&mut out);
        Ok(lines)
    }

    fn line(event: &Event<'_>) -> String {
        match event {
            Event::Start { id, model } => format!("start {id} {model}"),
            Event::Open { index, opening, .. } => match opening {
                Opening::ToolCall { id, name, .. } => format!("{index} call {id} {name}"),
                Opening::Opaque(opaque) => format!("{index} opaque {} {}", opaque.kind, opaque.value),
                opening => format!("{index} {opening:?}"),
            },
            Event::Delta { index, delta, .. } => match delta {
                Delta::Text(text) => format!("{index} + {text}"),
                Delta::Arguments(text) => format!("{index} arguments {text}"),
                Delta::Signature(proof) => format!("{index} {:?} {}", proof.kind, proof.value),
                Delta::Annotation(opaque) => format!("{index} {} {}", opaque.kind, opaque.value),
                Delta::Logprobs(_) => format!("{index} logprobs"),
            },
            Event::Close { index, .. } => format!("{index} close"),
            Event::Stop { stop, .. } => format!("stop {:?} {:?}", stop.reason, stop.sequence),
            Event::Usage(usage) => format!("usage {} {} {}", usage.input, usage.cache_read, usage.output),
            Event::ServiceTier(tier) => format!("tier {tier}"),
            Event::Ping => "ping".to_owned(),
            Event::Error(error) => format!("error {}", error.message),
            Event::End => "end".to_owned(),
        }
    }

    const TEXT: &str =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    const STOP: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;

    #[test]
    fn a_stream_is_read_from_start_to_end() {
        let said = said(&[
            r#"{"type":"message_start","message":{"id":"msg_1","model":"m","content":[],
                "usage":{"input_tokens":9,"cache_read_input_tokens":4,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"En"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"a"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"b\n"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"n":1}}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"n":2}}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"X"},"usage":{"output_tokens":7}}"#,
            r#"{"type":"message_stop"}"#,
            r#"{"type":"ping"}"#,
        ]);
        let expected = [
            "usage 9 4 1",
            "start msg_1 m",
            "0 Reasoning",
            "ping",
            "0 + hm",
            "0 Proof Eq",
            "0 close",
            "1 Reasoning",
            "1 Encrypted En",
            "1 close",
            "2 Text",
            "2 + a",
            "2 + b\n",
            r#"2 citations [{"n":1},{"n":2}]"#,
            "2 close",
            "3 call t f",
            r#"3 arguments {"a":1}"#,
            "3 close",
            "usage 9 4 7",
            r#"stop Sequence Some("X")"#,
            "end",
        ];
        assert_eq!(said.unwrap(), expected);
    }

    #[test]
    fn what_grows_by_a_text_is_read_as_any_frame_is() {
        for (delta, is_plain) in [
            (r#"{"type":"text_delta","text":"b\n\u00e9"}"#, true),
            (r#"{"text":"x","type":"text_delta","text":"y"}"#, true),
            (r#"{ "type" : "thinking_delta" , "thinking":"" }"#, true),
            (r#"{"type":"input_json_delta","partial_json":"{\"a\":"}"#, true),
            (r#"{"type":"signature_delta","signature":"Eq"}"#, true),
            (r#"{"type":"text_delta","text":null}"#, false),
            (r#"{"type":"text_delta","text":7}"#, false),
            (r#"{"type":"text_delta","text":"\ud800"}"#, false),
            (r#"{"type":"text_delta","text":"a","odd":1}"#, false),
            (r#"{"type":"citations_delta","citation":{}}"#, false),
        ] {
            let data = format!(r#"{{"type":"content_block_delta","index":3,"delta":{delta},"more":[]}}"#);
            let Some((index, grown)) = growth(&data) else {
                assert!(!is_plain, "{data}");
                continue;
            };
            let frame: Frame<'_> = serde_json::from_str(&data).unwrap();
            let whole: Grown<'_> = fields(frame.delta.unwrap()).unwrap();
            assert_eq!((index, format!("{grown:?}")), (3, format!("{whole:?}")), "{data}");
            assert!(is_plain, "{data}");
        }
        for other in [
            TEXT,
            STOP,
            "[]",
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
            r#"{"type":"content_block_delta","index":-1,"delta":{"type":"text_delta","text":"a"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}"#,
            r#"{"type":"content_block_delta","index":0,"delta":"a"}"#,
            r#"{"index":0,"delta":{"type":"text_delta","text":"a"}}"#,
        ] {
            assert!(growth(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_call_has_arguments_wherever_they_come() {
        let call = |input: &str| {
            format!(
                r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"tool_use","id":"t","name":"f",
                "input":{input}}}}}"#
            )
        };
        let more = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#;
        let close = r#"{"type":"content_block_stop","index":0}"#;
        let whole = said(&[&call(r#"{"a":1}"#), more, close]).unwrap();
        assert_eq!(whole, ["0 call t f", r#"0 arguments {"a":1}"#, "0 close"]);
        assert_eq!(said(&[&call("{}"), close]).unwrap(), ["0 call t f", "0 arguments {}", "0 close"]);
        let unclosed = said(&[&call("{}"), STOP]).unwrap();
        assert_eq!(unclosed, ["0 call t f", "0 arguments {}", "0 close", "stop End None", "end"]);
    }

    #[test]
    fn what_only_this_wire_knows_is_one_block_and_its_growth_is_dropped() {
        let block = r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#;
        let open = format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#);
        let said = said(&[
            &open,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"odd_delta","odd":1}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"odd_event"}"#,
        ]);
        assert_eq!(said.unwrap(), [format!("0 opaque server_tool_use {block}"), "0 close".to_owned()]);
    }

    #[test]
    fn growth_without_a_start_opens_its_block() {
        let said = said(&[
            r#"{"type":"content_block_delta","index":4,"delta":{"type":"text_delta","text":"x"}}"#,
            r#"{"type":"content_block_delta","index":5,"delta":{"type":"thinking_delta","thinking":"y"}}"#,
            r#"{"type":"content_block_delta","index":6,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            r#"{"type":"content_block_stop","index":7}"#,
        ]);
        assert_eq!(said.unwrap(), ["4 Text", "4 + x", "5 Reasoning", "5 + y"]);
    }

    #[test]
    fn the_end_is_said_once_and_only_where_the_answer_stopped() {
        assert_eq!(said(&[TEXT]).unwrap(), ["0 Text"], "it broke off");
        let stopped = ["0 Text", "0 close", "stop End None", "end"];
        assert_eq!(said(&[TEXT, STOP]).unwrap(), stopped);
        assert_eq!(said(&[TEXT, STOP, " [DONE]", r#"{"type":"ping"}"#]).unwrap(), stopped);
        assert_eq!(said(&[TEXT, "[DONE]"]).unwrap(), ["0 Text"]);
    }

    #[test]
    fn an_error_ends_it() {
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
        assert_eq!(said(&[error, STOP]).unwrap(), ["error busy"]);
        assert_eq!(said(&[r#"{"error":{"message":"busy"}}"#]).unwrap(), ["error busy"]);
    }

    #[test]
    fn events_are_known_by_name_too() {
        let mut events = Vec::new();
        let mut decoder = StreamDecoder::default();
        let mut out = |event: Event<'_>| events.push(line(&event));
        decoder.frame(Some("ping"), "", &mut out).unwrap();
        decoder.frame(Some("message_start"), r#"{"message":{"id":"i"}}"#, &mut out).unwrap();
        decoder.frame(Some("message_stop"), "{}", &mut out).unwrap();
        assert_eq!(events, ["ping", "start i ", "end"]);
    }

    #[test]
    fn what_is_not_of_this_wire_is_refused() {
        assert_eq!(said(&["{"]), Err("the data is not JSON"));
        assert_eq!(said(&["{}"]), Err("the data has no `type`"));
        assert_eq!(said(&["[]"]), Err(UNREADABLE));
        assert_eq!(said(&[r#"{"type":"content_block_stop"}"#]), Err("a block's event has no `index`"));
        assert_eq!(
            said(&[r#"{"type":"content_block_start","index":0}"#]),
            Err("a block's start has no block")
        );
        assert_eq!(said(&[r#"{"type":"content_block_delta","index":0,"delta":"x"}"#]), Err(UNREADABLE));
    }

    #[test]
    fn a_texts_citations_are_bounded() {
        let mut citations = String::new();
        let citation = "1".repeat(CITATIONS_MAX / 2);
        assert!(!(0..5).all(|_| keep(&mut citations, &citation)));
        assert!(citations.len() <= CITATIONS_MAX + 2);
    }
}
