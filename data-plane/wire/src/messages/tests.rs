//! Laws of the codec as a whole.

mod answers;
mod requests;
mod words;

use proptest::prelude::*;
use serde_json::Value;

use super::{decode, encode};
use crate::{
    canonical::{Block, Event, Response, aggregate::Aggregator, legal::Legalizer, replay::tests::in_pieces},
    codec::{Context, StreamDecoder as _, StreamEncoder as _},
    sse::{FrameSplitter, Piece},
};
use answers::answer;
use requests::request;
use words::any_json;

fn context() -> Context {
    Context { id: "01J".into(), model: "asked".into(), ..Context::default() }
}

/// Lets every decoder read it, and every encoder write what was read.
fn read_all(body: &[u8]) {
    if let Ok(request) = decode::request::request(body) {
        encode::request::request(&request, 0);
    }
    if let Ok(response) = decode::response::response(body) {
        encode::response::response(&response, &context());
    }
    if let Ok(data) = std::str::from_utf8(body) {
        let mut decoder = decode::stream::StreamDecoder::default();
        let _ = decoder.frame(None, data, &mut |_| {});
        let _ = decoder.frame(Some("content_block_start"), data, &mut |_| {});
        decoder.close(&mut |_| {});
    }
}

/// What a client sees that gathers the stream.
fn gathered(stream: &[u8]) -> Response<'static> {
    let mut decoder = decode::stream::StreamDecoder::default();
    let (mut legalizer, mut aggregator) = (Legalizer::default(), Aggregator::default());
    let (mut splitter, mut at) = (FrameSplitter::default(), 0);
    while let Some(Piece::Frame(frame)) = splitter.next(stream, &mut at) {
        let fields = frame.fields();
        let data = fields.data.unwrap_or_default();
        let data = std::str::from_utf8(&data).unwrap();
        let mut out = |event: Event<'_>| legalizer.take(event, &mut |event| aggregator.take(event));
        decoder.frame(None, data, &mut out).unwrap();
    }
    aggregator.finish().unwrap()
}

fn written(response: &Response<'_>) -> Value {
    serde_json::from_slice(&encode::response::response(response, &context())).unwrap()
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&body);
    }

    #[test]
    fn no_json_makes_it_panic(body in any_json()) {
        read_all(body.to_string().as_bytes());
    }

    #[test]
    fn no_order_of_frames_makes_it_panic(
        frames in proptest::collection::vec(any_json(), 0..12),
        kinds in proptest::collection::vec(proptest::sample::select(vec![
            "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        ]), 12),
    ) {
        let mut decoder = decode::stream::StreamDecoder::default();
        let mut encoder = encode::stream::StreamEncoder::new(context());
        let mut out = Vec::new();
        for (mut frame, kind) in frames.into_iter().zip(kinds) {
            if let Value::Object(fields) = &mut frame {
                fields.insert("type".into(), kind.into());
                fields.insert("index".into(), (out.len() % 3).into());
            }
            // Not made legal: the encoder must bear that too.
            let _ = decoder.frame(None, &frame.to_string(), &mut |event| encoder.event(&event, &mut out));
        }
        decoder.close(&mut |event| encoder.event(&event, &mut out));
    }

    #[test]
    fn a_request_that_was_read_and_written_once_stays_the_same(body in request()) {
        let body = body.to_string();
        let once = encode::request::request(&decode::request::request(body.as_bytes()).unwrap(), 0);
        let twice = encode::request::request(&decode::request::request(&once).unwrap(), 0);
        let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        prop_assert_eq!(parsed(&once), parsed(&twice));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(response in answer()) {
        let once = encode::response::response(&response, &context());
        let again = decode::response::response(&once).unwrap();
        prop_assert!(again.losses.is_empty());
        prop_assert_eq!(again.usage, response.usage);
        prop_assert_eq!(&again.choices[0].stop.sequence, &response.choices[0].stop.sequence);
        let mut expected: Value = serde_json::from_slice(&once).unwrap();
        let calls = response.choices[0].blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
        if calls && expected["stop_reason"] == "end_turn" {
            expected["stop_reason"] = "tool_use".into();
        }
        prop_assert_eq!(written(&again), expected);
    }

    #[test]
    fn a_stream_says_what_the_plain_answer_says(response in answer()) {
        let plain = encode::response::response(&response, &context());
        let plain = decode::response::response(&plain).unwrap();
        let mut encoder = encode::stream::StreamEncoder::new(context());
        let mut stream = Vec::new();
        in_pieces(&response, 1).iter().for_each(|event| encoder.event(event, &mut stream));
        let streamed = gathered(&stream);
        prop_assert_eq!(written(&streamed), written(&plain));
        prop_assert_eq!(streamed.usage, plain.usage);
    }
}

#[test]
fn depth_is_no_danger() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut nested = r#"{"type":"text","text":"x"}"#.to_owned();
    for _ in 0..500 {
        nested = format!(r#"{{"type":"tool_result","tool_use_id":"t","content":[{nested}]}}"#);
    }
    let call = format!(r#"{{"type":"tool_use","id":"t","name":"f","input":{deep}}}"#);
    for content in [deep.clone(), format!("[{call},{nested}]")] {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}],"content":{content},"odd":{deep}}}"#
        );
        read_all(body.as_bytes());
        let start = format!(r#"{{"type":"content_block_start","index":0,"content_block":{call}}}"#);
        read_all(start.as_bytes());
    }
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{call},{nested}]}}]}}"#);
    let request = decode::request::request(body.as_bytes()).unwrap();
    assert_eq!(request.turns[0].blocks.len(), 2);
}
