//! An answer, or one chunk of a stream: both have the same form.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::{part, place::Place, request};
use crate::{
    canonical::{
        Block, Choice, Extra, Opaque, Reasoning, Response, Stop, StopReason, Text, bundle, legal::CHOICES_MAX,
    },
    codec::Unreadable,
    gemini::{
        message::{Int, Many, message},
        usage,
    },
    json::{self, record::Str},
    loss::{LossCode, Losses},
};

message! {
    pub(super) struct Answer {
        candidates: Many<'a> = "candidates",
        feedback: &'a RawValue = "promptFeedback",
        usage: &'a RawValue = "usageMetadata",
        model: Str<'a> = "modelVersion",
        id: Str<'a> = "responseId",
        // Code Assist wraps the answer.
        response: &'a RawValue = "response",
        error: &'a RawValue = "error",
    }
}

message! {
    pub(super) struct Candidate {
        content: &'a RawValue = "content",
        index: Int = "index",
        finish: Str<'a> = "finishReason",
        citations: &'a RawValue = "citationMetadata",
        grounding: &'a RawValue = "groundingMetadata",
        url_context: &'a RawValue = "urlContextMetadata",
        logprobs: &'a RawValue = "logprobsResult",
    }
}

message! {
    struct Content {
        parts: Many<'a> = "parts",
        role: &'a RawValue = "role",
    }
}

message! {
    struct Feedback {
        reason: Str<'a> = "blockReason",
    }
}

/// # Errors
/// What is wrong with the upstream's answer.
pub(crate) fn response(body: &[u8]) -> Result<Response<'_>, Unreadable> {
    let answer: Answer<'_> = unwrapped(request::read("body", body)?)?;
    if answer.says_nothing() {
        return Err(Unreadable::new("candidates", "is missing"));
    }
    let mut response = Response {
        usage: answer.usage.and_then(|metadata| usage::read(metadata.get())),
        ..Response::default()
    };
    let list = Place::top("candidates");
    let candidates = answer.candidates.as_ref().map_or(&[][..], |candidates| &candidates.0);
    for (position, raw) in candidates.iter().enumerate() {
        let place = list.index(position);
        let candidate: Candidate<'_> = place.read(raw)?;
        let Some(number) = candidate.number(position, &mut response.losses) else { continue };
        if response.choices.len() <= number {
            response.choices.resize_with(number + 1, Choice::default);
        }
        let read = choice(candidate, &place, &mut response.losses)?;
        if let Some(choice) = response.choices.get_mut(number) {
            *choice = read;
        }
    }
    if response.choices.is_empty() {
        let reason = if answer.is_blocked() { StopReason::ContentFilter } else { StopReason::End };
        response.choices.push(Choice { stop: Stop::of(reason), ..Choice::default() });
    }
    let extra = |(name, value)| Extra { origin: Wire::Gemini, name: Cow::Owned(String::from(name)), value };
    response.extras = answer.extras().map(extra).collect();
    response.model = answer.model.unwrap_or_default().0;
    response.id = answer.id.unwrap_or_default().0;
    Ok(response)
}

/// One chunk of a stream.
pub(super) fn chunk(data: &str) -> Result<Answer<'_>, Unreadable> {
    let answer = serde_json::from_str(data);
    unwrapped(answer.map_err(|error| Unreadable::new("data", json::problem(&error)))?)
}

