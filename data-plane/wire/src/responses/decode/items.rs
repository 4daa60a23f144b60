//! Items, of a request's `input` and of an answer's `output`: messages, calls, results, reasoning.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::{
    fields::{Loose, parse, required},
    media::{self, Pointers},
};
use crate::{
    canonical::{
        Block, CacheMark, Opaque, Origin, Reasoning, Role, Signature, SignatureKind, Text, ToolCall,
        ToolKind, ToolResult,
    },
    codec::Unreadable,
    json::{
        self,
        record::{Str, record},
    },
    loss::{LossCode, Losses},
    responses::names_a_part,
};

record! {
    struct Item {
        kind: Str<'a> = "type",
        role: Str<'a> = "role",
        content: Loose<'a> = "content",
        id: Str<'a> = "id",
        status: &'a RawValue = "status",
        call_id: Str<'a> = "call_id",
        name: Str<'a> = "name",
        namespace: Str<'a> = "namespace",
        arguments: Loose<'a> = "arguments",
        input: Loose<'a> = "input",
        output: Loose<'a> = "output",
        summary: Loose<'a> = "summary",
        encrypted_content: Str<'a> = "encrypted_content",
    }
}

record! {
    struct Part {
        kind: Str<'a> = "type",
        text: Str<'a> = "text",
        image_url: Str<'a> = "image_url",
        file_id: Str<'a> = "file_id",
        detail: Str<'a> = "detail",
        file_data: Str<'a> = "file_data",
        file_url: Str<'a> = "file_url",
        filename: Str<'a> = "filename",
        input_audio: &'a RawValue = "input_audio",
        refusal: Str<'a> = "refusal",
        annotations: &'a RawValue = "annotations",
        logprobs: &'a RawValue = "logprobs",
        breakpoint: &'a RawValue = "prompt_cache_breakpoint",
    }
}

record! {
    struct Breakpoint {
        ttl: Str<'a> = "ttl",
    }
}

/// Where an item stands: `input[2]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) list: &'static str,
    pub(super) index: usize,
}

impl Place {
    fn item(self) -> String {
        format!("{}[{}]", self.list, self.index)
    }

    fn field(self, name: &str) -> String {
        format!("{}[{}].{name}", self.list, self.index)
    }

    fn part(self, field: &str, number: usize) -> String {
        format!("{}[{}].{field}[{number}]", self.list, self.index)
    }
}

/// Reads items, and gathers what has no place in their blocks.
#[derive(Debug, Default)]
pub(super) struct Reader<'a> {
    pub(super) losses: Losses,
    /// Of the first text that has any.
    pub(super) logprobs: Option<&'a RawValue>,
}

impl<'a> Reader<'a> {
    /// Whose turn the item belongs to, and the blocks that it holds.
    pub(super) fn item(
        &mut self,
        raw: &'a RawValue,
        place: Place,
    ) -> Result<(Role, Vec<Block<'a>>), Unreadable> {
        let mut item: Item<'a> = parse(raw.get(), || place.item())?;
        let kind = match item.kind.take() {
            Some(kind) => kind.0,
            None if item.role.is_some() => Cow::Borrowed("message"),
            None if item.id.is_some() => Cow::Borrowed("item_reference"),
            None => return Err(Unreadable::new(place.field("type"), "is missing")),
        };
        let blocks = match &*kind {
            "message" => return self.message(item, place),
            "function_call" => vec![self.call(item, ToolKind::Function, place)?],
            "custom_tool_call" => vec![self.call(item, ToolKind::Custom, place)?],
            "function_call_output" => vec![self.result(item, ToolKind::Function, place)?],
            "custom_tool_call_output" => vec![self.result(item, ToolKind::Custom, place)?],
            "reasoning" => self.reasoning(item, place)?.into_iter().collect(),
            kind if names_a_part(kind) => return self.stray(kind, place),
            _ => vec![opaque(kind.clone(), raw)],
        };
        let is_users = kind.ends_with("_output") || kind == "mcp_approval_response";
        Ok((if is_users { Role::User } else { Role::Assistant }, blocks))
    }

    /// A message's part that stands where items do. Nobody takes it, and nobody is to mistake it for a part.
    fn stray(&mut self, kind: &str, place: Place) -> Result<(Role, Vec<Block<'a>>), Unreadable> {
        if place.list == "input" {
            return Err(Unreadable::new(
                place.field("type"),
                "is that of a part; put it into a message's `content`",
            ));
        }
        self.losses.add_named(LossCode::Block, kind);
        Ok((Role::Assistant, Vec::new()))
    }

