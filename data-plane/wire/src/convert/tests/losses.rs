//! What a stream leaves out where no plain answer says the same.

use super::*;
use crate::loss::LossCode;

/// Of frames, each with its event's name.
fn lost(format: Format, frames: &[(&str, &str)]) -> Vec<String> {
    let mut decoder = codecs::stream_decoder(format);
    for (event, data) in frames {
        decoder.frame(Some(event), data, &mut |_| {}).unwrap();
    }
    decoder.losses().iter().map(|loss| format!("{}: {}", loss.code.as_str(), loss.what)).collect()
}

#[test]
fn a_loss_is_named_once_however_it_is_put_together() {
    let mut losses = Losses::default();
    losses.add_named(LossCode::Field, "a.b");
    losses.add_path(LossCode::Field, &["a", ".", "b"]);
    losses.add_path(LossCode::Field, &["a.", "b", ""]);
    assert_eq!(losses.iter().count(), 1);
    losses.add_path(LossCode::Field, &["a.", "b", "c"]);
    losses.add_path(LossCode::Field, &["a."]);
    losses.add_path(LossCode::Block, &["a.", "b"]);
    assert_eq!(losses.iter().count(), 4);
}

#[test]
fn chat() {
    let delta = |delta: &str| format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{delta}}}]}}"#);
    let picture =
        delta(r#"{"content":[{"type":"image_url","image_url":{"url":"https://example.test/a.png"}}]}"#);
    let unreadable = delta(r#"{"content":["x"]}"#);
    let nobody = delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#);
    let too_many = r#"{"choices":[{"index":128,"delta":{"content":"x"}}]}"#;
    let found = lost(Format::Chat, &[("", &picture), ("", &unreadable), ("", &nobody), ("", too_many)]);
    let expected = [
        "block: inlineData",
        "block: choices.message.content",
        "block: choices.message.tool_calls",
        "field: choices",
    ];
    assert_eq!(found, expected);
}

#[test]
fn messages() {
    let found = lost(
        Format::Messages,
        &[
            ("content_block_start", r#"{"index":0,"content_block":{"type":"text","text":""}}"#),
            ("content_block_delta", r#"{"index":0,"delta":{"type":"odd_delta","odd":1}}"#),
            ("content_block_delta", r#"{"index":0,"delta":{"type":"thinking_delta","thinking":"x"}}"#),
            ("content_block_start", r#"{"index":1,"content_block":{"type":"odd","odd":1}}"#),
            ("content_block_delta", r#"{"index":1,"delta":{"type":"odd_delta","odd":1}}"#),
            ("content_block_delta", r#"{"index":1,"delta":{"type":"citations_delta","citation":{}}}"#),
            (
                "content_block_start",
                r#"{"index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
            ),
            ("content_block_delta", r#"{"index":2,"delta":{"type":"citations_delta","citation":{}}}"#),
            (
                "content_block_start",
                r#"{"index":3,"content_block":{"type":"image","source":{"type":"url","url":"u"}}}"#,
            ),
            ("odd_event", "{}"),
        ],
    );
    let expected = [
        "block: odd_delta",
        "block: thinking_delta",
        "block: odd",
        "annotation: citations",
        "block: inlineData",
        "block: odd_event",
    ];
    assert_eq!(found, expected);
}

#[test]
fn responses() {
    let found = lost(
        Format::Responses,
        &[
            ("response.odd.progress", r#"{"output_index":0}"#),
            ("response.odd_call.progress", r#"{"output_index":0,"delta":"x"}"#),
            ("response.audio.delta", r#"{"delta":"aGk="}"#),
            ("response.reasoning_text.delta", r#"{"output_index":0,"delta":"x"}"#),
            ("response.reasoning_summary_text.delta", r#"{"output_index":0,"delta":"y"}"#),
            (
                "response.output_item.done",
                r#"{"output_index":1,"item":{"type":"message","role":"assistant","content":[
                    {"type":"input_image","image_url":"https://example.test/a.png"}]}}"#,
            ),
        ],
    );
    assert_eq!(found, ["block: response.audio.delta", "field: output.summary", "block: inlineData"]);
}

#[test]
fn gemini() {
    let found = lost(Format::Gemini, &[("", r#"{"candidates":[{"index":128,"finishReason":"STOP"}]}"#)]);
    assert_eq!(found, ["block: candidates"]);
}

#[test]
fn converse() {
    let found = lost(
        Format::Converse,
        &[
            ("contentBlockStart", r#"{"contentBlockIndex":0,"start":{"image":{"format":"png"}}}"#),
            ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"image":{"source":{"bytes":"aGk="}}}}"#),
            ("futureEvent", "?"),
        ],
    );
    assert_eq!(found, ["block: inlineData", "block: futureEvent"]);
}
