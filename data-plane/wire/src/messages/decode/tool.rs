//! Tools, and how they are chosen.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Place, block::Reader, opaque, read, tagged, text};
use crate::{
    canonical::{Tool, ToolChoice},
    codec::Unreadable,
    loss::Losses,
};

pub(super) fn tool<'a>(
    value: &'a RawValue,
    losses: &mut Losses,
    at: &Place<'_>,
) -> Result<Tool<'a>, Unreadable> {
    let (kind, fields) = tagged(value, at)?;
    match kind {
        Some(kind) if kind.starts_with("web_search") => return Ok(Tool::WebSearch(opaque(kind, value))),
        Some(kind) if kind != "custom" => return Ok(Tool::Server(opaque(kind, value))),
        _ => {}
    }
    let mut reader = Reader { losses, area: "tools" };
    let (mut name, mut description, mut parameters, mut strict, mut cache) = (None, None, None, None, None);
    for (field, value) in fields {
        match &*field {
            "name" => name = Some(text(value, &Place::Field(at, "name"))?),
            "description" => description = Some(text(value, &Place::Field(at, "description"))?),
            "input_schema" => parameters = Some(Cow::Borrowed(value.get())),
            "strict" => strict = Some(read(value.get(), &Place::Field(at, "strict"))?),
            "cache_control" => cache = reader.cache_mark(value, at)?,
            _ => reader.lose(&field),
        }
    }
    let name = name.ok_or_else(|| at.missing("name"))?;
    Ok(Tool::Function { name, description, parameters, strict, namespace: None, cache })
}

/// The choice, and whether several tools may be called in one answer.
pub(super) fn choice<'a>(
    value: &'a RawValue,
    losses: &mut Losses,
    at: &Place<'_>,
) -> Result<(ToolChoice<'a>, Option<bool>), Unreadable> {
    let (kind, fields) = tagged(value, at)?;
    let (mut name, mut parallel) = (None, None);
    for (field, value) in fields {
        match &*field {
            "name" => name = Some(text(value, &Place::Field(at, "name"))?),
            "disable_parallel_tool_use" => {
                let place = Place::Field(at, "disable_parallel_tool_use");
                parallel = Some(!read::<bool>(value.get(), &place)?);
            }
            _ => Reader { losses, area: "tool_choice" }.lose(&field),
        }
    }
    let choice = match kind.as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => ToolChoice::Named(name.ok_or_else(|| at.missing("name"))?),
        Some(_) => return Err(at.refuse_field("type", "must be auto, any, tool or none")),
        None => return Err(at.missing("type")),
    };
    Ok((choice, parallel))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::CacheMark;

    fn read_tool(json: &str) -> (Result<Tool<'_>, String>, Vec<String>) {
        let mut losses = Losses::default();
        let value = serde_json::from_str(json).unwrap();
        let tools = Place::Field(&Place::Body, "tools");
        let tool = tool(value, &mut losses, &Place::Item(&tools, 3)).map_err(|error| error.to_string());
        (tool, losses.iter().map(|loss| loss.what.to_string()).collect())
    }

    #[test]
    fn a_functions_schema_stays_text() {
        for kind in ["", r#""type":"custom","#] {
            let json = format!(
                r#"{{{kind}"name":"f","description":"d","input_schema":{{"type": "object"}},"strict":true,
                "cache_control":{{"type":"ephemeral"}},"defer_loading":true}}"#
            );
            let (tool, losses) = read_tool(&json);
            let Ok(Tool::Function { name, description, parameters, strict, cache, .. }) = tool else {
                panic!("{tool:?}")
            };
            assert_eq!((&*name, description.as_deref(), strict), ("f", Some("d"), Some(true)));
            assert_eq!(parameters.as_deref(), Some(r#"{"type": "object"}"#));
            assert_eq!(cache, Some(CacheMark::FiveMinutes));
            assert_eq!(losses, ["tools.defer_loading"]);
        }
    }

    #[test]
    fn tools_of_the_provider_are_kept_whole() {
        let search = r#"{"type":"web_search_20250305","name":"web_search","max_uses":3}"#;
        assert!(matches!(read_tool(search).0, Ok(Tool::WebSearch(tool)) if tool.value.get() == search));
        for kind in ["bash_20250124", "text_editor_20250728", "code_execution_20250825", "mcp_toolset"] {
            let json = format!(r#"{{"type":"{kind}","name":7}}"#);
            let (tool, losses) = read_tool(&json);
            assert!(matches!(tool, Ok(Tool::Server(tool)) if tool.kind == kind && losses.is_empty()));
        }
    }

    #[test]
    fn choices_are_told_apart() {
        let mut losses = Losses::default();
        let mut read = |json| {
            let value = serde_json::from_str(json).unwrap();
            choice(value, &mut losses, &Place::Field(&Place::Body, "tool_choice"))
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(r#"{"type":"auto"}"#), Ok((ToolChoice::Auto, None)));
        let one = r#"{"type":"any","disable_parallel_tool_use":true}"#;
        assert_eq!(read(one), Ok((ToolChoice::Required, Some(false))));
        let many = r#"{"type":"tool","name":"f","disable_parallel_tool_use":false}"#;
        assert_eq!(read(many), Ok((ToolChoice::Named("f".into()), Some(true))));
        assert_eq!(read(r#"{"type":"none"}"#), Ok((ToolChoice::None, None)));
        assert_eq!(read(r#"{"type":"tool"}"#).unwrap_err(), "`tool_choice.name` is required");
        assert_eq!(read("{}").unwrap_err(), "`tool_choice.type` is required");
        assert_eq!(
            read(r#"{"type":"some"}"#).unwrap_err(),
            "`tool_choice.type` must be auto, any, tool or none"
        );
        assert_eq!(read(r#""auto""#).unwrap_err(), "`tool_choice` must be an object");
    }

    #[test]
    fn a_tool_without_a_name_is_refused() {
        assert_eq!(read_tool("{}").0.unwrap_err(), "`tools[3].name` is required");
        assert_eq!(read_tool(r#"{"name":[]}"#).0.unwrap_err(), "`tools[3].name` must be a string");
    }
}
