//! A stream: each frame is a whole answer with what is new. It ends with the connection.

use smallvec::SmallVec;

use super::{
    part,
    place::Place,
    response::{self, Answer, Candidate},
};
use crate::{
    canonical::{
        Block, Delta, Event, Opening, Origin, Reasoning, Signature, Sink, Stop, StopReason, Text, lose_fields,
    },
    codec,
    error::upstream::UpstreamError,
    gemini::usage,
    loss::{LossCode, Losses},
    usage::UnreadableCount,
};

/// Reads a stream of Google's.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    started: bool,
    failed: bool,
    usage_is_unreadable: bool,
    choices: SmallVec<[Choice; 1]>,
    losses: Losses,
}

#[derive(Debug, Default)]
struct Choice {
    /// The next block's number.
    next: u32,
    /// The last block, if it can go on.
    open: Option<Open>,
    /// It has its signature: what follows is another block.
    signed: bool,
    /// Proofs of others so far.
    foreign: Vec<Signature<'static>>,
    began: bool,
    stopped: bool,
}

/// A block that the next part may belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Reasoning,
}

const NOT_OF_THIS_WIRE: &str = "the data is not an answer of generateContent";

impl codec::StreamDecoder for StreamDecoder {
    fn frame(&mut self, _event: Option<&str>, data: &str, out: &mut Sink<'_>) -> Result<(), &'static str> {
        let data = data.trim();
        if data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        let answer = response::chunk(data).map_err(|_| NOT_OF_THIS_WIRE)?;
        if let Some(error) = answer.error {
            self.failed = true;
            out(Event::Error(UpstreamError::read(error.get())));
            return Ok(());
        }
        self.take(answer, out)
    }

    fn close(&mut self, out: &mut Sink<'_>) {
        let mut began = self.choices.iter().filter(|choice| choice.began).peekable();
        if !self.failed && began.peek().is_some() && began.all(|choice| choice.stopped) {
            out(Event::End);
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }

    fn usage_is_unreadable(&self) -> bool {
        self.usage_is_unreadable
    }
}

impl StreamDecoder {
    fn take(&mut self, answer: Answer<'_>, out: &mut Sink<'_>) -> Result<(), &'static str> {
        lose_fields(answer.extras(), &mut self.losses);
        // Ahead of the start, so that clients are told then what the prompt took.
        match answer.usage.map_or(Ok(None), |metadata| usage::stated(metadata.get())) {
            Ok(Some(usage)) => {
                self.usage_is_unreadable = false;
                out(Event::Usage(usage));
            }
            Ok(None) => {}
            Err(UnreadableCount) => self.usage_is_unreadable = true,
        }
        if !self.started {
            self.started = true;
            let id = answer.id.as_ref().map_or("", |id| &id.0);
            let model = answer.model.as_ref().map_or("", |model| &model.0);
            out(Event::Start { id: id.into(), model: model.into() });
        }
        let is_blocked = answer.is_blocked();
        let candidates = answer.candidates.unwrap_or_default().0;
        if is_blocked && candidates.is_empty() {
            choice(&mut self.choices, 0).stop(0, StopReason::ContentFilter, out);
        }
        let list = Place::top("candidates");
        for (position, raw) in candidates.into_iter().enumerate() {
            let place = list.index(position);
            let candidate: Candidate<'_> = place.read(raw).map_err(|_| NOT_OF_THIS_WIRE)?;
            let Some(number) = candidate.number(position, &mut self.losses) else { continue };
            let choice = choice(&mut self.choices, number);
            choice.take(number as u32, &candidate, &place, &mut self.losses, out)?;
        }
        Ok(())
    }
}

fn choice(choices: &mut SmallVec<[Choice; 1]>, number: usize) -> &mut Choice {
    if choices.len() <= number {
        choices.resize_with(number + 1, Choice::default);
    }
    let choice = &mut choices[number];
    choice.began = true;
    choice
}

impl Choice {
    fn take(
        &mut self,
        number: u32,
        candidate: &Candidate<'_>,
        place: &Place<'_>,
        losses: &mut Losses,
        out: &mut Sink<'_>,
    ) -> Result<(), &'static str> {
        let parts = candidate.parts(place, losses).map_err(|_| NOT_OF_THIS_WIRE)?;
        for raw in parts {
            let Some(mut piece) = part::read(raw, place, losses).map_err(|_| NOT_OF_THIS_WIRE)? else {
                continue;
            };
            for carried in std::mem::take(&mut piece.bundle) {
                if self.open.is_some() {
                    self.close(number, out);
                }
                self.block(number, Block::Reasoning(carried.reasoning), out);
            }
            for block in piece.into_blocks() {
                match block {
                    Block::Media(_) => self.block(number, part::opaque("inlineData", raw), out),
                    Block::ToolResult(_) => self.block(number, part::opaque("functionResponse", raw), out),
                    block => self.block(number, block, out),
                }
            }
        }
        match candidate.annotations() {
            Some(annotations) if self.open == Some(Open::Text) => {
                self.delta(number, Delta::Annotation(annotations), out);
            }
            Some(annotations) => losses.add_named(LossCode::Annotation, &annotations.kind),
            None => {}
        }
        match candidate.logprobs() {
            Some(logprobs) if self.open.is_some() => self.delta(number, Delta::Logprobs(logprobs), out),
            Some(_) => losses.add(LossCode::Annotation, "logprobs"),
            None => {}
        }
        if let Some(reason) = candidate.stop(losses) {
            self.stop(number, reason, out);
        }
        Ok(())
    }

