//! Chunks of a stream.

mod choice;

use serde_json::value::RawValue;
use smallvec::SmallVec;

use self::choice::Choice;
use super::message::Function;
use super::reasoning::Detail;
use crate::canonical::{Event, Sink, legal::CHOICES_MAX, lose_fields};
use crate::chat::usage;
use crate::codec;
use crate::error::upstream::UpstreamError;
use crate::json::record::{Str, TextOr, record};
use crate::loss::{LossCode, Losses};
use crate::usage::UnreadableCount;

record! {
    struct Chunk {
        id: Str<'a> = "id",
        object: Str<'a> = "object",
        created: &'a RawValue = "created",
        model: Str<'a> = "model",
        choices: Vec<Part<'a>> = "choices",
        usage: &'a RawValue = "usage",
        service_tier: Str<'a> = "service_tier",
        error: &'a RawValue = "error",
    }
}

record! {
    /// What one choice grows by.
    struct Part {
        index: u32 = "index",
        delta: Growth<'a> = "delta",
        finish_reason: Str<'a> = "finish_reason",
        logprobs: &'a RawValue = "logprobs",
    }
}

record! {
    struct Growth {
        content: TextOr<'a> = "content",
        refusal: Str<'a> = "refusal",
        reasoning_content: Str<'a> = "reasoning_content",
        reasoning: &'a RawValue = "reasoning",
        reasoning_details: Vec<Detail<'a>> = "reasoning_details",
        tool_calls: Vec<CallPart<'a>> = "tool_calls",
        function_call: Function<'a> = "function_call",
        annotations: &'a RawValue = "annotations",
        audio: &'a RawValue = "audio",
        // As in whole answers, these say nothing of it.
        role: &'a RawValue = "role",
        name: &'a RawValue = "name",
        tool_call_id: &'a RawValue = "tool_call_id",
    }
}

record! {
    struct CallPart {
        index: u64 = "index",
        id: Str<'a> = "id",
        kind: &'a RawValue = "type",
        function: Function<'a> = "function",
        custom: Function<'a> = "custom",
        extra_content: &'a RawValue = "extra_content",
    }
}

/// Reads the frames of a stream, whichever server they come from: calls in pieces or whole, with and without ids and
/// numbers; usage in any chunk; chunks without choices.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    phase: Phase,
    /// As it was said last.
    tier: String,
    choices: SmallVec<[Choice; 1]>,
    usage_is_unreadable: bool,
    losses: Losses,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Waiting,
    Running,
    /// The end or an error was said.
    Over,
}

