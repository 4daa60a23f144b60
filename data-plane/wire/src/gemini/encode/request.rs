//! A request. Its model and whether it streams are said by the path.

use std::{borrow::Cow, collections::HashMap};

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::{config, part, tools};
use crate::{
    canonical::{Block, Origin, Reasoning, Request, Role, Signature, Text, ToolResult},
    gemini::id,
    json::write::{self, Array, Object},
};

/// `room`: bytes to set aside for it.
pub(crate) fn request(request: &Request<'_>, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(room);
    write::object(&mut out, |o| {
        o.array("contents", |a| contents(a, request));
        system(o, &request.system);
        tools::tools(o, &request.tools);
        group(o, "toolConfig", request, |o| tools::config(o, request));
        group(o, "generationConfig", request, |o| config::config(o, request));
        for (name, value) in own_extras(request) {
            if !name.contains('.') {
                o.raw(name, value.get());
            }
        }
    });
    out
}

fn own_extras<'r>(request: &'r Request<'_>) -> impl Iterator<Item = (&'r str, &'r RawValue)> {
    let own = request.extras.iter().filter(|extra| extra.origin == Wire::Gemini);
    own.map(|extra| (&*extra.name, extra.value))
}

/// An object that also holds the extras `{name}.…`; nothing if it is empty.
fn group(o: &mut Object<'_>, name: &str, request: &Request<'_>, fill: impl FnOnce(&mut Object<'_>)) {
    let mut inner = Vec::new();
    write::object(&mut inner, |o| {
        fill(o);
        for (path, value) in own_extras(request) {
            if let Some(field) = path.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) {
                o.raw(field, value.get());
            }
        }
    });
    if inner != b"{}" {
        o.raw(name, &String::from_utf8_lossy(&inner));
    }
}

fn system(o: &mut Object<'_>, blocks: &[Block<'_>]) {
    if blocks.iter().any(|block| is_written(block, false)) {
        o.object("systemInstruction", |o| {
            o.array("parts", |a| blocks.iter().for_each(|block| plain(a, block, None)));
        });
    }
}

/// What becomes one content.
struct Content<'r, 'a> {
    is_model: bool,
    blocks: Vec<&'r Block<'a>>,
}

fn contents(a: &mut Array<'_>, request: &Request<'_>) {
    let mut calls = HashMap::new();
    for content in gathered(request) {
        a.object(|o| {
            o.string("role", if content.is_model { "model" } else { "user" });
            o.array("parts", |a| {
                if content.is_model {
                    model(a, &content.blocks, &mut calls);
                } else {
                    user(a, &content.blocks, &calls);
                }
            });
        });
    }
}

/// The turns without what is not written; those that become neighbours by that are one.
fn gathered<'r, 'a>(request: &'r Request<'a>) -> Vec<Content<'r, 'a>> {
    let mut contents: Vec<Content<'r, 'a>> = Vec::with_capacity(request.turns.len());
    for turn in &request.turns {
        let is_model = turn.role == Role::Assistant;
        let mut blocks: Vec<_> = turn.blocks.iter().filter(|block| is_written(block, is_model)).collect();
        // A thought's signature is of use to what follows it.
        while matches!(blocks.last(), Some(Block::Reasoning(_))) {
            blocks.pop();
        }
        match contents.last_mut() {
            _ if blocks.is_empty() => {}
            Some(last) if last.is_model == is_model => last.blocks.extend(blocks),
            _ => contents.push(Content { is_model, blocks }),
        }
    }
    contents
}

/// Of reasoning only the signature goes back, and only to its maker.
fn is_written(block: &Block<'_>, is_model: bool) -> bool {
    match block {
        Block::Text(text) => !text.text.is_empty() || own_signature(text.signature.as_ref()).is_some(),
        Block::Media(media) => part::is_sayable(media),
        Block::ToolCall(_) => is_model,
        Block::ToolResult(_) => !is_model,
        Block::Reasoning(reasoning) => is_model && own_signature(reasoning.signature.as_ref()).is_some(),
        Block::Refusal(text) => !text.is_empty(),
        Block::Opaque(opaque) => part::own(opaque).is_some(),
    }
}

fn own_signature<'s, 'a>(signature: Option<&'s Signature<'a>>) -> Option<&'s Signature<'a>> {
    signature.filter(|signature| signature.origin == Origin::Gemini)
}

