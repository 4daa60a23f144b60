//! A request to an upstream.

use std::collections::HashSet;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::message::{self, words};
use crate::canonical::customs;
use crate::canonical::{
    Format, Hints, Request, Sampling, Thinking, ThinkingMode, Tool, ToolChoice, ToolKind,
};
use crate::json;
use crate::json::write::{self, Array, Object};

/// `room`: bytes to set aside for it.
pub(crate) fn request(request: &Request<'_>, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(room);
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
        Tool::Custom { name, description, format, namespace: _ } => a.object(|o| {
            o.string("type", "custom");
            o.object("custom", |o| {
                o.string("name", name);
                o.some_string("description", description.as_deref());
                if let Some(format) = format {
                    tool_format(o, format);
                }
            });
        }),
        Tool::WebSearch(opaque) | Tool::Server(opaque) => a.raw(opaque.value.get()),
    }
}

/// A grammar stands inside of the format here.
fn tool_format(o: &mut Object<'_>, format: &RawValue) {
    let mut is_grammar = false;
    let read = json::object(format.get(), |field| {
        is_grammar |= field.name() == "type" && json::string(field.value).as_deref() == Some("grammar");
    });
    if read.is_err() || !is_grammar {
        return o.raw("format", format.get());
    }
    o.object("format", |o| {
        o.string("type", "grammar");
        o.object("grammar", |o| {
            let _ = json::object(format.get(), |field| {
                if field.name() != "type" {
                    o.raw(&field.name(), field.value);
                }
            });
        });
    });
}