fn unwrapped(answer: Answer<'_>) -> Result<Answer<'_>, Unreadable> {
    match answer.response {
        Some(inner) if answer.candidates.is_none() => Place::top("response").read(inner),
        _ => Ok(answer),
    }
}

impl<'a> Answer<'a> {
    /// What it says of itself that only this wire knows.
    pub(super) fn extras(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let feedback = self.feedback.map(|feedback| ("promptFeedback", feedback));
        feedback.into_iter().chain(self.unknown.iter().map(|(name, value)| (&**name, *value)))
    }

    fn says_nothing(&self) -> bool {
        self.candidates.is_none()
            && self.feedback.is_none()
            && self.usage.is_none()
            && self.model.is_none()
            && self.id.is_none()
    }

    /// Whether the prompt was refused.
    pub(super) fn is_blocked(&self) -> bool {
        let feedback = self.feedback.and_then(|raw| serde_json::from_str::<Feedback<'_>>(raw.get()).ok());
        feedback.and_then(|feedback| feedback.reason).is_some_and(|reason| !reason.0.is_empty())
    }
}

impl<'a> Candidate<'a> {
    /// Its place among the choices; Google leaves the first one's out at times. None: there are too many.
    pub(super) fn number(&self, position: usize, losses: &mut Losses) -> Option<usize> {
        let number = self.index.map_or(Ok(position), |Int(index)| usize::try_from(index));
        let number = number.ok().filter(|number| *number < CHOICES_MAX);
        if number.is_none() {
            losses.add(LossCode::Block, "candidates");
        }
        number
    }

    /// What Google says about the text, as one object with the candidate's fields.
    pub(super) fn annotations(&self) -> Option<Opaque<'a>> {
        let fields = [
            ("citationMetadata", self.citations),
            ("groundingMetadata", self.grounding),
            ("urlContextMetadata", self.url_context),
        ];
        let kind = fields.iter().find(|(_, value)| value.is_some())?.0;
        let mut out = Vec::new();
        json::write::object(&mut out, |o| {
            fields.iter().for_each(|(name, value)| o.some_raw(name, *value));
        });
        let value = RawValue::from_string(String::from_utf8(out).ok()?).ok()?;
        Some(Opaque { origin: Wire::Gemini, kind: Cow::Borrowed(kind), value: Cow::Owned(value) })
    }

    pub(super) fn logprobs(&self) -> Option<Opaque<'a>> {
        let value = Cow::Borrowed(self.logprobs?);
        Some(Opaque { origin: Wire::Gemini, kind: Cow::Borrowed("logprobsResult"), value })
    }

    /// None: it goes on.
    pub(super) fn stop(&self, losses: &mut Losses) -> Option<StopReason> {
        let word = self.finish.as_ref().map_or("", |finish| &*finish.0);
        Some(match word {
            "" | "FINISH_REASON_UNSPECIFIED" => return None,
            "STOP" => StopReason::End,
            "MAX_TOKENS" => StopReason::Length,
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "MODEL_ARMOR" => StopReason::ContentFilter,
            // The model went astray (`MALFORMED_FUNCTION_CALL`), or Google doesn't say how. Other wires have no word for
            // that: no limit was reached, no filter spoke, and what was said is all there is.
            word => {
                losses.add_path(LossCode::Field, &["candidates.finishReason.", word]);
                StopReason::End
            }
        })
    }

    pub(super) fn parts(
        &self,
        place: &Place<'_>,
        losses: &mut Losses,
    ) -> Result<Vec<&'a RawValue>, Unreadable> {
        for (name, _) in &self.unknown {
            losses.add_path(LossCode::Field, &["candidates.", name]);
        }
        let Some(raw) = self.content else { return Ok(Vec::new()) };
        let content: Content<'a> = place.field("content").read(raw)?;
        for (name, _) in &content.unknown {
            losses.add_path(LossCode::Field, &["candidates.content.", name]);
        }
        Ok(content.parts.unwrap_or_default().0)
    }
}

fn choice<'a>(
    candidate: Candidate<'a>,
    place: &Place<'_>,
    losses: &mut Losses,
) -> Result<Choice<'a>, Unreadable> {
    let mut blocks = Vec::new();
    let content = place.field("content");
    let parts = content.field("parts");
    for (index, raw) in candidate.parts(place, losses)?.into_iter().enumerate() {
        if let Some(mut piece) = part::read(raw, &parts.index(index), losses)? {
            bundle::insert(&mut blocks, std::mem::take(&mut piece.bundle));
            piece.into_blocks().for_each(|block| add(&mut blocks, block, raw));
        }
    }
    if let Some(annotations) = candidate.annotations() {
        let last = blocks.iter_mut().rev().find_map(|block| match block {
            Block::Text(text) => Some(text),
            _ => None,
        });
        match last {
            Some(text) => text.annotations = Some(annotations),
            None => losses.add_named(LossCode::Annotation, &annotations.kind),
        }
    }
    let calls_tools = blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
    let reason = candidate.stop(losses).unwrap_or_default().with_calls(calls_tools);
    Ok(Choice { blocks, stop: Stop::of(reason), logprobs: candidate.logprobs() })
}

