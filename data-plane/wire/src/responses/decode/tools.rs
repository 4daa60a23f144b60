//! Tools, and which of them may or must be called.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::fields::{parse, required};
use crate::{
    canonical::{Opaque, Tool, ToolChoice},
    codec::Unreadable,
    json::record::{Str, record},
    loss::{LossCode, Losses},
};

record! {
    struct Definition {
        kind: Str<'a> = "type",
        name: Str<'a> = "name",
        description: Str<'a> = "description",
        parameters: &'a RawValue = "parameters",
        strict: bool = "strict",
        format: &'a RawValue = "format",
        tools: Vec<&'a RawValue> = "tools",
    }
}

record! {
    struct Choice {
        kind: Str<'a> = "type",
        name: Str<'a> = "name",
        mode: Str<'a> = "mode",
        tools: Vec<&'a RawValue> = "tools",
    }
}

pub(super) fn tools<'a>(list: Vec<&'a RawValue>, losses: &mut Losses) -> Result<Vec<Tool<'a>>, Unreadable> {
    let mut tools = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        let at = || format!("tools[{index}]");
        let mut tool: Definition<'a> = parse(raw.get(), at)?;
        let kind = required(tool.kind.take(), || format!("{}.type", at()))?.0;
        match &*kind {
            "function" | "custom" => tools.push(own(&kind, tool, None, at, losses)?),
            "namespace" => namespace(tool, &at(), &mut tools, losses)?,
            _ => {
                let is_search = kind.starts_with("web_search");
                let value = Opaque { origin: Wire::Responses, kind, value: Cow::Borrowed(raw) };
                tools.push(if is_search { Tool::WebSearch(value) } else { Tool::Server(value) });
            }
        }
    }
    Ok(tools)
}

/// Tools that a search found. What is none is left out.
pub(crate) fn found<'a>(list: Vec<&'a RawValue>, losses: &mut Losses) -> Vec<Tool<'a>> {
    let mut found = Vec::new();
    for raw in list {
        match tools(vec![raw], losses) {
            Ok(tools) => found.extend(tools),
            Err(_) => losses.add(LossCode::Block, "tool_search_output.tools"),
        }
    }
    found
}

/// A tool that the client runs.
fn own<'a>(
    kind: &str,
    tool: Definition<'a>,
    namespace: Option<Cow<'a, str>>,
    at: impl Fn() -> String,
    losses: &mut Losses,
) -> Result<Tool<'a>, Unreadable> {
    // It says where the tool stood, which is where it came from.
    for (name, _) in tool.unknown.iter().filter(|(name, _)| name != "defer_loading") {
        losses.add_named(LossCode::Field, &format!("tools.{name}"));
    }
    let name = required(tool.name, || format!("{}.name", at()))?.0;
    let description = tool.description.map(|text| text.0);
    if kind == "custom" {
        return Ok(Tool::Custom { name, description, format: tool.format.map(Cow::Borrowed), namespace });
    }
    let parameters = tool.parameters.map(|schema| Cow::Borrowed(schema.get()));
    Ok(Tool::Function { name, description, parameters, strict: tool.strict, namespace, cache: None })
}

fn namespace<'a>(
    group: Definition<'a>,
    at: &str,
    tools: &mut Vec<Tool<'a>>,
    losses: &mut Losses,
) -> Result<(), Unreadable> {
    let name = required(group.name, || format!("{at}.name"))?.0;
    if group.description.is_some() {
        losses.add(LossCode::Field, "tools.namespace.description");
    }
    for (index, raw) in group.tools.unwrap_or_default().into_iter().enumerate() {
        let at = || format!("{at}.tools[{index}]");
        let mut tool: Definition<'a> = parse(raw.get(), at)?;
        let kind = tool.kind.take().map_or(Cow::Borrowed("function"), |kind| kind.0);
        match &*kind {
            "function" | "custom" => tools.push(own(&kind, tool, Some(name.clone()), at, losses)?),
            kind => losses.add_named(LossCode::ServerTool, kind),
        }
    }
    Ok(())
}

/// None: a tool of the provider's is chosen, which only it understands.
pub(super) fn choice<'a>(
    raw: &'a RawValue,
    losses: &mut Losses,
) -> Result<Option<ToolChoice<'a>>, Unreadable> {
    let at = || "tool_choice".to_owned();
    if raw.get().starts_with('"') {
        let word: Str<'a> = parse(raw.get(), at)?;
        return match &*word.0 {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(Unreadable::new(at(), "must be auto, none, required or an object")),
        };
    }
    let choice: Choice<'a> = parse(raw.get(), at)?;
    match choice.kind.as_ref().map(|kind| &*kind.0) {
        Some("function" | "custom") => {
            let name = required(choice.name, || "tool_choice.name".to_owned())?.0;
            Ok(Some(ToolChoice::Named(name)))
        }
        Some("allowed_tools") => {
            let required = choice.mode.is_some_and(|mode| mode.0 == "required");
            let names = allowed(choice.tools.unwrap_or_default(), losses)?;
            Ok(Some(ToolChoice::Allowed { names, required }))
        }
        Some(_) => Ok(None),
        None => Err(Unreadable::new("tool_choice.type", "is missing")),
    }
}

fn allowed<'a>(tools: Vec<&'a RawValue>, losses: &mut Losses) -> Result<Vec<Cow<'a, str>>, Unreadable> {
    let mut names = Vec::with_capacity(tools.len());
    for (index, raw) in tools.into_iter().enumerate() {
        let tool: Choice<'a> = parse(raw.get(), || format!("tool_choice.tools[{index}]"))?;
        match (tool.name, tool.kind) {
            (Some(name), _) => names.push(name.0),
            (None, kind) => {
                let kind = kind.map_or(Cow::Borrowed(""), |kind| kind.0);
                losses.add_named(LossCode::ToolChoice, &format!("tool_choice.tools.{kind}"));
            }
        }
    }
    Ok(names)
}
