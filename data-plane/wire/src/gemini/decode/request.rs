//! A request: contents become turns, each part a block.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::{
    calls::Calls,
    config,
    part::{self, Piece},
    place::Place,
    tools,
};
use crate::{
    canonical::{Block, Extra, Origin, Reasoning, Request, Role, bundle},
    codec::Unreadable,
    gemini::message::{Many, message},
    json::{self, record::Str},
    loss::{LossCode, Losses},
};

message! {
    struct Body {
        contents: Many<'a> = "contents",
        system: &'a RawValue = "systemInstruction",
        tools: Many<'a> = "tools",
        tool_config: &'a RawValue = "toolConfig",
        config: &'a RawValue = "generationConfig",
        // Some clients repeat it; the path's counts.
        model: &'a RawValue = "model",
    }
}

message! {
    struct Content {
        role: Str<'a> = "role",
        parts: Many<'a> = "parts",
    }
}

/// `model` and `stream` are said by the path.
///
/// # Errors
/// What the client has to correct.
pub(crate) fn request<'a>(body: &'a [u8], model: &'a str, stream: bool) -> Result<Request<'a>, Unreadable> {
    let body: Body<'a> = read("body", body)?;
    let mut request = Request { model: Cow::Borrowed(model), stream, ..Request::default() };
    request.extras = body.unknown.into_iter().map(|(name, value)| extra(name, value)).collect();
    if let Some(raw) = body.system {
        request.system = system(raw, &mut request.losses)?;
    }
    contents(body.contents.unwrap_or_default().0, &mut request)?;
    tools::tools(body.tools.unwrap_or_default().0, &mut request)?;
    if let Some(raw) = body.tool_config {
        tools::config(raw, &mut request)?;
    }
    if let Some(raw) = body.config {
        config::config(raw, &mut request)?;
    }
    Ok(request)
}

/// Reads a whole body, which is called `name`.
pub(super) fn read<'a, T: serde::Deserialize<'a>>(
    name: &'static str,
    body: &'a [u8],
) -> Result<T, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::new(name, "is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).map_err(|error| Unreadable::new(name, json::problem(&error)))
}

const fn extra<'a>(name: Cow<'a, str>, value: &'a RawValue) -> Extra<'a> {
    Extra { origin: Wire::Gemini, name, value }
}

/// A content, or a bare string.
fn system<'a>(raw: &'a RawValue, losses: &mut Losses) -> Result<Vec<Block<'a>>, Unreadable> {
    if let Some(text) = json::string(raw.get()) {
        return Ok((!text.is_empty()).then(|| Block::text(text)).into_iter().collect());
    }
    let place = Place::top("systemInstruction");
    let content: Content<'a> = place.read(raw)?;
    let parts = place.field("parts");
    let mut blocks = Vec::new();
    for (index, raw) in content.parts.unwrap_or_default().0.into_iter().enumerate() {
        match part::read(raw, &parts.index(index), losses)?.map(Piece::into_block) {
            Some(block @ (Block::Text(_) | Block::Media(_) | Block::Opaque(_))) => blocks.push(block),
            Some(_) => losses.add(LossCode::Block, "systemInstruction.parts"),
            None => {}
        }
    }
    Ok(blocks)
}

fn contents<'a>(items: Vec<&'a RawValue>, request: &mut Request<'a>) -> Result<(), Unreadable> {
    let list = Place::top("contents");
    let mut calls = Calls::default();
    for (index, raw) in items.into_iter().enumerate() {
        let place = list.index(index);
        let content: Content<'a> = place.read(raw)?;
        for (name, _) in &content.unknown {
            request.losses.add_named(LossCode::Field, &format!("contents.{name}"));
        }
        let role = match content.role.as_ref().map_or("", |role| &*role.0) {
            "" | "user" | "function" => Role::User,
            "model" => Role::Assistant,
            _ => return Err(place.field("role").wrong("must be `user` or `model`")),
        };
        let parts = place.field("parts");
        for (index, raw) in content.parts.unwrap_or_default().0.into_iter().enumerate() {
            let Some(mut piece) = part::read(raw, &parts.index(index), &mut request.losses)? else {
                continue;
            };
            bundle::put_back(&mut request.turns, std::mem::take(&mut piece.bundle));
            for block in piece.into_blocks() {
                add(request, &mut calls, role, block);
            }
        }
    }
    Ok(())
}

