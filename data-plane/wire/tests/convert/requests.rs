//! Requests: each client wire's cases, for each upstream.

use serde_json::{Map, Value, json};
use shared::wire::Wire;
use wire::convert::{self, Ask, Format, Replayed, Target};

use crate::{
    cases::{cases, hold, lost},
    printed,
};

/// A model of each upstream. The second ones differ in how they think, and are asked only about that.
pub(crate) const TARGETS: [(Format, &str); 5] = [
    (Format::Chat, "gpt-5.2"),
    (Format::Responses, "gpt-5.2"),
    (Format::Messages, "claude-sonnet-4-5"),
    (Format::Gemini, "gemini-3-pro"),
    (Format::Converse, "amazon.nova-pro-v1:0"),
];
pub(crate) const THINKING_TARGETS: [(Format, &str); 4] = [
    (Format::Chat, "gpt-4.1"),
    (Format::Responses, "o3"),
    (Format::Messages, "claude-opus-4-6"),
    (Format::Gemini, "gemini-2.5-flash"),
];

pub(crate) const fn target<'t>(format: Format, model: &'t str) -> Target<'t> {
    Target {
        format,
        model,
        stream: false,
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

pub(crate) const fn ask(wire: Wire, body: &[u8]) -> Ask<'_> {
    Ask {
        wire,
        body,
        model: "asked",
        stream: false,
        array: false,
        resume: None,
        wants_usage: false,
        memos: &[],
        id: "01J",
        now: 1_764_090_000,
    }
}

fn sent(wire: Wire, body: &[u8], target: Target<'_>) -> Value {
    match convert::request(ask(wire, body), target) {
        Ok(converted) => {
            json!({ "losses": lost(&converted.losses), "body": printed::json(&converted.body) })
        }
        Err(error) => json!({ "refused": error.to_string() }),
    }
}

fn each_case_becomes_what_it_must(wire: Wire) {
    for case in cases("requests", wire.as_str()) {
        let thinking = case.name.starts_with("thinking").then_some(THINKING_TARGETS).into_iter().flatten();
        let found: Map<String, Value> = TARGETS
            .into_iter()
            .chain(thinking)
            .map(|(format, model)| {
                (format!("{} {model}", format.as_str()), sent(wire, &case.text, target(format, model)))
            })
            .collect();
        hold("requests", wire.as_str(), &case.name, &printed::spread(&found.into(), 4));
    }
}

#[test]
fn chat() {
    each_case_becomes_what_it_must(Wire::Chat);
}

#[test]
fn responses() {
    each_case_becomes_what_it_must(Wire::Responses);
}

#[test]
fn messages() {
    each_case_becomes_what_it_must(Wire::Messages);
}

#[test]
fn gemini() {
    each_case_becomes_what_it_must(Wire::Gemini);
}