impl codec::StreamDecoder for StreamDecoder {
    fn frame(&mut self, event: Option<&str>, data: &str, out: &mut Sink<'_>) -> Result<(), &'static str> {
        let data = data.trim_ascii();
        match data {
            _ if self.phase == Phase::Over => return Ok(()),
            "" => {
                out(Event::Ping);
                return Ok(());
            }
            "[DONE]" => {
                self.phase = Phase::Over;
                out(Event::End);
                return Ok(());
            }
            _ => {}
        }
        let chunk = serde_json::from_str::<Chunk<'_>>(data);
        let error = match &chunk {
            Ok(Chunk { error: Some(error), .. }) => Some(error.get()),
            // The error itself, without a field around it.
            Ok(Chunk { object: Some(Str(object)), .. }) if object == "error" => Some(data),
            _ if event == Some("error") => Some(data),
            _ => None,
        };
        if let Some(error) = error {
            self.phase = Phase::Over;
            out(Event::Error(UpstreamError::read(error)));
            return Ok(());
        }
        self.chunk(chunk.map_err(|_| "the data is not a chunk of a chat completion")?, out);
        Ok(())
    }

    fn close(&mut self, out: &mut Sink<'_>) {
        let is_complete = !self.choices.is_empty() && self.choices.iter().all(Choice::is_complete);
        if self.phase != Phase::Over && is_complete {
            self.phase = Phase::Over;
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
    fn chunk(&mut self, chunk: Chunk<'_>, out: &mut Sink<'_>) {
        lose_fields(chunk.unknown.iter().map(|(name, value)| (&**name, *value)), &mut self.losses);
        let parts = chunk.choices.unwrap_or_default();
        let id = chunk.id.unwrap_or_default().0;
        if let Some(Str(tier)) = chunk.service_tier.filter(|tier| tier.0 != self.tier) {
            tier.as_ref().clone_into(&mut self.tier);
            out(Event::ServiceTier(tier));
        }
        // Azure tells of its filter in a first chunk that has neither.
        if self.phase == Phase::Waiting && !(parts.is_empty() && id.is_empty()) {
            self.phase = Phase::Running;
            out(Event::Start { id, model: chunk.model.unwrap_or_default().0 });
        }
        for (place, part) in (0..).zip(parts) {
            let number = part.index.unwrap_or(place);
            let at = number as usize;
            if at >= CHOICES_MAX {
                self.losses.add(LossCode::Field, "choices");
                continue;
            }
            if self.choices.len() <= at {
                self.choices.resize_with(at + 1, Choice::default);
            }
            if let Some(choice) = self.choices.get_mut(at) {
                choice.part(number, part, &mut self.losses, out);
            }
        }
        match chunk.usage.map_or(Ok(None), |usage| usage::stated(usage.get())) {
            Ok(Some(usage)) => {
                self.usage_is_unreadable = false;
                out(Event::Usage(usage));
            }
            Ok(None) => {}
            Err(UnreadableCount) => self.usage_is_unreadable = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::StreamDecoder as _;

    /// What is said of the frames, and of the end of the connection.
    fn said(frames: &[&str]) -> Vec<String> {
        let mut decoder = StreamDecoder::default();
        let mut said = Vec::new();
        let mut out = |event: Event<'_>| said.push(crate::chat::tests::samples::brief(&event));
        for frame in frames {
            decoder.frame(None, frame, &mut out).unwrap();
        }
        decoder.close(&mut out);
        said
    }

    fn chunk(delta: &str) -> String {
        format!(r#"{{"id":"c","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
    }

    fn finish(word: &str) -> String {
        format!(r#"{{"id":"c","model":"m","choices":[{{"index":0,"delta":{{}},"finish_reason":"{word}"}}]}}"#)
    }

    fn of_deltas(deltas: &[&str], word: &str) -> Vec<String> {
        let mut frames: Vec<_> = deltas.iter().map(|delta| chunk(delta)).collect();
        frames.push(finish(word));
        frames.push("[DONE]".to_owned());
        let frames: Vec<_> = frames.iter().map(String::as_str).collect();
        said(&frames)
    }

    #[test]
    fn text_and_reasoning_are_blocks_of_their_own() {
        let deltas = [
            r#"{"role":"assistant","content":""}"#,
            r#"{"reasoning_content":"hm"}"#,
            r#"{"reasoning":"m"}"#,
            r#"{"content":"a\n"}"#,
            r#"{"content":[{"type":"text","text":"b"}]}"#,
            r#"{"refusal":"no"}"#,
        ];
        let expected = [
            "start c m",
            "open 0.0 reasoning",
            "0.0 hm",
            "0.0 m",
            "close 0.0",
            "open 0.1 text",
            "0.1 a\n",
            "0.1 b",
            "close 0.1",
            "open 0.2 refusal",
            "0.2 no",
            "close 0.2",
            "stop 0 Refusal",
            "end",
        ];
        assert_eq!(of_deltas(&deltas, "stop"), expected);
    }

    #[test]
    fn details_of_reasoning_are_told_apart_by_their_index() {
        let deltas = [
            r#"{"reasoning_content":"a","reasoning_details":[{"type":"reasoning.text","text":"a","index":0}]}"#,
            r#"{"reasoning_details":[{"type":"reasoning.text","signature":"sy1.claude.proof..p","index":0}]}"#,
            r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"sy1.openai.encrypted.rs_1.q","index":1}]}"#,
        ];
        let expected = [
            "start c m",
            "open 0.0 reasoning",
            "0.0 a",
            "0.0 signature p",
            "close 0.0",
            "open 0.1 reasoning",
            "0.1 signature q",
            "close 0.1",
            "stop 0 End",
            "end",
        ];
        assert_eq!(of_deltas(&deltas, "stop"), expected);
    }

    #[test]
    fn calls_in_pieces_may_interleave() {
        let deltas = [
            r#"{"content":"t"}"#,
            r#"{"tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":"f","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"y","function":{"name":"g"}},{"index":0,"function":{"arguments":"{\"a"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"y","function":{"name":"g","arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"\":1}"}}]}"#,
        ];
        let expected = [
            "start c m",
            "open 0.0 text",
            "0.0 t",
            "close 0.0",
            "open 0.1 call x f",
            "open 0.2 call y g",
            "0.1 {\"a",
            "0.2 {}",
            "0.1 \":1}",
            "close 0.1",
            "close 0.2",
            "stop 0 ToolUse",
            "end",
        ];
        assert_eq!(of_deltas(&deltas, "tool_calls"), expected);
    }

    #[test]
    fn calls_that_come_whole_or_without_ids_are_told_apart() {
        let whole = [
            r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"y","function":{"name":"f","arguments":{"b":1}}}]}"#,
            r#"{"tool_calls":[{"function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]}"#,
        ];
        let expected = [
            "start c m",
            "open 0.0 call x f",
            "0.0 {}",
            "open 0.1 call y f",
            "0.1 {\"b\":1}",
            "open 0.2 call call_2 f signed s",
            "0.2 {}",
            "close 0.0",
            "close 0.1",
            "close 0.2",
            "stop 0 ToolUse",
            "end",
        ];
        assert_eq!(of_deltas(&whole, "stop"), expected);
        let others = [
            r#"{"tool_calls":[{"index":0,"type":"custom","custom":{"name":"sh","input":"ls"}}]}"#,
            r#"{"tool_calls":[{"index":0,"custom":{"input":" -l"}}]}"#,
            r#"{"function_call":{"name":"g","arguments":"{"}}"#,
            r#"{"function_call":{"arguments":"}"}}"#,
        ];
        let expected = [
            "start c m",
            "open 0.0 custom call_0 sh",
            "0.0 ls",
            "0.0  -l",
            "open 0.1 call call_function g",
            "0.1 {",
            "0.1 }",
            "close 0.0",
            "close 0.1",
            "stop 0 ToolUse",
            "end",
        ];
        assert_eq!(of_deltas(&others, "function_call"), expected);
    }

    #[test]
    fn chunks_without_choices_tell_of_filters_and_usage() {
        let frames = [
            r#"{"id":"","model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#,
            &chunk(r#"{"content":"a"}"#),
            &finish("length"),
            r#"{"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
            "[DONE]",
            &chunk(r#"{"content":"late"}"#),
        ];
        let expected =
            ["start c m", "open 0.0 text", "0.0 a", "close 0.0", "stop 0 Length", "usage 5 2", "end"];
        assert_eq!(said(&frames), expected);
    }

    #[test]
    fn each_choice_has_its_own_blocks_and_end() {
        let two = r#"{"id":"c","model":"m","choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}"#;
        let stops = r#"{"choices":[{"index":1,"finish_reason":"stop"},{"index":0,"finish_reason":"stop"}]}"#;
        let began = ["start c m", "open 1.0 text", "1.0 b", "open 0.0 text", "0.0 a"];
        assert_eq!(said(&[two]), began, "an answer that broke off has no end");
        let ended = said(&[two, stops]);
        assert_eq!(ended[5..], ["close 1.0", "stop 1 End", "close 0.0", "stop 0 End", "end"]);
    }

    #[test]
    fn errors_and_keep_alives_are_told_apart_from_chunks() {
        let mut decoder = StreamDecoder::default();
        let mut events = Vec::new();
        let mut out = |event: Event<'_>| events.push(crate::chat::tests::samples::brief(&event));
        decoder.frame(None, "", &mut out).unwrap();
        assert!(decoder.frame(None, "{", &mut out).is_err());
        assert!(decoder.frame(None, r#"{"choices":{}}"#, &mut out).is_err());
        decoder.frame(None, r#"{"error":{"message":"busy","code":503}}"#, &mut out).unwrap();
        decoder.frame(None, "[DONE]", &mut out).unwrap();
        assert_eq!(events, ["ping", "error busy"]);
        for (event, data) in
            [(Some("error"), r#"{"message":"busy"}"#), (None, r#"{"object":"error","message":"busy"}"#)]
        {
            let mut decoder = StreamDecoder::default();
            let mut found = None;
            decoder.frame(event, data, &mut |event| found = Some(format!("{event:?}"))).unwrap();
            assert!(found.is_some_and(|found| found.contains("busy")), "{data}");
        }
    }

    #[test]
    fn annotations_and_probabilities_go_with_their_text() {
        let frame = r#"{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"a","annotations":[{"type":"url_citation"}]},"logprobs":{"content":[1]}}]}"#;
        let expected = [
            "start c m",
            "open 0.0 text",
            "0.0 a",
            "0.0 annotation [{\"type\":\"url_citation\"}]",
            "0.0 logprobs {\"content\":[1]}",
        ];
        assert_eq!(said(&[frame]), expected);
    }
}
