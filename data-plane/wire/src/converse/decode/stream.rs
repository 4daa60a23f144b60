//! A stream: `messageStart`, blocks, `messageStop`, and `metadata` with the usage at its end. Only tool calls have a
//! start of their own: what else a block is, its first delta tells.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{CITATIONS, OF_CALL, OF_REASONING, SERVER_CALL, lose, stop_reason, tier};
use crate::{
    canonical::{Delta, Event, MEDIA, Opening, Origin, Signature, SignatureKind, Sink, Stop, ToolKind},
    codec,
    converse::{error, usage},
    json::record::{Str, record},
    loss::{LossCode, Losses},
};

/// Blocks that may be open at once.
const BLOCKS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    state: State,
    open: SmallVec<[Open; 2]>,
    /// The number of the next block.
    next: u32,
    losses: Losses,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Speaking,
    /// The answer is complete, its usage is not told yet.
    Stopped,
    Over,
}

/// A block that is open: the number that it came with, and the one that it has here. They differ where a model changes
/// from reasoning to text under one number.
#[derive(Debug, Clone, Copy)]
struct Open {
    came: u32,
    went: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    ToolCall,
}

record! {
    struct Begun {
        role: &'a RawValue = "role",
        // Of random length, to hide how long what it pads is.
        padding: &'a RawValue = "p",
    }
}

record! {
    struct Started {
        index: u32 = "contentBlockIndex",
        start: Start<'a> = "start",
    }
}

record! {
    struct Start {
        tool_use: ToolUse<'a> = "toolUse",
        image: &'a RawValue = "image",
    }
}

record! {
    struct ToolUse {
        id: Str<'a> = "toolUseId",
        name: Str<'a> = "name",
        kind: Str<'a> = "type",
    }
}

record! {
    struct Grown {
        index: u32 = "contentBlockIndex",
        delta: Piece<'a> = "delta",
    }
}

record! {
    struct Piece {
        text: Str<'a> = "text",
        tool_use: Input<'a> = "toolUse",
        reasoning: ReasoningPiece<'a> = "reasoningContent",
        citation: &'a RawValue = "citation",
        image: &'a RawValue = "image",
    }
}