/// The calls so far, by id: their order and their names.
type Calls<'r> = HashMap<&'r str, (usize, &'r str)>;

fn model<'r>(a: &mut Array<'_>, blocks: &[&'r Block<'_>], calls: &mut Calls<'r>) {
    let mut blocks = blocks.iter().peekable();
    while let Some(block) = blocks.next() {
        match block {
            Block::Reasoning(Reasoning { signature, .. }) => match blocks.peek() {
                // Media has no place of its own for it in the hub.
                Some(Block::Media(media)) => {
                    part::media(a, media, signature.as_ref());
                    blocks.next();
                }
                _ => part::thought(a, "", signature.as_ref()),
            },
            Block::ToolCall(call) => {
                calls.insert(&call.id, (calls.len(), &call.name));
                part::call(a, call, given(&call.id), &[]);
            }
            block => plain(a, block, None),
        }
    }
}

fn user(a: &mut Array<'_>, blocks: &[&Block<'_>], calls: &Calls<'_>) {
    let result = |block: &&Block<'_>| matches!(block, Block::ToolResult(_));
    let (results, others): (Vec<&Block<'_>>, Vec<&Block<'_>>) =
        blocks.iter().partition(|block| result(block));
    let mut results: Vec<&ToolResult<'_>> = results
        .into_iter()
        .filter_map(|block| if let Block::ToolResult(result) = block { Some(result) } else { None })
        .collect();
    results.sort_by_key(|result| calls.get(&*result.id).map_or(usize::MAX, |(order, _)| *order));
    for result in results {
        let called = calls.get(&*result.id).map(|(_, name)| *name);
        self::result(a, result, called.or(result.name.as_deref()).unwrap_or(&result.id));
    }
    others.into_iter().for_each(|block| plain(a, block, None));
}

fn plain(a: &mut Array<'_>, block: &Block<'_>, signature: Option<&Signature<'_>>) {
    match block {
        Block::Text(Text { text, signature, .. }) if is_written(block, true) => {
            part::text(a, text, signature.as_ref());
        }
        Block::Refusal(text) if !text.is_empty() => part::text(a, text, None),
        Block::Media(media) => part::media(a, media, signature),
        Block::Opaque(opaque) => {
            if let Some(own) = part::own(opaque) {
                a.raw(own.get());
            }
        }
        _ => {}
    }
}

/// An id that came with the call.
fn given(id: &str) -> Option<&str> {
    (!id.is_empty() && !id::is_number(id)).then_some(id)
}

fn result(a: &mut Array<'_>, result: &ToolResult<'_>, name: &str) {
    a.object(|o| {
        o.object("functionResponse", |o| {
            o.some_string("id", given(&result.id));
            o.string("name", name);
            outcome(o, result);
            if result.content.iter().any(|block| matches!(block, Block::Media(_))) {
                o.array("parts", |a| {
                    for block in &result.content {
                        if let Block::Media(media) = block {
                            part::media(a, media, None);
                        }
                    }
                });
            }
        });
    });
}

