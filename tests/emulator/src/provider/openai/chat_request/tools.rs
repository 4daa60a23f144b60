//! Tools and the choice among them.

use serde_json::{Value, json};

use super::{
    field::{Fields, empty_array, long_array, unknown_value, wrong_type},
    schema,
};
use crate::{
    provider::{Failure, openai::invalid},
    turn::{Choice, Tool},
};

const MOST: usize = 128;

pub(super) fn read(body: &Fields<'_>) -> Result<Vec<Tool>, Failure> {
    let Some(tools) = body.list("tools")? else { return Ok(Vec::new()) };
    match tools.len() {
        0 => return Err(empty_array("tools")),
        given if given > MOST => return Err(long_array("tools", given, MOST)),
        _ => {}
    }
    tools.iter().enumerate().map(|(index, tool)| one(tool, index)).collect()
}

fn one(tool: &Value, index: usize) -> Result<Tool, Failure> {
    let tool = Fields::of(tool, format!("tools[{index}]"))?;
    let kind = tool.need_one_of("type", &["function", "custom"])?;
    let inner = tool.need_inner(kind)?;
    let name = inner.need_name()?.to_owned();
    inner.text("description")?;
    if kind == "custom" {
        if let Some(format) = inner.inner("format")?
            && format.need_one_of("type", &["text", "grammar"])? == "grammar"
        {
            let grammar = format.need_inner("grammar")?;
            grammar.need_text("definition")?;
            grammar.need_one_of("syntax", &["lark", "regex"])?;
        }
        return Ok(Tool { name, schema: free_text() });
    }
    let strict = inner.flag("strict")?.unwrap_or_default();
    let Some(parameters) = inner.get("parameters") else {
        return Ok(Tool { name, schema: Value::Null });
    };
    if !parameters.is_object() {
        return Err(wrong_type(&inner.param("parameters"), "an object", parameters));
    }
    if let Some(fault) = schema::fault(parameters, strict) {
        let message = format!("Invalid schema for function '{name}': {fault}");
        return Err(invalid(message)
            .with_param(inner.param("parameters"))
            .with_code("invalid_function_parameters"));
    }
    Ok(Tool { name, schema: parameters.clone() })
}

/// The schema of a custom tool.
pub(super) fn free_text() -> Value {
    json!({"type": "string"})
}

/// The choice, and the tools that it leaves.
pub(super) fn choice(body: &Fields<'_>, tools: Vec<Tool>) -> Result<(Choice, Vec<Tool>), Failure> {
    if tools.is_empty() {
        for name in ["tool_choice", "parallel_tool_calls"] {
            if body.get(name).is_some() {
                let message = format!(
                    "Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                );
                return Err(invalid(message).with_param(name));
            }
        }
    }
    let choice = match body.get("tool_choice") {
        None => Choice::Auto,
        Some(Value::String(mode)) => match mode.as_str() {
            "none" => Choice::None,
            "auto" => Choice::Auto,
            "required" => Choice::Any,
            _ => return Err(unknown_value("tool_choice", mode, &["none", "auto", "required"])),
        },
        Some(asked) => return among(&Fields::of(asked, "tool_choice".to_owned())?, tools),
    };
    Ok((choice, tools))
}

fn among(asked: &Fields<'_>, mut tools: Vec<Tool>) -> Result<(Choice, Vec<Tool>), Failure> {
    let kind = asked.need_one_of("type", &["function", "allowed_tools", "custom"])?;
    let inner = asked.need_inner(kind)?;
    if kind != "allowed_tools" {
        let name = known(&inner, &tools)?;
        return Ok((Choice::Named(name), tools));
    }
    let mode = inner.need_one_of("mode", &["auto", "required"])?;
    let mut allowed = Vec::new();
    for (index, tool) in inner.list("tools")?.unwrap_or_default().iter().enumerate() {
        let tool = Fields::of(tool, format!("{}[{index}]", inner.param("tools")))?;
        let kind = tool.need_one_of("type", &["function", "custom"])?;
        allowed.push(known(&tool.need_inner(kind)?, &tools)?);
    }
    tools.retain(|tool| allowed.contains(&tool.name));
    Ok((if mode == "required" { Choice::Any } else { Choice::Auto }, tools))
}

fn known(tool: &Fields<'_>, tools: &[Tool]) -> Result<String, Failure> {
    let name = tool.need_text("name")?;
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(name.to_owned());
    }
    Err(invalid(format!("Tool choice '{name}' not found in 'tools' parameter.")).with_param("tool_choice"))
}
