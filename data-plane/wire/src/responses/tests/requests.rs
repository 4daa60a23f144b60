//! Requests, in each direction.

use serde_json::json;

use super::*;
use crate::{
    canonical::{
        CacheMark, Effort, Format, Media, MediaKind, Request, Role, Show, Source, Thinking, ThinkingMode,
        Tool, ToolChoice, ToolResult, Turn,
    },
    loss::LossCode,
};

fn read(body: &str) -> Request<'_> {
    decode::request(body.as_bytes()).unwrap()
}

fn problem(body: &str) -> String {
    decode::request(body.as_bytes()).expect_err("it can't be read").to_string()
}

fn losses(request: &Request<'_>) -> Vec<(LossCode, String)> {
    request.losses.iter().map(|loss| (loss.code, loss.what.clone().into_owned())).collect()
}

fn words(turn: &Turn<'_>) -> Vec<String> {
    let word = |block: &Block<'_>| match block {
        Block::Text(text) => text.text.clone().into_owned(),
        other => panic!("no text: {other:?}"),
    };
    turn.blocks.iter().map(word).collect()
}

/// The request that a turn alone makes, its only item.
fn item_of(role: Role, block: Block<'_>) -> Value {
    let request = Request { turns: vec![Turn { role, blocks: vec![block] }], ..Request::default() };
    json(&encode::request(&request, 0))["input"][0].clone()
}

#[test]
fn input_may_be_a_string() {
    let request = read(r#"{"model":"m","input":"Hi","instructions":"Be brief"}"#);
    assert_eq!(words(&request.turns[0]), ["Hi"]);
    assert!(matches!(request.system.as_slice(), [Block::Text(text)] if text.text == "Be brief"));
    assert!(request.losses.is_empty() && request.extras.is_empty() && !request.stream);
}

#[test]
fn messages_of_all_roles_and_forms_are_read() {
    let request = read(
        r#"{"model":"m","stream":true,"input":[
            {"role":"developer","content":"d"},
            {"type":"message","role":"system","content":[{"type":"input_text","text":"s"}]},
            {"role":"user","content":"u1"},
            {"type":"message","role":"user","content":[{"type":"input_text","text":"u2"},{"type":"text","text":"u3"}]},
            {"type":"message","id":"msg_1","status":"completed","phase":"final_answer","role":"assistant","content":[
                {"type":"output_text","text":"a","annotations":[],"logprobs":[]},{"type":"refusal","refusal":"no"}]}]}"#,
    );
    let roles: Vec<Role> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::Developer, Role::System, Role::User, Role::Assistant]);
    assert_eq!(words(&request.turns[2]), ["u1", "u2", "u3"]);
    assert!(matches!(&request.turns[3].blocks[0], Block::Text(text) if text.annotations.is_none()));
    assert!(matches!(&request.turns[3].blocks[1], Block::Refusal(words) if words == "no"));
    assert_eq!(losses(&request), [(LossCode::Field, "input.phase".to_owned())]);
}

#[test]
fn media_are_read_by_what_points_at_them() {
    let request = read(
        r#"{"model":"m","input":[{"role":"user","content":[
            {"type":"input_image","image_url":"data:image/png;base64,QUJD","detail":"low"},
            {"type":"input_image","image_url":"https://x/y.png"},
            {"type":"input_image","file_id":"file-1"},
            {"type":"input_file","file_data":"data:application/pdf;base64,REVG","filename":"a.pdf"},
            {"type":"input_file","file_url":"https://x/a.pdf","prompt_cache_breakpoint":{"mode":"explicit"}},
            {"type":"input_audio","input_audio":{"data":"R0hJ","format":"mp3"}},
            {"type":"input_video","video_url":"https://x/v"}]}]}"#,
    );
    let media: Vec<&Media<'_>> = request.turns[0]
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Media(media) => Some(media),
            _ => None,
        })
        .collect();
    assert!(
        matches!(&media[0].source, Source::Base64 { media_type, data: Cow::Borrowed("QUJD") } if media_type == "image/png")
    );
    assert_eq!(media[0].detail.as_deref(), Some("low"));
    assert!(matches!(&media[1].source, Source::Url { url, .. } if url == "https://x/y.png"));
    assert!(matches!(&media[2].source, Source::File { origin: Wire::Responses, id } if id == "file-1"));
    assert_eq!((media[3].kind, media[3].name.as_deref()), (MediaKind::Document, Some("a.pdf")));
    assert_eq!(media[4].cache, Some(CacheMark::FiveMinutes));
    assert!(matches!(&media[5].source, Source::Base64 { media_type, .. } if media_type == "audio/mp3"));
    assert!(matches!(&request.turns[0].blocks[6], Block::Opaque(opaque) if opaque.kind == "input_video"));
}

