//! A stream as one response: for clients that asked for no stream where the upstream gives nothing else.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    Block, Choice, Delta, Event, Opaque, Opening, Reasoning, Response, Signature, Stop, Text, ToolCall,
};
use crate::{canonical::legal::CHOICES_MAX, error::upstream::UpstreamError, json};

/// Gathers the events of a stream, which must be in legal order.
#[derive(Debug, Default)]
pub struct Aggregator {
    response: Response<'static>,
    /// By choice, as they came.
    logprobs: Vec<Vec<Opaque<'static>>>,
    error: Option<UpstreamError>,
    ended: bool,
}

impl Aggregator {
    pub fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start { id, model } => {
                self.response.id = owned(id);
                self.response.model = owned(model);
            }
            Event::Open { choice, opening, .. } => self.choice(choice).blocks.push(opened(opening)),
            Event::Delta { choice, delta, .. } => {
                if let Delta::Logprobs(logprobs) = delta {
                    self.choice_logprobs(choice).push(logprobs.into_owned());
                } else if let Some(block) = self.choice(choice).blocks.last_mut() {
                    grow(block, delta);
                }
            }
            Event::Stop { choice, stop } => {
                self.choice(choice).stop = Stop { reason: stop.reason, sequence: stop.sequence.map(owned) };
            }
            Event::Usage(usage) => self.response.usage = Some(usage),
            Event::ServiceTier(tier) => self.response.service_tier = Some(owned(tier)),
            Event::Close { .. } | Event::Ping => {}
            Event::Error(error) => self.error = Some(error),
            Event::End => self.ended = true,
        }
    }

    /// # Errors
    /// What the upstream reported; `None` where the stream just broke off.
    pub fn finish(mut self) -> Result<Response<'static>, Option<UpstreamError>> {
        for (choice, logprobs) in self.response.choices.iter_mut().zip(self.logprobs) {
            choice.logprobs = joined(logprobs);
        }
        match self.error {
            Some(error) => Err(Some(error)),
            None if self.ended => Ok(self.response),
            None => Err(None),
        }
    }

    fn choice(&mut self, number: u32) -> &mut Choice<'static> {
        at(&mut self.response.choices, number)
    }

    fn choice_logprobs(&mut self, number: u32) -> &mut Vec<Opaque<'static>> {
        at(&mut self.logprobs, number)
    }
}

fn at<T: Default>(choices: &mut Vec<T>, number: u32) -> &mut T {
    let at = (number as usize).min(CHOICES_MAX - 1);
    if choices.len() <= at {
        choices.resize_with(at + 1, T::default);
    }
    &mut choices[at]
}

/// What came in pieces, as a plain answer has it: lists follow each other, and so do the lists in objects' fields. Of
/// anything else the first holds.
fn joined(mut pieces: Vec<Opaque<'static>>) -> Option<Opaque<'static>> {
    if pieces.len() > 1 {
        let values: Vec<_> = pieces.iter().map(|piece| piece.value.get()).collect();
        let whole = lists(&values).or_else(|| objects(&values));
        let whole = whole.and_then(|whole| RawValue::from_string(whole).ok());
        pieces.truncate(1);
        if let (Some(whole), Some(first)) = (whole, pieces.first_mut()) {
            first.value = Cow::Owned(whole);
        }
    }
    pieces.pop()
}

/// None: not all of them are lists.
fn lists(values: &[&str]) -> Option<String> {
    let mut whole = String::from("[");
    for value in values {
        json::array(value, |item| {
            if whole.len() > 1 {
                whole.push(',');
            }
            whole.push_str(item);
        })
        .ok()?;
    }
    whole.push(']');
    Some(whole)
}

/// None: not all of them are objects.
fn objects(values: &[&str]) -> Option<String> {
    let mut fields: Vec<(Cow<'_, str>, Vec<&str>)> = Vec::new();
    for value in values {
        json::object(value, |field| {
            let name = field.name();
            let at = fields.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                fields.push((name, Vec::new()));
                fields.len() - 1
            });
            if let Some((_, values)) = fields.get_mut(at).filter(|_| field.value != "null") {
                values.push(field.value);
            }
        })
        .ok()?;
    }
    let mut out = Vec::new();
    json::write::object(&mut out, |o| {
        for (name, values) in &fields {
            match lists(values).filter(|_| !values.is_empty()) {
                Some(list) => o.raw(name, &list),
                None => o.raw(name, values.first().copied().unwrap_or("null")),
            }
        }
    });
    String::from_utf8(out).ok()
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn opened(opening: Opening<'_>) -> Block<'static> {
    match opening.into_owned() {
        Opening::Text => Block::Text(Text::default()),
        Opening::Reasoning => Block::Reasoning(Reasoning::default()),
        Opening::Refusal => Block::Refusal(Cow::Borrowed("")),
        Opening::ToolCall { id, name, kind, namespace, signature } => Block::ToolCall(ToolCall {
            id,
            name,
            kind,
            arguments: Cow::Borrowed(""),
            namespace,
            signature,
            cache: None,
        }),
        Opening::Opaque(opaque) => Block::Opaque(opaque),
    }
}

fn grow(block: &mut Block<'static>, delta: Delta<'_>) {
    match (block, delta) {
        (Block::Text(block), Delta::Text(text)) => block.text.to_mut().push_str(&text),
        (Block::Reasoning(block), Delta::Text(text)) => block.text.to_mut().push_str(&text),
        (Block::Refusal(block), Delta::Text(text)) => block.to_mut().push_str(&text),
        (Block::ToolCall(block), Delta::Arguments(text)) => block.arguments.to_mut().push_str(&text),
        (Block::Text(block), Delta::Signature(signature)) => {
            block.signature = Some(Signature::into_owned(signature));
        }
        (Block::Reasoning(block), Delta::Signature(signature)) => {
            block.signature = Some(Signature::into_owned(signature));
        }
        (Block::Text(block), Delta::Annotation(annotation)) => {
            let pieces = block.annotations.take().into_iter().chain([Opaque::into_owned(annotation)]);
            block.annotations = joined(pieces.collect());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use shared::wire::Wire;

    use super::*;

    fn whole(pieces: &[&str]) -> String {
        let piece = |json: &&str| Opaque {
            origin: Wire::Chat,
            kind: "x".into(),
            value: Cow::Owned(RawValue::from_string((*json).to_owned()).expect("JSON")),
        };
        joined(pieces.iter().map(piece).collect())
            .map_or_else(String::new, |whole| whole.value.get().to_owned())
    }

    #[test]
    fn pieces_follow_each_other_in_their_lists() {
        let cases: [(&[&str], &str); 7] = [
            (&[], ""),
            (&[r#"{"a": 1}"#], r#"{"a": 1}"#),
            (&["[1, -0.10]", "[]", r#"[{"n":2}]"#], r#"[1,-0.10,{"n":2}]"#),
            (
                &[r#"{"content":[{"logprob":-0.10}],"refusal":null}"#, r#"{"content":[2]}"#],
                r#"{"content":[{"logprob":-0.10},2],"refusal":null}"#,
            ),
            (&[r#"{"a":[1],"b":null}"#, r#"{"b":[2],"c":"x"}"#], r#"{"a":[1],"b":[2],"c":"x"}"#),
            (&[r#"{"a":1,"b":{"c":1}}"#, r#"{"a":2,"b":{"c":2}}"#], r#"{"a":1,"b":{"c":1}}"#),
            (&["1", "2"], "1"),
        ];
        for (pieces, expected) in cases {
            assert_eq!(whole(pieces), expected, "{pieces:?}");
        }
    }
}
