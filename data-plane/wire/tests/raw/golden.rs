//! Streams as providers send them. A case is `<name>.sse` with `<name>.json`, what it must leave behind, and for chat
//! `<name>.hidden.sse`, what a client gets that did not ask for usage.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::wire::Wire;
use wire::raw::watch::{FailureCause, Seen, StreamFailure};

use crate::streams::{HIDDEN, Outcome, PLAIN, run, watch};

/// A recorded stream.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) wire: Wire,
    pub(crate) name: String,
    pub(crate) stream: Vec<u8>,
    expected: Value,
    hidden: Option<Vec<u8>>,
}

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub(crate) fn cases() -> Vec<Case> {
    Wire::ALL.into_iter().flat_map(cases_of).collect()
}

fn cases_of(wire: Wire) -> Vec<Case> {
    let folder = folder(wire.as_str());
    let mut names: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    names.sort();
    assert!(names.len() >= 10, "cases are missing in {}", folder.display());
    names
        .into_iter()
        .map(|expected| Case {
            wire,
            name: format!("{wire}/{}", expected.file_stem().unwrap().display()),
            stream: fs::read(expected.with_extension("sse")).unwrap(),
            hidden: fs::read(expected.with_extension("hidden.sse")).ok(),
            expected: serde_json::from_slice(&fs::read(&expected).unwrap()).unwrap(),
        })
        .collect()
}

fn described(outcome: &Outcome) -> Value {
    json!({
        "seen": words(outcome.seen),
        "usage": outcome.usage,
        "usage_is_final": outcome.usage_is_final,
        "served_model": outcome.served_model,
        "failure": outcome.failure.as_ref().map(failure),
    })
}

fn words(seen: Seen) -> Vec<&'static str> {
    [
        (seen.preamble, "preamble"),
        (seen.ping, "ping"),
        (seen.content, "content"),
        (seen.stopped, "stopped"),
        (seen.end, "end"),
        (seen.failed, "failed"),
    ]
    .into_iter()
    .filter_map(|(seen, word)| seen.then_some(word))
    .collect()
}

fn failure(failure: &StreamFailure) -> Value {
    match &failure.cause {
        FailureCause::Malformed(what) => {
            json!({ "before_content": failure.before_content, "malformed": what })
        }
        FailureCause::Reported(error) => json!({
            "before_content": failure.before_content,
            "status": error.status,
            "kind": error.kind,
            "code": error.code,
            "message": error.message,
        }),
    }
}

#[test]
fn each_recorded_stream_passes_unchanged_and_leaves_what_it_must() {
    for case in cases() {
        let outcome = run(watch(case.wire, PLAIN), [case.stream.as_slice()]);
        assert_eq!(described(&outcome), case.expected, "{}", case.name);
        assert!(outcome.passed(&case.stream), "{} was changed", case.name);
    }
}

#[test]
fn each_recorded_chat_stream_can_hide_its_usage_and_still_count_it() {
    for case in cases() {
        let Some(hidden) = &case.hidden else { continue };
        let outcome = run(watch(case.wire, HIDDEN), [case.stream.as_slice()]);
        let (found, expected) = (String::from_utf8_lossy(&outcome.output), String::from_utf8_lossy(hidden));
        assert_eq!(found, expected, "{}", case.name);
        assert_eq!(described(&outcome), case.expected, "{}", case.name);
    }
}

#[test]
fn line_ends_and_a_byte_order_mark_make_no_difference() {
    for case in cases() {
        for line_end in ["\r\n", "\r"] {
            let stream = String::from_utf8(case.stream.clone()).unwrap();
            let stream = format!("\u{feff}{}", stream.replace("\r\n", "\n").replace('\n', line_end));
            let outcome = run(watch(case.wire, PLAIN), [stream.as_bytes()]);
            assert_eq!(described(&outcome), case.expected, "{} with {line_end:?}", case.name);
            assert!(outcome.passed(stream.as_bytes()), "{} with {line_end:?} was changed", case.name);
        }
    }
}
