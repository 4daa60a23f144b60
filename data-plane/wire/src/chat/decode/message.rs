//! Messages, of requests and of answers.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::google_signature;
use super::media::{self, Unknown};
use super::read::{Path, each};
use super::reasoning::{Detail, gathered};
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
    }
}

record! {
    /// Anthropic's mark, which some clients write into this wire too.
    pub(super) struct CacheControl { kind: Str<'a> = "type", ttl: Str<'a> = "ttl" }
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
            Some(Str(ttl)) if ttl == "1h" => CacheMark::OneHour,
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
    customs: Vec<Cow<'a, str>>,
    /// Calls that were made in the old way.
    legacy: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(place: &'static str) -> Self {
        Self { place, losses: Losses::default(), customs: Vec::new(), legacy: 0 }
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
        for (name, _) in unknown {
            self.losses.add_named(LossCode::Field, &format!("{}.{below}{name}", self.place));
        }
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
        annotate(&mut blocks, message.annotations);
        if let Some(audio) = message.audio {
            blocks.push(opaque("audio".into(), audio));
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
            self.unknown("reasoning_details.", &detail.unknown);
            if detail.has_foreign_proof() {
                self.losses.add(LossCode::ForeignReasoning, format!("{}.reasoning_details", self.place));
            }
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
        let Some(Str(name)) = function.name else {
            let place = if is_custom { "custom.name" } else { "function.name" };
            return Err(path.field(place).wrong("is required"));
        };
        let Str(id) = call.id.unwrap_or_default();
        if is_custom {
            self.customs.push(id.clone());
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

    fn part(&mut self, part: Part<'a>, raw: &'a RawValue, path: &Path<'_>) -> Result<Block<'a>, Unreadable> {
        let Some(Str(kind)) = part.kind else { return Err(path.field("type").wrong("is required")) };
        let cache = part.cache_control.as_ref().map(CacheControl::mark);
        let missing = |name| path.field(name).wrong("is required");
        let (media, unknown) = match &*kind {
            "text" => {
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

/// Puts the message's annotations to its text.
fn annotate<'a>(blocks: &mut [Block<'a>], annotations: Option<&'a RawValue>) {
    let Some(value) = annotations.filter(|value| json::is_filled(value.get())) else { return };
    let text = blocks.iter_mut().rev().find_map(|block| match block {
        Block::Text(text) => Some(text),
        _ => None,
    });
    if let Some(text) = text {
        let value = Cow::Borrowed(value);
        text.annotations = Some(Opaque { origin: Wire::Chat, kind: "annotations".into(), value });
    }
}
