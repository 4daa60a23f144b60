//! Requests.

use shared::wire::Wire;

use super::part::{self, Part, mark};
use crate::{
    canonical::{Effort, Format, Request, Role, Show, Thinking, ThinkingMode, Tool, ToolChoice},
    json::write::{self, Array, Object},
};

/// Every request must name a limit; said where none is known.
const MAX_TOKENS: u64 = 4096;

/// `room`: bytes to set aside for it.
pub(crate) fn request(request: &Request<'_>, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(room);
    write::object(&mut out, |o| {
        o.string("model", &request.model);
        o.value("max_tokens", &request.max_output.unwrap_or(MAX_TOKENS));
        part::content(o, "system", &request.system);
        o.array("messages", |list| messages(list, request));
        tools(o, request);
        thinking(o, &request.thinking);
        output_config(o, request);
        sampling(o, request);
        if let Some(user) = &request.hints.user {
            o.object("metadata", |o| o.string("user_id", user));
        }
        o.some_string("service_tier", request.hints.service_tier.as_deref());
        if request.stream {
            o.value("stream", &true);
        }
        for extra in request.extras.iter().filter(|extra| extra.origin == Wire::Messages) {
            o.raw(&extra.name, extra.value.get());
        }
    });
    out
}

/// Turns, as far as anything is left of them; neighbours that come to have one role are one.
fn messages(list: &mut Array<'_>, request: &Request<'_>) {
    let mut messages: Vec<(&str, Vec<Part<'_>>)> = Vec::with_capacity(request.turns.len());
    for turn in &request.turns {
        let role = match turn.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System | Role::Developer => "system",
        };
        let parts = turn.blocks.iter().filter_map(Part::for_upstream);
        match messages.last_mut() {
            Some((last, all)) if *last == role => all.extend(parts),
            _ => messages.push((role, parts.collect())),
        }
        messages.pop_if(|(_, parts)| parts.is_empty());
    }
    for (role, mut parts) in messages {
        if role == "user" {
            // Results must stand ahead of all else.
            parts.sort_by_key(|part| !matches!(part, Part::Result(_)));
        }
        list.object(|o| {
            o.string("role", role);
            match &*parts {
                [Part::Text { text, cache: None, citations: None }] => o.string("content", text),
                parts => o.array("content", |list| parts.iter().for_each(|part| part.write(list))),
            }
        });
    }
}

fn tools(o: &mut Object<'_>, request: &Request<'_>) {
    let mut tools = request.tools.iter().filter(|tool| is_ours(tool)).peekable();
    let has_tools = tools.peek().is_some();
    if has_tools {
        o.array("tools", |list| tools.for_each(|tool| write_tool(list, tool)));
    }
    let one_by_one = request.parallel_tools == Some(false);
    let (word, name) = match &request.tool_choice {
        Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => ("auto", None),
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(&**name)),
        Some(ToolChoice::None) => ("none", None),
        None if one_by_one && has_tools => ("auto", None),
        None => return,
    };
    o.object("tool_choice", |o| {
        o.string("type", word);
        o.some_string("name", name);
        if one_by_one && word != "none" {
            o.value("disable_parallel_tool_use", &true);
        }
    });
}

fn is_ours(tool: &Tool<'_>) -> bool {
    match tool {
        Tool::Function { .. } => true,
        Tool::WebSearch(tool) | Tool::Server(tool) => tool.origin == Wire::Messages,
        Tool::Custom { .. } => false,
    }
}

