//! Tools and the choice among them. Tools with a versioned type are the provider's own: they are accepted, and never
//! called.

use serde_json::Value;

use super::{
    field::{check_name, list, present, refuse, required, tag, text, unknown_tag},
    output::check_closed,
};
use crate::{
    provider::{
        Failure,
        anthropic::{invalid, model::Model},
    },
    turn::{Choice, Tool},
};

const VERSION: usize = "20250305".len();

/// Every tool's name, and those that the model may call here.
#[derive(Debug, Default)]
pub(super) struct Tools {
    names: Vec<String>,
    pub callable: Vec<Tool>,
}

pub(super) fn read(body: &Value) -> Result<Tools, Failure> {
    let mut read = Tools::default();
    let Some(tools) = present(body, "tools") else { return Ok(read) };
    for (index, tool) in list(tools, "tools")?.iter().enumerate() {
        let path = format!("tools.{index}");
        let kind = match present(tool, "type") {
            Some(_) => text(tool, &path, "type")?,
            None => "custom",
        };
        let name = match kind {
            "custom" => {
                let tool = custom(tool, &format!("{path}.custom"))?;
                read.callable.push(tool);
                read.callable.last().map(|tool| tool.name.clone())
            }
            // A set of tools has no name of its own.
            "mcp_toolset" => None,
            _ if is_versioned(kind) && kind.contains("_toolset_") => None,
            _ if is_versioned(kind) => Some(text(tool, &format!("{path}.{kind}"), "name")?.to_owned()),
            _ => return Err(unknown_tag(&path, kind, &["custom", "mcp_toolset", "web_search_20250305"])),
        };
        if name.as_ref().is_some_and(|name| read.names.contains(name)) {
            return Err(invalid("tools: Tool names must be unique."));
        }
        read.names.extend(name);
    }
    Ok(read)
}

fn is_versioned(kind: &str) -> bool {
    kind.rsplit_once('_').is_some_and(|(name, version)| {
        !name.is_empty() && version.len() == VERSION && version.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn custom(tool: &Value, path: &str) -> Result<Tool, Failure> {
    let name = text(tool, path, "name")?;
    check_name(name, &format!("{path}.name"), true)?;
    let schema = required(tool, path, "input_schema")?;
    let path = format!("{path}.input_schema");
    if !schema.is_object() {
        return Err(refuse(&path, "Input should be a valid dictionary"));
    }
    if required(schema, &path, "type")?.as_str() != Some("object") {
        return Err(refuse(&format!("{path}.type"), "Input should be 'object'"));
    }
    if ["oneOf", "allOf", "anyOf"].iter().any(|name| schema.get(name).is_some()) {
        return Err(refuse(&path, "input_schema does not support oneOf, allOf, or anyOf at the top level"));
    }
    if tool.get("strict").and_then(Value::as_bool) == Some(true) {
        check_closed(schema, &path)?;
    }
    Ok(Tool { name: name.to_owned(), schema: schema.clone() })
}

/// The choice, and whether several tools may be called at once.
pub(super) fn choice(body: &Value, tools: &Tools, model: Model) -> Result<(Choice, bool), Failure> {
    let Some(asked) = present(body, "tool_choice") else { return Ok((Choice::Auto, true)) };
    let kind = tag(asked, "tool_choice", &["any", "auto", "none", "tool"])?;
    if tools.names.is_empty() && kind != "none" {
        return Err(invalid("tool_choice may only be specified while providing tools."));
    }
    if matches!(kind, "any" | "tool") {
        check_force(model)?;
    }
    let path = format!("tool_choice.{kind}");
    let serial = match present(asked, "disable_parallel_tool_use") {
        None => false,
        Some(serial) => serial.as_bool().ok_or_else(|| {
            refuse(&format!("{path}.disable_parallel_tool_use"), "Input should be a valid boolean")
        })?,
    };
    let choice = match kind {
        "none" => Choice::None,
        "any" => Choice::Any,
        "tool" => {
            let name = text(asked, &path, "name")?;
            if !tools.names.iter().any(|known| known == name) {
                return Err(invalid(format!("Tool '{name}' not found in provided tools")));
            }
            Choice::Named(name.to_owned())
        }
        _ => Choice::Auto,
    };
    Ok((choice, !serial))
}

/// The model may be made to call a tool.
pub(super) fn check_force(model: Model) -> Result<(), Failure> {
    if model.refuses_forced_tool() {
        return Err(refuse("tool_choice", "type \"tool\" and \"any\" are not supported for this model."));
    }
    Ok(())
}
