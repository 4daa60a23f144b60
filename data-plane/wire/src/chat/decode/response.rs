//! What an upstream answered.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::message::{Message, Reader};
use super::read::{Path, each, read, text};
use super::{ANSWER, lose, stop_reason};
use crate::canonical::{Block, Choice, Extra, Opaque, Response, Stop, StopReason, legal::CHOICES_MAX};
use crate::chat::usage;
use crate::codec::Unreadable;
use crate::json::record::{Str, record};
use crate::loss::Losses;

record! {
    struct Completion {
        id: Str<'a> = "id",
        object: &'a RawValue = "object",
        created: &'a RawValue = "created",
        model: Str<'a> = "model",
        choices: Vec<&'a RawValue> = "choices",
        usage: &'a RawValue = "usage",
        service_tier: Str<'a> = "service_tier",
    }
}

record! {
    struct Answer {
        index: u64 = "index",
        message: Message<'a> = "message",
        finish_reason: Str<'a> = "finish_reason",
        logprobs: &'a RawValue = "logprobs",
    }
}

pub(crate) fn response(body: &[u8]) -> Result<Response<'_>, Unreadable> {
    let fields: Completion<'_> = read(text(body)?, &Path::Body)?;
    let path = Path::Body.field("choices");
    let Some(choices) = fields.choices else { return Err(path.wrong("is required")) };
    let mut response = Response {
        id: fields.id.unwrap_or_default().0,
        model: fields.model.unwrap_or_default().0,
        usage: fields.usage.and_then(|usage| usage::read(usage.get())),
        service_tier: fields.service_tier.map(|Str(tier)| tier),
        ..Response::default()
    };
    let mut reader = Reader::new(ANSWER);
    each(&choices, &path, |answer: Answer<'_>, _, path| {
        lose(&mut response.losses, "choices", "", &answer.unknown);
        let next = response.choices.len();
        let at = answer.index.map_or(next, |index| usize::try_from(index).unwrap_or(usize::MAX));
        if at >= CHOICES_MAX {
            return Err(path.field("index").wrong("is too large"));
        }
        let choice = choice(&mut reader, answer, path)?;
        if response.choices.len() <= at {
            response.choices.resize_with(at + 1, Choice::default);
        }
        if let Some(place) = response.choices.get_mut(at) {
            *place = choice;
        }
        Ok(())
    })?;
    response.losses.extend(reader.losses);
    let extra = |(name, value)| Extra { origin: Wire::Chat, name, value };
    response.extras = fields.unknown.into_iter().map(extra).collect();
    Ok(response)
}

fn choice<'a>(
    reader: &mut Reader<'a>,
    answer: Answer<'a>,
    path: &Path<'_>,
) -> Result<Choice<'a>, Unreadable> {
    let mut message = answer.message.unwrap_or_default();
    message.role = None;
    let blocks = reader.assistant(message, &path.field("message"))?;
    let word = answer.finish_reason.unwrap_or_default().0;
    let reason = stop(&word, &blocks, &mut reader.losses);
    let logprobs = answer.logprobs.map(|value| Opaque {
        origin: Wire::Chat,
        kind: "logprobs".into(),
        value: Cow::Borrowed(value),
    });
    Ok(Choice { blocks, stop: Stop::of(reason), logprobs })
}

fn stop(word: &str, blocks: &[Block<'_>], losses: &mut Losses) -> StopReason {
    let calls_tools = blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
    let reason = stop_reason(word, losses).with_calls(calls_tools);
    let refuses = blocks.iter().any(|block| matches!(block, Block::Refusal(_)));
    if reason == StopReason::End && refuses { StopReason::Refusal } else { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_what_it_used() {
        let body = br#"{"id":"c","object":"chat.completion","created":1,"model":"m","service_tier":"default","system_fingerprint":"fp",
            "choices":[{"index":1,"message":{"role":"assistant","content":"b"},"finish_reason":"length","content_filter_results":{}},
            {"index":0,"message":{"role":"assistant","content":"a","annotations":[1],"odd":1},"logprobs":{"content":[]},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":1}}}"#;
        let response = response(body).unwrap();
        assert_eq!(
            (&*response.id, &*response.model, response.service_tier.as_deref()),
            ("c", "m", Some("default"))
        );
        let usage = response.usage.unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output, usage.reasoning), (4, 5, 4, 1));
        let [a, b] = response.choices.as_slice() else { panic!("{:?}", response.choices) };
        assert_eq!((a.stop.reason, b.stop.reason), (StopReason::End, StopReason::Length));
        let Block::Text(text) = &a.blocks[0] else { panic!("{a:?}") };
        let annotations = text.annotations.as_ref().map(|it| it.value.get());
        assert_eq!((&*text.text, annotations), ("a", Some("[1]")));
        assert_eq!(a.logprobs.as_ref().map(|it| it.value.get()), Some(r#"{"content":[]}"#));
        assert_eq!(
            (&*response.extras[0].name, response.extras[0].value.get()),
            ("system_fingerprint", "\"fp\"")
        );
        let losses: Vec<_> = response.losses.iter().map(|loss| &*loss.what).collect();
        assert_eq!(losses, ["choices.content_filter_results", "choices.message.odd"]);
    }

    #[test]
    fn why_it_ended_follows_from_what_it_says() {
        let reason = |message: &str, word: &str| {
            let body = format!(r#"{{"choices":[{{"message":{message},"finish_reason":{word}}}]}}"#);
            response(body.as_bytes()).unwrap().choices[0].stop.reason
        };
        let call = r#"{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}"#;
        assert_eq!(reason(call, "\"stop\""), StopReason::ToolUse, "whatever word the server chose");
        assert_eq!(reason(call, "null"), StopReason::ToolUse);
        assert_eq!(reason(call, "\"length\""), StopReason::Length);
        assert_eq!(reason(r#"{"refusal":"no"}"#, "\"stop\""), StopReason::Refusal);
        assert_eq!(reason("{}", "\"content_filter\""), StopReason::ContentFilter);
        assert_eq!(reason("{}", "\"eos\""), StopReason::End);
    }

    #[test]
    fn a_body_without_choices_is_no_answer() {
        let error = |body: &str| response(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(error(r#"{"error":{"message":"m"}}"#), "`choices` is required");
        assert_eq!(error(r#"{"choices":[{"index":900}]}"#), "`choices[0].index` is too large");
        assert_eq!(
            error(r#"{"choices":[{"message":{"content":1}}]}"#),
            "`choices[0].message.content` must be a string or an array"
        );
    }
}
