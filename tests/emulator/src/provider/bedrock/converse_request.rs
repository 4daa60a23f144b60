//! Reads and checks a conversation, and refuses it in the service's own words.

use serde_json::{Map, Value, json};

use super::{
    converse_content::{self, Walk},
    invalid, model_says, says_too_much,
};
use crate::{
    past,
    provider::{
        Failure,
        anthropic::{model::Model, request},
    },
    turn::{Choice, Format, Prompt, Thinking, Tool},
};

const FIELDS: &[&str] = &[
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "promptVariables",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];
const MOST_STOPS: usize = 2500;
const LEAST_BUDGET: u64 = 1024;

/// A body that passed.
#[derive(Debug)]
pub(crate) struct Checked {
    pub prompt: Prompt,
}

/// `model` is the id; some checks are those of Claude behind the service.
pub(crate) fn check(body: &Value, model: &str, strict: bool) -> Result<Checked, Failure> {
    let Value::Object(fields) = body else {
        return Err(not_of_type("an object"));
    };
    if strict && let Some(extra) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(invalid(format!("Unknown member: {extra}")));
    }
    let messages = list(&body["messages"])?;
    let tool_config = &body["toolConfig"];
    let is_claude = model.contains("claude");
    let mut walk = Walk::default();
    let (tools, choice) = tools(tool_config, &mut walk)?;
    let system = converse_content::system(list(&body["system"])?, &mut walk)?;
    converse_content::messages(messages, !tool_config.is_null(), is_claude, &mut walk)?;
    let config = &body["inferenceConfig"];
    check_config(config)?;
    if is_claude {
        check_model(body, messages, model, &choice, strict)?;
    }
    let thinking = thinking(&body["additionalModelRequestFields"]);
    if is_claude && thinking == Thinking::Shown {
        let asked = &body["additionalModelRequestFields"]["thinking"];
        check_thinking(asked, config, &choice)?;
        if asked["type"] == "enabled" {
            converse_content::check_last(messages)?;
        }
    }
    let last = messages.iter().rev().find(|message| message["role"] == "user").unwrap_or(&Value::Null);
    let content = list(&last["content"])?;
    let prompt = Prompt {
        bytes: walk.bytes,
        messages: messages.len() as u64,
        past: past::read(messages),
        tools,
        choice,
        parallel: true,
        system,
        last_user: content.iter().map(converse_content::text_of).collect(),
        media: content.iter().flat_map(converse_content::media_of).collect(),
        after_tool: content.iter().any(|block| !block["toolResult"].is_null()),
        max_tokens: config["maxTokens"].as_u64(),
        stop: list(&config["stopSequences"])?.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        format: format(&body["outputConfig"]["textFormat"])?,
        thinking,
        n: 1,
    };
    Ok(Checked { prompt })
}

/// A value of a type that the service's protocol does not read.
pub(super) fn not_of_type(wanted: &str) -> Failure {
    Failure::new(400, "SerializationException", format!("Expected {wanted} or null"))
}

/// A list, or nothing.
pub(super) fn list(value: &Value) -> Result<&[Value], Failure> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(list) => Ok(list),
        _ => Err(not_of_type("list")),
    }
}

/// A value that breaks a rule of the service's model.
pub(super) fn constraint(value: &str, place: &str, rule: &str) -> Failure {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{place}' failed to satisfy constraint: Member must {rule}"
    ))
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'))
}

fn check_config(config: &Value) -> Result<(), Failure> {
    let most = &config["maxTokens"];
    if !most.is_null() && most.as_i64().ok_or_else(|| not_of_type("integer"))? < 1 {
        return Err(constraint(
            &most.to_string(),
            "inferenceConfig.maxTokens",
            "have value greater than or equal to 1",
        ));
    }
    for name in ["temperature", "topP"] {
        let given = &config[name];
        if given.is_null() {
            continue;
        }
        let number = given.as_f64().ok_or_else(|| not_of_type("float"))?;
        let rule = match number {
            _ if number > 1.0 => "have value less than or equal to 1",
            _ if number < 0.0 => "have value greater than or equal to 0",
            _ => continue,
        };
        return Err(constraint(&given.to_string(), &format!("inferenceConfig.{name}"), rule));
    }
    let stops = list(&config["stopSequences"])?;
    if stops.len() > MOST_STOPS {
        let rule = format!("have length less than or equal to {MOST_STOPS}");
        return Err(constraint("[…]", "inferenceConfig.stopSequences", &rule));
    }
    if stops.iter().any(|stop| stop == "") {
        return Err(constraint(
            "",
            "inferenceConfig.stopSequences",
            "have length greater than or equal to 1",
        ));
    }
    Ok(())
}

