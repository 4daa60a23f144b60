//! A request to an upstream.

use shared::wire::Wire;

use super::message::{self, words};
use crate::canonical::{
    Format, Hints, Request, Sampling, Thinking, ThinkingMode, Tool, ToolChoice, ToolKind,
};
use crate::json::write::{self, Array, Object};

pub(crate) fn request(request: &Request<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    write::object(&mut out, |o| {
        o.string("model", &request.model);
        o.array("messages", |a| message::history(a, request));
        if request.stream {
            o.value("stream", &true);
            o.object("stream_options", |o| o.value("include_usage", &true));
        }
        tools(o, request);
        o.some("max_completion_tokens", request.max_output.as_ref());
        sampling(o, &request.sampling);
        format(o, &request.format);
        thinking(o, &request.thinking);
        hints(o, &request.hints);
        for extra in request.extras.iter().filter(|extra| extra.origin == Wire::Chat) {
            o.raw(&extra.name, extra.value.get());
        }
    });
    out
}

const WEB_SEARCH_OPTIONS: &str = "web_search_options";

fn tools(o: &mut Object<'_>, request: &Request<'_>) {
    if request.tools.iter().any(is_in_list) {
        o.array("tools", |a| request.tools.iter().filter(|tool| is_in_list(tool)).for_each(|it| tool(a, it)));
    }
    let search = request.tools.iter().find_map(|tool| match tool {
        Tool::WebSearch(opaque) if opaque.origin == Wire::Chat && opaque.kind == WEB_SEARCH_OPTIONS => {
            Some(opaque.value.get())
        }
        _ => None,
    });
    if let Some(options) = search {
        o.raw(WEB_SEARCH_OPTIONS, options);
    }
    if let Some(choice) = &request.tool_choice {
        tool_choice(o, choice, &request.tools);
    }
    o.some("parallel_tool_calls", request.parallel_tools.as_ref());
}

fn is_in_list(tool: &Tool<'_>) -> bool {
    match tool {
        Tool::Function { .. } | Tool::Custom { .. } => true,
        Tool::WebSearch(opaque) | Tool::Server(opaque) => {
            opaque.origin == Wire::Chat && opaque.kind != WEB_SEARCH_OPTIONS
        }
    }
}

fn tool(a: &mut Array<'_>, tool: &Tool<'_>) {
    match tool {
        Tool::Function { name, description, parameters, strict, .. } => a.object(|o| {
            o.string("type", "function");
            o.object("function", |o| {
                o.string("name", name);
                o.some_string("description", description.as_deref());
                if let Some(parameters) = parameters {
                    o.raw("parameters", parameters);
                }
                o.some("strict", strict.as_ref());
            });
        }),
        Tool::Custom { name, description, format } => a.object(|o| {
            o.string("type", "custom");
            o.object("custom", |o| {
                o.string("name", name);
                o.some_string("description", description.as_deref());
                o.some_raw("format", *format);
            });
        }),
        Tool::WebSearch(opaque) | Tool::Server(opaque) => a.raw(opaque.value.get()),
    }
}

fn tool_choice(o: &mut Object<'_>, choice: &ToolChoice<'_>, tools: &[Tool<'_>]) {
    const KEY: &str = "tool_choice";
    match choice {
        ToolChoice::Auto => o.string(KEY, "auto"),
        ToolChoice::None => o.string(KEY, "none"),
        ToolChoice::Required => o.string(KEY, "required"),
        ToolChoice::Named(name) => o.object(KEY, |o| named(o, name, tools)),
        ToolChoice::Allowed { names, required } => o.object(KEY, |o| {
            o.string("type", "allowed_tools");
            o.object("allowed_tools", |o| {
                o.string("mode", if *required { "required" } else { "auto" });
                o.array("tools", |a| {
                    for name in names {
                        a.object(|o| named(o, name, tools));
                    }
                });
            });
        }),
    }
}

/// A tool by its kind, which the list of tools tells.
fn named(o: &mut Object<'_>, name: &str, tools: &[Tool<'_>]) {
    let is_custom = tools.iter().any(|tool| matches!(tool, Tool::Custom { name: it, .. } if it == name));
    let (word, _) = words(if is_custom { ToolKind::Custom } else { ToolKind::Function });
    o.string("type", word);
    o.object(word, |o| o.string("name", name));
}

fn sampling(o: &mut Object<'_>, sampling: &Sampling<'_>) {
    o.some("temperature", sampling.temperature.as_ref());
    o.some("top_p", sampling.top_p.as_ref());
    o.some("top_k", sampling.top_k.as_ref());
    o.some("seed", sampling.seed.as_ref());
    o.some("presence_penalty", sampling.presence_penalty.as_ref());
    o.some("frequency_penalty", sampling.frequency_penalty.as_ref());
    if !sampling.stop.is_empty() {
        o.value("stop", &sampling.stop);
    }
    o.some("n", sampling.n.as_ref());
    o.some("logprobs", sampling.logprobs.as_ref());
    o.some("top_logprobs", sampling.top_logprobs.as_ref());
}

fn format(o: &mut Object<'_>, format: &Format<'_>) {
    match format {
        Format::Text => {}
        Format::JsonObject => o.object("response_format", |o| o.string("type", "json_object")),
        Format::JsonSchema { name, description, schema, strict } => o.object("response_format", |o| {
            o.string("type", "json_schema");
            o.object("json_schema", |o| {
                // OpenAI wants one.
                o.string("name", name.as_deref().unwrap_or("response"));
                o.some_string("description", description.as_deref());
                o.raw("schema", schema);
                o.some("strict", strict.as_ref());
            });
        }),
    }
}

fn thinking(o: &mut Object<'_>, thinking: &Thinking) {
    match (thinking.mode, thinking.effort) {
        (Some(ThinkingMode::Off), _) => o.string("reasoning_effort", "none"),
        (_, Some(effort)) => o.string("reasoning_effort", effort.as_str()),
        _ => {}
    }
}

fn hints(o: &mut Object<'_>, hints: &Hints<'_>) {
    o.some_string("user", hints.user.as_deref());
    o.some_string("prompt_cache_key", hints.cache_key.as_deref());
    o.some_string("service_tier", hints.service_tier.as_deref());
    o.some_string("verbosity", hints.verbosity.as_deref());
    o.some("store", hints.store.as_ref());
    o.some_raw("metadata", hints.metadata);
}
