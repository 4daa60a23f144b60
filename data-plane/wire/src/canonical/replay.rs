//! One response as a stream: for clients that asked for a stream where the upstream gave none.

use std::borrow::Cow;

use super::{Block, Choice, Delta, Event, MEDIA, Opening, Response, Sink, TOOL_RESULT, lose_fields};
use crate::loss::{LossCode, Losses};

/// Says all of the response in legal order, each text in one piece. Returns what streams have no place for, and with it
/// what the decoder had none for.
pub fn replay(response: &Response<'_>, out: &mut Sink<'_>) -> Losses {
    let mut losses = response.losses.clone();
    lose_fields(response.extras.iter().map(|extra| (&*extra.name, extra.value)), &mut losses);
    // Ahead of the start, so that clients are told then what they can be.
    if let Some(tier) = &response.service_tier {
        out(Event::ServiceTier(Cow::Borrowed(tier)));
    }
    if let Some(usage) = response.usage {
        out(Event::Usage(usage));
    }
    out(Event::Start { id: Cow::Borrowed(&response.id), model: Cow::Borrowed(&response.model) });
    for (number, choice) in (0..).zip(&response.choices) {
        self::choice(number, choice, &mut losses, out);
    }
    out(Event::End);
    losses
}

fn choice<'r>(number: u32, choice: &'r Choice<'_>, losses: &mut Losses, out: &mut Sink<'_>) {
    let mut logprobs = choice.logprobs.clone();
    let mut index = 0;
    for block in &choice.blocks {
        let opening = match block {
            Block::Text(_) => Opening::Text,
            Block::Reasoning(_) => Opening::Reasoning,
            Block::Refusal(_) => Opening::Refusal,
            Block::ToolCall(call) => Opening::ToolCall {
                id: Cow::Borrowed(&call.id),
                name: Cow::Borrowed(&call.name),
                kind: call.kind,
                namespace: call.namespace.as_deref().map(Cow::Borrowed),
                signature: call.signature.clone(),
            },
            Block::Opaque(opaque) => Opening::Opaque(opaque.clone()),
            Block::Media(_) => {
                losses.add(LossCode::Block, MEDIA);
                continue;
            }
            Block::ToolResult(_) => {
                losses.add(LossCode::Block, TOOL_RESULT);
                continue;
            }
        };
        out(Event::Open { choice: number, index, opening });
        let words = |text: &'r str| Some(Delta::Text(Cow::Borrowed(text)));
        let deltas = match block {
            Block::Text(text) => [
                // First, as some wires write it ahead of the text that it signs.
                text.signature.clone().map(Delta::Signature),
                words(&text.text),
                text.annotations.clone().map(Delta::Annotation),
                logprobs.take().map(Delta::Logprobs),
            ],
            Block::Refusal(text) => [words(text), logprobs.take().map(Delta::Logprobs), None, None],
            Block::Reasoning(it) => [words(&it.text), it.signature.clone().map(Delta::Signature), None, None],
            Block::ToolCall(call) => {
                [Some(Delta::Arguments(Cow::Borrowed(&call.arguments))), None, None, None]
            }
            Block::Opaque(_) | Block::Media(_) | Block::ToolResult(_) => [None, None, None, None],
        };
        for delta in deltas.into_iter().flatten().filter(|delta| !delta.is_empty()) {
            out(Event::Delta { choice: number, index, delta });
        }
        out(Event::Close { choice: number, index });
        index += 1;
    }
    if logprobs.is_some() {
        losses.add(LossCode::Annotation, "logprobs");
    }
    out(Event::Stop { choice: number, stop: choice.stop.clone() });
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use shared::{usage::Usage, wire::Wire};

    use crate::canonical::{
        Extra, Media, MediaKind, Opaque, Origin, Reasoning, Signature, SignatureKind, Source, Stop,
        StopReason, Text, ToolCall, ToolKind, aggregate::Aggregator, legal::Legalizer,
    };

    /// The response as upstreams stream it: texts and arguments come in pieces of so many characters.
    pub(crate) fn in_pieces(response: &Response<'_>, length: usize) -> Vec<Event<'static>> {
        let mut events = Vec::new();
        replay(response, &mut |event| match event {
            Event::Delta { choice, index, delta: Delta::Text(text) } => {
                let piece = |text: String| Event::Delta { choice, index, delta: Delta::Text(text.into()) };
                events.extend(cut(&text, length).map(piece));
            }
            Event::Delta { choice, index, delta: Delta::Arguments(text) } => {
                let piece =
                    |text: String| Event::Delta { choice, index, delta: Delta::Arguments(text.into()) };
                events.extend(cut(&text, length).map(piece));
            }
            event => events.push(event.into_owned()),
        });
        events
    }

    fn cut(text: &str, length: usize) -> impl Iterator<Item = String> {
        let characters: Vec<_> = text.chars().collect();
        let pieces: Vec<_> = characters.chunks(length).map(|piece| piece.iter().collect()).collect();
        pieces.into_iter()
    }

    fn own(kind: &'static str, json: &str) -> Opaque<'static> {
        let value = serde_json::value::RawValue::from_string(json.to_owned()).expect("JSON");
        Opaque { origin: Wire::Chat, kind: kind.into(), value: Cow::Owned(value) }
    }

    fn signature(value: &'static str) -> Option<Signature<'static>> {
        Some(Signature { origin: Origin::Claude, kind: SignatureKind::Proof, id: None, value: value.into() })
    }

    /// All that a stream can say.
    fn full() -> Response<'static> {
        let call = |id: &'static str, kind, namespace| {
            let arguments = r#"{"a":1}"#.into();
            let (name, signature) = ("f".into(), signature("of the call"));
            Block::ToolCall(ToolCall {
                id: id.into(),
                name,
                kind,
                arguments,
                namespace,
                signature,
                cache: None,
            })
        };
        let text = Text {
            text: "héllo".into(),
            cache: None,
            signature: signature("of the text"),
            annotations: Some(own("annotations", r#"[{"n":1}]"#)),
        };
        let blocks = vec![
            Block::Reasoning(Reasoning { text: "hm".into(), signature: signature("proof") }),
            Block::Text(text),
            Block::Opaque(own("search", r#"{"q":1}"#)),
            call("c1", ToolKind::Function, None),
            call("c2", ToolKind::Custom, Some("group".into())),
        ];
        let stop = Stop { reason: StopReason::ToolUse, sequence: Some("X".into()) };
        let logprobs = Some(own("logprobs", r#"{"content":[]}"#));
        let second = Choice {
            blocks: vec![Block::Refusal("no".into())],
            stop: Stop::of(StopReason::Refusal),
            logprobs: Some(own("logprobs", "{}")),
        };
        Response {
            id: "r".into(),
            model: "m".into(),
            choices: vec![Choice { blocks, stop, logprobs }, second],
            usage: Some(Usage { input: 3, output: 5, ..Usage::default() }),
            service_tier: Some("flex".into()),
            extras: Vec::new(),
            losses: Losses::default(),
        }
    }

    #[test]
    fn what_is_said_as_a_stream_is_the_whole_answer() {
        let response = full();
        for length in [1, 2, 100] {
            let mut legalizer = Legalizer::default();
            let mut aggregator = Aggregator::default();
            for event in in_pieces(&response, length) {
                legalizer.take(event, &mut |event| aggregator.take(event));
            }
            let gathered = aggregator.finish().expect("it has its end");
            assert_eq!(format!("{gathered:?}"), format!("{response:?}"));
        }
    }

    #[test]
    fn what_streams_have_no_place_for_is_named() {
        let source = Source::Base64 { media_type: "image/png".into(), data: "AA==".into() };
        let picture = Media { kind: MediaKind::Image, source, name: None, detail: None, cache: None };
        let mut response = full();
        response.losses.add(LossCode::Field, "found");
        let value = serde_json::from_str("1").expect("JSON");
        response.extras.push(Extra { origin: Wire::Chat, name: "new".into(), value });
        response.choices.truncate(1);
        response.choices[0].blocks = vec![Block::Media(picture)];
        let mut opened = 0;
        let losses = replay(&response, &mut |event| opened += u32::from(matches!(event, Event::Open { .. })));
        let losses: Vec<_> =
            losses.iter().map(|loss| format!("{} {}", loss.code.as_str(), loss.what)).collect();
        assert_eq!(losses, ["field found", "field new", "block inlineData", "annotation logprobs"]);
        assert_eq!(opened, 0);
    }
}
