//! Nothing of a request is lost without a name.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::Value;
use shared::wire::Wire;

use super::*;
use crate::{
    canonical::{Block, Format as Form, Request, Source, Tool, ToolCall, ToolChoice, ToolKind},
    loss::LossCode,
};

/// A body that a client of this wire sends.
fn body(wire: Wire, request: &Request<'static>) -> Option<Vec<u8>> {
    let mut request = request.clone();
    write(&mut request, target(Format::of(wire), false), 0).ok().map(|(body, ..)| body)
}

fn blocks<'r, 'a>(request: &'r Request<'a>) -> impl Iterator<Item = &'r Block<'a>> {
    request.system.iter().chain(request.turns.iter().flat_map(|turn| &turn.blocks)).flat_map(|block| {
        let inner = match block {
            Block::ToolResult(result) => result.content.as_slice(),
            _ => &[],
        };
        std::iter::once(block).chain(inner)
    })
}

fn calls<'r, 'a>(request: &'r Request<'a>) -> Vec<&'r ToolCall<'a>> {
    let calls = blocks(request).filter_map(|block| match block {
        Block::ToolCall(call) => Some(call),
        _ => None,
    });
    calls.collect()
}

/// Words that must be in what is sent: texts, tools' results, data of media or where it is.
fn needles(request: &Request<'_>) -> Vec<String> {
    let texts = blocks(request).filter_map(|block| match block {
        Block::Text(text) => Some(text.text.trim().to_owned()),
        Block::Media(media) => Some(match &media.source {
            Source::Base64 { data, .. } => data.clone().into_owned(),
            Source::Url { url, .. } => url.clone().into_owned(),
            Source::File { id, .. } => id.clone().into_owned(),
            // Blank ones have nothing to say.
            Source::Text { text } => text.trim().to_owned(),
        }),
        _ => None,
    });
    texts.filter(|text| !text.is_empty()).collect()
}

fn same_call(asked: &ToolCall<'_>, name: &str, sent: &Value, names: &Names) -> Result<(), TestCaseError> {
    match names.back(name) {
        Some(original) => {
            prop_assert_eq!(&original.name, &*asked.name);
            prop_assert_eq!(original.namespace.as_deref(), asked.namespace.as_deref());
        }
        None => prop_assert_eq!(name, &*asked.name),
    }
    let expected = match asked.kind {
        ToolKind::Custom => serde_json::json!({ "input": asked.arguments }),
        ToolKind::Function => json(asked.object().as_bytes()),
    };
    prop_assert_eq!(sent, &expected);
    Ok(())
}

/// The calls in what is sent, in their order: name and arguments.
fn sent_calls(format: Format, sent: &[u8]) -> Vec<(String, Value)> {
    let Some(wire) = format.wire() else {
        let body = json(sent);
        let turns = body["messages"].as_array().cloned().unwrap_or_default();
        let blocks = turns.iter().flat_map(|turn| turn["content"].as_array().cloned().unwrap_or_default());
        let calls = blocks.filter_map(|block| block.get("toolUse").cloned());
        return calls
            .map(|call| (call["name"].as_str().unwrap_or_default().to_owned(), call["input"].clone()))
            .collect();
    };
    let read = decode(&ask(wire, sent, false)).unwrap();
    let call = |call: &ToolCall<'_>| {
        let arguments = match call.kind {
            ToolKind::Custom => serde_json::json!({ "input": call.arguments }),
            ToolKind::Function => json(call.object().as_bytes()),
        };
        (call.name.clone().into_owned(), arguments)
    };
    calls(&read).into_iter().map(call).collect()
}