record! { struct Input { input: Str<'a> = "input" } }

record! {
    struct ReasoningPiece {
        text: Str<'a> = "text",
        signature: Str<'a> = "signature",
        redacted: Str<'a> = "redactedContent",
    }
}

record! { struct Closed { index: u32 = "contentBlockIndex" } }

record! {
    struct Stopped {
        reason: Str<'a> = "stopReason",
        padding: &'a RawValue = "p",
    }
}

record! {
    struct Metadata {
        usage: &'a RawValue = "usage",
        // As in plain answers, not about the answer.
        metrics: &'a RawValue = "metrics",
        performance: &'a RawValue = "performanceConfig",
        service_tier: &'a RawValue = "serviceTier",
        padding: &'a RawValue = "p",
    }
}

const NO_INDEX: &str = "a block has no `contentBlockIndex`";

impl codec::StreamDecoder for StreamDecoder {
    fn frame(&mut self, event: Option<&str>, data: &str, out: &mut Sink<'_>) -> Result<(), &'static str> {
        if self.state == State::Over {
            return Ok(());
        }
        match event {
            Some("messageStart") => {
                let Begun { unknown, .. } = serde_json::from_str(data).unwrap_or_default();
                lose(&mut self.losses, LossCode::Field, "", &unknown);
                out(Event::Start { id: Cow::Borrowed(""), model: Cow::Borrowed("") });
            }
            Some("contentBlockStart") => {
                self.start(read(data, "a `contentBlockStart` can't be read")?, out)?;
            }
            Some("contentBlockDelta") => {
                self.grow(read(data, "a `contentBlockDelta` can't be read")?, out)?;
            }
            Some("contentBlockStop") => {
                let Closed { index, .. } = read(data, "a `contentBlockStop` can't be read")?;
                self.close_block(index.ok_or(NO_INDEX)?, out);
            }
            Some("messageStop") => {
                let Stopped { reason, unknown, .. } = read(data, "a `messageStop` can't be read")?;
                lose(&mut self.losses, LossCode::Field, "", &unknown);
                let reason = stop_reason(reason, &mut self.losses);
                self.state = State::Stopped;
                out(Event::Stop { choice: 0, stop: Stop::of(reason) });
            }
            Some("metadata") => {
                let Metadata { usage, service_tier, unknown, .. } = read(data, "a `metadata` can't be read")?;
                lose(&mut self.losses, LossCode::Field, "", &unknown);
                if let Some(usage) = usage.and_then(|usage| usage::read(usage.get())) {
                    out(Event::Usage(usage));
                }
                if let Some(tier) = tier(service_tier) {
                    out(Event::ServiceTier(tier));
                }
                codec::StreamDecoder::close(self, out);
            }
            Some("exception") => {
                self.state = State::Over;
                out(Event::Error(error::read(data)));
            }
            // One that came later than this code.
            Some(event) => self.losses.add_path(LossCode::Block, &[event]),
            None => return Err("an event has no name"),
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Sink<'_>) {
        if self.state == State::Stopped {
            self.state = State::Over;
            out(Event::End);
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

fn read<'a, T: Deserialize<'a>>(data: &'a str, problem: &'static str) -> Result<T, &'static str> {
    serde_json::from_str(data).map_err(|_| problem)
}

impl StreamDecoder {
    fn start(&mut self, started: Started<'_>, out: &mut Sink<'_>) -> Result<(), &'static str> {
        let index = started.index.ok_or(NO_INDEX)?;
        let start = started.start.unwrap_or_default();
        lose(&mut self.losses, LossCode::Block, "", &start.unknown);
        self.lose_image(start.image);
        let Some(call) = start.tool_use else { return Ok(()) };
        if call.kind.is_some() {
            self.losses.add(LossCode::Block, SERVER_CALL);
            return Ok(());
        }
        lose(&mut self.losses, LossCode::Field, OF_CALL, &call.unknown);
        let opening = Opening::ToolCall {
            id: call.id.ok_or("a tool call has no `toolUseId`")?.0,
            name: call.name.filter(|name| !name.0.is_empty()).ok_or("a tool call has no `name`")?.0,
            kind: ToolKind::Function,
            namespace: None,
            signature: None,
        };
        self.open(index, Kind::ToolCall, opening, out).map(|_| ())
    }

    fn grow(&mut self, grown: Grown<'_>, out: &mut Sink<'_>) -> Result<(), &'static str> {
        let came = grown.index.ok_or(NO_INDEX)?;
        let Piece { text, tool_use, reasoning, citation, image, unknown } = grown.delta.unwrap_or_default();
        lose(&mut self.losses, LossCode::Block, "", &unknown);
        self.lose_image(image);
        if citation.is_some() {
            self.losses.add(LossCode::Annotation, CITATIONS);
        }
        let Input { input, unknown } = tool_use.unwrap_or_default();
        lose(&mut self.losses, LossCode::Field, OF_CALL, &unknown);
        let ReasoningPiece { text: thought, signature, redacted, unknown } = reasoning.unwrap_or_default();
        lose(&mut self.losses, LossCode::Field, OF_REASONING, &unknown);
        let signed =
            |value, kind| Delta::Signature(Signature { origin: Origin::Claude, kind, id: None, value });
        let deltas = [
            (Kind::Text, text.map(|Str(text)| Delta::Text(text))),
            (Kind::ToolCall, input.map(|Str(input)| Delta::Arguments(input))),
            (Kind::Reasoning, thought.map(|Str(text)| Delta::Text(text))),
            (Kind::Reasoning, signature.map(|Str(value)| signed(value, SignatureKind::Proof))),
            (Kind::Reasoning, redacted.map(|Str(value)| signed(value, SignatureKind::Encrypted))),
        ];
        for (kind, delta) in deltas {
            let Some(delta) = delta.filter(|delta| !delta.is_empty()) else { continue };
            if let Some(index) = self.block(came, kind, out)? {
                out(Event::Delta { choice: 0, index, delta });
            }
        }
        Ok(())
    }

    /// Named as where a plain answer's is left out.
    fn lose_image(&mut self, image: Option<&RawValue>) {
        if image.is_some() {
            self.losses.add(LossCode::Block, MEDIA);
        }
    }

    /// The block's number here; a call that did not start has none.
    fn block(&mut self, came: u32, kind: Kind, out: &mut Sink<'_>) -> Result<Option<u32>, &'static str> {
        let open = self.open.iter().find(|open| open.came == came);
        if let Some(open) = open.filter(|open| open.kind == kind) {
            return Ok(Some(open.went));
        }
        let opening = match kind {
            Kind::Text => Opening::Text,
            Kind::Reasoning => Opening::Reasoning,
            Kind::ToolCall => return Ok(None),
        };
        self.open(came, kind, opening, out).map(Some)
    }

    fn open(
        &mut self,
        came: u32,
        kind: Kind,
        opening: Opening<'_>,
        out: &mut Sink<'_>,
    ) -> Result<u32, &'static str> {
        self.close_block(came, out);
        if self.open.len() >= BLOCKS_MAX {
            return Err("too many blocks are open at once");
        }
        let went = self.next;
        self.next = self.next.saturating_add(1);
        self.open.push(Open { came, went, kind });
        out(Event::Open { choice: 0, index: went, opening });
        Ok(went)
    }

    fn close_block(&mut self, came: u32, out: &mut Sink<'_>) {
        if let Some(at) = self.open.iter().position(|open| open.came == came) {
            let index = self.open.remove(at).went;
            out(Event::Close { choice: 0, index });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::usage::Usage;

    use super::*;
    use crate::{
        canonical::{
            Block, Reasoning, Response, StopReason, ToolCall, aggregate::Aggregator, legal::Legalizer,
        },
        codec::StreamDecoder as _,
        error::upstream::UpstreamError,
    };

    /// Of AWS's guide: text, then a tool call.
    const CALL: &[(&str, &str)] = &[
        ("messageStart", r#"{"role":"assistant","p":"abcdefgh"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"I will "},"p":"abc"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"look."}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":1,"start":{"toolUse":{"name":"top_song","toolUseId":"tooluse_1"}}}"#,
        ),
        ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":""}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"sign\":"}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":" \"WZPZ\"}"}}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
        (
            "metadata",
            r#"{"usage":{"inputTokens":408,"outputTokens":61,"totalTokens":469},"metrics":{"latencyMs":904}}"#,
        ),
    ];

    type Aggregated = Result<Response<'static>, Option<UpstreamError>>;

    /// What the stream says, as one answer.
    fn aggregated(frames: &[(&str, &str)], closed: bool) -> Aggregated {
        let mut decoder = StreamDecoder::default();
        let mut legal = Legalizer::default();
        let mut aggregator = Aggregator::default();
        let mut sink = |event: Event<'_>| legal.take(event, &mut |event| aggregator.take(event));
        for (event, data) in frames {
            decoder.frame(Some(event), data, &mut sink).unwrap();
        }
        if closed {
            decoder.close(&mut sink);
        }
        aggregator.finish()
    }

    fn events(frames: &[(&str, &str)]) -> Vec<String> {
        let mut decoder = StreamDecoder::default();
        let mut events = Vec::new();
        for (event, data) in frames {
            let mut sink = |event: Event<'_>| events.push(format!("{event:?}"));
            decoder.frame(Some(event), data, &mut sink).unwrap();
        }
        events
    }

    fn problem(event: Option<&str>, data: &str) -> &'static str {
        StreamDecoder::default()
            .frame(event, data, &mut |event| panic!("nothing can be said: {event:?}"))
            .expect_err("the frame must be refused")
    }

