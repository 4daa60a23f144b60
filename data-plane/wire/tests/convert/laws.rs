//! What holds for any bytes: nothing panics, what is written can be read by who it is for, and every stream ends.

use std::sync::LazyLock;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::Index, sample::select};
use serde_json::{Value, json};
use shared::wire::Wire;
use wire::{
    convert::{self, Conversion, ConvertError, Format},
    error::{ErrorKind, WireError},
    raw::watch::{Chunks, FailureCause},
    relay::{Framing, Relay},
};

use crate::{
    answers::{conversion, framed},
    cases::cases,
    requests::{TARGETS, THINKING_TARGETS, ask, target},
};

static REQUESTS: LazyLock<Vec<(Wire, Value)>> = LazyLock::new(|| {
    let of = |wire: Wire| {
        cases("requests", wire.as_str())
            .into_iter()
            .map(move |case| (wire, serde_json::from_slice(&case.text).unwrap()))
    };
    Wire::ALL.into_iter().flat_map(of).collect()
});

static ANSWERS: LazyLock<Vec<(Format, Value)>> = LazyLock::new(|| {
    let of = |format: Format| {
        cases("answers", format.as_str())
            .into_iter()
            .map(move |case| (format, serde_json::from_slice(&case.text).unwrap()))
    };
    Format::ALL.into_iter().flat_map(of).collect()
});

/// Every name and every text in the cases.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut words = Vec::new();
    REQUESTS.iter().map(|(_, case)| case).chain(ANSWERS.iter().map(|(_, case)| case)).for_each(|case| {
        collect(case, &mut words);
    });
    words.sort();
    words.dedup();
    words
});

fn collect(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::String(text) => words.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            words.push(name.clone());
            collect(value, words);
        }),
        _ => {}
    }
}

fn word() -> impl Strategy<Value = String> {
    select(WORDS.clone())
}

/// JSON of the wires' own words, rightly and wrongly.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        4 => word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((word(), inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// What happens to a case: something in it is replaced, left out, or said in another place.
fn change() -> impl Strategy<Value = (Index, Option<Value>, Index)> {
    (any::<Index>(), prop_oneof![3 => any_json().prop_map(Some), 1 => Just(None)], any::<Index>())
}

fn changed(mut value: Value, changes: &[(Index, Option<Value>, Index)]) -> Value {
    for (place, new, other) in changes {
        let mut places = Vec::new();
        pointers(&value, String::new(), &mut places);
        let new = new.clone().unwrap_or_else(|| {
            let from = other.get::<String>(&places);
            value.pointer(from).cloned().unwrap_or_default()
        });
        if let Some(place) = value.pointer_mut(place.get::<String>(&places)) {
            *place = new;
        }
    }
    value
}

fn pointers(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            pointers(value, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), all);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| pointers(value, format!("{at}/{index}"), all));
        }
        _ => {}
    }
    all.push(at);
}

/// Every target gets what it can read, or the client a word.
fn can_be_asked(wire: Wire, body: &[u8]) -> Result<(), TestCaseError> {
    for (format, model) in TARGETS.into_iter().chain(THINKING_TARGETS) {
        let Ok(converted) = convert::request(ask(wire, body), target(format, model)) else { continue };
        let sent = String::from_utf8_lossy(&converted.body).into_owned();
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&sent).is_ok(), "{}", sent);
        let Some(own) = format.wire() else { continue };
        let again = convert::request(ask(own, &converted.body), target(format, model));
        let unreadable = matches!(again, Err(ConvertError::Unreadable(_) | ConvertError::Body(_)));
        prop_assert!(!unreadable, "{}: {}", again.unwrap_err(), sent);
    }
    Ok(())
}

fn can_be_answered(format: Format, body: &[u8]) -> Result<(), TestCaseError> {
    for client in Wire::ALL {
        let Ok(whole) = conversion(client, format, false).whole(body) else { continue };
        let read = conversion(client, Format::of(client), false).whole(&whole.body);
        prop_assert!(read.is_ok(), "{:?}: {}", read, String::from_utf8_lossy(&whole.body));
        if let Ok(played) = conversion(client, format, true).whole(body) {
            can_be_read(client, &played.body)?;
        }
    }
    Ok(())
}