/// Text that goes on in the next part is one block, up to where it is signed.
fn add<'a>(blocks: &mut Vec<Block<'a>>, block: Block<'a>, raw: &'a RawValue) {
    match (blocks.last_mut(), block) {
        (
            Some(Block::Text(Text { text, signature: signature @ None, .. })),
            Block::Text(Text { text: more, signature: its, .. }),
        )
        | (
            Some(Block::Reasoning(Reasoning { text, signature: signature @ None })),
            Block::Reasoning(Reasoning { text: more, signature: its }),
        ) => {
            text.to_mut().push_str(&more);
            *signature = its;
        }
        // A model gives no results; what looks like one is Google's own affair.
        (_, Block::ToolResult(_)) => blocks.push(part::opaque("functionResponse", raw)),
        (_, block) => blocks.push(block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Response<'_> {
        response(body.as_bytes()).unwrap()
    }

    fn finished(word: &str) -> (StopReason, usize) {
        let body = format!(r#"{{"candidates":[{{"finishReason":"{word}"}}]}}"#);
        let response = response(body.as_bytes()).unwrap();
        (response.choices[0].stop.reason, response.losses.iter().count())
    }

    #[test]
    fn an_answer_is_read() {
        let response = read(
            r#"{"candidates":[{"content":{"parts":[{"text":"Hm","thought":true},{"text":"m","thought":true,"thoughtSignature":"QQ=="},
                {"text":"a"},{"text":"b"},{"functionCall":{"name":"f","args":{"x":1}}}],"role":"model"},"finishReason":"STOP",
                "citationMetadata":{"c":1},"groundingMetadata":{"g":1},"logprobsResult":{"l":1},"safetyRatings":[]}],
                "usageMetadata":{"promptTokenCount":3},"modelVersion":"gemini-2.5-pro","responseId":"r","createTime":"t"}"#,
        );
        let choice = &response.choices[0];
        let [Block::Reasoning(thought), Block::Text(text), Block::ToolCall(call)] = choice.blocks.as_slice()
        else {
            panic!("other blocks: {:?}", choice.blocks);
        };
        assert_eq!((&*thought.text, thought.signature.is_some()), ("Hmm", true));
        assert_eq!(text.text, "ab");
        let annotations = text.annotations.as_ref().unwrap();
        assert_eq!(annotations.value.get(), r#"{"citationMetadata":{"c":1},"groundingMetadata":{"g":1}}"#);
        assert_eq!((&*call.id, &*call.name, &*call.arguments), ("", "f", r#"{"x":1}"#));
        assert_eq!(choice.stop.reason, StopReason::ToolUse);
        assert_eq!(choice.logprobs.as_ref().unwrap().value.get(), r#"{"l":1}"#);
        assert_eq!((&*response.id, &*response.model), ("r", "gemini-2.5-pro"));
        assert_eq!(response.usage.unwrap().input, 3);
        assert_eq!(response.extras[0].name, "createTime");
        assert_eq!(
            response.losses.iter().map(|loss| &*loss.what).collect::<Vec<_>>(),
            ["candidates.safetyRatings"]
        );
    }

    #[test]
    fn a_blocked_prompt_is_an_answer_of_the_filter() {
        let response = read(r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#);
        assert_eq!(response.choices[0].stop.reason, StopReason::ContentFilter);
        assert_eq!(response.extras[0].name, "promptFeedback");
        assert_eq!(read(r#"{"usageMetadata":{}}"#).choices[0].stop.reason, StopReason::End);
    }

    #[test]
    fn candidates_lie_by_their_index() {
        let response = read(
            r#"{"response":{"candidates":[{"content":{"parts":[{"text":"b"}]},"index":1},{"content":{"parts":[{"text":"a"}]},"index":0},
                {"index":4000000},{"index":-1}]}}"#,
        );
        let texts: Vec<_> = response.choices.iter().map(|choice| format!("{:?}", choice.blocks)).collect();
        assert!(texts.len() == 2 && texts[0].contains("\"a\"") && texts[1].contains("\"b\""), "{texts:?}");
        assert_eq!(response.losses.iter().count(), 1);
    }

    #[test]
    fn every_reason_has_its_word() {
        assert_eq!(finished("STOP"), (StopReason::End, 0));
        assert_eq!(finished("MAX_TOKENS"), (StopReason::Length, 0));
        for word in
            ["SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"]
        {
            assert_eq!(finished(word), (StopReason::ContentFilter, 0), "{word}");
        }
        for word in ["MALFORMED_FUNCTION_CALL", "OTHER", "OF_A_LATER_DAY"] {
            assert_eq!(finished(word), (StopReason::End, 1), "{word}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let problem = |body: &str| response(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(problem("{}"), "`candidates` is missing");
        assert_eq!(problem(r#"{"error":{"code":500}}"#), "`candidates` is missing");
        assert!(problem("<html>").starts_with("`body` is not JSON that can be read"));
        let part = r#"{"candidates":[{"content":{"parts":[{"text":7}]}}]}"#;
        assert!(problem(part).starts_with("`candidates[0].content.parts[0]` must be "));
    }
}
