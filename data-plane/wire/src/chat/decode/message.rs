//! Messages, of requests and of answers.

use std::{borrow::Cow, collections::HashSet};

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::media::{self, Unknown};
use super::read::{Path, each};
use super::reasoning::{Detail, gathered};
use super::{AUDIO, google_signature, lose};
use crate::canonical::{
    Block, CacheMark, Opaque, Reasoning, Request, Role, Text, ToolCall, ToolKind, ToolResult,
    attach_signatures,
};
use crate::codec::Unreadable;
use crate::json;
use crate::json::record::{Str, TextOr, record};
use crate::loss::{LossCode, Losses};

record! {
    pub(super) struct Message {
        role: Str<'a> = "role",
        content: TextOr<'a> = "content",
        name: Str<'a> = "name",
        refusal: Str<'a> = "refusal",
        tool_calls: Vec<&'a RawValue> = "tool_calls",
        function_call: Function<'a> = "function_call",
        tool_call_id: Str<'a> = "tool_call_id",
        reasoning_content: Str<'a> = "reasoning_content",
        reasoning: &'a RawValue = "reasoning",
        reasoning_details: Vec<&'a RawValue> = "reasoning_details",
        annotations: &'a RawValue = "annotations",
        audio: &'a RawValue = "audio",
    }
}

record! {
    struct Part {
        kind: Str<'a> = "type",
        text: Str<'a> = "text",
        refusal: Str<'a> = "refusal",
        image_url: &'a RawValue = "image_url",
        input_audio: &'a RawValue = "input_audio",
        file: &'a RawValue = "file",
        cache_control: CacheControl<'a> = "cache_control",
        prompt_cache_breakpoint: CacheControl<'a> = "prompt_cache_breakpoint",
    }
}

record! {
    /// OpenAI's mark, and Anthropic's, which some clients write into this wire too.
    pub(super) struct CacheControl { kind: Str<'a> = "type", mode: Str<'a> = "mode", ttl: Str<'a> = "ttl" }
}

record! {
    struct Call {
        // Its place in the list, which clients keep of a stream; it says nothing.
        index: &'a RawValue = "index",
        id: Str<'a> = "id",
        kind: Str<'a> = "type",
        function: Function<'a> = "function",
        custom: Function<'a> = "custom",
        extra_content: &'a RawValue = "extra_content",
    }
}

record! {
    /// What is called, in all three places where it is said.
    pub(super) struct Function {
        name: Str<'a> = "name",
        arguments: &'a RawValue = "arguments",
        input: Str<'a> = "input",
    }
}

impl CacheControl<'_> {
    pub(super) fn mark(&self) -> CacheMark {
        match &self.ttl {
            Some(Str(ttl)) if matches!(&**ttl, "30m" | "1h" | "12h") => CacheMark::OneHour,
            _ => CacheMark::FiveMinutes,
        }
    }
}

/// Text, or what some servers write instead: the object itself.
pub(super) fn arguments(value: Option<&RawValue>) -> Cow<'_, str> {
    let value = value.map(RawValue::get).unwrap_or_default();
    json::string(value).unwrap_or(Cow::Borrowed(value))
}

/// The id of a call that has none because it is made in the old way, with `function_call`; the first of them.
pub(super) const LEGACY_ID: &str = "call_function";