fn tool_choice(o: &mut Object<'_>, choice: &ToolChoice<'_>, tools: &[Tool<'_>]) {
    const KEY: &str = "tool_choice";
    match choice {
        ToolChoice::Auto => o.string(KEY, "auto"),
        ToolChoice::None => o.string(KEY, "none"),
        ToolChoice::Required => o.string(KEY, "required"),
        ToolChoice::Named(name) => o.object(KEY, |o| named(o, name, &customs(tools))),
        ToolChoice::Allowed { names, required } => o.object(KEY, |o| {
            o.string("type", "allowed_tools");
            o.object("allowed_tools", |o| {
                o.string("mode", if *required { "required" } else { "auto" });
                o.array("tools", |a| {
                    let customs = customs(tools);
                    for name in names {
                        a.object(|o| named(o, name, &customs));
                    }
                });
            });
        }),
    }
}

/// A tool by its kind, which the list of tools tells.
fn named(o: &mut Object<'_>, name: &str, customs: &HashSet<&str>) {
    let (word, _) = words(if customs.contains(name) { ToolKind::Custom } else { ToolKind::Function });
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::{Value, json};

    use super::*;
    use crate::canonical::{
        Block, Extra, Media, MediaKind, Opaque, Origin, Reasoning, Role, Signature, SignatureKind, Source,
        ToolCall, ToolResult,
    };
    use crate::chat::{decode, tests::samples::REQUESTS};

    fn written(what: &Request<'_>) -> Value {
        serde_json::from_slice(&request(what, 0)).unwrap()
    }

    fn again(body: &str) -> Value {
        written(&decode::request(body.as_bytes()).unwrap())
    }

    fn call<'a>(id: &'a str, kind: ToolKind, arguments: &'a str) -> Block<'a> {
        let signature = (kind == ToolKind::Function).then(|| Signature {
            origin: Origin::Gemini,
            kind: SignatureKind::Proof,
            id: None,
            value: "s".into(),
        });
        Block::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            kind,
            arguments: arguments.into(),
            namespace: None,
            signature,
            cache: None,
        })
    }

    fn result<'a>(id: &'a str, content: Vec<Block<'a>>) -> Block<'a> {
        let (name, kind) = (None, ToolKind::Function);
        Block::ToolResult(ToolResult { id: id.into(), name, kind, content, is_error: true, cache: None })
    }

    #[test]
    fn a_conversation_is_written_message_by_message() {
        let mut what =
            Request { model: "m".into(), system: vec![Block::text("be brief")], ..Request::default() };
        what.push(Role::User, [Block::text("a"), Block::text("b")]);
        let thought = Reasoning { text: "hm".into(), signature: None };
        what.push(
            Role::Assistant,
            [Block::Reasoning(thought), call("x", ToolKind::Function, ""), call("y", ToolKind::Custom, "ls")],
        );
        what.push(
            Role::User,
            [result("x", vec![Block::text("1")]), result("y", vec![]), Block::text("go on")],
        );
        what.push(Role::Assistant, [Block::Refusal("no".into())]);
        let expected = json!({"model": "m", "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "s"}}},
                {"id": "y", "type": "custom", "custom": {"name": "f", "input": "ls"}},
            ]},
            {"role": "tool", "tool_call_id": "x", "content": "1"},
            {"role": "tool", "tool_call_id": "y", "content": ""},
            {"role": "user", "content": "go on"},
            {"role": "assistant", "content": null, "refusal": "no"},
        ]});
        assert_eq!(written(&what), expected);
    }

    #[test]
    fn media_are_written_by_what_they_are() {
        let media = |kind, source, name: Option<&'static str>| {
            Block::Media(Media { kind, source, name: name.map(Cow::Borrowed), detail: None, cache: None })
        };
        let data =
            |media_type: &'static str| Source::Base64 { media_type: media_type.into(), data: "AA".into() };
        let url = || Source::Url { url: "https://x.test/".into(), media_type: None };
        let mut what = Request { model: "m".into(), ..Request::default() };
        let blocks = [
            media(MediaKind::Image, data("image/png"), None),
            media(MediaKind::Image, url(), None),
            media(MediaKind::Audio, data("audio/mpeg"), None),
            media(MediaKind::Document, data("application/pdf"), None),
            media(MediaKind::Document, url(), Some("b.pdf")),
            media(MediaKind::Document, Source::File { origin: Wire::Chat, id: "f".into() }, None),
            media(MediaKind::Document, Source::Text { text: "plain".into() }, None),
        ];
        what.push(Role::User, blocks);
        let expected = json!([
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            {"type": "image_url", "image_url": {"url": "https://x.test/"}},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "document.pdf"}},
            {"type": "file", "file": {"file_data": "https://x.test/", "filename": "b.pdf"}},
            {"type": "file", "file": {"file_id": "f"}},
            {"type": "text", "text": "plain"},
        ]);
        assert_eq!(written(&what)["messages"][0]["content"], expected);
    }

    #[test]
    fn what_only_other_wires_know_is_not_written() {
        let value: &'static serde_json::value::RawValue = serde_json::from_str("{}").unwrap();
        let opaque = || Opaque { origin: Wire::Messages, kind: "x".into(), value: Cow::Borrowed(value) };
        let mut what = Request { model: "m".into(), ..Request::default() };
        what.push(Role::User, [Block::Opaque(opaque())]);
        what.tools = vec![Tool::Server(opaque()), Tool::WebSearch(opaque())];
        what.extras = vec![Extra { origin: Wire::Messages, name: "container".into(), value }];
        assert_eq!(written(&what), json!({"model": "m", "messages": []}));
    }

    #[test]
    fn a_request_says_again_what_it_said() {
        let full = again(REQUESTS[5]);
        let mut expected: Value = serde_json::from_str(REQUESTS[5]).unwrap();
        let fields = expected.as_object_mut().unwrap();
        for gone in ["max_tokens", "safety_identifier", "moderation"] {
            fields.remove(gone);
        }
        fields.insert("user".to_owned(), json!("s"));
        assert_eq!(full, expected);
        for body in [REQUESTS[0], REQUESTS[7]] {
            assert_eq!(again(body), serde_json::from_str::<Value>(body).unwrap());
        }
        let mut expected: Value = serde_json::from_str(REQUESTS[6]).unwrap();
        expected["stop"] = json!(["x"]);
        assert_eq!(again(REQUESTS[6]), expected);
        let mut expected: Value = serde_json::from_str(REQUESTS[1]).unwrap();
        expected["messages"][0]["content"][2]["image_url"] = json!({"url": "https://example.test/a.png"});
        assert_eq!(again(REQUESTS[1]), expected);
        let expected: Value = serde_json::from_str(REQUESTS[2]).unwrap();
        let tools = again(REQUESTS[2]);
        for field in ["tools", "tool_choice", "parallel_tool_calls"] {
            assert_eq!(tools[field], expected[field]);
        }
    }
}