#[test]
fn calls_and_their_results_are_blocks_of_turns() {
    let request = read(
        r#"{"model":"m","input":[
            {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","namespace":"g","arguments":"{\"a\":1}","status":"completed"},
            {"type":"custom_tool_call","id":"ctc_1","call_id":"c2","name":"patch","input":"*** Begin"},
            {"type":"function_call_output","call_id":"c1","output":"ok"},
            {"type":"custom_tool_call_output","call_id":"c2","output":[{"type":"input_text","text":"x"},
                {"type":"input_image","image_url":"data:image/png;base64,QQ=="}]}]}"#,
    );
    assert_eq!(request.turns.len(), 2);
    match request.turns[0].blocks.as_slice() {
        [Block::ToolCall(first), Block::ToolCall(second)] => {
            assert_eq!(
                (&*first.id, &*first.arguments, first.namespace.as_deref()),
                ("c1", r#"{"a":1}"#, Some("g"))
            );
            assert_eq!((&*second.arguments, second.kind), ("*** Begin", ToolKind::Custom));
        }
        other => panic!("{other:?}"),
    }
    match request.turns[1].blocks.as_slice() {
        [Block::ToolResult(first), Block::ToolResult(second)] => {
            assert!(matches!(first.content.as_slice(), [Block::Text(text)] if text.text == "ok"));
            assert_eq!((second.kind, second.content.len()), (ToolKind::Custom, 2));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(request.turns[1].role, Role::User);
}

#[test]
fn reasoning_keeps_its_proof_and_whose_it_is() {
    let packed = signed(Origin::Claude, None).packed();
    let carrier = signed(Origin::Gemini, None).packed();
    let body = format!(
        r#"{{"model":"m","input":[
            {{"type":"reasoning","id":"rs_1","summary":[{{"type":"summary_text","text":"a"}},{{"type":"summary_text","text":"b"}}],"encrypted_content":"gAAA"}},
            {{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"{packed}"}},
            {{"type":"reasoning","summary":[],"content":[{{"type":"reasoning_text","text":"c"}}],"encrypted_content":null}},
            {{"type":"reasoning","id":"rs_3","summary":[]}},
            {{"type":"reasoning","id":"rs_4","summary":[],"encrypted_content":"{carrier}"}},
            {{"type":"function_call","call_id":"c1","name":"f","arguments":"{{}}"}}]}}"#
    );
    let request = read(&body);
    match request.turns[0].blocks.as_slice() {
        [Block::Reasoning(own), Block::Reasoning(foreign), Block::Reasoning(bare), Block::ToolCall(call)] => {
            let signature = own.signature.as_ref().unwrap();
            assert_eq!(
                (&*own.text, signature.id.as_deref(), &*signature.value),
                ("a\n\nb", Some("rs_1"), "gAAA")
            );
            assert_eq!(foreign.signature, Some(signed(Origin::Claude, None)));
            assert_eq!((&*bare.text, bare.signature.is_none()), ("c", true));
            assert_eq!(call.signature, Some(signed(Origin::Gemini, None)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(losses(&request), [(LossCode::Block, "input without content".to_owned())]);
    let kept = json(&encode::request(&request, 0))["input"].clone();
    let own = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a\n\nb"}], "encrypted_content": "gAAA"});
    assert_eq!((&kept[0], &kept[1]["type"]), (&own, &json!("function_call")));
}

#[test]
fn items_that_only_this_wire_knows_go_back_as_they_came() {
    let items = r#"[{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}},
        {"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","image_url":"data:"}},
        {"id":"msg_9"},{"type":"compaction","encrypted_content":"x"},
        {"type":"tool_search_call","arguments":{"q":1},"status":"completed"}]"#;
    let body = format!(r#"{{"model":"m","input":{items}}}"#);
    let request = read(&body);
    let kinds: Vec<_> = request
        .turns
        .iter()
        .flat_map(|turn| &turn.blocks)
        .map(|block| match block {
            Block::Opaque(opaque) => &*opaque.kind,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        ["web_search_call", "computer_call_output", "item_reference", "compaction", "tool_search_call"]
    );
    assert_eq!(request.turns[1].role, Role::User);
    assert_eq!(rewritten(&body)["input"], json(items.as_bytes()));
}

#[test]
fn tools_are_read_and_written_with_their_groups() {
    let body = r#"{"model":"m","input":"x","tools":[
        {"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true},
        {"type":"namespace","name":"g","description":"group","tools":[{"type":"function","name":"a"},{"type":"function","name":"b","parameters":null}]},
        {"type":"custom","name":"patch","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},
        {"type":"web_search_preview","search_context_size":"low"},
        {"type":"mcp","server_label":"s","server_url":"https://x"}]}"#;
    let request = read(body);
    assert!(matches!(&request.tools[0], Tool::Function { strict: Some(true), namespace: None, .. }));
    assert!(
        matches!(&request.tools[2], Tool::Function { parameters: None, namespace: Some(group), .. } if group == "g")
    );
    assert!(matches!(&request.tools[4], Tool::WebSearch(own) if own.kind == "web_search_preview"));
    assert!(matches!(&request.tools[5], Tool::Server(own) if own.kind == "mcp"));
    assert_eq!(losses(&request), [(LossCode::Field, "tools.namespace.description".to_owned())]);
    let nothing = json!({"type": "object", "properties": {}});
    let expected = json!([
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
        {"type": "namespace", "name": "g", "description": "g", "tools": [
            {"type": "function", "name": "a", "parameters": nothing, "strict": false},
            {"type": "function", "name": "b", "parameters": nothing, "strict": false},
        ]},
        {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "web_search_preview", "search_context_size": "low"},
        {"type": "mcp", "server_label": "s", "server_url": "https://x"},
    ]);
    assert_eq!(rewritten(body)["tools"], expected);
}

#[test]
fn each_choice_of_tools_comes_back() {
    let named = |name: &'static str| ToolChoice::Named(name.into());
    for (written, choice) in [
        (r#""auto""#, Some(ToolChoice::Auto)),
        (r#""none""#, Some(ToolChoice::None)),
        (r#""required""#, Some(ToolChoice::Required)),
        (r#"{"type":"function","name":"f"}"#, Some(named("f"))),
        (r#"{"type":"custom","name":"patch"}"#, Some(named("patch"))),
        (
            r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"},{"type":"custom","name":"patch"}]}"#,
            Some(ToolChoice::Allowed { names: vec!["f".into(), "patch".into()], required: true }),
        ),
        (r#"{"type":"web_search_preview"}"#, None),
    ] {
        let body = format!(
            r#"{{"model":"m","input":"x","tools":[{{"type":"custom","name":"patch"}}],"tool_choice":{written}}}"#
        );
        assert_eq!(read(&body).tool_choice, choice, "{written}");
        assert_eq!(rewritten(&body)["tool_choice"], json(written.as_bytes()), "{written}");
    }
}

#[test]
fn settings_are_read() {
    let request = read(
        r#"{"model":"gpt-5.1","input":"x","reasoning":{"effort":"xhigh","summary":"detailed","context":"auto"},
            "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true},"verbosity":"low"},
            "include":["reasoning.encrypted_content","message.output_text.logprobs","file_search_call.results"],
            "max_output_tokens":1024.0,"temperature":0.50,"top_p":1,"top_logprobs":3,"parallel_tool_calls":false,
            "user":"u","safety_identifier":"s","prompt_cache_key":"k","service_tier":"flex","store":false,"metadata":{"a":"b"},
            "truncation":"auto","stream_options":{"include_obfuscation":false},"background":false,"previous_response_id":"resp_1","max_tool_calls":null}"#,
    );
    let thinking = Thinking {
        effort: Some(Effort::XHigh),
        show: Some(Show::Detailed),
        encrypted: true,
        ..Thinking::default()
    };
    assert_eq!(request.thinking, thinking);
    assert!(
        matches!(&request.format, Format::JsonSchema { schema, strict: Some(true), .. } if schema == r#"{"type":"object"}"#)
    );
    assert_eq!((request.max_output, request.parallel_tools), (Some(1024), Some(false)));
    assert_eq!((request.sampling.logprobs, request.sampling.top_logprobs), (Some(true), Some(3)));
    let hints = &request.hints;
    assert_eq!(
        (hints.user.as_deref(), hints.cache_key.as_deref(), hints.store),
        (Some("s"), Some("k"), Some(false))
    );
    assert_eq!((hints.service_tier.as_deref(), hints.verbosity.as_deref()), (Some("flex"), Some("low")));
    let extras: Vec<_> = request.extras.iter().map(|extra| (&*extra.name, extra.value.get())).collect();
    assert_eq!(extras, [("previous_response_id", r#""resp_1""#), ("truncation", r#""auto""#)]);
    let lost = ["reasoning.context", "include.file_search_call.results"]
        .map(|name| (LossCode::Field, name.to_owned()));
    assert_eq!(losses(&request), lost);
    let off = read(r#"{"model":"m","reasoning":{"effort":"none","generate_summary":"auto"}}"#).thinking;
    assert_eq!((off.mode, off.show), (Some(ThinkingMode::Off), Some(Show::Auto)));
}

#[test]
fn what_providers_default_otherwise_is_written() {
    let written = rewritten(r#"{"model":"m","input":"x","reasoning":{"effort":"low"}}"#);
    let content = json!([{"type": "input_text", "text": "x"}]);
    let expected = json!({
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": content}],
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
        "store": false,
        "stream": false,
    });
    assert_eq!(written, expected);
    assert_eq!(rewritten(r#"{"model":"m","reasoning":{"effort":"none"}}"#)["include"], Value::Null);
    assert_eq!(rewritten(r#"{"model":"m","store":true}"#)["store"], true);
}

#[test]
fn blocks_are_written_in_the_words_of_their_role() {
    let text = item_of(Role::Assistant, Block::text("a"));
    assert_eq!(
        text,
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]})
    );
    let refusal = item_of(Role::Assistant, Block::Refusal("no".into()));
    assert_eq!(refusal["content"], json!([{"type": "refusal", "refusal": "no"}]));
    let system = item_of(Role::System, Block::text("s"));
    assert_eq!(
        system,
        json!({"type": "message", "role": "system", "content": [{"type": "input_text", "text": "s"}]})
    );
    let document = Media {
        kind: MediaKind::Document,
        source: Source::Base64 { media_type: "application/pdf".into(), data: "QUJD".into() },
        name: None,
        detail: None,
        cache: None,
    };
    let part = &item_of(Role::User, Block::Media(document.clone()))["content"][0];
    let expected = json!({"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,QUJD"});
    assert_eq!(part, &expected);
    let audio = Media {
        kind: MediaKind::Audio,
        source: Source::Base64 { media_type: "audio/mpeg".into(), data: "QQ".into() },
        ..document.clone()
    };
    let part = &item_of(Role::User, Block::Media(audio))["content"][0];
    assert_eq!(part, &json!({"type": "input_audio", "input_audio": {"data": "QQ", "format": "mp3"}}));
    let text = Media { source: Source::Text { text: "plain".into() }, ..document };
    assert_eq!(
        item_of(Role::User, Block::Media(text))["content"][0],
        json!({"type": "input_text", "text": "plain"})
    );
}

#[test]
fn results_are_a_string_where_they_are_one_text() {
    let result = |content: Vec<Block<'static>>| {
        let result = ToolResult {
            id: "c".into(),
            name: None,
            kind: ToolKind::Function,
            content,
            is_error: true,
            cache: None,
        };
        item_of(Role::User, Block::ToolResult(result))
    };
    assert_eq!(result(vec![]), json!({"type": "function_call_output", "call_id": "c", "output": ""}));
    assert_eq!(result(vec![Block::text("a")])["output"], "a");
    let image = Media {
        kind: MediaKind::Image,
        source: Source::Url { url: "https://x".into(), media_type: None },
        name: None,
        detail: Some("high".into()),
        cache: None,
    };
    let parts = json!([{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x", "detail": "high"}]);
    assert_eq!(result(vec![Block::text("a"), Block::Media(image)])["output"], parts);
}

#[test]
fn foreign_reasoning_and_values_are_left_out() {
    let foreign = Opaque { origin: Wire::Messages, ..own("server_tool_use", "{}") };
    for block in [
        Block::Reasoning(Reasoning { text: "t".into(), signature: Some(signed(Origin::Claude, None)) }),
        Block::Reasoning(Reasoning { text: "t".into(), signature: None }),
        Block::Opaque(foreign),
    ] {
        assert_eq!(item_of(Role::Assistant, block), Value::Null);
    }
}

#[test]
fn the_field_at_fault_is_named() {
    for (body, expected) in [
        ("", "`body` is not valid JSON: EOF while parsing a value at line 1 column 0"),
        ("[]", "`body` must be an object"),
        ("{}", "`model` is missing"),
        (r#"{"model":7}"#, "`model` must be a string"),
        (r#"{"model":"m","stream":"yes"}"#, "`stream` must be true or false"),
        (
            r#"{"model":"m","max_output_tokens":-1}"#,
            "`max_output_tokens` must be a whole number, not negative",
        ),
        (r#"{"model":"m","input":7}"#, "`input` must be a string or an array of items"),
        (r#"{"model":"m","input":["x"]}"#, "`input[0]` must be an object"),
        (r#"{"model":"m","input":[{}]}"#, "`input[0].type` is missing"),
        (
            r#"{"model":"m","input":[{"role":"tool","content":"x"}]}"#,
            "`input[0].role` must be user, assistant, system or developer",
        ),
        (r#"{"model":"m","input":[{"role":"user"}]}"#, "`input[0].content` is missing"),
        (
            r#"{"model":"m","input":[{"type":"input_image","image_url":"https://x.test/a.png"}]}"#,
            "`input[0].type` is that of a part; put it into a message's `content`",
        ),
        (
            r#"{"model":"m","input":[{"role":"user","content":{}}]}"#,
            "`input[0].content` must be a string or an array of content parts",
        ),
        (
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}"#,
            "`input[0].content[0].text` is missing",
        ),
        (
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":7}]}]}"#,
            "`input[0].content[0].text` must be a string",
        ),
        (
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}"#,
            "`input[0].content[0]` has neither data nor a URL nor a file id",
        ),
        (r#"{"model":"m","input":[{"type":"function_call","name":"f"}]}"#, "`input[0].call_id` is missing"),
        (
            r#"{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":{}}]}"#,
            "`input[0].arguments` must be a string",
        ),
        (r#"{"model":"m","tools":[{"name":"f"}]}"#, "`tools[0].type` is missing"),
        (
            r#"{"model":"m","tools":[{"type":"namespace","name":"g","tools":[{"type":"function"}]}]}"#,
            "`tools[0].tools[0].name` is missing",
        ),
        (r#"{"model":"m","tool_choice":"any"}"#, "`tool_choice` must be auto, none, required or an object"),
        (
            r#"{"model":"m","text":{"format":{"type":"xml"}}}"#,
            "`text.format.type` must be text, json_object or json_schema",
        ),
        (r#"{"model":"m","reasoning":{"effort":7}}"#, "`reasoning.effort` must be a string"),
    ] {
        assert_eq!(problem(body), expected, "{body}");
    }
    assert_eq!(decode::request(b"{\"model\":\"\xff\"}").unwrap_err().to_string(), "`body` must be UTF-8");
}