    fn block(&mut self, choice: u32, block: Block<'_>, out: &mut Sink<'_>) {
        match block {
            Block::Text(Text { text, signature, .. }) => {
                self.go_on(choice, Open::Text, out);
                self.grow(choice, Delta::Text(text), signature, out);
            }
            // What was packed here stands on the call too.
            Block::Reasoning(Reasoning { signature: Some(signature), .. })
                if self.foreign.contains(&signature) => {}
            Block::Reasoning(Reasoning { text, signature }) => {
                self.foreign.extend(
                    signature
                        .clone()
                        .filter(|signature| signature.origin != Origin::Gemini)
                        .map(Signature::into_owned),
                );
                self.go_on(choice, Open::Reasoning, out);
                self.grow(choice, Delta::Text(text), signature, out);
            }
            Block::ToolCall(call) => {
                let opening = Opening::ToolCall {
                    id: call.id,
                    name: call.name,
                    kind: call.kind,
                    namespace: None,
                    signature: call.signature,
                };
                self.open(choice, opening, out);
                self.delta(choice, Delta::Arguments(call.arguments), out);
                self.close(choice, out);
            }
            Block::Opaque(opaque) => {
                self.open(choice, Opening::Opaque(opaque), out);
                self.close(choice, out);
            }
            Block::Media(_) | Block::ToolResult(_) | Block::Refusal(_) => {}
        }
    }

    /// Sees to it that a block of this kind is open.
    fn go_on(&mut self, choice: u32, kind: Open, out: &mut Sink<'_>) {
        if self.open != Some(kind) || self.signed {
            let opening = if kind == Open::Text { Opening::Text } else { Opening::Reasoning };
            self.open(choice, opening, out);
            self.open = Some(kind);
        }
    }

    fn grow(&mut self, choice: u32, text: Delta<'_>, signature: Option<Signature<'_>>, out: &mut Sink<'_>) {
        if !text.is_empty() {
            self.delta(choice, text, out);
        }
        if let Some(signature) = signature {
            self.delta(choice, Delta::Signature(signature), out);
            self.signed = true;
        }
    }

    fn open(&mut self, choice: u32, opening: Opening<'_>, out: &mut Sink<'_>) {
        if self.open.is_some() {
            self.close(choice, out);
        }
        out(Event::Open { choice, index: self.next, opening });
    }

    /// Of the block that is open.
    fn delta(&self, choice: u32, delta: Delta<'_>, out: &mut Sink<'_>) {
        out(Event::Delta { choice, index: self.next, delta });
    }

    fn close(&mut self, choice: u32, out: &mut Sink<'_>) {
        out(Event::Close { choice, index: self.next });
        self.open = None;
        self.signed = false;
        self.next += 1;
    }