    #[test]
    fn a_stream_says_what_the_plain_answer_would() {
        let response = aggregated(CALL, false).unwrap();
        assert_eq!(response.usage, Some(Usage { input: 408, output: 61, ..Usage::default() }));
        let choice = &response.choices[0];
        assert_eq!(choice.stop, Stop::of(StopReason::ToolUse));
        let [Block::Text(text), Block::ToolCall(ToolCall { id, name, arguments, .. })] = &choice.blocks[..]
        else {
            panic!("{choice:?}")
        };
        assert_eq!(text.text, "I will look.");
        assert_eq!((&**id, &**name, &**arguments), ("tooluse_1", "top_song", r#"{"sign": "WZPZ"}"#));
    }

    #[test]
    fn each_step_is_said_once_and_the_end_comes_last() {
        let events = events(CALL);
        let kinds: Vec<_> =
            events.iter().map(|event| event.split([' ', '(']).next().unwrap_or_default()).collect();
        let expected = [
            "Start", "Open", "Delta", "Delta", "Close", "Open", "Delta", "Delta", "Close", "Stop", "Usage",
            "End",
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn reasoning_and_its_proofs_are_read() {
        let frames = [
            ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm."}}}"#),
            (
                "contentBlockDelta",
                r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"EqQB"}}}"#,
            ),
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            (
                "contentBlockDelta",
                r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"c2Vj"}}}"#,
            ),
            ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
            ("messageStop", r#"{"stopReason":"max_tokens"}"#),
        ];
        let response = aggregated(&frames, true).unwrap();
        let blocks = &response.choices[0].blocks;
        let [
            Block::Reasoning(Reasoning { text, signature: Some(proof) }),
            Block::Reasoning(Reasoning { text: nothing, signature: Some(hidden) }),
        ] = &blocks[..]
        else {
            panic!("{blocks:?}")
        };
        assert_eq!((&**text, &*proof.value, proof.kind), ("Hm.", "EqQB", SignatureKind::Proof));
        assert_eq!((&**nothing, &*hidden.value, hidden.kind), ("", "c2Vj", SignatureKind::Encrypted));
        assert_eq!(response.choices[0].stop.reason, StopReason::Length);
    }

