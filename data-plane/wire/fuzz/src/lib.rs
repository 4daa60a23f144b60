//! What holds for any bytes: nothing panics, what is written can be read by who it is for, and every stream ends.

mod raw;
mod streams;

use serde_json::value::RawValue;
use shared::wire::Wire;
use wire::convert::{self, Ask, Conversion, ConvertError, Format, Replayed, Target};

pub use raw::{eventstream, raw_view, raw_watch};
pub use streams::stream;

/// A model for each way of thinking.
const MODELS: [(Format, &str); 8] = [
    (Format::Chat, "gpt-4.1"),
    (Format::Chat, "o3"),
    (Format::Responses, "gpt-5.2"),
    (Format::Messages, "claude-sonnet-4-5"),
    (Format::Messages, "claude-opus-4-6"),
    (Format::Gemini, "gemini-2.5-flash"),
    (Format::Gemini, "gemini-3-pro"),
    (Format::Converse, "amazon.nova-pro-v1:0"),
];

const fn ask(wire: Wire, body: &[u8]) -> Ask<'_> {
    Ask {
        wire,
        body,
        model: "m",
        stream: true,
        array: false,
        resume: None,
        wants_usage: true,
        memos: &[],
        id: "01J",
        now: 1_764_090_000,
    }
}

const fn target(format: Format, model: &str) -> Target<'_> {
    Target {
        format,
        model,
        stream: true,
        default_max_output: 4096,
        max_output: None,
        fetches_urls: true,
        server_tools: true,
        system_turns: true,
        replayed: Replayed::OWN,
        tool_search: true,
        cache_marks: false,
    }
}

fn assert_json(text: &[u8]) {
    let parsed = serde_json::from_slice::<&RawValue>(text);
    assert!(parsed.is_ok(), "{parsed:?}: {}", String::from_utf8_lossy(text));
}

/// A client's request, for every upstream: what is sent can be read there.
pub fn request(wire: Wire, body: &[u8]) {
    for (format, model) in MODELS {
        let Ok(converted) = convert::request(ask(wire, body), target(format, model)) else { continue };
        assert_json(&converted.body);
        let Some(own) = format.wire() else { continue };
        let again = convert::request(ask(own, &converted.body), target(format, model));
        if let Err(error @ (ConvertError::Unreadable(_) | ConvertError::Body(_))) = again {
            panic!("{error}: {}", String::from_utf8_lossy(&converted.body));
        }
    }
}

/// An upstream's answer, for every client, whole and played as a stream: what it gets can be read there.
pub fn response(format: Format, body: &[u8]) {
    for client in Wire::ALL {
        if let Ok(whole) = conversion(client, format, false).whole(body) {
            assert_answer(client, &whole.body);
        }
        if let Ok(played) = conversion(client, format, true).whole(body) {
            streams::assert_read(client, &played.body);
        }
    }
}

fn assert_answer(client: Wire, body: &[u8]) {
    assert_json(body);
    let read = conversion(client, Format::of(client), false).whole(body);
    assert!(read.is_ok(), "{read:?}: {}", String::from_utf8_lossy(body));
}

/// With a custom tool where the client's wire has such.
fn conversion(client: Wire, format: Format, stream: bool) -> Conversion {
    let body = match client {
        Wire::Chat => {
            r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"q"}],"tools":[{"type":"custom","custom":{"name":"sh"}}]}"#
        }
        Wire::Responses => {
            r#"{"model":"m","stream":true,"input":"q","tools":[{"type":"custom","name":"sh"},{"type":"namespace","name":"n","tools":[{"type":"function","name":"f"}]}]}"#
        }
        Wire::Messages => {
            r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"q"}]}"#
        }
        Wire::Gemini => r#"{"contents":[{"parts":[{"text":"q"}]}]}"#,
    };
    let body = if stream { body.to_owned() } else { body.replace("true", "false") };
    let ask = Ask { stream, ..ask(client, body.as_bytes()) };
    let converted = convert::request(ask, Target { stream, ..target(format, "m") });
    converted.unwrap_or_else(|error| panic!("{error}")).conversion
}
