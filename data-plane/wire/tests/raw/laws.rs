//! What holds for every stream, however it is cut and whatever is in it.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use shared::wire::Wire;
use wire::error::{ErrorKind, WireError};
use wire::raw::watch::{Chunks, StreamEdits, StreamWatch};
use wire::sse::{FrameSplitter, Piece};

use crate::golden::{Case, cases};
use crate::json::{self, is_insertion};
use crate::streams::{HIDDEN, PLAIN, cut_at, run, watch};

fn any_case() -> impl Strategy<Value = Case> {
    select(cases())
}

fn any_edits() -> impl Strategy<Value = StreamEdits> {
    select(vec![PLAIN, HIDDEN])
}

fn any_line_end() -> impl Strategy<Value = &'static str> {
    select(vec!["\n", "\r\n", "\r"])
}

fn with_line_end(stream: &[u8], line_end: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(stream).into_owned();
    text.replace("\r\n", "\n").replace('\n', line_end).into_bytes()
}

/// What streams are made of, to be thrown together.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let words = vec![
        "data: ",
        "data:",
        "event: ",
        "event: error",
        "event: message_delta",
        ": x",
        "id: 1",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\r\n\r\n",
        "{",
        "}",
        "[DONE]",
        "\"usage\":null",
        "\"usage\"",
        ":",
        ",",
        "\"error\":{}",
        "\"choices\":[]",
        "\u{feff}",
        "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}",
        "garbage",
        "{\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":null}",
        "{\"type\":\"content_block_start\"}",
        "event: response.output_text.delta",
        "{\"type\":\"response.output_text.delta\"}",
        "{\"type\":\"response.created\",\"response\":{\"error\":null,\"usage\":null}}",
        "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":1}}}\n\n",
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}],\"usageMetadata\":{\"promptTokenCount\":1}}",
        "{\"candidates\":[{\"finishReason\":\"STOP\"}]}",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"usage\":null}\n\n",
    ];
    prop_oneof![
        4 => select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

/// Fragments in any order, or any bytes.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(fragment(), 0..40).prop_map(|parts| parts.concat())
}

/// A recorded stream in which bytes were lost, changed, added or repeated.
fn mutated() -> impl Strategy<Value = (Wire, Vec<u8>)> {
    let change = (any::<prop::sample::Index>(), 0usize..24, fragment());
    (any_case(), prop::collection::vec(change, 1..5)).prop_map(|(case, changes)| {
        let mut stream = case.stream;
        for (place, lost, added) in changes {
            let from = place.index(stream.len() + 1);
            let to = (from + lost).min(stream.len());
            stream.splice(from..to, added);
        }
        (case.wire, stream)
    })
}