fn tools(config: &Value, walk: &mut Walk) -> Result<(Vec<Tool>, Choice), Failure> {
    if config.is_null() {
        return Ok((Vec::new(), Choice::Auto));
    }
    let given = list(&config["tools"])?;
    if given.is_empty() {
        return Err(constraint("[]", "toolConfig.tools", "have length greater than or equal to 1"));
    }
    let mut tools = Vec::new();
    for (index, tool) in given.iter().enumerate() {
        if !tool["cachePoint"].is_null() {
            walk.cache_point(&tool["cachePoint"], &format!("toolConfig.tools.{index}.cachePoint"))?;
        } else if tool["systemTool"].is_null() {
            tools.push(tool_spec(&tool["toolSpec"], index)?);
        }
    }
    let mut names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(model_says("tools: Tool names must be unique."));
    }
    let choice = &config["toolChoice"];
    let named = choice["tool"]["name"].as_str();
    let choice = match named {
        Some(name) if tools.iter().any(|tool| tool.name == name) => Choice::Named(name.to_owned()),
        Some(name) => return Err(model_says(&format!("Tool '{name}' not found in provided tools"))),
        None if choice["any"].is_object() => Choice::Any,
        None if choice.is_null() || choice["auto"].is_object() => Choice::Auto,
        None => return Err(invalid("The value at toolConfig.toolChoice must set one of: auto, any, tool.")),
    };
    Ok((tools, choice))
}

fn tool_spec(spec: &Value, index: usize) -> Result<Tool, Failure> {
    let place = format!("toolConfig.tools.{}.member.toolSpec", index + 1);
    let name = spec["name"].as_str().unwrap_or_default();
    if !is_name(name) {
        let rule = "satisfy regular expression pattern: [a-zA-Z0-9_-]+";
        return Err(constraint(name, &format!("{place}.name"), rule));
    }
    if spec["description"] == "" {
        let rule = "have length greater than or equal to 1";
        return Err(constraint("", &format!("{place}.description"), rule));
    }
    let schema = &spec["inputSchema"]["json"];
    if schema["type"] != "object" {
        return Err(invalid(format!(
            "The value at toolConfig.tools.{index}.toolSpec.inputSchema.json.type must be one of the following: object."
        )));
    }
    Ok(Tool { name: name.to_owned(), schema: schema.clone() })
}

/// Claude's way to ask for it, and Nova's.
fn thinking(fields: &Value) -> Thinking {
    let kinds = [&fields["thinking"], &fields["reasoningConfig"], &fields["reasoning_config"]];
    let asked = kinds.into_iter().any(|one| matches!(one["type"].as_str(), Some("enabled" | "adaptive")));
    if asked { Thinking::Shown } else { Thinking::None }
}

/// What Claude itself refuses, in its own wire's terms.
fn check_model(
    body: &Value,
    messages: &[Value],
    model: &str,
    choice: &Choice,
    strict: bool,
) -> Result<(), Failure> {
    let config = &body["inferenceConfig"];
    let most = Model::of(model).most_said();
    if let Some(most) = most.filter(|most| config["maxTokens"].as_u64() > Some(*most)) {
        return Err(says_too_much(most));
    }
    let mut said = match &body["additionalModelRequestFields"] {
        Value::Object(more) => more.clone(),
        _ => Map::new(),
    };
    for (name, theirs) in [("temperature", "temperature"), ("topP", "top_p")] {
        if !config[name].is_null() {
            said.insert(theirs.to_owned(), config[name].clone());
        }
    }
    if matches!(choice, Choice::Any | Choice::Named(_)) {
        said.insert("tool_choice".to_owned(), json!({"type": "any"}));
    }
    let ends_with_model = messages.last().is_some_and(|last| last["role"] == "assistant");
    request::check_model(&said.into(), Model::of(model), ends_with_model, strict)
        .map_err(|failure| model_says(&failure.message))
}

fn check_thinking(thinking: &Value, config: &Value, choice: &Choice) -> Result<(), Failure> {
    if thinking["type"] == "enabled" {
        let budget = thinking["budget_tokens"].as_u64();
        let budget = budget.ok_or_else(|| model_says("thinking.enabled.budget_tokens: Field required"))?;
        if budget < LEAST_BUDGET {
            return Err(model_says(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ));
        }
        if config["maxTokens"].as_u64().is_some_and(|most| most <= budget) {
            return Err(model_says(
                "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
            ));
        }
    }
    if config["temperature"].as_f64().is_some_and(|given| (given - 1.0).abs() > f64::EPSILON) {
        return Err(model_says(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-extended-thinking",
        ));
    }
    let forces = matches!(choice, Choice::Any | Choice::Named(_));
    if forces && thinking["type"] == "enabled" {
        return Err(model_says("Thinking may not be enabled when tool_choice forces tool use."));
    }
    Ok(())
}

/// The schema is JSON inside a text.
fn format(text: &Value) -> Result<Format, Failure> {
    if text.is_null() {
        return Ok(Format::Text);
    }
    if text["type"] != "json_schema" {
        return Err(constraint(
            text["type"].as_str().unwrap_or_default(),
            "outputConfig.textFormat.type",
            "satisfy enum value set: [json_schema]",
        ));
    }
    let schema = text["structure"]["jsonSchema"]["schema"].as_str().unwrap_or_default();
    match serde_json::from_str(schema) {
        Ok(schema @ Value::Object(_)) => Ok(Format::Schema(schema)),
        _ => Err(invalid(
            "The value at outputConfig.textFormat.structure.jsonSchema.schema is not a JSON schema.",
        )),
    }
}
