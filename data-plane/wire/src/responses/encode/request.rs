//! POST /v1/responses.

use shared::wire::Wire;

use super::{input, tools};
use crate::{
    canonical::{Block, Format, Request, Show, Thinking, ThinkingMode},
    json::write::{self, Object},
};

/// `room`: bytes to set aside for it.
pub(crate) fn request(request: &Request<'_>, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(room);
    write::object(&mut out, |o| {
        o.string("model", &request.model);
        instructions(o, &request.system);
        o.array("input", |items| input::turns(items, &request.turns));
        tools::write(o, request);
        o.some("max_output_tokens", request.max_output.as_ref());
        o.some("temperature", request.sampling.temperature.as_ref());
        o.some("top_p", request.sampling.top_p.as_ref());
        o.some("top_logprobs", request.sampling.top_logprobs.as_ref());
        text(o, request);
        reasoning(o, &request.thinking);
        include(o, request);
        hints(o, request);
        o.value("stream", &request.stream);
        for extra in request.extras.iter().filter(|extra| extra.origin == Wire::Responses) {
            o.raw(&extra.name, extra.value.get());
        }
    });
    out
}

fn instructions(o: &mut Object<'_>, system: &[Block<'_>]) {
    let texts = system.iter().filter_map(|block| match block {
        Block::Text(text) => Some(&*text.text),
        _ => None,
    });
    let texts: Vec<&str> = texts.collect();
    match texts.as_slice() {
        [] => {}
        [text] => o.string("instructions", text),
        texts => o.string("instructions", &texts.join("\n\n")),
    }
}

fn text(o: &mut Object<'_>, request: &Request<'_>) {
    let verbosity = request.hints.verbosity.as_deref();
    if verbosity.is_none() && matches!(request.format, Format::Text) {
        return;
    }
    o.object("text", |o| {
        match &request.format {
            Format::Text => {}
            Format::JsonObject => o.object("format", |o| o.string("type", "json_object")),
            Format::JsonSchema { name, description, schema, strict } => o.object("format", |o| {
                o.string("type", "json_schema");
                o.string("name", name.as_deref().unwrap_or("answer"));
                o.some_string("description", description.as_deref());
                o.raw("schema", schema);
                o.some("strict", strict.as_ref());
            }),
        }
        o.some_string("verbosity", verbosity);
    });
}

fn reasoning(o: &mut Object<'_>, thinking: &Thinking) {
    let effort = match thinking.mode {
        Some(ThinkingMode::Off) => Some("none"),
        _ => thinking.effort.map(|effort| effort.as_str()),
    };
    let summary = thinking.show.and_then(|show| match show {
        Show::Hidden => None,
        Show::Auto => Some("auto"),
        Show::Concise => Some("concise"),
        Show::Detailed => Some("detailed"),
    });
    if effort.is_some() || summary.is_some() {
        o.object("reasoning", |o| {
            o.some_string("effort", effort);
            o.some_string("summary", summary);
        });
    }
}

fn include(o: &mut Object<'_>, request: &Request<'_>) {
    let thinking = &request.thinking;
    let reasons = match thinking.mode {
        Some(ThinkingMode::Off) => false,
        Some(ThinkingMode::On | ThinkingMode::Adaptive) => true,
        None => thinking.effort.is_some(),
    };
    // Nothing is kept upstream, so the client must be able to hand the reasoning back.
    let encrypted = thinking.encrypted || reasons;
    let logprobs = request.sampling.logprobs == Some(true);
    if encrypted || logprobs {
        o.array("include", |a| {
            if encrypted {
                a.string("reasoning.encrypted_content");
            }
            if logprobs {
                a.string("message.output_text.logprobs");
            }
        });
    }
}

fn hints(o: &mut Object<'_>, request: &Request<'_>) {
    let hints = &request.hints;
    o.some_string("user", hints.user.as_deref());
    o.some_string("prompt_cache_key", hints.cache_key.as_deref());
    o.some_string("service_tier", hints.service_tier.as_deref());
    // Left out it would mean true here.
    o.value("store", &hints.store.unwrap_or(false));
    o.some_raw("metadata", hints.metadata);
}