fn write_tool(list: &mut Array<'_>, tool: &Tool<'_>) {
    match tool {
        Tool::Function { name, description, parameters, strict, cache, namespace: _ } => list.object(|o| {
            o.string("name", name);
            o.some_string("description", description.as_deref());
            o.raw("input_schema", parameters.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#));
            o.some("strict", strict.as_ref());
            mark(o, *cache);
        }),
        Tool::WebSearch(tool) | Tool::Server(tool) => list.raw(tool.value.get()),
        Tool::Custom { .. } => {}
    }
}

fn thinking(o: &mut Object<'_>, thinking: &Thinking) {
    let Some(mode) = thinking.mode else { return };
    o.object("thinking", |o| {
        match mode {
            ThinkingMode::Off => return o.string("type", "disabled"),
            ThinkingMode::Adaptive => o.string("type", "adaptive"),
            ThinkingMode::On => {
                o.string("type", "enabled");
                // It needs one; an effort stands for one.
                let meant = || thinking.effort.unwrap_or(Effort::Low).budget();
                o.value("budget_tokens", &thinking.budget.unwrap_or_else(meant));
            }
        }
        match thinking.show {
            Some(Show::Hidden) => o.string("display", "omitted"),
            Some(Show::Auto | Show::Concise | Show::Detailed) => o.string("display", "summarized"),
            None => {}
        }
    });
}

fn output_config(o: &mut Object<'_>, request: &Request<'_>) {
    let effort = request.thinking.effort.map(|effort| effort.max(Effort::Low).as_str());
    let schema = match &request.format {
        Format::JsonSchema { schema, .. } => Some(&**schema),
        Format::Text | Format::JsonObject => None,
    };
    if effort.is_none() && schema.is_none() {
        return;
    }
    o.object("output_config", |o| {
        o.some_string("effort", effort);
        if let Some(schema) = schema {
            o.object("format", |o| {
                o.string("type", "json_schema");
                o.raw("schema", schema);
            });
        }
    });
}

fn sampling(o: &mut Object<'_>, request: &Request<'_>) {
    let sampling = &request.sampling;
    o.some("temperature", sampling.temperature.as_ref());
    o.some("top_p", sampling.top_p.as_ref());
    o.some("top_k", sampling.top_k.as_ref());
    if !sampling.stop.is_empty() {
        o.value("stop_sequences", &sampling.stop);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        canonical::{
            Block, CacheMark, Media, MediaKind, Origin, Reasoning, Signature, SignatureKind, Source, Text,
            ToolCall, ToolKind, ToolResult, Turn,
        },
        messages::decode,
    };

    fn written(it: &Request<'_>) -> Value {
        serde_json::from_slice(&request(it, 0)).unwrap()
    }

    fn with_turn(role: Role, blocks: Vec<Block<'static>>) -> Request<'static> {
        Request { model: "m".into(), turns: vec![Turn { role, blocks }], ..Request::default() }
    }

    fn reasoning(origin: Origin, kind: SignatureKind) -> Block<'static> {
        let signature = Some(Signature { origin, kind, id: None, value: "v".into() });
        Block::Reasoning(Reasoning { text: "t".into(), signature })
    }

    fn result(id: &'static str, content: Vec<Block<'static>>, is_error: bool) -> Block<'static> {
        let kind = ToolKind::Function;
        Block::ToolResult(ToolResult { id: id.into(), name: None, kind, content, is_error, cache: None })
    }

    #[test]
    fn the_least_request_names_a_limit() {
        let request = with_turn(Role::User, vec![Block::text("hi")]);
        let expected =
            json!({"model": "m", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(written(&request), expected);
    }

    #[test]
    fn what_this_wire_says_comes_back_as_it_was() {
        let body = json!({
            "model": "m", "max_tokens": 9, "stream": true,
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                    {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
                    {"type": "document", "source": {"type": "file", "file_id": "f"}, "cache_control": {"type": "ephemeral"}},
                    {"type": "search_result", "source": "x"},
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "t", "signature": "s"},
                    {"type": "redacted_thinking", "data": "d"},
                    {"type": "text", "text": "x ", "citations": [{"n": 1}]},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"k": [1]}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "done", "is_error": true},
                ]},
                {"role": "system", "content": "now"},
            ],
            "tools": [
                {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true},
                {"type": "web_search_20250305", "name": "web_search"},
                {"type": "memory_20250818", "name": "memory"},
            ],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
            "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
            "output_config": {"effort": "xhigh", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            "temperature": 0.5, "top_p": 1, "top_k": 3, "stop_sequences": ["S"],
            "metadata": {"user_id": "u"}, "service_tier": "auto", "context_management": {"edits": []},
        });
        let text = body.to_string();
        let request = decode::request::request(text.as_bytes()).unwrap();
        assert!(request.losses.is_empty(), "{:?}", request.losses);
        assert_eq!(written(&request), body);
    }

    #[test]
    fn results_stand_ahead_and_empty_texts_nowhere() {
        let blocks = vec![
            Block::text("look"),
            Block::text(""),
            result("a", vec![], false),
            result("b", vec![Block::text("x"), Block::text("")], true),
        ];
        let expected = json!([{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a"},
            {"type": "tool_result", "tool_use_id": "b", "content": "x", "is_error": true},
            {"type": "text", "text": "look"},
        ]}]);
        assert_eq!(written(&with_turn(Role::User, blocks))["messages"], expected);
    }

    #[test]
    fn only_claudes_reasoning_goes_to_claude() {
        let blocks = vec![
            reasoning(Origin::OpenAi, SignatureKind::Encrypted),
            reasoning(Origin::Claude, SignatureKind::Proof),
            reasoning(Origin::Claude, SignatureKind::Encrypted),
            reasoning(Origin::Gemini, SignatureKind::Proof),
            Block::Reasoning(Reasoning { text: "unsigned".into(), signature: None }),
            Block::Refusal("no".into()),
        ];
        let expected = json!([
            {"type": "thinking", "thinking": "t", "signature": "v"},
            {"type": "redacted_thinking", "data": "v"},
            {"type": "text", "text": "no"},
        ]);
        assert_eq!(written(&with_turn(Role::Assistant, blocks))["messages"][0]["content"], expected);
    }

    #[test]
    fn a_turn_of_which_nothing_is_left_is_left_out_and_its_neighbours_are_one() {
        let mut request = with_turn(Role::User, vec![Block::text("a")]);
        let hidden = reasoning(Origin::OpenAi, SignatureKind::Proof);
        request.turns.push(Turn { role: Role::Assistant, blocks: vec![hidden] });
        request.turns.push(Turn { role: Role::User, blocks: vec![Block::text("b")] });
        request.turns.push(Turn { role: Role::Developer, blocks: vec![Block::text("c")] });
        request.turns.push(Turn { role: Role::System, blocks: vec![Block::text("d")] });
        let text = |text| json!({"type": "text", "text": text});
        let expected = json!([
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "system", "content": [text("c"), text("d")]},
        ]);
        assert_eq!(written(&request)["messages"], expected);
    }

    #[test]
    fn media_and_values_of_others_are_left_out() {
        let media = |kind, source| {
            Block::Media(Media {
                kind,
                source,
                name: Some("n".into()),
                detail: Some("low".into()),
                cache: None,
            })
        };
        let url = || Source::Url { url: "https://x".into(), media_type: None };
        let blocks = vec![
            media(MediaKind::Image, url()),
            media(MediaKind::Audio, url()),
            media(MediaKind::Document, Source::File { origin: Wire::Gemini, id: "f".into() }),
            media(MediaKind::Document, url()),
        ];
        let expected = json!([
            {"type": "image", "source": {"type": "url", "url": "https://x"}},
            {"type": "document", "source": {"type": "url", "url": "https://x"}, "title": "n"},
        ]);
        assert_eq!(written(&with_turn(Role::User, blocks))["messages"][0]["content"], expected);
    }

    #[test]
    fn arguments_are_always_an_object() {
        let call = |arguments: &'static str| {
            Block::ToolCall(ToolCall {
                id: "i".into(),
                name: "f".into(),
                kind: ToolKind::Function,
                arguments: arguments.into(),
                namespace: None,
                signature: None,
                cache: Some(CacheMark::FiveMinutes),
            })
        };
        let request = with_turn(Role::Assistant, vec![call(""), call("[1]"), call(r#"{"a":1}"#)]);
        let content = &written(&request)["messages"][0]["content"];
        let inputs: Vec<_> = (0..3).map(|index| content[index]["input"].clone()).collect();
        assert_eq!(inputs, [json!({}), json!({"arguments": "[1]"}), json!({"a": 1})]);
        assert_eq!(content[0]["cache_control"], json!({"type": "ephemeral"}));
    }

    #[test]
    fn choices_and_efforts_have_words() {
        let tool = || Tool::Function {
            name: "f".into(),
            description: None,
            parameters: None,
            strict: None,
            namespace: None,
            cache: None,
        };
        let choice = |tool_choice, parallel_tools, tools: Vec<Tool<'static>>| {
            written(&Request { tool_choice, parallel_tools, tools, ..Request::default() })["tool_choice"]
                .clone()
        };
        let one = json!({"type": "auto", "disable_parallel_tool_use": true});
        assert_eq!(choice(None, Some(false), vec![tool()]), one);
        assert_eq!(choice(None, Some(false), vec![]), Value::Null, "without tools there is no choice");
        assert_eq!(choice(None, Some(true), vec![tool()]), Value::Null);
        let none = choice(Some(ToolChoice::None), Some(false), vec![tool()]);
        assert_eq!(none, json!({"type": "none"}));
        assert_eq!(choice(Some(ToolChoice::Required), None, vec![tool()]), json!({"type": "any"}));
        let schema = &written(&Request { tools: vec![tool()], ..Request::default() })["tools"][0];
        assert_eq!(*schema, json!({"name": "f", "input_schema": {"type": "object", "properties": {}}}));

        let thinking = Thinking { effort: Some(Effort::Minimal), ..Thinking::default() };
        let request = written(&Request { thinking, ..Request::default() });
        assert_eq!(
            (&request["thinking"], &request["output_config"]),
            (&Value::Null, &json!({"effort": "low"}))
        );
        let thinking = Thinking {
            mode: Some(ThinkingMode::On),
            effort: Some(Effort::Medium),
            show: Some(Show::Detailed),
            ..Thinking::default()
        };
        let request = written(&Request { thinking, ..Request::default() });
        let expected = json!({"type": "enabled", "budget_tokens": 8192, "display": "summarized"});
        assert_eq!(request["thinking"], expected);
    }

    #[test]
    fn a_marked_system_prompt_stays_in_blocks() {
        let text = |cache| Block::Text(Text { text: "s".into(), cache, ..Text::default() });
        let system = |blocks| written(&Request { system: blocks, ..Request::default() })["system"].clone();
        assert_eq!(system(vec![text(None)]), json!("s"));
        let marked = json!([{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]);
        assert_eq!(system(vec![text(Some(CacheMark::FiveMinutes))]), marked);
    }
}
