//! An answer says the same to every client, whole or as a stream.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;
use shared::wire::Wire;

use super::*;
use crate::{
    canonical::{
        Block, Choice, Origin, Response, Signature, StopReason, legal::Legalizer, replay::tests::in_pieces,
    },
    raw::watch::{Chunks, StreamEdits, StreamWatch},
    relay::{Framing, Relay},
};

/// How the answer to a client's smallest question is read and written.
pub(super) fn conversion(client: Wire, format: Format, stream: bool) -> Conversion {
    let body = match client {
        Wire::Chat => {
            format!(r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"q"}}]}}"#)
        }
        Wire::Responses => format!(r#"{{"model":"m","stream":{stream},"input":"q"}}"#),
        Wire::Messages => format!(
            r#"{{"model":"m","stream":{stream},"max_tokens":9,"messages":[{{"role":"user","content":"q"}}]}}"#
        ),
        Wire::Gemini => r#"{"contents":[{"parts":[{"text":"q"}]}]}"#.to_owned(),
    };
    super::super::request(ask(client, body.as_bytes(), stream), target(format, stream)).unwrap().conversion
}

/// The answer as an upstream of this wire writes it.
pub(super) fn plain(wire: Wire, response: &Response<'_>) -> Vec<u8> {
    codecs::encode_response(wire, response, &context())
}

fn context() -> Context {
    Context { id: "UP".to_owned(), created: 7, include_usage: true, ..Context::default() }
}

/// The same as a stream, each text in pieces.
pub(super) fn streamed(wire: Wire, response: &Response<'_>) -> Vec<u8> {
    let mut encoder = codecs::stream_encoder(wire, context());
    let mut legalizer = Legalizer::default();
    let mut out = Vec::new();
    for event in in_pieces(response, 3) {
        legalizer.take(event, &mut |event| encoder.event(&event, &mut out));
    }
    out
}

/// What the client gets of a stream that comes in these pieces, and what is left to ask.
fn relayed<'s>(conversion: &Conversion, pieces: impl IntoIterator<Item = &'s [u8]>) -> (Vec<u8>, Relay) {
    let mut relay = Relay::converted(conversion.stream(), Framing::Plain);
    let mut out = Chunks::new();
    for piece in pieces {
        relay.feed(Bytes::copy_from_slice(piece), &mut out);
    }
    relay.end(&mut out);
    (out.concat(), relay)
}

/// A client's stream as its own plain answer.
pub(super) fn gathered(client: Wire, stream: &[u8]) -> Vec<u8> {
    let reader = conversion(client, Format::of(client), false);
    let (_, relay) = relayed(&reader, [stream]);
    let whole = relay.into_converted().and_then(|stream| reader.gathered(stream));
    whole.unwrap_or_else(|| panic!("no end: {}", String::from_utf8_lossy(stream))).body.into()
}

/// What the client gets of the upstream's stream.
pub(super) fn converted(client: Wire, format: Format, stream: &[u8]) -> Vec<u8> {
    relayed(&conversion(client, format, true), [stream]).0
}

/// What an answer of the client's wire says: streams know no bounds between blocks of one kind.
fn told(client: Wire, body: &[u8]) -> String {
    let read = codecs::decode_response(Format::of(client), body).unwrap();
    let Choice { blocks, stop, .. } = &read.choices[0];
    let proofs: Vec<_> = blocks.iter().filter_map(proof).collect();
    format!("{} {} {:?} {:?} {:?} {:?}", read.id, read.model, stop, read.usage, proofs, said(blocks))
}

fn proof<'b>(block: &'b Block<'_>) -> Option<&'b Signature<'b>> {
    match block {
        Block::Text(text) => text.signature.as_ref(),
        Block::Reasoning(reasoning) => reasoning.signature.as_ref(),
        Block::ToolCall(call) => call.signature.as_ref(),
        _ => None,
    }
}

fn cut<'s>(stream: &'s [u8], places: &[usize]) -> Vec<&'s [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (stream.len() + 1)).collect();
    places.sort_unstable();
    places.push(stream.len());
    let mut from = 0;
    places.into_iter().map(|to| &stream[std::mem::replace(&mut from, to)..to]).collect()
}