    #[test]
    fn a_model_that_changes_to_text_under_one_number_opens_another_block() {
        let frames = [
            ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm."}}}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Yes."}}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"text":"And no."}}"#),
            ("messageStop", r#"{"stopReason":"end_turn"}"#),
        ];
        let response = aggregated(&frames, true).unwrap();
        let blocks = &response.choices[0].blocks;
        let [Block::Reasoning(thought), Block::Text(yes), Block::Text(no)] = &blocks[..] else {
            panic!("{blocks:?}")
        };
        assert_eq!((&*thought.text, &*yes.text, &*no.text), ("Hm.", "Yes.", "And no."));
    }

    #[test]
    fn what_bedrock_runs_itself_is_left_out() {
        let frames = [
            (
                "contentBlockStart",
                r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"1","name":"web","type":"server_tool_use"}}}"#,
            ),
            ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}"#),
            ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
            ("contentBlockStart", r#"{"contentBlockIndex":1,"start":{"toolResult":{"toolUseId":"1"}}}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolResult":[{"text":"x"}]}}"#),
            ("futureEvent", "?"),
        ];
        assert_eq!(events(&frames), [""; 0]);
    }

    #[test]
    fn the_end_needs_a_stop() {
        assert!(matches!(aggregated(&CALL[..10], false), Err(None)));
        assert!(aggregated(&CALL[..10], true).is_ok());
        assert!(matches!(aggregated(&CALL[..9], true), Err(None)));
        let early = [CALL[10], CALL[0], CALL[1], CALL[9]];
        assert_eq!(aggregated(&early, true).unwrap().usage.map(|usage| usage.input), Some(408));
    }

    #[test]
    fn an_empty_answer_is_one() {
        let response = aggregated(&[CALL[0], ("messageStop", r#"{"stopReason":"end_turn"}"#)], true).unwrap();
        assert!(response.choices[0].blocks.is_empty());
    }

    #[test]
    fn an_exception_is_the_upstreams_error_and_ends_all() {
        let exception = r#"{"type":"throttlingException","message":"Too many requests"}"#;
        let frames = [CALL[0], ("exception", exception), CALL[1], CALL[9]];
        let error = aggregated(&frames, true).expect_err("the stream failed").expect("it says why");
        assert_eq!((error.status, &*error.message), (Some(429), "Too many requests"));
        assert_eq!(error.kind.as_deref(), Some("throttlingException"));
        assert_eq!(events(&frames).len(), 2);
    }

    #[test]
    fn frames_of_another_shape_are_refused() {
        assert_eq!(problem(None, "{}"), "an event has no name");
        assert_eq!(problem(Some("contentBlockDelta"), "{}"), NO_INDEX);
        assert_eq!(problem(Some("contentBlockDelta"), "<"), "a `contentBlockDelta` can't be read");
        assert_eq!(
            problem(Some("contentBlockStop"), r#"{"contentBlockIndex":-1}"#),
            "a `contentBlockStop` can't be read"
        );
        let call = r#"{"contentBlockIndex":0,"start":{"toolUse":{"name":"a"}}}"#;
        assert_eq!(problem(Some("contentBlockStart"), call), "a tool call has no `toolUseId`");
    }

    #[test]
    fn blocks_that_are_never_closed_are_bounded() {
        let mut decoder = StreamDecoder::default();
        let read = (0..=BLOCKS_MAX).try_for_each(|index| {
            let data = format!(r#"{{"contentBlockIndex":{index},"delta":{{"text":"x"}}}}"#);
            decoder.frame(Some("contentBlockDelta"), &data, &mut |_| {})
        });
        assert_eq!(read, Err("too many blocks are open at once"));
    }

    fn any_frame() -> impl Strategy<Value = (String, String)> {
        let piece = prop::sample::select(
            &[
                r#""text":"x""#,
                r#""toolUse":{"input":"{"}"#,
                r#""toolUse":{"toolUseId":"1","name":"a"}"#,
                r#""reasoningContent":{"text":"y","signature":"s"}"#,
                r#""reasoningContent":{"redactedContent":"s"}"#,
                r#""text":null"#,
                r#""text":1"#,
            ][..],
        );
        let data = (0u32..3, prop::sample::select(&["start", "delta"][..]), piece).prop_map(
            |(index, key, piece)| format!(r#"{{"contentBlockIndex":{index},"{key}":{{{piece}}}}}"#),
        );
        let rest = prop::sample::select(
            &[
                r#"{"stopReason":"end_turn"}"#,
                r#"{"usage":{"inputTokens":1}}"#,
                r#"{"contentBlockIndex":0}"#,
                "{",
                "",
            ][..],
        );
        let names = [
            "messageStart",
            "contentBlockStart",
            "contentBlockDelta",
            "contentBlockDelta",
            "contentBlockStop",
            "messageStop",
            "metadata",
            "exception",
            "other",
        ];
        let name = (0..names.len()).prop_map(move |at| names[at].to_owned());
        (name, prop_oneof![3 => data, 1 => rest.prop_map(str::to_owned), 1 => ".{0,9}"])
    }

    proptest! {
        #[test]
        fn whatever_comes_the_stream_is_legal(frames in prop::collection::vec(any_frame(), 0..30)) {
            let mut decoder = StreamDecoder::default();
            let mut said: Vec<String> = Vec::new();
            let mut open: Vec<u32> = Vec::new();
            let mut opened = 0;
            let mut over = false;
            let mut sink = |event: Event<'_>| {
                assert!(!over, "nothing follows the end");
                match &event {
                    Event::Open { index, .. } => {
                        assert_eq!(*index, opened);
                        opened += 1;
                        open.push(*index);
                    }
                    Event::Delta { index, .. } => assert!(open.contains(index)),
                    Event::Close { index, .. } => {
                        let length = open.len();
                        open.retain(|open| open != index);
                        assert_eq!(open.len() + 1, length);
                    }
                    Event::End | Event::Error(_) => over = true,
                    _ => {}
                }
                said.push(format!("{event:?}"));
            };
            for (event, data) in &frames {
                let _ = decoder.frame(Some(event), data, &mut sink);
            }
            decoder.close(&mut sink);
            let stopped = said.iter().any(|event| event.starts_with("Stop"));
            let ended = said.iter().any(|event| event == "End");
            prop_assert!(over || !stopped, "what stopped is over");
            prop_assert!(stopped || !ended, "what did not stop has no end");
        }
    }
}
