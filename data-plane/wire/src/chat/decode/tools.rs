//! Tools, the choice among them, and the form of the answer.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::message::CacheControl;
use super::read::{Path, each, read};
use crate::canonical::{Format, Opaque, Request, Tool, ToolChoice};
use crate::codec::Unreadable;
use crate::json;
use crate::json::record::{Str, record};
use crate::json::write;
use crate::loss::{LossCode, Losses};

record! {
    struct Outer {
        kind: Str<'a> = "type",
        function: Function<'a> = "function",
        custom: Custom<'a> = "custom",
        cache_control: CacheControl<'a> = "cache_control",
    }
}

record! {
    struct Function {
        name: Str<'a> = "name",
        description: Str<'a> = "description",
        parameters: &'a RawValue = "parameters",
        strict: bool = "strict",
    }
}

record! {
    struct Custom {
        name: Str<'a> = "name",
        description: Str<'a> = "description",
        format: &'a RawValue = "format",
    }
}

record! {
    struct ToolFormat { kind: Str<'a> = "type", grammar: &'a RawValue = "grammar" }
}

record! {
    struct Choice {
        kind: Str<'a> = "type",
        name: Str<'a> = "name",
        function: Named<'a> = "function",
        custom: Named<'a> = "custom",
        allowed: Allowed<'a> = "allowed_tools",
    }
}

record! {
    struct Named { name: Str<'a> = "name" }
}

record! {
    struct Allowed { mode: Str<'a> = "mode", tools: Vec<Choice<'a>> = "tools" }
}

record! {
    struct ResponseFormat { kind: Str<'a> = "type", json_schema: JsonSchema<'a> = "json_schema" }
}

record! {
    struct JsonSchema {
        name: Str<'a> = "name",
        description: Str<'a> = "description",
        schema: &'a RawValue = "schema",
        strict: bool = "strict",
    }
}

fn text(text: Option<Str<'_>>) -> Option<Cow<'_, str>> {
    text.map(|Str(text)| text)
}

pub(super) fn tools<'a>(request: &mut Request<'a>, tools: &[&'a RawValue]) -> Result<(), Unreadable> {
    each(tools, &Path::Body.field("tools"), |tool: Outer<'a>, raw, path| {
        let Some(Str(kind)) = tool.kind else { return Err(path.field("type").wrong("is required")) };
        let cache = tool.cache_control.as_ref().map(CacheControl::mark);
        let mut unknown = tool.unknown;
        let tool = match (&*kind, tool.function, tool.custom) {
            ("function", Some(function), _) => {
                let mut tool = self::function(function, &mut request.losses, &path.field("function"))?;
                if let Tool::Function { cache: place, .. } = &mut tool {
                    *place = cache;
                }
                tool
            }
            ("custom", _, Some(custom)) => {
                unknown.extend(custom.unknown);
                let Some(Str(name)) = custom.name else {
                    return Err(path.field("custom.name").wrong("is required"));
                };
                Tool::Custom {
                    name,
                    description: text(custom.description),
                    format: custom.format.map(flat),
                    namespace: None,
                }
            }
            ("function", ..) => return Err(path.field("function").wrong("is required")),
            ("custom", ..) => return Err(path.field("custom").wrong("is required")),
            _ => {
                unknown.clear();
                let searches = kind.starts_with("web_search");
                let opaque = Opaque { origin: Wire::Chat, kind, value: Cow::Borrowed(raw) };
                if searches { Tool::WebSearch(opaque) } else { Tool::Server(opaque) }
            }
        };
        for (name, _) in unknown {
            request.losses.add_named(LossCode::Field, &format!("tools.{name}"));
        }
        request.tools.push(tool);
        Ok(())
    })
}

/// The format of a custom tool with its grammar's fields beside its type.
fn flat(format: &RawValue) -> Cow<'_, RawValue> {
    let nested: Option<ToolFormat<'_>> = serde_json::from_str(format.get()).ok();
    let Some(ToolFormat { kind: Some(Str(kind)), grammar: Some(grammar), .. }) = nested else {
        return Cow::Borrowed(format);
    };
    let mut out = Vec::new();
    write::object(&mut out, |o| {
        o.string("type", &kind);
        let _ = json::object(grammar.get(), |field| {
            if field.name() != "type" {
                o.raw(&field.name(), field.value);
            }
        });
    });
    let text = String::from_utf8(out).ok();
    text.and_then(|text| RawValue::from_string(text).ok()).map_or(Cow::Borrowed(format), Cow::Owned)
}