/// The stream comes to an end that its client knows.
fn can_be_read(client: Wire, stream: &[u8]) -> Result<(), TestCaseError> {
    let mut reader = Relay::converted(conversion(client, Format::of(client), true).stream(), Framing::Plain);
    let mut out = Chunks::new();
    reader.feed(Bytes::copy_from_slice(stream), &mut out);
    reader.end(&mut out);
    let problem = match reader.failure().map(|failure| &failure.cause) {
        Some(FailureCause::Malformed(problem)) => Some(*problem),
        None if !reader.seen().end => Some("it has no end"),
        _ => None,
    };
    prop_assert!(problem.is_none(), "{:?} for {}: {}", problem, client, String::from_utf8_lossy(stream));
    Ok(())
}

/// As the gateway relays: an end that the upstream does not make is made.
fn relayed<'s>(
    conversion: &Conversion,
    framing: Framing,
    pieces: impl IntoIterator<Item = &'s [u8]>,
) -> Vec<u8> {
    let mut relay = Relay::converted(conversion.stream(), framing);
    let mut out = Chunks::new();
    for piece in pieces {
        if relay.feed(Bytes::copy_from_slice(piece), &mut out).failed {
            relay.release(&mut out);
        }
    }
    let seen = relay.end(&mut out);
    relay.release(&mut out);
    if !(seen.end || seen.stopped || relay.failure().is_some()) {
        let kind = ErrorKind::Api;
        let message = "the upstream broke off";
        out.push(relay.close(&WireError {
            status: 502,
            kind,
            message,
            code: None,
            param: None,
            request_id: "01J",
        }));
    }
    out.concat()
}

fn ends(format: Format, stream: &[u8], framing: Framing, size: usize) -> Result<(), TestCaseError> {
    for client in Wire::ALL {
        let conversion = conversion(client, format, true);
        let told = relayed(&conversion, framing, [stream]);
        let cut = relayed(&conversion, framing, stream.chunks(size));
        let told_text = String::from_utf8_lossy(&told);
        prop_assert_eq!(&String::from_utf8_lossy(&cut), &told_text, "cut every {}", size);
        can_be_read(client, &told)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_sent_can_be_read_there(
        (wire, case) in select(REQUESTS.clone()), changes in vec(change(), 1..5),
    ) {
        can_be_asked(wire, changed(case, &changes).to_string().as_bytes())?;
    }

    #[test]
    fn what_a_client_gets_can_be_read_by_it(
        (format, case) in select(ANSWERS.clone()), changes in vec(change(), 1..5),
    ) {
        let whole = case.get("whole").cloned().unwrap_or_default();
        can_be_answered(format, changed(whole, &changes).to_string().as_bytes())?;
    }

    #[test]
    fn every_stream_ends_so_that_the_client_understands(
        (format, case) in select(ANSWERS.clone()),
        changes in vec(change(), 0..5),
        order in vec((any::<Index>(), any::<Index>()), 0..3),
        lost in any::<Index>(),
        size in 1..200_usize,
    ) {
        let mut frames = case["stream"].as_array().cloned().unwrap();
        for (from, to) in order {
            let frame = frames.remove(from.index(frames.len()));
            frames.insert(to.index(frames.len() + 1), frame);
        }
        if lost.index(2) == 0 {
            frames.remove(lost.index(frames.len()));
        }
        let frames = changed(json!(frames), &changes);
        let frames = frames.as_array().cloned().unwrap_or_default();
        let frames: Vec<Value> = match format {
            // Each has its name there.
            Format::Converse => frames.into_iter().filter(|frame| frame.as_object().is_some_and(|it| !it.is_empty())).collect(),
            _ => frames,
        };
        let (stream, framing) = framed(format, &frames);
        ends(format, &stream, framing, size)?;
    }

    #[test]
    fn any_bytes_are_an_error_or_an_answer(
        bytes in vec(any::<u8>(), 0..120), words in vec(word(), 0..6), size in 1..40_usize,
    ) {
        let words: String = words.iter().map(|word| format!("data: {word}\n\n")).collect();
        for wire in Wire::ALL {
            can_be_asked(wire, &bytes)?;
        }
        for format in Format::ALL {
            can_be_answered(format, &bytes)?;
            let framings = [Framing::Plain, Framing::Invoke, Framing::Converse, Framing::Wrapped];
            for framing in framings {
                ends(format, &bytes, framing, size)?;
                ends(format, words.as_bytes(), framing, size)?;
            }
        }
    }
}
