//! What is sent in pieces is what would have been written in one.

use bytes::Bytes;
use shared::wire::Wire;

use super::{super::*, ask, target};

/// A body with one text and these two images.
fn body(wire: Wire, text: &str, images: [&str; 2]) -> String {
    let [one, two] = images;
    match wire {
        Wire::Chat => {
            let part = |data| {
                format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#)
            };
            let (one, two) = (part(one), part(two));
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":[{one},{{"type":"text","text":"{text}"}},{two}]}}]}}"#
            )
        }
        Wire::Responses => {
            let part =
                |data| format!(r#"{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}"#);
            let (one, two) = (part(one), part(two));
            format!(
                r#"{{"model":"m","input":[{{"role":"user","content":[{one},{{"type":"input_text","text":"{text}"}},{two}]}}]}}"#
            )
        }
        Wire::Messages => {
            let part = |data| {
                format!(
                    r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#
                )
            };
            let (one, two) = (part(one), part(two));
            let call = r#"{"type":"tool_use","id":"t","name":"look","input":{}}"#;
            let result = format!(r#"{{"type":"tool_result","tool_use_id":"t","content":[{one}]}}"#);
            format!(
                r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"look"}},{{"role":"assistant","content":[{call}]}},{{"role":"user","content":[{result},{{"type":"text","text":"{text}"}},{two}]}}]}}"#
            )
        }
        Wire::Gemini => {
            let part = |data| format!(r#"{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}}"#);
            let (one, two) = (part(one), part(two));
            format!(r#"{{"contents":[{{"role":"user","parts":[{one},{{"text":"{text}"}},{two}]}}]}}"#)
        }
    }
}

/// The body in pieces, checked against the one that is written whole.
fn pieces(wire: Wire, format: Format, body: &str) -> Pieces {
    let ask = ask(wire, body.as_bytes(), false);
    let converted = request(ask, target(format, false)).unwrap();
    let pieces = converted.excerpts.fill(converted.body, &Bytes::copy_from_slice(body.as_bytes()));
    let mut read = decode(&ask).unwrap();
    let (whole, ..) = write(&mut read, target(format, false), 0).unwrap();
    assert!(pieces.concat() == whole, "{wire} to {}", format.as_str());
    pieces
}

#[test]
fn long_data_is_sent_from_where_it_stands_and_short_data_is_copied() {
    let (long, short) = ("iVBORw0KGgo=".repeat(10_000), "iVBORw0KGgo=");
    for wire in Wire::ALL {
        for format in Format::ALL {
            assert_eq!(pieces(wire, format, &body(wire, "what?", [short, short])).len(), 1);
            assert_eq!(pieces(wire, format, &body(wire, "what?", [short, &long])).len(), 3);
            let both = pieces(wire, format, &body(wire, "what?", [&long, &long]));
            assert_eq!(both.len(), 5, "{wire} to {}", format.as_str());
            assert_eq!((both[1].len(), both[3].len()), (long.len(), long.len()));
        }
    }
}

#[test]
fn data_that_was_written_with_escapes_is_sent_without_them() {
    let long = r"iVBOR\/w0KGgo=".repeat(10_000);
    for wire in Wire::ALL {
        for format in Format::ALL {
            assert_eq!(pieces(wire, format, &body(wire, "what?", [&long, "iVBO"])).len(), 3);
        }
    }
}

#[test]
fn data_that_needs_escapes_is_written_with_them() {
    let long = r"iVBOR\nw0KGgo=".repeat(10_000);
    for format in Format::ALL {
        pieces(Wire::Messages, format, &body(Wire::Messages, "what?", [&long, &long]));
    }
}

#[test]
fn a_client_that_writes_the_marks_itself_changes_nothing() {
    let long = "iVBORw0KGgo=".repeat(10_000);
    for wire in Wire::ALL {
        for format in Format::ALL {
            let body = body(wire, "excerpt-01J-0 excerpt-01J-1", [&long, &long]);
            assert_eq!(pieces(wire, format, &body).len(), 1, "{wire} to {}", format.as_str());
        }
    }
}