/// `functions`, as tools were called before.
pub(super) fn functions<'a>(request: &mut Request<'a>, functions: &[&'a RawValue]) -> Result<(), Unreadable> {
    each(functions, &Path::Body.field("functions"), |function, _, path| {
        let tool = self::function(function, &mut request.losses, path)?;
        request.tools.push(tool);
        Ok(())
    })
}

fn function<'a>(
    function: Function<'a>,
    losses: &mut Losses,
    path: &Path<'_>,
) -> Result<Tool<'a>, Unreadable> {
    for (name, _) in &function.unknown {
        losses.add_named(LossCode::Field, &format!("tools.function.{name}"));
    }
    let Some(Str(name)) = function.name else { return Err(path.field("name").wrong("is required")) };
    Ok(Tool::Function {
        name,
        description: text(function.description),
        parameters: function.parameters.map(|schema| Cow::Borrowed(schema.get())),
        strict: function.strict,
        namespace: None,
        cache: None,
    })
}

/// `field`: `tool_choice`, or the older `function_call`, which names its function without a type.
pub(super) fn choice<'a>(value: &'a RawValue, field: &'static str) -> Result<ToolChoice<'a>, Unreadable> {
    let path = Path::Body.field(field);
    if let Some(word) = json::string(value.get()) {
        return match &*word {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            // `any` is Mistral's word, which clients of several servers use.
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(path.wrong("must be `none`, `auto`, `required`, or an object that names a tool")),
        };
    }
    let mut choice: Choice<'_> = read(value.get(), &path)?;
    if let Some(allowed) = choice.allowed.take() {
        let required = match allowed.mode.as_ref().map(|Str(mode)| &**mode) {
            Some("required") => true,
            None | Some("auto") => false,
            Some(_) => {
                return Err(path.field("allowed_tools.mode").wrong("must be `auto` or `required`"));
            }
        };
        let tools = allowed.tools.unwrap_or_default();
        return Ok(ToolChoice::Allowed { names: tools.into_iter().filter_map(named).collect(), required });
    }
    let kind = choice.kind.take();
    match (named(choice), kind) {
        (Some(name), _) => Ok(ToolChoice::Named(name)),
        // Anthropic's form of the words.
        (None, Some(Str(kind))) if kind == "auto" => Ok(ToolChoice::Auto),
        (None, Some(Str(kind))) if kind == "none" => Ok(ToolChoice::None),
        (None, Some(Str(kind))) if kind == "required" || kind == "any" => Ok(ToolChoice::Required),
        _ => Err(path.wrong("must name a tool: `{\"type\":\"function\",\"function\":{\"name\":\"…\"}}`")),
    }
}

fn named(choice: Choice<'_>) -> Option<Cow<'_, str>> {
    let inner = choice.function.or(choice.custom).and_then(|named| named.name);
    text(inner.or(choice.name))
}

pub(super) fn format<'a>(value: &'a RawValue, losses: &mut Losses) -> Result<Format<'a>, Unreadable> {
    let path = Path::Body.field("response_format");
    let format: ResponseFormat<'_> = read(value.get(), &path)?;
    for (name, _) in &format.unknown {
        losses.add_named(LossCode::Field, &format!("response_format.{name}"));
    }
    match format.kind.as_ref().map(|Str(kind)| &**kind) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            let Some(schema) = format.json_schema else {
                return Err(path.field("json_schema").wrong("is required"));
            };
            for (name, _) in &schema.unknown {
                losses.add_named(LossCode::Field, &format!("response_format.json_schema.{name}"));
            }
            Ok(Format::JsonSchema {
                name: text(schema.name),
                description: text(schema.description),
                schema: Cow::Borrowed(schema.schema.map_or("{}", RawValue::get)),
                strict: schema.strict,
            })
        }
        _ => Err(path.field("type").wrong("must be `text`, `json_object` or `json_schema`")),
    }
}