/// Without signatures that an upstream of this wire does not make.
fn as_of(upstream: Wire, origin: Origin, mut answer: Response<'static>) -> Response<'static> {
    let home = match origin {
        Origin::Claude => Wire::Messages,
        Origin::OpenAi => Wire::Responses,
        Origin::Gemini => Wire::Gemini,
    };
    for block in answer.choices.iter_mut().flat_map(|choice| &mut choice.blocks).filter(|_| upstream != home)
    {
        match block {
            Block::Text(text) => text.signature = None,
            Block::Reasoning(reasoning) => reasoning.signature = None,
            // Fronts of Gemini sign calls.
            Block::ToolCall(call) if upstream != Wire::Chat => call.signature = None,
            _ => {}
        }
    }
    answer
}

pub(super) fn any_answer() -> impl Strategy<Value = (Origin, Response<'static>)> {
    select(vec![Origin::Claude, Origin::OpenAi, Origin::Gemini])
        .prop_flat_map(|origin| samples::answer(origin).prop_map(move |answer| (origin, answer)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_stream_says_what_the_whole_says_however_it_is_cut(
        (origin, answer) in any_answer(), places in vec(any::<usize>(), 0..9),
    ) {
        for upstream in Wire::ALL {
            let answer = as_of(upstream, origin, answer.clone());
            let (plain, stream) = (plain(upstream, &answer), streamed(upstream, &answer));
            for client in Wire::ALL {
                let format = Format::of(upstream);
                let whole = conversion(client, format, false).whole(&plain).unwrap();
                let (stream_told, relay) = relayed(&conversion(client, format, true), [stream.as_slice()]);
                let at = || format!("{upstream} to {client}: {}", String::from_utf8_lossy(&stream_told));
                prop_assert!(relay.seen().end && relay.failure().is_none(), "{}", at());
                prop_assert_eq!(
                    told(client, &gathered(client, &stream_told)), told(client, &whole.body), "{}", at()
                );
                prop_assert_eq!(relay.usage(), whole.usage, "{}", at());
                let (again, _) = relayed(&conversion(client, format, true), cut(&stream, &places));
                prop_assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&stream_told));
            }
        }
    }

    #[test]
    fn what_the_model_said_is_there_and_calls_stop_the_answer((_, answer) in any_answer()) {
        let blocks = &answer.choices[0].blocks;
        let calls = blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
        for upstream in Wire::ALL {
            for client in Wire::ALL {
                let whole = conversion(client, Format::of(upstream), false).whole(&plain(upstream, &answer)).unwrap();
                let read = codecs::decode_response(Format::of(client), &whole.body).unwrap();
                let at = || format!("{upstream} to {client}: {}", String::from_utf8_lossy(&whole.body));
                prop_assert_eq!(said(&read.choices[0].blocks), said(blocks), "{}", at());
                let stop = read.choices[0].stop.reason;
                prop_assert_eq!(stop == StopReason::ToolUse, calls, "{:?}: {}", stop, at());
                if answer.usage.is_some() {
                    prop_assert_eq!(read.usage, answer.usage, "{}", at());
                }
            }
        }
    }
}

/// All reasoning, all words, and each call.
fn said(blocks: &[Block<'_>]) -> (String, String, Vec<(String, Value)>) {
    let (mut thought, mut words, mut calls) = (String::new(), String::new(), Vec::new());
    for block in blocks {
        match block {
            Block::Text(text) => words.push_str(&text.text),
            Block::Reasoning(reasoning) => thought.push_str(reasoning.text.trim()),
            Block::ToolCall(call) => {
                calls.push((call.name.clone().into_owned(), json(call.object().as_bytes())));
            }
            _ => {}
        }
    }
    thought.retain(|letter| !letter.is_whitespace());
    (thought, words, calls)
}

/// Claude Code drops signed thinking of an answer that has another model's name than its request had.
#[test]
fn an_answer_has_the_name_that_was_asked_for_and_the_served_one_is_known() {
    let answer =
        || Response { model: "served".into(), choices: vec![Choice::default()], ..Response::default() };
    for client in Wire::ALL {
        let asked = if client == Wire::Gemini { "asked" } else { "m" };
        for format in [Format::Chat, Format::Responses, Format::Messages, Format::Gemini] {
            let upstream = format.wire().unwrap();
            let (plain, stream) = (plain(upstream, &answer()), streamed(upstream, &answer()));
            let (whole, streaming) = (conversion(client, format, false), conversion(client, format, true));
            let (told, relay) = relayed(&streaming, [stream.as_slice()]);
            assert_eq!(relay.served_model(), Some("served"));
            let (_, gathering) = relayed(&whole, [stream.as_slice()]);
            let gathered = whole.gathered(gathering.into_converted().unwrap()).unwrap();
            let (whole, played) = (whole.whole(&plain).unwrap(), streaming.whole(&plain).unwrap());
            for answer in [&whole, &gathered, &played] {
                assert_eq!(answer.served_model.as_deref(), Some("served"), "{upstream} to {client}");
            }
            for body in [&*whole.body, &gathered.body, &played.body, &told] {
                let text = String::from_utf8_lossy(body);
                let name = format!(r#"":"{asked}""#);
                assert!(text.contains(&name) && !text.contains("served\""), "{upstream} to {client}: {text}");
            }
        }
    }
}

/// Streams of `wire` whose usage is told twice, the last time unreadably.
fn told_unreadably_at_last(wire: Wire) -> &'static str {
    match wire {
        Wire::Messages => {
            r#"
event: message_start
data: {"type":"message_start","message":{"id":"m","model":"m","usage":{"input_tokens":9,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":"70"}}

event: message_stop
data: {"type":"message_stop"}

"#
        }
        Wire::Chat => {
            r#"
data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}

data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":-70}}

data: [DONE]

"#
        }
        Wire::Gemini => {
            r#"
data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1}}

data: {"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":7.5}}

"#
        }
        Wire::Responses => "",
    }
}

#[test]
fn a_usage_that_can_not_be_read_at_last_makes_none_before_it_final() {
    for (wire, format) in
        [(Wire::Messages, Format::Messages), (Wire::Chat, Format::Chat), (Wire::Gemini, Format::Gemini)]
    {
        let bytes = told_unreadably_at_last(wire).trim_start().as_bytes();
        for client in Wire::ALL {
            let (_, relay) = relayed(&conversion(client, format, true), [bytes]);
            assert!(relay.seen().end, "{wire} to {client}");
            assert!(relay.usage().is_some() && !relay.usage_is_final(), "{wire} to {client}");

            let whole = conversion(client, format, false);
            let (_, gathering) = relayed(&whole, [bytes]);
            let gathered = whole.gathered(gathering.into_converted().unwrap()).unwrap();
            assert_eq!(gathered.usage.map(|usage| usage.input), Some(9), "{wire} to {client}");
        }
        let mut watch = StreamWatch::new(wire, StreamEdits { hide_usage: true }).unwrap();
        let mut out = Chunks::new();
        watch.feed(Bytes::from_static(bytes), &mut out);
        assert!(watch.usage().is_some() && !watch.usage_is_final(), "{wire}");
        let told = String::from_utf8(out.concat()).unwrap();
        assert!(!told.contains("-70"), "usage that was not asked for is taken out: {told}");
    }
}

/// Google's streams that are no server-sent events.
#[test]
fn a_list_whose_last_usage_can_not_be_read_reports_none() {
    let list = r#"[{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1}},
        {"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":LAST}}]"#;
    for client in Wire::ALL {
        let usage = |last: &str| {
            let list = list.replace("LAST", last);
            conversion(client, Format::Gemini, true).whole(list.as_bytes()).unwrap().usage
        };
        assert_eq!(usage("7.5"), None, "{client}");
        assert_eq!(usage("7").map(|usage| usage.output), Some(7), "{client}");
    }
}