    fn stop(&mut self, choice: u32, reason: StopReason, out: &mut Sink<'_>) {
        if self.open.is_some() {
            self.close(choice, out);
        }
        self.stopped = true;
        out(Event::Stop { choice, stop: Stop::of(reason) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        canonical::{Response, aggregate::Aggregator, legal::Legalizer},
        codec::StreamDecoder as _,
    };

    /// The events of some frames, in few words.
    fn events(frames: &[&str]) -> Vec<String> {
        let mut decoder = StreamDecoder::default();
        let mut events = Vec::new();
        let mut out = |event: Event<'_>| events.push(word(&event));
        for frame in frames {
            if let Err(problem) = decoder.frame(None, frame, &mut out) {
                out(Event::Start { id: problem.into(), model: "".into() });
            }
        }
        decoder.close(&mut out);
        events
    }

    fn word(event: &Event<'_>) -> String {
        match event {
            Event::Start { id, model } => format!("start {id} {model}"),
            Event::Open { choice, index, opening } => {
                let kind = match opening {
                    Opening::Text => "text".to_owned(),
                    Opening::Reasoning => "reasoning".to_owned(),
                    Opening::ToolCall { id, name, signature, .. } => {
                        format!(
                            "call {id} {name} {}",
                            signature.as_ref().map_or("", |signature| &*signature.value)
                        )
                    }
                    Opening::Opaque(opaque) => format!("opaque {}", opaque.kind),
                    Opening::Refusal => "refusal".to_owned(),
                };
                format!("open {choice}.{index} {kind}")
            }
            Event::Delta { choice, index, delta } => {
                let text = match delta {
                    Delta::Text(text) => text.clone(),
                    Delta::Arguments(text) => text.clone(),
                    Delta::Signature(signature) => format!("sig {}", signature.value).into(),
                    Delta::Annotation(opaque) | Delta::Logprobs(opaque) => {
                        format!("{} {}", opaque.kind, opaque.value).into()
                    }
                };
                format!("{choice}.{index} {text}")
            }
            Event::Close { choice, index } => format!("close {choice}.{index}"),
            Event::Stop { choice, stop } => format!("stop {choice} {:?}", stop.reason),
            Event::Usage(usage) => format!("usage {} {}", usage.input, usage.output),
            Event::ServiceTier(tier) => format!("tier {tier}"),
            Event::Ping => "ping".to_owned(),
            Event::Error(error) => format!("error {:?} {}", error.status, error.message),
            Event::End => "end".to_owned(),
        }
    }

    #[test]
    fn parts_of_one_kind_are_one_block_and_calls_come_whole() {
        let found = events(&[
            r#"{"candidates":[{"content":{"parts":[{"text":"Let","thought":true}],"role":"model"}}],"responseId":"r","modelVersion":"m"}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":" me","thought":true},{"text":"","thought":true,"thoughtSignature":"QQ=="}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"A"},{"functionCall":{"id":"1","name":"f","args":{"a":1}},"thoughtSignature":"Qg=="}]}}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1}}"#,
            r#"{"candidates":[{"content":{"parts":[{"executableCode":{"code":"x"}},{"text":""}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#,
        ]);
        let expected = [
            "start r m",
            "open 0.0 reasoning",
            "0.0 Let",
            "0.0  me",
            "0.0 sig QQ==",
            "usage 3 1",
            "close 0.0",
            "open 0.1 text",
            "0.1 A",
            "close 0.1",
            "open 0.2 call 1 f Qg==",
            "0.2 {\"a\":1}",
            "close 0.2",
            "usage 3 2",
            "open 0.3 opaque executableCode",
            "close 0.3",
            "stop 0 End",
            "end",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_said_of_the_text_comes_with_it() {
        let found = events(&[
            r#"{"candidates":[{"content":{"parts":[{"text":"A"}]},"logprobsResult":{"x":1}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"QQ=="}]},"groundingMetadata":{"y":2},"finishReason":"STOP"}]}"#,
        ]);
        let expected = [
            "start  ",
            "open 0.0 text",
            "0.0 A",
            "0.0 logprobsResult {\"x\":1}",
            "0.0 sig QQ==",
            "0.0 groundingMetadata {\"groundingMetadata\":{\"y\":2}}",
            "close 0.0",
            "stop 0 End",
            "end",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_blocked_prompt_and_a_filter_are_endings() {
        let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}"#;
        assert_eq!(events(&[blocked]), ["usage 3 0", "start  ", "stop 0 ContentFilter", "end"]);
        let filtered = r#"{"candidates":[{"finishReason":"SAFETY","index":0}]}"#;
        assert_eq!(events(&[filtered]), ["start  ", "stop 0 ContentFilter", "end"]);
    }

    #[test]
    fn a_stream_ends_only_when_each_choice_did() {
        let (zero, one) = (
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"index":0},{"content":{"parts":[{"text":"b"}]},"index":1}]}"#,
            r#"{"candidates":[{"finishReason":"STOP","index":1}]}"#,
        );
        assert_eq!(events(&[zero, one]).last().map(String::as_str), Some("stop 1 End"));
        let two = r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#;
        assert_eq!(events(&[zero, one, two]).last().map(String::as_str), Some("end"));
        assert!(events(&[]).is_empty());
    }

    #[test]
    fn an_error_frame_is_the_upstreams_error() {
        let error = r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#;
        assert_eq!(
            events(&[r#"{"candidates":[{"finishReason":"STOP"}]}"#, error]).last().unwrap(),
            "error Some(503) overloaded"
        );
    }

    #[test]
    fn what_is_of_another_wire_is_refused_and_keep_alives_are_not() {
        assert!(events(&["", " ", "[DONE]"]).is_empty());
        for frame in [
            "<html>",
            "[]",
            "7",
            r#"{"candidates":7}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":7}]}}]}"#,
        ] {
            assert_eq!(
                events(&[frame]).iter().filter(|event| event.contains(NOT_OF_THIS_WIRE)).count(),
                1,
                "{frame}"
            );
        }
    }

    #[test]
    fn a_wrapped_stream_is_read_like_a_bare_one() {
        let frame = r#"{"response":{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"responseId":"r"},"traceId":"t"}"#;
        let mut decoder = StreamDecoder::default();
        let (mut legal, mut gathered) = (Legalizer::default(), Aggregator::default());
        let mut out = |event: Event<'_>| legal.take(event, &mut |event| gathered.take(event));
        decoder.frame(None, frame, &mut out).unwrap();
        decoder.close(&mut out);
        let response: Response<'_> = gathered.finish().unwrap();
        assert_eq!(response.id, "r");
        assert!(matches!(response.choices[0].blocks.as_slice(), [Block::Text(text)] if text.text == "a"));
    }
}