/// `response` is an object, whatever the tool said.
fn outcome(o: &mut Object<'_>, result: &ToolResult<'_>) {
    let texts: Vec<&str> = result
        .content
        .iter()
        .filter_map(|block| match block {
            Block::Text(text) => Some(&*text.text),
            _ => None,
        })
        .collect();
    let text = match texts.as_slice() {
        [text] => Cow::Borrowed(*text),
        texts => Cow::Owned(texts.join("\n")),
    };
    let trimmed = text.trim();
    let is_object = trimmed.starts_with('{') && serde_json::from_str::<&RawValue>(trimmed).is_ok();
    match (result.is_error, is_object) {
        (false, true) => o.raw("response", trimmed),
        (false, false) => o.object("response", |o| o.string("output", &text)),
        (true, true) => o.object("response", |o| o.raw("error", trimmed)),
        (true, false) => o.object("response", |o| o.string("error", &text)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        canonical::{
            Effort, Extra, Format, Media, MediaKind, Opaque, SignatureKind, Source, Thinking, ThinkingMode,
            Tool, ToolCall, ToolChoice, ToolKind, Turn,
        },
        gemini::decode,
    };

    fn encoded(request: &Request<'_>) -> Value {
        serde_json::from_slice(&super::request(request, 0)).unwrap()
    }

    /// What goes upstream of what a client sent.
    fn through(body: &str) -> Value {
        encoded(&decode::request(body.as_bytes(), "gemini-3-pro", true).unwrap())
    }

    fn call(id: &'static str, name: &'static str) -> Block<'static> {
        Block::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            kind: ToolKind::Function,
            arguments: "{}".into(),
            namespace: None,
            signature: None,
            cache: None,
        })
    }

    fn result(id: &'static str, content: Vec<Block<'static>>, is_error: bool) -> Block<'static> {
        let (id, name) = (id.into(), None);
        Block::ToolResult(ToolResult { id, name, kind: ToolKind::Function, content, is_error, cache: None })
    }

    fn signed(origin: Origin) -> Option<Signature<'static>> {
        Some(Signature { origin, kind: SignatureKind::Encrypted, id: None, value: "QQ==".into() })
    }

    fn thought(text: &'static str, origin: Origin) -> Block<'static> {
        Block::Reasoning(Reasoning { text: text.into(), signature: signed(origin) })
    }

    fn image() -> Block<'static> {
        let source = Source::Base64 { media_type: "image/png".into(), data: "AAAA".into() };
        Block::Media(Media {
            kind: MediaKind::Image,
            source,
            name: Some("n".into()),
            detail: None,
            cache: None,
        })
    }

    /// The parts of a turn.
    fn parts(role: Role, blocks: Vec<Block<'_>>) -> Value {
        let request = Request { turns: vec![Turn { role, blocks }], ..Request::default() };
        encoded(&request)["contents"][0]["parts"].clone()
    }

    #[test]
    fn a_request_passes_through_the_hub() {
        let body = json!({
            "contents": [
                {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
                {"role": "model", "parts": [
                    {"text": "", "thought": true, "thoughtSignature": "QQ=="},
                    {"functionCall": {"id": "1", "name": "f", "args": {"x": 1}}, "thoughtSignature": "Qg=="},
                ]},
                {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"output": "o"}}}]},
            ],
            "systemInstruction": {"parts": [{"text": "S"}]},
            "tools": [
                {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}}]},
                {"googleSearch": {}},
                {"codeExecution": {}},
            ],
            "toolConfig": {
                "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
                "retrievalConfig": {"languageCode": "de"},
            },
            "generationConfig": {
                "temperature": 0.5, "topP": 0.9, "topK": 40, "seed": 7, "maxOutputTokens": 100, "candidateCount": 1,
                "presencePenalty": 0.1, "frequencyPenalty": 0.2, "stopSequences": ["x"], "responseLogprobs": true,
                "logprobs": 3, "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
                "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW"}, "speechConfig": {},
            },
            "safetySettings": [{"category": "C", "threshold": "T"}],
        });
        assert_eq!(through(&body.to_string()), body);
    }

    #[test]
    fn results_stand_first_in_the_order_of_their_calls() {
        let turns = vec![
            Turn { role: Role::Assistant, blocks: vec![call("a", "f"), call("call_7", "g"), call("c", "h")] },
            Turn {
                role: Role::User,
                blocks: vec![
                    Block::text("so"),
                    result("stray", vec![], false),
                    result("c", vec![Block::text("no")], true),
                    result("call_7", vec![Block::text(" {\"x\": 1} ")], false),
                    result("a", vec![Block::text("1"), Block::text("2"), image()], false),
                ],
            },
        ];
        let found = encoded(&Request { turns, ..Request::default() });
        let expected = json!([
            {"functionResponse": {"id": "a", "name": "f", "response": {"output": "1\n2"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}},
            {"functionResponse": {"name": "g", "response": {"x": 1}}},
            {"functionResponse": {"id": "c", "name": "h", "response": {"error": "no"}}},
            {"functionResponse": {"id": "stray", "name": "stray", "response": {"output": ""}}},
            {"text": "so"},
        ]);
        assert_eq!(found["contents"][1]["parts"], expected);
        assert_eq!(found["contents"][0]["parts"][1], json!({"functionCall": {"name": "g", "args": {}}}));
    }

    #[test]
    fn of_reasoning_only_geminis_signature_goes_back() {
        let empty = json!({"text": "", "thought": true, "thoughtSignature": "QQ=="});
        let blocks = vec![
            thought("why", Origin::Gemini),
            thought("so", Origin::Claude),
            Block::text("a"),
            thought("", Origin::Gemini),
            image(),
            thought("", Origin::Gemini),
        ];
        let expected = json!([
            empty,
            {"text": "a"},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "QQ=="},
        ]);
        assert_eq!(parts(Role::Assistant, blocks), expected);
        assert_eq!(parts(Role::Assistant, vec![thought("why", Origin::OpenAi)]), Value::Null);
    }

    #[test]
    fn what_only_other_wires_know_is_left_out_and_neighbours_join() {
        let value = serde_json::value::to_raw_value(&json!({"x": 1})).unwrap();
        let opaque = |origin| Opaque { origin, kind: "x".into(), value: Cow::Borrowed(&*value) };
        let foreign_file = Source::File { origin: Wire::Messages, id: "file_1".into() };
        let media = |source| {
            Block::Media(Media { kind: MediaKind::Document, source, name: None, detail: None, cache: None })
        };
        let turns = vec![
            Turn {
                role: Role::User,
                blocks: vec![media(Source::Text { text: "doc".into() }), media(foreign_file)],
            },
            Turn {
                role: Role::Assistant,
                blocks: vec![Block::Opaque(opaque(Wire::Messages)), Block::text("")],
            },
            Turn {
                role: Role::User,
                blocks: vec![
                    media(Source::Url { url: "https://x.y".into(), media_type: None }),
                    media(Source::File { origin: Wire::Gemini, id: "gs://b/c".into() }),
                    Block::Opaque(opaque(Wire::Gemini)),
                ],
            },
            Turn { role: Role::Assistant, blocks: vec![Block::Refusal("no".into())] },
        ];
        let tools = vec![
            Tool::Server(opaque(Wire::Responses)),
            Tool::WebSearch(opaque(Wire::Messages)),
            Tool::Custom { name: "c".into(), description: None, format: None, namespace: None },
        ];
        let extras = vec![Extra { origin: Wire::Chat, name: "logit_bias".into(), value: &value }];
        let found = encoded(&Request { turns, tools, extras, ..Request::default() });
        let expected = json!({
            "contents": [
                {"role": "user", "parts": [
                    {"text": "doc"}, {"fileData": {"fileUri": "https://x.y"}}, {"fileData": {"fileUri": "gs://b/c"}}, {"x": 1},
                ]},
                {"role": "model", "parts": [{"text": "no"}]},
            ],
            "tools": [
                {"functionDeclarations": [{"name": "c", "parametersJsonSchema": {
                    "type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}}]},
                {"googleSearch": {}},
            ],
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn thinking_is_said_by_budget_or_by_level() {
        let config = |model: &'static str, thinking: Thinking| {
            encoded(&Request { model: model.into(), thinking, ..Request::default() })["generationConfig"]["thinkingConfig"]
                .clone()
        };
        let (off, on, adaptive) =
            (Some(ThinkingMode::Off), Some(ThinkingMode::On), Some(ThinkingMode::Adaptive));
        let asks = Thinking { effort: Some(Effort::High), ..Thinking::default() };
        let hidden = Thinking { show: Some(crate::canonical::Show::Hidden), ..asks };
        let shown = json!({"includeThoughts": true});
        for (model, thinking, expected) in [
            ("gemini-2.5-pro", Thinking::default(), Value::Null),
            ("gemini-2.5-pro", Thinking { mode: off, ..asks }, json!({"thinkingBudget": 0})),
            ("gemini-2.5-pro", Thinking { mode: on, ..Thinking::default() }, shown),
            (
                "gemini-2.5-pro",
                Thinking { mode: adaptive, ..Thinking::default() },
                json!({"includeThoughts": true, "thinkingBudget": -1}),
            ),
            ("gemini-2.5-pro", asks, json!({"includeThoughts": true, "thinkingBudget": 24576})),
            ("gemini-3-flash", hidden, json!({"thinkingLevel": "HIGH"})),
            ("gemini-3-flash", Thinking { budget: Some(5), ..hidden }, json!({"thinkingBudget": 5})),
        ] {
            assert_eq!(config(model, thinking), expected, "{model} {thinking:?}");
        }
    }

    #[test]
    fn choices_of_tools_have_their_modes() {
        let mode = |choice| {
            let request = Request { tool_choice: Some(choice), ..Request::default() };
            encoded(&request)["toolConfig"]["functionCallingConfig"].clone()
        };
        assert_eq!(mode(ToolChoice::Auto), json!({"mode": "AUTO"}));
        assert_eq!(mode(ToolChoice::None), json!({"mode": "NONE"}));
        assert_eq!(mode(ToolChoice::Required), json!({"mode": "ANY"}));
        let some = ToolChoice::Allowed { names: vec!["f".into()], required: false };
        assert_eq!(mode(some), json!({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}));
    }

    #[test]
    fn nothing_is_said_of_what_was_not_asked() {
        assert_eq!(encoded(&Request::default()), json!({"contents": []}));
        let object = Request { format: Format::JsonObject, ..Request::default() };
        assert_eq!(encoded(&object)["generationConfig"], json!({"responseMimeType": "application/json"}));
    }
}
