//! What OpenAI's models take, each in its own way.

use serde_json::{Value, json as tree};
use shared::wire::Wire;

use super::*;

/// Of a request of Claude Code's, with these fields.
fn sent(format: Format, model: &'static str, fields: &Value) -> (Value, String) {
    let mut body = tree!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "q"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    let body = body.to_string();
    let target = Target { model, ..target(format, false) };
    let converted = super::super::request(ask(Wire::Messages, body.as_bytes(), false), target).unwrap();
    let losses = converted.losses.iter().map(|loss| format!("{}: {}", loss.code.as_str(), loss.what));
    (json(&converted.body), losses.collect::<Vec<_>>().join(", "))
}

#[test]
fn a_long_name_of_a_user_goes_as_its_digest() {
    for format in [Format::Chat, Format::Responses] {
        let user = |name: String| {
            let (body, losses) = sent(format, "gpt-5.2", &tree!({"metadata": {"user_id": name}}));
            (body["user"].as_str().unwrap().to_owned(), losses)
        };
        assert_eq!(user("é".repeat(64)), ("é".repeat(64), String::new()));
        let (digest, losses) = user("u".repeat(65));
        assert_eq!((digest.len(), losses.as_str()), (64, "clamped: user"));
        assert!(digest.bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert_eq!(user("u".repeat(65)).0, digest);
        assert_ne!(user("v".repeat(65)).0, digest);
    }
}

#[test]
fn a_deployment_is_what_the_client_asked_for() {
    let (body, losses) = sent(Format::Chat, "our-deployment", &tree!({"model": "o3", "temperature": 0.5}));
    assert_eq!((body.get("temperature"), losses.as_str()), (None, "clamped: temperature"));
    let asked = tree!({"model": "openai,o3", "temperature": 0.5});
    assert_eq!(sent(Format::Chat, "our-deployment", &asked).0.get("temperature"), None);
    let (body, losses) = sent(Format::Chat, "our-deployment", &tree!({"model": "x", "temperature": 0.5}));
    assert_eq!((&body["temperature"], losses.as_str()), (&tree!(0.5), ""));
}

#[test]
fn no_effort_is_made_up() {
    for format in [Format::Chat, Format::Responses] {
        let (body, losses) = sent(format, "gpt-5.2", &tree!({}));
        assert_eq!((body.get("reasoning_effort"), body.get("reasoning"), losses.as_str()), (None, None, ""));
    }
    // Gemini's client wants to see what there is.
    let body = br#"{"contents":[{"parts":[{"text":"q"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}"#;
    let converted =
        super::super::request(ask(Wire::Gemini, body, false), target(Format::Responses, false)).unwrap();
    assert_eq!(json(&converted.body)["reasoning"], tree!({"summary": "auto"}));
}

#[test]
fn in_chat_functions_and_thoughts_do_not_go_together_any_more() {
    let fields = tree!({
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
    });
    let (body, losses) = sent(Format::Chat, "gpt-5.6-terra", &fields);
    assert_eq!((&body["reasoning_effort"], losses.as_str()), (&tree!("none"), "reasoning_off: tools"));
    assert_eq!(sent(Format::Chat, "gpt-5.2", &fields).0["reasoning_effort"], "high");
    let (body, losses) = sent(Format::Responses, "gpt-5.6-terra", &fields);
    assert_eq!((&body["reasoning"]["effort"], losses.as_str()), (&tree!("high"), ""));
}

#[test]
fn least_and_most_are_kept() {
    let (body, losses) = sent(Format::Responses, "gpt-5.2", &tree!({"max_tokens": 1}));
    assert_eq!((&body["max_output_tokens"], losses.as_str()), (&tree!(16), "clamped: max_tokens"));
    assert_eq!(sent(Format::Chat, "gpt-5.2", &tree!({"max_tokens": 1})).0["max_completion_tokens"], 1);
}