/// Reads messages one after the other.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// Where in the body the messages are, for the names of losses: `messages`.
    place: &'static str,
    pub(super) losses: Losses,
    /// Calls of custom tools, by id: their results don't say it.
    customs: HashSet<Cow<'a, str>>,
    /// Calls that were made in the old way.
    legacy: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(place: &'static str) -> Self {
        Self { place, losses: Losses::default(), customs: HashSet::new(), legacy: 0 }
    }

    /// Adds a message of a request to its turns.
    pub(super) fn turn(
        &mut self,
        request: &mut Request<'a>,
        mut message: Message<'a>,
        path: &Path<'_>,
    ) -> Result<(), Unreadable> {
        let Some(Str(role)) = message.role.take() else {
            return Err(path.field("role").wrong("is required"));
        };
        let role = match &*role {
            "system" => Role::System,
            "developer" => Role::Developer,
            "user" => Role::User,
            "assistant" => {
                self.speaker(&message);
                let mut blocks = self.assistant(message, path)?;
                attach_signatures(&mut blocks);
                request.push(Role::Assistant, blocks);
                return Ok(());
            }
            "tool" | "function" => {
                let result = self.result(message, &role, path)?;
                request.push(Role::User, [Block::ToolResult(result)]);
                return Ok(());
            }
            _ => {
                let problem = "must be one of `system`, `developer`, `user`, `assistant`, `tool`";
                return Err(path.field("role").wrong(problem));
            }
        };
        self.speaker(&message);
        self.unknown("", &message.unknown);
        let blocks = self.content(message.content, &path.field("content"))?;
        request.push(role, blocks);
        Ok(())
    }

    fn speaker(&mut self, message: &Message<'_>) {
        if message.name.is_some() {
            self.losses.add(LossCode::Speaker, format!("{}.name", self.place));
        }
    }

    fn unknown(&mut self, below: &str, unknown: &Unknown<'_>) {
        lose(&mut self.losses, self.place, below, unknown);
    }

    fn result(
        &mut self,
        message: Message<'a>,
        role: &str,
        path: &Path<'_>,
    ) -> Result<ToolResult<'a>, Unreadable> {
        self.unknown("", &message.unknown);
        let id = match message.tool_call_id {
            Some(Str(id)) => id,
            None if role == "function" => legacy_id(self.legacy.saturating_sub(1)),
            None => return Err(path.field("tool_call_id").wrong("is required")),
        };
        let kind = if self.customs.contains(&id) { ToolKind::Custom } else { ToolKind::Function };
        let content = self.content(message.content, &path.field("content"))?;
        let name = message.name.map(|Str(name)| name);
        Ok(ToolResult { id, name, kind, content, is_error: false, cache: None })
    }

    /// The blocks of an answer: in a request's history, or as it comes from an upstream.
    pub(super) fn assistant(
        &mut self,
        message: Message<'a>,
        path: &Path<'_>,
    ) -> Result<Vec<Block<'a>>, Unreadable> {
        self.unknown("", &message.unknown);
        let mut blocks = Vec::new();
        self.thoughts(&mut blocks, &message, path)?;
        let content = self.content(message.content, &path.field("content"))?;
        blocks.extend(content.into_iter().filter(|block| !is_empty(block)));
        if !annotate(&mut blocks, message.annotations) {
            self.losses.add(LossCode::Annotation, "annotations");
        }
        if let Some(audio) = message.audio {
            blocks.push(opaque(AUDIO.into(), audio));
        }
        if let Some(Str(refusal)) = message.refusal.filter(|Str(refusal)| !refusal.is_empty()) {
            blocks.push(Block::Refusal(refusal));
        }
        let calls = message.tool_calls.unwrap_or_default();
        let mut number = 0;
        each(&calls, &path.field("tool_calls"), |mut call: Call<'a>, _, path| {
            call.id.get_or_insert_with(|| Str(format!("call_{number}").into()));
            number += 1;
            blocks.push(Block::ToolCall(self.call(call, path)?));
            Ok(())
        })?;
        if let Some(function) = message.function_call {
            let id = Some(Str(legacy_id(self.legacy)));
            self.legacy += 1;
            let call = Call { id, function: Some(function), ..Call::default() };
            blocks.push(Block::ToolCall(self.call(call, &path.field("function_call"))?));
        }
        Ok(blocks)
    }

    fn thoughts(
        &mut self,
        blocks: &mut Vec<Block<'a>>,
        message: &Message<'a>,
        path: &Path<'_>,
    ) -> Result<(), Unreadable> {
        let mut details = Vec::new();
        let raw = message.reasoning_details.as_deref().unwrap_or_default();
        each(raw, &path.field("reasoning_details"), |detail: Detail<'a>, _, _| {
            detail.lose(self.place, &mut self.losses);
            details.push(detail);
            Ok(())
        })?;
        let mut thoughts = gathered(details);
        if thoughts.iter().all(|thought| thought.text.is_empty()) {
            let plain = message.reasoning_content.clone().map(|Str(text)| text);
            let plain = plain.or_else(|| json::string(message.reasoning?.get()));
            match (plain.filter(|text| !text.is_empty()), thoughts.first_mut()) {
                (Some(text), Some(thought)) => thought.text = text,
                (Some(text), None) => thoughts.push(Reasoning { text, signature: None }),
                (None, _) => {}
            }
        }
        blocks.extend(thoughts.into_iter().map(Block::Reasoning));
        Ok(())
    }

    fn call(&mut self, call: Call<'a>, path: &Path<'_>) -> Result<ToolCall<'a>, Unreadable> {
        self.unknown("tool_calls.", &call.unknown);
        let is_custom = call.custom.is_some() && call.function.is_none();
        let kind = if is_custom { ToolKind::Custom } else { ToolKind::Function };
        let Some(function) = call.function.or(call.custom) else {
            return Err(path.field("function").wrong("is required"));
        };
        self.unknown("tool_calls.function.", &function.unknown);
        let Some(Str(name)) = function.name.filter(|name| !name.0.is_empty()) else {
            let place = if is_custom { "custom.name" } else { "function.name" };
            return Err(path.field(place).wrong("is required"));
        };
        let Str(id) = call.id.unwrap_or_default();
        if is_custom {
            self.customs.insert(id.clone());
        }
        let arguments = match function.input {
            Some(Str(input)) if is_custom => input,
            _ => arguments(function.arguments),
        };
        let signature = google_signature(call.extra_content);
        Ok(ToolCall { id, name, kind, arguments, namespace: None, signature, cache: None })
    }

    fn content(
        &mut self,
        content: Option<TextOr<'a>>,
        path: &Path<'_>,
    ) -> Result<Vec<Block<'a>>, Unreadable> {
        let parts = match content {
            None => return Ok(Vec::new()),
            Some(TextOr::Text(text)) => return Ok(vec![Block::text(text)]),
            Some(TextOr::Items(parts)) => parts,
        };
        let mut blocks = Vec::with_capacity(parts.len());
        each(&parts, path, |part, raw, path| {
            blocks.push(self.part(part, raw, path)?);
            Ok(())
        })?;
        Ok(blocks)
    }

    /// A part in a stream. One with text is text, whatever it calls itself. None: it can't be read.
    pub(super) fn piece(&mut self, raw: &'a RawValue) -> Option<Block<'a>> {
        let mut part: Part<'a> = serde_json::from_str(raw.get()).ok()?;
        if part.text.is_some() {
            part.kind = Some(Str("text".into()));
        }
        self.part(part, raw, &Path::Body).ok()
    }

    fn part(&mut self, part: Part<'a>, raw: &'a RawValue, path: &Path<'_>) -> Result<Block<'a>, Unreadable> {
        let Some(Str(kind)) = part.kind else { return Err(path.field("type").wrong("is required")) };
        let cache = part.prompt_cache_breakpoint.or(part.cache_control).as_ref().map(CacheControl::mark);
        let missing = |name| path.field(name).wrong("is required");
        let (media, unknown) = match &*kind {
            // The two longer words are of responses, whose parts some clients send here.
            "text" | "input_text" | "output_text" => {
                self.unknown("content.", &part.unknown);
                let Some(Str(text)) = part.text else { return Err(missing("text")) };
                return Ok(Block::Text(Text { text, cache, ..Text::default() }));
            }
            "refusal" => {
                self.unknown("content.", &part.unknown);
                let Some(Str(refusal)) = part.refusal else { return Err(missing("refusal")) };
                return Ok(Block::Refusal(refusal));
            }
            "image_url" => {
                let Some(value) = part.image_url else { return Err(missing("image_url")) };
                media::image(value, &path.field("image_url"))?
            }
            "input_audio" => {
                let Some(value) = part.input_audio else { return Err(missing("input_audio")) };
                media::audio(value, &path.field("input_audio"))?
            }
            "file" => {
                let Some(value) = part.file else { return Err(missing("file")) };
                media::file(value, &path.field("file"))?
            }
            _ => return Ok(opaque(kind, raw)),
        };
        self.unknown("content.", &part.unknown);
        self.unknown(&format!("content.{kind}."), &unknown);
        let mut media = media;
        media.cache = cache;
        Ok(Block::Media(media))
    }
}

fn legacy_id(number: usize) -> Cow<'static, str> {
    match number {
        0 => Cow::Borrowed(LEGACY_ID),
        number => Cow::Owned(format!("{LEGACY_ID}_{number}")),
    }
}