/// White space that would end a line of the stream becomes white space that does not.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cutting_a_recorded_stream_anywhere_changes_nothing(
        case in any_case(),
        edits in any_edits(),
        line_end in any_line_end(),
        places in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let stream = with_line_end(&case.stream, line_end);
        let whole = run(watch(case.wire, edits), [stream.as_slice()]);
        let cut = run(watch(case.wire, edits), cut_at(&stream, &places));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn a_mutated_stream_passes_unchanged_however_it_is_cut(
        (wire, stream) in mutated(),
        places in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let whole = run(watch(wire, PLAIN), [stream.as_slice()]);
        prop_assert!(whole.passed(&stream));
        let cut = run(watch(wire, PLAIN), cut_at(&stream, &places));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn a_mutated_stream_is_edited_alike_however_it_is_cut(
        (wire, stream) in mutated(),
        places in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let whole = run(watch(wire, HIDDEN), [stream.as_slice()]);
        let cut = run(watch(wire, HIDDEN), cut_at(&stream, &places));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn any_bytes_pass_unchanged_however_they_are_cut(
        stream in soup(),
        wire in select(Wire::ALL.to_vec()),
        edits in any_edits(),
        places in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let whole = run(watch(wire, edits), [stream.as_slice()]);
        if edits == PLAIN || wire != Wire::Chat {
            prop_assert!(whole.passed(&stream));
        }
        let cut = run(watch(wire, edits), cut_at(&stream, &places));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn a_recorded_stream_goes_under_the_name_that_was_asked_for_and_else_unchanged(
        case in any_case(),
        edits in any_edits(),
        line_end in any_line_end(),
        places in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        const ASKED: &str = "name~that~was~asked~for";
        let stream = with_line_end(&case.stream, line_end);
        let named = || watch(case.wire, edits).under_the_name(ASKED);
        let plain = run(watch(case.wire, edits), [stream.as_slice()]);
        let whole = run(named(), [stream.as_slice()]);
        let cut = run(named(), cut_at(&stream, &places));
        prop_assert_eq!(&whole, &cut);
        let text = String::from_utf8_lossy(&whole.output).into_owned();
        let before = String::from_utf8_lossy(&plain.output).into_owned();
        match &plain.served_model {
            Some(served) => {
                prop_assert_eq!(&text.replace(ASKED, served), &before);
                // One frame at least names it, and the name is not there any more where clients look.
                let key = if case.wire == Wire::Gemini { "\"modelVersion\"" } else { "\"model\"" };
                prop_assert!(text.contains(ASKED) || !before.contains(key), "{}", text);
            }
            None => prop_assert_eq!(text, before),
        }
        prop_assert_eq!(whole.served_model, plain.served_model);
        prop_assert_eq!(whole.usage, plain.usage);
    }

    #[test]
    fn a_mutated_stream_is_renamed_alike_however_it_is_cut(
        (wire, stream) in mutated(),
        places in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let named = || watch(wire, HIDDEN).under_the_name("asked");
        prop_assert_eq!(run(named(), [stream.as_slice()]), run(named(), cut_at(&stream, &places)));
    }

    #[test]
    fn frames_above_the_limit_pass_unread_however_they_are_cut(
        stream in soup(),
        wire in select(Wire::ALL.to_vec()),
        frame_max in 1usize..80,
        places in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let narrow = || StreamWatch::with_frame_max(wire, PLAIN, frame_max).unwrap();
        let whole = run(narrow(), [stream.as_slice()]);
        prop_assert!(whole.passed(&stream));
        let cut = run(narrow(), cut_at(&stream, &places));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn hiding_a_null_usage_takes_out_that_field_and_nothing_else(
        fields in prop::collection::vec((json::string(), json::blank(), json::value(), json::blank()), 0..5),
        place in any::<prop::sample::Index>(),
        blanks in (json::blank(), json::blank()),
        line_end in any_line_end(),
    ) {
        let known = ["usage", "choices", "error"];
        let mut fields: Vec<_> = fields
            .into_iter()
            .map(|(key, ahead, value, behind)| (key, one_line(&ahead), one_line(&value), one_line(&behind)))
            .filter(|(key, ..)| !known.contains(&serde_json::from_str::<String>(key).unwrap().as_str()))
            .collect();
        let usage = ("\"usage\"".to_owned(), one_line(&blanks.0), "null".to_owned(), one_line(&blanks.1));
        fields.insert(place.index(fields.len() + 1), usage);
        let data = json::object(&fields);
        let outcome = run(watch(Wire::Chat, HIDDEN), [format!("data: {data}{line_end}{line_end}").as_bytes()]);

        let output = String::from_utf8(outcome.output).unwrap();
        let frame = output.strip_prefix("data: ").and_then(|rest| rest.strip_suffix(&line_end.repeat(2)));
        let frame = frame.expect("the frame around the data stays");
        let mut expected: Value = serde_json::from_str(&data).unwrap();
        expected.as_object_mut().unwrap().remove("usage");
        prop_assert_eq!(serde_json::from_str::<Value>(frame).unwrap(), expected);
        prop_assert!(is_insertion(&data, frame), "{} became {}", data, frame);
    }

    #[test]
    fn frames_put_together_are_the_stream(stream in soup(), places in prop::collection::vec(any::<usize>(), 0..9)) {
        let mut splitter = FrameSplitter::default();
        let mut joined = Vec::new();
        for chunk in cut_at(&stream, &places) {
            let mut at = usize::from(splitter.takes_late_line_feed(chunk));
            joined.extend_from_slice(&chunk[..at]);
            while let Some(piece) = splitter.next(chunk, &mut at) {
                match piece {
                    Piece::Frame(frame) => joined.extend_from_slice(frame.part.bytes),
                    Piece::Large(part) => joined.extend_from_slice(part.bytes),
                }
            }
        }
        joined.extend(splitter.rest().into_iter().flat_map(|frame| frame.part.bytes.to_vec()));
        prop_assert_eq!(joined, stream);
    }

    #[test]
    fn a_stream_broken_anywhere_ends_with_a_whole_error_frame(
        case in any_case(),
        edits in any_edits(),
        place in any::<prop::sample::Index>(),
    ) {
        let broken = &case.stream[..place.index(case.stream.len() + 1)];
        let mut watch = watch(case.wire, edits);
        let mut out = Chunks::new();
        watch.feed(Bytes::copy_from_slice(broken), &mut out);
        let error = WireError {
            status: 500,
            kind: ErrorKind::Api,
            message: "the upstream broke off",
            code: None,
            param: None,
            request_id: "r",
        };
        let passed = out.concat();
        prop_assert!(broken.starts_with(&passed) || edits == HIDDEN);
        prop_assert!(passed.is_empty() || passed.ends_with(b"\n\n"));
        let ending = watch.close(&error);
        prop_assert_eq!(ending, wire::error::stream_event(case.wire, &error));
    }
}

#[test]
fn every_place_of_every_recorded_stream_can_be_a_cut() {
    for case in cases() {
        let edits = if case.wire == Wire::Chat { HIDDEN } else { PLAIN };
        let stream = with_line_end(&case.stream, "\r\n");
        let whole = run(watch(case.wire, edits), [stream.as_slice()]);
        let bytewise = run(watch(case.wire, edits), stream.chunks(1));
        assert_eq!(whole, bytewise, "{} byte by byte", case.name);
        for place in 0..stream.len() {
            let cut = run(watch(case.wire, edits), cut_at(&stream, &[place]));
            assert_eq!(whole, cut, "{} cut at {place}", case.name);
        }
    }
}