/// Fields of which the target got something else: their names in losses.
fn differing(asked: &Request<'_>, sent: &Request<'_>) -> Vec<(&'static str, &'static [&'static str])> {
    let (a, b) = (&asked.sampling, &sent.sampling);
    let form = |form: &Form<'_>| matches!(form, Form::Text);
    let strict = |request: &Request<'_>| {
        let is_strict = |tool: &&Tool<'_>| matches!(tool, Tool::Function { strict: Some(true), .. });
        request.tools.iter().filter(is_strict).count()
    };
    let marks = |request: &Request<'_>| blocks(request).filter(|block| block.cache().is_some()).count();
    let choice = |request: &Request<'_>| match &request.tool_choice {
        None | Some(ToolChoice::Auto) => 0,
        Some(ToolChoice::None) => 1,
        Some(ToolChoice::Required) => 2,
        Some(ToolChoice::Named(_)) => 3,
        Some(ToolChoice::Allowed { .. }) => 4,
    };
    let float = |number: &Option<serde_json::Number>| number.as_ref().and_then(serde_json::Number::as_f64);
    // 1 is what it is anyway.
    let odd = |number: &Option<serde_json::Number>| float(number).filter(|number| *number != 1.0);
    let checks: [(&str, bool, &[&str]); 18] = [
        ("temperature", odd(&a.temperature) != odd(&b.temperature), &["temperature"]),
        ("top_p", odd(&a.top_p) != odd(&b.top_p), &["top_p", "top_k", "temperature"]),
        ("top_k", a.top_k != b.top_k, &["top_k"]),
        ("seed", a.seed != b.seed, &["seed"]),
        ("penalty", float(&a.presence_penalty) != float(&b.presence_penalty), &["presence_penalty"]),
        ("stop", a.stop != b.stop, &["stop"]),
        ("n", a.n.unwrap_or(1) != b.n.unwrap_or(1), &["n"]),
        ("logprobs", a.logprobs.is_some() != b.logprobs.is_some(), &["logprobs"]),
        ("max_output", asked.max_output.is_some() && asked.max_output != sent.max_output, &["max_tokens"]),
        ("format", form(&asked.format) != form(&sent.format), &["response_format"]),
        ("strict", strict(asked) != strict(sent), &["tools.strict", "tool_choice"]),
        ("marks", marks(asked) != marks(sent), &["content", "tools"]),
        (
            "choice",
            choice(asked) != choice(sent) && !(choice(asked) == 4 && choice(sent) == 3),
            &["tool_choice"],
        ),
        // Who may call none calls none at once.
        (
            "parallel",
            choice(asked) != 1 && asked.parallel_tools == Some(false) && sent.parallel_tools != Some(false),
            &["parallel_tool_calls"],
        ),
        ("user", asked.hints.user != sent.hints.user, &["user"]),
        ("cache_key", asked.hints.cache_key != sent.hints.cache_key, &["prompt_cache_key"]),
        ("service_tier", asked.hints.service_tier != sent.hints.service_tier, &["service_tier"]),
        ("store", asked.hints.store == Some(true) && sent.hints.store != Some(true), &["store"]),
    ];
    checks.into_iter().filter(|(_, differs, _)| *differs).map(|(name, _, words)| (name, words)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_said_is_sent_and_what_is_not_sent_is_named(request in samples::request()) {
        for wire in Wire::ALL {
            let Some(body) = body(wire, &request) else { continue };
            let asked = decode(&ask(wire, &body, false)).unwrap();
            for format in Format::ALL {
                let mut fitted = asked.clone();
                // A rejection says what to change, and sends nothing.
                let Ok((sent, losses, names)) = write(&mut fitted, target(format, false), 0) else { continue };
                let at = || format!("{wire} to {}: {}", format.as_str(), String::from_utf8_lossy(&sent));
                let all = strings_of(&sent).join("\n");
                for needle in needles(&asked) {
                    prop_assert!(all.contains(&needle), "{:?} is lost: {}", needle, at());
                }
                let found = sent_calls(format, &sent);
                let expected = calls(&asked);
                prop_assert_eq!(found.len(), expected.len(), "{}", at());
                for (asked, (name, arguments)) in expected.into_iter().zip(&found) {
                    same_call(asked, name, arguments, &names)?;
                }
                let Some(own) = format.wire() else { continue };
                let read = decode(&ask(own, &sent, false)).unwrap();
                for (field, words) in differing(&asked, &read) {
                    let named = losses.iter().any(|loss| words.contains(&&*loss.what));
                    prop_assert!(named, "`{}` is lost without a name ({:?}): {}", field, losses, at());
                }
            }
        }
    }

    #[test]
    fn results_belong_to_calls_by_the_same_ids(request in samples::request()) {
        for wire in Wire::ALL {
            let Some(body) = body(wire, &request) else { continue };
            for format in [Format::Chat, Format::Responses, Format::Messages, Format::Gemini] {
                let Ok(converted) = super::super::request(ask(wire, &body, false), target(format, false)) else {
                    continue;
                };
                let own = format.wire().unwrap();
                let read = decode(&ask(own, &converted.body, false)).unwrap();
                let ids: HashSet<_> = calls(&read).into_iter().map(|call| call.id.clone()).collect();
                prop_assert_eq!(ids.len(), calls(&read).len(), "ids are told apart");
                for block in read.turns.iter().flat_map(|turn| &turn.blocks) {
                    if let Block::ToolResult(result) = block {
                        prop_assert!(ids.contains(&result.id), "{}", String::from_utf8_lossy(&converted.body));
                    }
                }
            }
        }
    }
}

#[test]
fn a_loss_of_marks_is_named_once() {
    let body = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[
        {"type":"text","text":"a","cache_control":{"type":"ephemeral"}},
        {"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]}]}"#;
    let converted =
        super::super::request(ask(Wire::Messages, body, false), target(Format::Chat, false)).unwrap();
    let codes: Vec<_> = converted.losses.iter().map(|loss| loss.code).collect();
    assert_eq!(codes, [LossCode::CacheMark]);
}

#[test]
fn no_more_is_asked_for_than_the_model_can_say() {
    let body = br#"{"model":"m","max_tokens":32000,"messages":[{"role":"user","content":"hi"}]}"#;
    for (most, sent, losses) in [(Some(16_384), 16_384, 1), (Some(64_000), 32_000, 0), (None, 32_000, 0)] {
        let target = Target { max_output: most, ..target(Format::Chat, false) };
        let converted = request(ask(Wire::Messages, body, false), target).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&converted.body).unwrap();
        assert_eq!(
            (&written["max_completion_tokens"], converted.losses.iter().count()),
            (&sent.into(), losses)
        );
    }
}
