//! The tools of a request, and which of them are to be called.

use serde_json::{Map, Value};

use super::{
    Surface, invalid,
    request::{Model, refuse_fields},
    schema::{self, list},
};
use crate::{
    provider::Failure,
    turn::{Choice, Tool},
};

const BAD_NAME: &str = "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.";
const MOST_NAME: usize = 64;

/// The declared functions, with their schemas as JSON Schema.
pub(super) fn read(request: &Map<String, Value>, model: &Model<'_>) -> Result<(Vec<Tool>, Choice), Failure> {
    let given = request.get("tools").map(list).unwrap_or_default();
    let mut tools: Vec<Tool> = Vec::new();
    let mut wrong = Vec::new();
    for (index, tool) in given.iter().enumerate() {
        for (place, declaration) in list(&tool["function_declarations"]).iter().enumerate() {
            let place = format!("tools[{index}].function_declarations[{place}]");
            tools.push(function(declaration, &place, &mut wrong));
        }
    }
    refuse_fields(model.surface, wrong)?;
    if let Some(name) = twice(&tools) {
        return Err(invalid(format!("Duplicate function declaration found: {name}")));
    }
    let builtin = given
        .iter()
        .filter_map(Value::as_object)
        .flat_map(Map::keys)
        .any(|name| name != "function_declarations");
    check_company(request, builtin && !tools.is_empty(), model)?;
    let choice = choice(request, &tools, model)?;
    Ok((tools, choice))
}

/// Whether the provider's own tools may stand beside declared functions, as they do where there are `both`.
fn check_company(request: &Map<String, Value>, both: bool, model: &Model<'_>) -> Result<(), Failure> {
    let invoked = request
        .get("tool_config")
        .is_some_and(|config| config["include_server_side_tool_invocations"] == true);
    match model.surface {
        Surface::Gemini if invoked && !model.is_third => {
            Err(invalid(format!("Tool call context circulation is not enabled for models/{}", model.name)))
        }
        Surface::Gemini if both && !model.is_third => {
            Err(invalid("Tool use with function calling is unsupported by the model."))
        }
        Surface::Gemini if both && !invoked => Err(invalid(
            "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling.",
        )),
        Surface::Vertex | Surface::CodeAssist if both && !model.is_third => {
            Err(invalid("Multiple tools are supported only when they are all search tools."))
        }
        _ => Ok(()),
    }
}

fn function(declaration: &Value, place: &str, wrong: &mut Vec<(String, String)>) -> Tool {
    let name = declaration["name"].as_str().unwrap_or_default();
    if !is_name(name) {
        wrong.push((format!("{place}.name"), BAD_NAME.to_owned()));
    }
    let (parameters, free) = (&declaration["parameters"], &declaration["parameters_json_schema"]);
    if !parameters.is_null() {
        schema::check(parameters, &format!("{place}.parameters"), wrong);
        if !free.is_null() {
            let why = "parameters and parameters_json_schema are mutually exclusive.";
            wrong.push((format!("{place}.parameters_json_schema"), why.to_owned()));
        }
    }
    if !free.is_null() && !free.is_object() {
        wrong.push((format!("{place}.parameters_json_schema"), "must be a JSON schema object.".to_owned()));
    }
    let schema = if parameters.is_null() { free.clone() } else { schema::as_json_schema(parameters) };
    if schema.get("type").is_some_and(|kind| kind != "object") {
        wrong.push((format!("{place}.parameters"), "schema should be of type OBJECT.".to_owned()));
    }
    Tool { name: name.to_owned(), schema }
}

fn is_name(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | ':' | '-');
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(allowed)
        && name.len() <= MOST_NAME
}

fn twice(tools: &[Tool]) -> Option<&str> {
    let mut names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}

fn choice(request: &Map<String, Value>, tools: &[Tool], model: &Model<'_>) -> Result<Choice, Failure> {
    let Some(config) = request.get("tool_config").map(|config| &config["function_calling_config"]) else {
        return Ok(Choice::Auto);
    };
    let mode = config["mode"].as_str().unwrap_or("MODE_UNSPECIFIED");
    let allowed: Vec<&str> =
        list(&config["allowed_function_names"]).iter().filter_map(Value::as_str).collect();
    if mode == "ANY" && tools.is_empty() {
        return Err(invalid("Function calling config is set without function_declarations."));
    }
    let place = "tool_config.function_calling_config.allowed_function_names";
    if !allowed.is_empty() && !matches!(mode, "ANY" | "VALIDATED") {
        let why = "should be set only when the function calling mode is ANY or VALIDATED.".to_owned();
        refuse_fields(model.surface, vec![(place.to_owned(), why)])?;
    }
    let declared = |name: &&str| tools.iter().any(|tool| tool.name == **name);
    if let Some(index) = allowed.iter().position(|name| !declared(name)) {
        let why = "is not the name of a declared function.".to_owned();
        refuse_fields(model.surface, vec![(format!("{place}[{index}]"), why)])?;
    }
    Ok(match mode {
        "NONE" => Choice::None,
        "ANY" => {
            let first = tools.iter().find(|tool| allowed.contains(&tool.name.as_str()));
            first.map_or(Choice::Any, |tool| Choice::Named(tool.name.clone()))
        }
        _ => Choice::Auto,
    })
}
