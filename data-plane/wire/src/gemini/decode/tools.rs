//! Tools, and which of them the model is to use.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::place::Place;
use crate::{
    canonical::{Extra, Opaque, Request, Tool, ToolChoice},
    codec::Unreadable,
    gemini::{
        message::{Many, camel, message},
        schema,
    },
    json::{self, record::Str},
    loss::{LossCode, Losses},
};

message! {
    struct Tools {
        functions: Many<'a> = "functionDeclarations",
    }
}

message! {
    struct Function {
        name: Str<'a> = "name",
        description: Str<'a> = "description",
        parameters: &'a RawValue = "parameters",
        json_schema: &'a RawValue = "parametersJsonSchema",
    }
}

message! {
    struct Config {
        calling: &'a RawValue = "functionCallingConfig",
    }
}

message! {
    struct Calling {
        mode: Str<'a> = "mode",
        names: Vec<Str<'a>> = "allowedFunctionNames",
    }
}

pub(super) fn tools<'a>(items: Vec<&'a RawValue>, request: &mut Request<'a>) -> Result<(), Unreadable> {
    let list = Place::top("tools");
    for (index, raw) in items.into_iter().enumerate() {
        let place = list.index(index);
        let tools: Tools<'a> = place.read(raw)?;
        let functions = place.field("functionDeclarations");
        let is_alone = tools.functions.is_none() && tools.unknown.len() == 1;
        for (index, raw) in tools.functions.unwrap_or_default().0.into_iter().enumerate() {
            request.tools.push(function(raw, &functions.index(index), &mut request.losses)?);
        }
        for (name, value) in tools.unknown {
            let value = if is_alone { Some(Cow::Borrowed(raw)) } else { alone(&name, value) };
            request.tools.extend(value.map(|value| server(name, value)));
        }
    }
    Ok(())
}

/// A tool of several, as a tool of its own.
fn alone<'a>(name: &str, value: &RawValue) -> Option<Cow<'a, RawValue>> {
    let mut out = Vec::new();
    json::write::object(&mut out, |o| o.raw(name, value.get()));
    RawValue::from_string(String::from_utf8(out).ok()?).ok().map(Cow::Owned)
}

fn server<'a>(name: Cow<'a, str>, value: Cow<'a, RawValue>) -> Tool<'a> {
    let searches = matches!(&*camel(&name), "googleSearch" | "googleSearchRetrieval" | "enterpriseWebSearch");
    let opaque = Opaque { origin: Wire::Gemini, kind: name, value };
    if searches { Tool::WebSearch(opaque) } else { Tool::Server(opaque) }
}

fn function<'a>(raw: &'a RawValue, place: &Place<'_>, losses: &mut Losses) -> Result<Tool<'a>, Unreadable> {
    let function: Function<'a> = place.read(raw)?;
    for (name, _) in &function.unknown {
        losses.add_named(LossCode::Field, &format!("tools.functionDeclarations.{name}"));
    }
    let name = function.name.filter(|name| !name.0.is_empty());
    let parameters = match (function.json_schema, function.parameters) {
        (Some(schema), _) => Some(Cow::Borrowed(schema.get())),
        (None, parameters) => parameters.map(|schema| Cow::Owned(schema::standard(schema))),
    };
    Ok(Tool::Function {
        name: name.ok_or_else(|| place.field("name").wrong("is missing"))?.0,
        description: function.description.map(|text| text.0),
        parameters,
        strict: None,
        namespace: None,
        cache: None,
    })
}

pub(super) fn config<'a>(raw: &'a RawValue, request: &mut Request<'a>) -> Result<(), Unreadable> {
    let place = Place::top("toolConfig");
    let config: Config<'a> = place.read(raw)?;
    request.extras.extend(config.unknown.into_iter().map(|(name, value)| Extra {
        origin: Wire::Gemini,
        name: Cow::Owned(format!("toolConfig.{name}")),
        value,
    }));
    let Some(raw) = config.calling else { return Ok(()) };
    let place = place.field("functionCallingConfig");
    let calling: Calling<'a> = place.read(raw)?;
    for (name, _) in &calling.unknown {
        request.losses.add_named(LossCode::Field, &format!("toolConfig.functionCallingConfig.{name}"));
    }
    request.tool_choice = choice(calling, &place)?;
    Ok(())
}

fn choice<'a>(calling: Calling<'a>, place: &Place<'_>) -> Result<Option<ToolChoice<'a>>, Unreadable> {
    let mut names: Vec<Cow<'a, str>> =
        calling.names.unwrap_or_default().into_iter().map(|name| name.0).collect();
    let mode = calling.mode.unwrap_or_default().0.to_ascii_uppercase();
    let required = match mode.as_str() {
        "NONE" => return Ok(Some(ToolChoice::None)),
        "" | "MODE_UNSPECIFIED" if names.is_empty() => return Ok(None),
        "ANY" => true,
        "AUTO" | "VALIDATED" | "" | "MODE_UNSPECIFIED" => false,
        _ => return Err(place.field("mode").wrong("must be AUTO, ANY, NONE or VALIDATED")),
    };
    Ok(Some(match (names.len(), required) {
        (0, true) => ToolChoice::Required,
        (0, false) => ToolChoice::Auto,
        (1, true) => ToolChoice::Named(names.swap_remove(0)),
        _ => ToolChoice::Allowed { names, required },
    }))
}