/// `role`: of what says no role by itself.
fn add<'a>(request: &mut Request<'a>, calls: &mut Calls<'a>, role: Role, mut block: Block<'a>) {
    let role = match &mut block {
        Block::ToolCall(call) => {
            calls.call(call);
            Role::Assistant
        }
        Block::ToolResult(result) => {
            if !calls.result(result) {
                return request.losses.add(LossCode::Block, "functionResponse");
            }
            Role::User
        }
        Block::Reasoning(thought) => {
            if go_on(request, thought) {
                return;
            }
            Role::Assistant
        }
        _ => role,
    };
    request.push(role, [block]);
}

/// Clients send a streamed thought back in the pieces it came in, of which the last one is signed: they are one. Whether
/// the piece was put to the one before it.
fn go_on<'a>(request: &mut Request<'a>, piece: &mut Reasoning<'a>) -> bool {
    let last = request.turns.last_mut().filter(|turn| turn.role == Role::Assistant);
    let Some(Block::Reasoning(thought)) = last.and_then(|turn| turn.blocks.last_mut()) else { return false };
    // What Gemini signed and is otherwise empty belongs to the part behind it.
    let is_carrier = piece.text.is_empty()
        && piece.signature.as_ref().is_some_and(|signature| signature.origin == Origin::Gemini);
    if thought.signature.is_some() || is_carrier {
        return false;
    }
    thought.text.to_mut().push_str(&piece.text);
    thought.signature = piece.signature.take();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::{Effort, Format, Media, MediaKind, Show, Source, ThinkingMode, Tool, ToolChoice};

    fn decoded(body: &str) -> Request<'_> {
        request(body.as_bytes(), "gemini-2.5-pro", false).unwrap()
    }

    fn problem(body: &str) -> String {
        request(body.as_bytes(), "m", false).unwrap_err().to_string()
    }

    fn blocks(parts: &str) -> Vec<Block<'static>> {
        let body = format!(r#"{{"contents":[{{"role":"model","parts":[{parts}]}}]}}"#);
        let request = decoded(Box::leak(body.into_boxed_str()));
        request.turns.into_iter().flat_map(|turn| turn.blocks).collect()
    }

    fn words(blocks: &[Block<'_>]) -> Vec<String> {
        let signature = |signature: &Option<crate::canonical::Signature<'_>>| {
            signature
                .as_ref()
                .map_or(String::new(), |signature| format!(" {:?} {}", signature.origin, signature.value))
        };
        let word = |block: &Block<'_>| match block {
            Block::Text(text) => format!("text {}{}", text.text, signature(&text.signature)),
            Block::Reasoning(thought) => format!("thought {}{}", thought.text, signature(&thought.signature)),
            Block::ToolCall(call) => {
                format!("call {} {} {}{}", call.id, call.name, call.arguments, signature(&call.signature))
            }
            Block::ToolResult(result) => {
                format!(
                    "result {} {:?} {:?} {}",
                    result.id,
                    result.name,
                    words(&result.content),
                    result.is_error
                )
            }
            Block::Media(media) => format!("{:?} {:?}", media.kind, media.source),
            Block::Opaque(opaque) => format!("opaque {} {}", opaque.kind, opaque.value),
            Block::Refusal(text) => format!("refusal {text}"),
        };
        blocks.iter().map(word).collect()
    }

    #[test]
    fn a_thought_in_pieces_is_one_with_its_proof_behind_the_last() {
        let foreign = crate::gemini::base64::encode(b"sy1.claude.proof..abc");
        let parts = format!(
            r#"{{"text":"So ","thought":true}},{{"text":"be it.","thought":true}},
            {{"text":"","thought":true,"thoughtSignature":"{foreign}"}},{{"text":"Next","thought":true}},{{"text":"a"}}"#
        );
        let body = format!(r#"{{"contents":[{{"role":"model","parts":[{parts}]}}]}}"#);
        let request = decoded(&body);
        let [Block::Reasoning(first), Block::Reasoning(second), Block::Text(_)] = &*request.turns[0].blocks
        else {
            panic!("{:?}", request.turns)
        };
        assert_eq!((&*first.text, &*first.signature.as_ref().unwrap().value), ("So be it.", "abc"));
        assert_eq!((&*second.text, &second.signature), ("Next", &None));
    }

    #[test]
    fn contents_become_turns() {
        let request = decoded(
            r#"{"systemInstruction":{"parts":{"text":"Be brief."}},"contents":[
                {"parts":[{"text":"a"}]},{"role":"user","parts":[{"text":"b"},{"text":""}]},
                {"role":"model","parts":[{"text":"c"},{"text":"why","thought":true}]},{"role":"function","parts":[]}],
                "safetySettings":[],"cachedContent":"cachedContents/1","labels":null,"model":"models/x"}"#,
        );
        assert_eq!(words(&request.system), ["text Be brief."]);
        let turns: Vec<_> =
            request.turns.iter().map(|turn| (turn.role, words(&turn.blocks).join(", "))).collect();
        let expected =
            [(Role::User, "text a, text b".to_owned()), (Role::Assistant, "text c, thought why".to_owned())];
        assert_eq!(turns, expected);
        let extras: Vec<_> = request.extras.iter().map(|extra| (&*extra.name, extra.value.get())).collect();
        assert_eq!(extras, [("safetySettings", "[]"), ("cachedContent", r#""cachedContents/1""#)]);
        assert!(request.losses.is_empty());
        assert_eq!(
            words(&decoded(r#"{"system_instruction":"S","contents":{"parts":{"text":"x"}}}"#).system),
            ["text S"]
        );
    }

    #[test]
    fn calls_without_ids_are_numbered_and_results_find_them_by_name() {
        let request = decoded(
            r#"{"contents":[{"role":"model","parts":[
                {"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"name":"g"}},
                {"functionCall":{"id":"own","name":"f"}},{"function_call":{"name":"f"}}]},
                {"role":"function","parts":[{"functionResponse":{"name":"g","response":{"x":1}}},
                {"functionResponse":{"id":"own","name":"f"}},{"functionResponse":{"name":"f","response":{"output":"1"}}},
                {"functionResponse":{"name":"f","response":{"error":"no"}}},{"functionResponse":{"name":"f"}}]}]}"#,
        );
        let expected = [
            r#"call call_0 f {"a":1}"#,
            "call call_1 g {}",
            "call own f {}",
            "call call_2 f {}",
            r#"result call_1 Some("g") ["text {\"x\":1}"] false"#,
            r#"result own Some("f") [] false"#,
            r#"result call_0 Some("f") ["text 1"] false"#,
            r#"result call_2 Some("f") ["text no"] true"#,
            r#"result call_3 Some("f") [] false"#,
        ];
        let blocks: Vec<_> = request.turns.into_iter().flat_map(|turn| turn.blocks).collect();
        assert_eq!(words(&blocks), expected);
    }

    #[test]
    fn a_result_that_is_said_again_is_left_out() {
        let part = r#"{"functionResponse":{"id":"own","name":"f","response":{"output":"1"}}}"#;
        let body = format!(
            r#"{{"contents":[{{"role":"model","parts":[{{"functionCall":{{"id":"own","name":"f"}}}}]}},
                {{"role":"user","parts":[{part},{part}]}},
                {{"role":"model","parts":[{{"functionCall":{{"id":"own","name":"f"}}}}]}},{{"role":"user","parts":[{part}]}}]}}"#
        );
        let request = decoded(&body);
        let turns: Vec<_> = request.turns.iter().map(|turn| turn.blocks.len()).collect();
        assert_eq!(turns, [1, 1, 1, 1], "an id that is used again is answered again");
        assert_eq!(request.losses.iter().map(|loss| &*loss.what).collect::<Vec<_>>(), ["functionResponse"]);
    }

    #[test]
    fn what_a_function_gave_is_text_where_that_is_all() {
        for (response, expected) in [
            (r#"{"result":"r"}"#, "[\"text r\"] false"),
            (r#"{"output":"o","error":null}"#, "[\"text o\"] false"),
            (r#"{"error":{"code":1}}"#, r#"["text {\"code\":1}"] true"#),
            (r#"{"output":[1]}"#, r#"["text {\"output\":[1]}"] false"#),
            (r#"{"output":"o","error":"e"}"#, r#"["text {\"output\":\"o\",\"error\":\"e\"}"] false"#),
            ("\"bare\"", "[\"text bare\"] false"),
            ("[1]", "[\"text [1]\"] false"),
        ] {
            let part = format!(r#"{{"functionResponse":{{"id":"i","response":{response}}}}}"#);
            assert_eq!(words(&blocks(&part)), [format!("result i None {expected}")]);
        }
        let with_image = r#"{"functionResponse":{"name":"f","response":{"output":"o"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]}}"#;
        assert!(words(&blocks(with_image))[0].contains("Image Base64"));
    }

    #[test]
    fn signatures_belong_to_their_part_or_travel_ahead() {
        let foreign = crate::gemini::base64::encode(b"sy1.claude.proof..abc");
        let another = crate::gemini::base64::encode(b"sy1.claude.proof..def");
        let parts = format!(
            r#"{{"text":"a","thought":true,"thoughtSignature":"{foreign}"}},{{"text":"","thoughtSignature":"QQ=="}},
            {{"functionCall":{{"id":"1","name":"f"}},"thoughtSignature":"Qg=="}},
            {{"functionCall":{{"id":"2","name":"f"}},"thought_signature":"{another}"}},
            {{"inlineData":{{"mimeType":"image/png","data":"AAAA"}},"thoughtSignature":"Qw=="}}"#
        );
        let expected = [
            "thought a Claude abc",
            "text  Gemini QQ==",
            "call 1 f {} Gemini Qg==",
            "thought  Claude def",
            "call 2 f {}",
            "thought  Gemini Qw==",
            r#"Image Base64 { media_type: "image/png", data: "AAAA" }"#,
        ];
        assert_eq!(words(&blocks(&parts)), expected);
    }

    #[test]
    fn media_are_told_apart_by_type_and_source() {
        let source = |part: &str| match blocks(part).swap_remove(0) {
            Block::Media(Media { kind, source, .. }) => (kind, source),
            other => panic!("no media: {other:?}"),
        };
        let (kind, data) = source(r#"{"inline_data":{"mime_type":"audio/wav","data":"-_8"}}"#);
        assert!(matches!((kind, data), (MediaKind::Audio, Source::Base64 { data, .. }) if data == "+/8="));
        let (_, data) = source(r#"{"inlineData":{"mimeType":"video/mp4","data":"+/8="}}"#);
        assert!(matches!(data, Source::Base64 { data: Cow::Borrowed(_), .. }), "it is not copied");
        for uri in ["gs://b/a.pdf", "https://generativelanguage.googleapis.com/v1beta/files/a", "files/a"] {
            let file =
                source(&format!(r#"{{"fileData":{{"fileUri":"{uri}","mimeType":"application/pdf"}}}}"#));
            assert!(matches!(&file, (MediaKind::Document, Source::File { id, .. }) if id == uri), "{uri}");
        }
        let (kind, url) = source(r#"{"fileData":{"fileUri":"https://x.y/a.png","mimeType":"image/png"}}"#);
        assert!(matches!((kind, url), (MediaKind::Image, Source::Url { media_type: Some(_), .. })));
        let (kind, data) = source(r#"{"fileData":{"fileUri":"data:image/gif;base64,AAAA"}}"#);
        let expected = "Base64 { media_type: \"image/gif\", data: \"AAAA\" }";
        assert_eq!((kind, format!("{data:?}").as_str()), (MediaKind::Image, expected));
    }

    #[test]
    fn what_only_google_knows_stays_whole() {
        let found =
            words(&blocks(r#"{"executableCode":{"code":"1"},"thoughtSignature":"QQ=="},{"toolCall":{}},{}"#));
        let expected = [
            r#"opaque executableCode {"executableCode":{"code":"1"},"thoughtSignature":"QQ=="}"#,
            r#"opaque toolCall {"toolCall":{}}"#,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn tools_are_functions_in_the_standard_dialect_or_googles_own() {
        let request = decoded(
            r#"{"tools":[{"functionDeclarations":[
                {"name":"f","description":"d","parameters":{"type":"OBJECT","properties":{"a":{"type":"STRING"}}},"response":{}},
                {"name":"g","parametersJsonSchema":{ "type":"object" }},{"name":"h"}],"codeExecution":{}},
                {"google_search":{}},{"urlContext":{},"googleSearchRetrieval":{"x":1}}]}"#,
        );
        let tools: Vec<String> = request
            .tools
            .iter()
            .map(|tool| match tool {
                Tool::Function { name, parameters, .. } => {
                    format!("{name} {}", parameters.as_deref().unwrap_or("-"))
                }
                Tool::WebSearch(opaque) => format!("search {}", opaque.value),
                Tool::Server(opaque) => format!("server {} {}", opaque.kind, opaque.value),
                Tool::Custom { .. } => "custom".to_owned(),
            })
            .collect();
        let expected = [
            r#"f {"type":"object","properties":{"a":{"type":"string"}}}"#,
            r#"g { "type":"object" }"#,
            "h -",
            r#"server codeExecution {"codeExecution":{}}"#,
            r#"search {"google_search":{}}"#,
            r#"server urlContext {"urlContext":{}}"#,
            r#"search {"googleSearchRetrieval":{"x":1}}"#,
        ];
        assert_eq!(tools, expected);
        let losses: Vec<_> = request.losses.iter().map(|loss| &*loss.what).collect();
        assert_eq!(losses, ["tools.functionDeclarations.response"]);
    }

    #[test]
    fn the_calling_mode_is_the_choice_of_tools() {
        let choice = |config: &str| {
            let body = format!(r#"{{"toolConfig":{{"functionCallingConfig":{config}}}}}"#);
            request(body.as_bytes(), "m", false).unwrap().tool_choice.map(|choice| format!("{choice:?}"))
        };
        for (config, expected) in [
            ("{}", None),
            (r#"{"mode":"AUTO"}"#, Some("Auto")),
            (r#"{"mode":"validated"}"#, Some("Auto")),
            (r#"{"mode":"ANY"}"#, Some("Required")),
            (r#"{"mode":"NONE","allowedFunctionNames":["f"]}"#, Some("None")),
            (r#"{"mode":"ANY","allowed_function_names":["f"]}"#, Some("Named(\"f\")")),
            (
                r#"{"mode":"ANY","allowedFunctionNames":["f","g"]}"#,
                Some(r#"Allowed { names: ["f", "g"], required: true }"#),
            ),
            (
                r#"{"mode":"VALIDATED","allowedFunctionNames":["f"]}"#,
                Some(r#"Allowed { names: ["f"], required: false }"#),
            ),
        ] {
            assert_eq!(choice(config).as_deref(), expected, "{config}");
        }
        let request = decoded(r#"{"toolConfig":{"retrievalConfig":{"x":1}}}"#);
        assert_eq!(request.extras[0].name, "toolConfig.retrievalConfig");
        assert_eq!(request.tool_choice, None::<ToolChoice<'_>>);
    }

    #[test]
    fn the_configuration_is_read() {
        let request = decoded(
            r#"{"generationConfig":{"temperature":0.50,"topP":1,"topK":40.0,"candidateCount":2,"maxOutputTokens":"9",
                "stopSequences":["a"],"seed":-7,"presencePenalty":0.1,"frequency_penalty":-0.2,"responseLogprobs":true,
                "logprobs":5,"responseMimeType":"application/json","responseSchema":{"type":"STRING"},"speechConfig":{"x":1}}}"#,
        );
        let sampling = &request.sampling;
        assert_eq!(
            (request.max_output, sampling.top_k, sampling.n, sampling.seed),
            (Some(9), Some(40), Some(2), Some(-7))
        );
        assert_eq!(sampling.temperature.as_ref().map(ToString::to_string).as_deref(), Some("0.5"));
        assert_eq!((sampling.logprobs, sampling.top_logprobs), (Some(true), Some(5)));
        assert_eq!(sampling.stop, ["a"]);
        assert!(
            matches!(&request.format, Format::JsonSchema { schema, .. } if schema == r#"{"type":"string"}"#)
        );
        assert_eq!(request.extras[0].name, "generationConfig.speechConfig");
        let plain = decoded(r#"{"generationConfig":{"responseMimeType":"application/json"}}"#);
        assert!(matches!(plain.format, Format::JsonObject));
        let odd = decoded(r#"{"generationConfig":{"responseMimeType":"text/x.enum","responseSchema":{}}}"#);
        let names: Vec<_> = odd.extras.iter().map(|extra| &*extra.name).collect();
        assert_eq!(names, ["generationConfig.responseMimeType", "generationConfig.responseSchema"]);
    }

    #[test]
    fn thinking_is_read() {
        let thinking = |config: &str| {
            let body = format!(r#"{{"generationConfig":{{"thinkingConfig":{config}}}}}"#);
            let thinking = request(body.as_bytes(), "m", false).unwrap().thinking;
            (thinking.mode, thinking.budget, thinking.effort, thinking.show, thinking.encrypted)
        };
        let (hidden, shown) = (Some(Show::Hidden), Some(Show::Auto));
        assert_eq!(thinking(r#"{"thinkingBudget":0}"#), (Some(ThinkingMode::Off), None, None, hidden, false));
        assert_eq!(
            thinking(r#"{"thinkingBudget":-1}"#),
            (Some(ThinkingMode::Adaptive), None, None, hidden, true)
        );
        let budget = (Some(ThinkingMode::On), Some(512), None, shown, true);
        assert_eq!(thinking(r#"{"thinking_budget":512,"include_thoughts":true}"#), budget);
        assert_eq!(thinking(r#"{"thinkingLevel":"low"}"#), (None, None, Some(Effort::Low), hidden, true));
        assert_eq!(thinking("{}"), (None, None, None, hidden, false));
        assert_eq!(decoded("{}").thinking.show, None);
    }

    /// It writes some names in snake_case, base64 in the URL-safe alphabet, and no ids into results.
    #[test]
    fn what_googles_sdk_for_python_sends_is_understood() {
        let request = decoded(
            r#"{"contents":[{"parts":[{"inlineData":{"data":"-_8=","mime_type":"image/png"}}],"role":"user"},
                {"parts":[{"text":"why","thought":true,"thoughtSignature":"c3kxLm9wZW5haS5lbmNyeXB0ZWQuLlE_Pn4="},
                {"functionCall":{"id":"toolu_1","args":{"x":1},"name":"f"},"thoughtSignature":"-_8="}],"role":"model"},
                {"parts":[{"functionResponse":{"name":"f","response":{"result":"y"}}}],"role":"user"}],
                "tools":[{"functionDeclarations":[{"name":"f","parameters_json_schema":{"type":"object"}}]}],
                "generationConfig":{"thinkingConfig":{"include_thoughts":true,"thinking_level":"LOW"}}}"#,
        );
        let blocks: Vec<_> = request.turns.into_iter().flat_map(|turn| turn.blocks).collect();
        let expected = [
            r#"Image Base64 { media_type: "image/png", data: "+/8=" }"#,
            "thought why OpenAi Q?>~",
            r#"call toolu_1 f {"x":1} Gemini -_8="#,
            r#"result toolu_1 Some("f") ["text y"] false"#,
        ];
        assert_eq!(words(&blocks), expected);
        let tool = &request.tools[0];
        assert!(
            matches!(tool, Tool::Function { parameters: Some(schema), .. } if schema == r#"{"type":"object"}"#)
        );
        assert_eq!((request.thinking.show, request.thinking.effort), (Some(Show::Auto), Some(Effort::Low)));
        assert!(request.losses.is_empty());
    }

    #[test]
    fn what_has_no_place_is_named() {
        let request = decoded(
            r#"{"contents":[{"parts":[{"text":"x","videoMetadata":{"fps":1}},{"fileData":{"fileUri":"gs://a","mimeType":"image/png"}},
                {"functionCall":{"name":"f","willContinue":true}}],"odd":1}],
                "toolConfig":{"functionCallingConfig":{"odd":1}},"generationConfig":{"thinkingConfig":{"odd":1}}}"#,
        );
        let losses: Vec<_> = request.losses.iter().map(|loss| &*loss.what).collect();
        let expected = [
            "contents.odd",
            "contents.parts.videoMetadata",
            "contents.parts.fileData.mimeType",
            "contents.parts.functionCall.willContinue",
            "toolConfig.functionCallingConfig.odd",
            "generationConfig.thinkingConfig.odd",
        ];
        assert_eq!(losses, expected);
    }

    #[test]
    fn the_field_at_fault_is_named() {
        for (body, expected) in [
            ("[]", "`body` must be an object"),
            (r#"{"contents":[{"role":"robot"}]}"#, "`contents[0].role` must be `user` or `model`"),
            (r#"{"contents":[{"parts":[{},7]}]}"#, "`contents[0].parts[1]` must be an object"),
            (
                r#"{"contents":[{"parts":[{"functionCall":{}}]}]}"#,
                "`contents[0].parts[0].functionCall.name` is missing",
            ),
            (
                r#"{"contents":[{"parts":[{"functionResponse":{}}]}]}"#,
                "`contents[0].parts[0].functionResponse.name` is missing",
            ),
            (
                r#"{"contents":[{"parts":[{"inlineData":{}}]}]}"#,
                "`contents[0].parts[0].inlineData.data` is missing",
            ),
            (
                r#"{"contents":[{"parts":[{"fileData":{}}]}]}"#,
                "`contents[0].parts[0].fileData.fileUri` is missing",
            ),
            (
                r#"{"tools":[{"functionDeclarations":[{}]}]}"#,
                "`tools[0].functionDeclarations[0].name` is missing",
            ),
            (
                r#"{"toolConfig":{"functionCallingConfig":{"mode":"X"}}}"#,
                "`toolConfig.functionCallingConfig.mode` must be AUTO, ANY, NONE or VALIDATED",
            ),
            (r#"{"generationConfig":{"topK":-1}}"#, "`generationConfig.topK` must not be negative"),
            (
                r#"{"generationConfig":{"thinkingConfig":{"thinkingLevel":"x"}}}"#,
                "`generationConfig.thinkingConfig.thinkingLevel` must be MINIMAL, LOW, MEDIUM or HIGH",
            ),
        ] {
            assert_eq!(problem(body), expected);
        }
        assert_eq!(request(b"\xff", "m", true).unwrap_err().to_string(), "`body` is not UTF-8");
    }
}