    fn message(&mut self, item: Item<'a>, place: Place) -> Result<(Role, Vec<Block<'a>>), Unreadable> {
        self.lose_unknown(place.list, &item.unknown);
        let role = match item.role.as_ref().map(|role| &*role.0) {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some("developer") => Role::Developer,
            _ => {
                let problem = "must be user, assistant, system or developer";
                return Err(Unreadable::new(place.field("role"), problem));
            }
        };
        let content = required(item.content, || place.field("content"))?;
        Ok((role, self.content(content, "content", place)?))
    }

    fn content(
        &mut self,
        content: Loose<'a>,
        field: &str,
        place: Place,
    ) -> Result<Vec<Block<'a>>, Unreadable> {
        let parts = match content {
            Loose::Text(text) => return Ok(vec![Block::text(text)]),
            Loose::Items(parts) => parts,
            Loose::Other => {
                let problem = "must be a string or an array of content parts";
                return Err(Unreadable::new(place.field(field), problem));
            }
        };
        let mut blocks = Vec::with_capacity(parts.len());
        for (number, raw) in parts.into_iter().enumerate() {
            blocks.extend(self.part(raw, || place.part(field, number), place.list, field)?);
        }
        Ok(blocks)
    }

    /// None: it is of no kind that is known, nor one that its wire would take back.
    pub(super) fn part(
        &mut self,
        raw: &'a RawValue,
        at: impl Fn() -> String,
        list: &str,
        field: &str,
    ) -> Result<Option<Block<'a>>, Unreadable> {
        let part: Part<'a> = parse(raw.get(), &at)?;
        self.lose_unknown_parts(list, field, &part);
        let kind = required(part.kind, || format!("{}.type", at()))?.0;
        let nothing = || Unreadable::new(at(), "has neither data nor a URL nor a file id");
        let inside = |part: Option<Str<'a>>| part.map(|text| text.0);
        let block = match &*kind {
            "input_text" | "output_text" | "text" => {
                let text = required(part.text, || format!("{}.text", at()))?.0;
                let filled = |raw: &&'a RawValue| json::is_filled(raw.get());
                match part.logprobs.filter(filled) {
                    Some(_) if self.logprobs.is_some() => self.losses.add(LossCode::Annotation, "logprobs"),
                    logprobs => self.logprobs = self.logprobs.or(logprobs),
                }
                let annotations = part.annotations.filter(filled).map(annotations);
                Block::Text(Text { text, cache: mark(part.breakpoint), signature: None, annotations })
            }
            "refusal" => Block::Refusal(required(part.refusal, || format!("{}.refusal", at()))?.0),
            "input_image" | "input_file" => {
                let pointers = Pointers {
                    data: inside(part.image_url).or(inside(part.file_data)),
                    url: inside(part.file_url),
                    file_id: inside(part.file_id),
                    name: inside(part.filename),
                    detail: inside(part.detail),
                    cache: mark(part.breakpoint),
                };
                let read = if kind == "input_image" { media::image } else { media::document };
                Block::Media(read(pointers).ok_or_else(nothing)?)
            }
            "input_audio" => {
                let at = format!("{}.input_audio", at());
                Block::Media(media::audio(required(part.input_audio, || at.clone())?, &at)?)
            }
            kind_ if names_a_part(kind_) => opaque(kind, raw),
            kind => {
                self.losses.add_named(LossCode::Block, kind);
                return Ok(None);
            }
        };
        Ok(Some(block))
    }

    fn call(&mut self, item: Item<'a>, kind: ToolKind, place: Place) -> Result<Block<'a>, Unreadable> {
        self.lose_unknown(place.list, &item.unknown);
        let (field, arguments) = match kind {
            ToolKind::Function => ("arguments", item.arguments),
            ToolKind::Custom => ("input", item.input),
        };
        let arguments = arguments.map_or(Ok(Cow::Borrowed("")), |text| text.text(|| place.field(field)))?;
        Ok(Block::ToolCall(ToolCall {
            id: required(item.call_id.or(item.id), || place.field("call_id"))?.0,
            name: required(item.name.filter(|name| !name.0.is_empty()), || place.field("name"))?.0,
            kind,
            arguments,
            namespace: item.namespace.map(|name| name.0),
            signature: None,
            cache: None,
        }))
    }

    fn result(&mut self, item: Item<'a>, kind: ToolKind, place: Place) -> Result<Block<'a>, Unreadable> {
        self.lose_unknown(place.list, &item.unknown);
        let id = required(item.call_id, || place.field("call_id"))?.0;
        let content = match item.output {
            Some(output) => self.content(output, "output", place)?,
            None => Vec::new(),
        };
        let name = item.name.map(|name| name.0);
        Ok(Block::ToolResult(ToolResult { id, name, kind, content, is_error: false, cache: None }))
    }

    /// None: nothing is in it but its id, which only the provider that keeps the answers understands.
    fn reasoning(&mut self, item: Item<'a>, place: Place) -> Result<Option<Block<'a>>, Unreadable> {
        self.lose_unknown(place.list, &item.unknown);
        let mut text = joined(item.summary, "summary", place)?;
        if text.is_empty() {
            text = joined(item.content, "content", place)?;
        } else if matches!(item.content, Some(Loose::Items(parts)) if !parts.is_empty()) {
            self.losses.add_path(LossCode::Field, &[place.list, ".content"]);
        }
        let signature = item.encrypted_content.filter(|value| !value.0.is_empty()).map(|value| {
            let mut signature = Signature::read(value.0, Origin::OpenAi, SignatureKind::Encrypted);
            if signature.origin == Origin::OpenAi && signature.id.is_none() {
                signature.id = item.id.map(|id| id.0).filter(|id| !id.is_empty());
            }
            signature
        });
        if text.is_empty() && signature.is_none() {
            return Ok(None);
        }
        Ok(Some(Block::Reasoning(Reasoning { text, signature })))
    }

    fn lose_unknown(&mut self, list: &str, unknown: &[(Cow<'_, str>, &RawValue)]) {
        for (name, _) in unknown {
            self.losses.add_path(LossCode::Field, &[list, ".", name]);
        }
    }

    fn lose_unknown_parts(&mut self, list: &str, field: &str, part: &Part<'_>) {
        // What is handed back whole loses nothing.
        if part.kind.as_ref().is_some_and(|kind| is_known(&kind.0)) {
            for (name, _) in &part.unknown {
                self.losses.add_path(LossCode::Field, &[list, ".", field, ".", name]);
            }
        }
    }
}

fn is_known(part: &str) -> bool {
    matches!(
        part,
        "input_text" | "output_text" | "text" | "refusal" | "input_image" | "input_file" | "input_audio"
    )
}

/// The texts of `summary` or `content`, parted by a blank line.
fn joined<'a>(parts: Option<Loose<'a>>, field: &str, place: Place) -> Result<Cow<'a, str>, Unreadable> {
    let Some(parts) = parts else { return Ok(Cow::Borrowed("")) };
    let mut whole = Cow::Borrowed("");
    for (number, raw) in parts.items(|| place.field(field))?.into_iter().enumerate() {
        let part: Part<'a> = parse(raw.get(), || place.part(field, number))?;
        let Some(Str(text)) = part.text.filter(|text| !text.0.is_empty()) else { continue };
        if whole.is_empty() {
            whole = text;
        } else {
            let whole = whole.to_mut();
            whole.push_str("\n\n");
            whole.push_str(&text);
        }
    }
    Ok(whole)
}

/// OpenAI keeps them for half an hour or half a day; what it is asked for most often is the shorter.
fn mark(breakpoint: Option<&RawValue>) -> Option<CacheMark> {
    let breakpoint: Breakpoint<'_> = serde_json::from_str(breakpoint?.get()).unwrap_or_default();
    Some(match breakpoint.ttl.as_ref().map(|ttl| &*ttl.0) {
        Some("12h") => CacheMark::OneHour,
        _ => CacheMark::FiveMinutes,
    })
}

pub(super) fn annotations(value: &RawValue) -> Opaque<'_> {
    Opaque { origin: Wire::Responses, kind: Cow::Borrowed("annotations"), value: Cow::Borrowed(value) }
}

pub(super) fn opaque<'a>(kind: Cow<'a, str>, value: &'a RawValue) -> Block<'a> {
    Block::Opaque(Opaque { origin: Wire::Responses, kind, value: Cow::Borrowed(value) })
}
