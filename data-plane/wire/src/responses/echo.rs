//! What an answer repeats of its request.

use serde_json::value::RawValue;

use crate::json::{self, record::record};

/// The fields that are repeated, in the order in which they stand, with what the API says where the request said
/// nothing. Nothing is kept here, so `store` is false.
pub(super) const FIELDS: [(&str, &str); 19] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("store", "false"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
    ("metadata", "{}"),
];

record! {
    struct Reasoning {
        effort: &'a RawValue = "effort",
        summary: &'a RawValue = "summary",
        generate_summary: &'a RawValue = "generate_summary",
    }
}

record! {
    struct Text {
        format: &'a RawValue = "format",
        verbosity: &'a RawValue = "verbosity",
    }
}

/// The request's fields that the answer repeats, as JSON text. A body that can't be read has none.
pub(crate) fn read(body: &[u8]) -> Vec<(&'static str, String)> {
    let mut echo: Vec<(&'static str, String)> = Vec::new();
    let text = std::str::from_utf8(body).unwrap_or_default().trim_start_matches('\u{feff}');
    let read = json::object(text, |field| {
        let name = field.name();
        let Some((name, _)) = FIELDS.into_iter().find(|(known, _)| *known == name) else { return };
        if field.value == "null" {
            return;
        }
        let value = match name {
            "reasoning" => reasoning(field.value),
            "text" => format(field.value),
            _ => field.value.to_owned(),
        };
        echo.retain(|(known, _)| *known != name);
        echo.push((name, value));
    });
    if read.is_err() {
        echo.clear();
    }
    echo
}

fn reasoning(value: &str) -> String {
    let said: Reasoning<'_> = serde_json::from_str(value).unwrap_or_default();
    let effort = said.effort.map_or("null", RawValue::get);
    let summary = said.summary.or(said.generate_summary).map_or("null", RawValue::get);
    format!(r#"{{"effort":{effort},"summary":{summary}}}"#)
}

fn format(value: &str) -> String {
    let said: Text<'_> = serde_json::from_str(value).unwrap_or_default();
    let format = said.format.map_or(r#"{"type":"text"}"#, RawValue::get);
    let verbosity = said.verbosity.map_or(r#""medium""#, RawValue::get);
    format!(r#"{{"format":{format},"verbosity":{verbosity}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_repeated_and_made_whole() {
        let echo = read(
            br#"{"model":"m","input":"x","temperature":0.2,"top_p":null,"reasoning":{"effort":"low"},
                "text":{"verbosity":"high"},"tools":[{"type":"function","name":"f"}],"store":false}"#,
        );
        let expected = [
            ("temperature", "0.2"),
            ("reasoning", r#"{"effort":"low","summary":null}"#),
            ("text", r#"{"format":{"type":"text"},"verbosity":"high"}"#),
            ("tools", r#"[{"type":"function","name":"f"}]"#),
            ("store", "false"),
        ];
        assert_eq!(echo, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn what_is_no_request_is_not_repeated() {
        for body in [&b"\xff"[..], b"[]", br#"{"temperature":1,"#] {
            assert_eq!(read(body), []);
        }
    }

    #[test]
    fn all_defaults_are_json() {
        for (name, value) in FIELDS {
            assert!(serde_json::from_str::<&RawValue>(value).is_ok(), "{name}");
        }
    }
}