fn is_empty(block: &Block<'_>) -> bool {
    matches!(block, Block::Text(text) if text.text.is_empty())
}

fn opaque<'a>(kind: Cow<'a, str>, value: &'a RawValue) -> Block<'a> {
    Block::Opaque(Opaque { origin: Wire::Chat, kind, value: Cow::Borrowed(value) })
}

/// Puts the message's annotations to its text. Whether there is one, or none is needed.
fn annotate<'a>(blocks: &mut [Block<'a>], annotations: Option<&'a RawValue>) -> bool {
    let Some(value) = annotations.filter(|value| json::is_filled(value.get())) else { return true };
    let text = blocks.iter_mut().rev().find_map(|block| match block {
        Block::Text(text) => Some(text),
        _ => None,
    });
    let Some(text) = text else { return false };
    let value = Cow::Borrowed(value);
    text.annotations = Some(Opaque { origin: Wire::Chat, kind: "annotations".into(), value });
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::{Media, Origin, Signature, SignatureKind, Source};
    use crate::chat::decode::request;

    fn turns(messages: &str) -> String {
        format!(r#"{{"model":"m","messages":[{messages}]}}"#)
    }

    fn losses(losses: &Losses) -> Vec<String> {
        losses.iter().map(|loss| format!("{} {}", loss.code.as_str(), loss.what)).collect()
    }

    fn error(messages: &str) -> String {
        request(turns(messages).as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn roles_become_turns_and_results_belong_to_the_user() {
        let body = turns(
            r#"{"role":"system","content":"s"},{"role":"developer","content":"d"},{"role":"user","content":"a"},
            {"role":"assistant","content":"t","tool_calls":[{"id":"x","type":"custom","custom":{"name":"sh","input":"ls"}}]},
            {"role":"tool","tool_call_id":"x","name":"sh","content":"out"},{"role":"user","content":"b"}"#,
        );
        let request = request(body.as_bytes()).unwrap();
        let roles: Vec<_> = request.turns.iter().map(|turn| (turn.role, turn.blocks.len())).collect();
        let expected =
            [(Role::System, 1), (Role::Developer, 1), (Role::User, 1), (Role::Assistant, 2), (Role::User, 2)];
        assert_eq!(roles, expected);
        assert!(request.system.is_empty() && request.losses.is_empty());
        let Block::ToolResult(result) = &request.turns[4].blocks[0] else { panic!("no result") };
        assert_eq!((&*result.id, result.name.as_deref(), result.kind), ("x", Some("sh"), ToolKind::Custom));
    }

    #[test]
    fn functions_in_the_old_way_are_calls_and_results() {
        let call = r#"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}"#;
        let result = r#"{"role":"function","name":"f","content":"1"}"#;
        let body = turns(&[call, result, call, result].join(","));
        let request = request(body.as_bytes()).unwrap();
        let ids = request.turns.iter().map(|turn| match &turn.blocks[0] {
            Block::ToolCall(call) => format!("call {}", call.id),
            Block::ToolResult(result) => format!("result {} {:?}", result.id, result.name.as_deref()),
            other => panic!("{other:?}"),
        });
        let expected = [
            "call call_function",
            "result call_function Some(\"f\")",
            "call call_function_1",
            "result call_function_1 Some(\"f\")",
        ];
        assert_eq!(ids.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn media_are_told_apart_and_stay_where_they_are() {
        let body = turns(
            r#"{"role":"user","content":[
            {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO","detail":"high"}},
            {"type":"image_url","image_url":{"url":"https://x.test/a.png"}},
            {"type":"image_url","image_url":{"url":"data:application/pdf;base64,JVBE"}},
            {"type":"input_audio","input_audio":{"data":"UklG","format":"mp3"}},
            {"type":"file","file":{"file_data":"data:application/pdf;base64,JVBE","filename":"a.pdf"}},
            {"type":"file","file":{"file_data":"JVBE"}},
            {"type":"file","file":{"file_id":"file-1"}},
            {"type":"hologram","x":1}]}"#,
        );
        let request = request(body.as_bytes()).unwrap();
        let found: Vec<_> = request.turns[0].blocks.iter().map(described).collect();
        let expected = [
            "Image image/png iVBO - high",
            "Image https://x.test/a.png - -",
            "Document application/pdf JVBE - -",
            "Audio audio/mp3 UklG - -",
            "Document application/pdf JVBE a.pdf -",
            "Document application/pdf JVBE - -",
            "Document Chat file-1 - -",
            "opaque hologram {\"type\":\"hologram\",\"x\":1}",
        ];
        assert_eq!(found, expected);
    }

    fn described(block: &Block<'_>) -> String {
        let Block::Media(Media { kind, source, name, detail, .. }) = block else {
            let Block::Opaque(opaque) = block else { panic!("{block:?}") };
            return format!("opaque {} {}", opaque.kind, opaque.value);
        };
        let source = match source {
            Source::Base64 { media_type, data } => {
                assert!(matches!(data, Cow::Borrowed(_)), "the data was copied");
                format!("{media_type} {data}")
            }
            Source::Url { url, .. } => url.to_string(),
            Source::File { origin, id } => format!("{origin:?} {id}"),
            Source::Text { text } => text.to_string(),
        };
        let or_none = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
        format!("{kind:?} {source} {} {}", or_none(name), or_none(detail))
    }

    #[test]
    fn reasoning_comes_back_with_its_proofs() {
        let proof = |origin, kind, id: Option<&'static str>, value: &'static str| {
            Some(Signature { origin, kind, id: id.map(Cow::Borrowed), value: value.into() })
        };
        let body = turns(
            r#"{"role":"assistant","content":"t","reasoning_content":"all","reasoning_details":[
            {"type":"reasoning.text","text":"on","index":0},{"type":"reasoning.text","text":"e","index":0},
            {"type":"reasoning.text","signature":"sy1.claude.proof..p","index":0},
            {"type":"reasoning.encrypted","data":"sy1.openai.encrypted.rs_1.q","summary":"two","index":1},
            {"type":"reasoning.text","text":"","signature":"sy1.gemini.proof..g","index":2}],
            "tool_calls":[{"id":"x","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"h"}}}]}"#,
        );
        let request = request(body.as_bytes()).unwrap();
        let [Block::Reasoning(one), Block::Reasoning(two), Block::Text(text), Block::ToolCall(call)] =
            request.turns[0].blocks.as_slice()
        else {
            panic!("{:?}", request.turns)
        };
        assert_eq!((&*one.text, &*two.text, &*text.text), ("one", "two", "t"));
        assert_eq!(one.signature, proof(Origin::Claude, SignatureKind::Proof, None, "p"));
        assert_eq!(two.signature, proof(Origin::OpenAi, SignatureKind::Encrypted, Some("rs_1"), "q"));
        assert_eq!(text.signature, proof(Origin::Gemini, SignatureKind::Proof, None, "g"));
        assert_eq!(call.signature, proof(Origin::Gemini, SignatureKind::Proof, None, "h"));
    }

    #[test]
    fn reasoning_of_other_servers_has_words_only() {
        for message in [
            r#"{"role":"assistant","reasoning_content":"hm"}"#,
            r#"{"role":"assistant","reasoning":"hm"}"#,
            r#"{"role":"assistant","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"Ep1"}]}"#,
            r#"{"role":"assistant","reasoning":"hm","reasoning_details":[{"type":"reasoning.encrypted","data":"gAA"}]}"#,
        ] {
            let body = turns(message);
            let request = request(body.as_bytes()).unwrap();
            let [Block::Reasoning(found)] = request.turns[0].blocks.as_slice() else { panic!("{message}") };
            assert_eq!((&*found.text, &found.signature), ("hm", &None));
            let lost = losses(&request.losses);
            let expected: &[&str] = if message.contains("details") {
                &["foreign_reasoning messages.reasoning_details"]
            } else {
                &[]
            };
            assert_eq!(lost, expected, "{message}");
        }
    }

    #[test]
    fn what_has_no_place_is_a_loss_by_name() {
        let body = turns(
            r#"{"role":"user","name":"eve","mood":1,"content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"},"odd":1},
            {"type":"image_url","image_url":{"url":"https://x.test","odd":1},"prompt_cache_breakpoint":{"mode":"explicit"}}]},
            {"role":"assistant","content":"a","parsed":{},"tool_calls":[{"id":"x","odd":1,"function":{"name":"f","arguments":{"a":1},"odd":2}}]}"#,
        );
        let request = request(body.as_bytes()).unwrap();
        let expected = [
            "speaker messages.name",
            "field messages.mood",
            "field messages.content.odd",
            "field messages.content.image_url.odd",
            "field messages.parsed",
            "field messages.tool_calls.odd",
            "field messages.tool_calls.function.odd",
        ];
        assert_eq!(losses(&request.losses), expected);
        let marks: Vec<_> = request.turns[0].blocks.iter().map(Block::cache).collect();
        assert_eq!(marks, [Some(CacheMark::OneHour), Some(CacheMark::FiveMinutes)]);
        let Block::ToolCall(call) = &request.turns[1].blocks[1] else { panic!("no call") };
        assert_eq!(call.arguments, r#"{"a":1}"#);
    }

    #[test]
    fn errors_name_the_place() {
        for (messages, expected) in [
            (r#"{"content":"a"}"#, "`messages[0].role` is required"),
            (
                r#"{"role":"critic"}"#,
                "`messages[0].role` must be one of `system`, `developer`, `user`, `assistant`, `tool`",
            ),
            (r#"{"role":"user","content":5}"#, "`messages[0].content` must be a string or an array"),
            (r#"{"role":"user","content":["a"]}"#, "`messages[0].content[0]` must be an object"),
            (r#"{"role":"user","content":[{"type":"text"}]}"#, "`messages[0].content[0].text` is required"),
            (
                r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":7}}]}"#,
                "`messages[0].content[0].image_url.url` must be a string",
            ),
            (r#"{"role":"user"},{"role":"tool","content":""}"#, "`messages[1].tool_call_id` is required"),
            (
                r#"{"role":"assistant","tool_calls":[{"id":"a"}]}"#,
                "`messages[0].tool_calls[0].function` is required",
            ),
        ] {
            assert_eq!(error(messages), expected, "{messages}");
        }
    }
}
