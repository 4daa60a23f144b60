//! Reads and checks the body of a response's request, and refuses it in the provider's own words.

use serde_json::{Map, Value};

use crate::{
    past,
    provider::{
        Call, Failure,
        openai::{
            MODEL_PREFIXES, bad_json, invalid, missing,
            model::{EFFORTS, Model},
            no_such_model,
            responses::{
                content,
                field::{Fields, at_most, listed, unknown_value, wrong_type},
                input, reasoning, schema, stored,
                tools::Toolbox,
            },
        },
        window,
    },
    turn::{Format, Prompt, PromptBytes, Thinking},
};

const LEAST_OUTPUT: i64 = 16;
const MOST_METADATA: usize = 16;
const LONGEST_METADATUM: usize = 512;
/// Of names by which the caller tells users and caches apart.
const LONGEST_KEY: usize = 64;

const FIELDS: &[&str] = &[
    "background",
    "client_metadata",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
/// Fields of a chat completion that have another name here.
const MOVED: &[(&str, &str)] = &[
    ("messages", "input"),
    ("max_tokens", "max_output_tokens"),
    ("max_completion_tokens", "max_output_tokens"),
    ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
    ("verbosity", "text.verbosity"),
    ("functions", "tools"),
    ("function_call", "tool_choice"),
];
/// Fields of a chat completion that have no counterpart.
const UNKNOWN: &[&str] =
    &["audio", "logit_bias", "logprobs", "modalities", "n", "prediction", "seed", "stop"];
const INCLUDES: &[&str] = &[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
];
const SUMMARIES: &[&str] = &["auto", "concise", "detailed"];
const VERBOSITIES: &[&str] = &["low", "medium", "high"];
const TIERS: &[&str] = &["auto", "default", "flex", "priority", "scale"];

/// A body that passed.
#[derive(Debug)]
pub(super) struct Checked {
    /// By the name that answers carry.
    pub model: String,
    /// The prompt is more than the model reads, and may not be cut.
    pub is_too_long: bool,
    pub stream: bool,
    /// Deltas carry padding, so that their sizes tell nothing.
    pub obfuscate: bool,
    pub store: bool,
    /// The thought is given away, sealed.
    pub seal: bool,
    pub logprobs: bool,
    pub toolbox: Toolbox,
    pub prompt: Prompt,
    /// All items that the model sees.
    pub conversation: Vec<Value>,
    /// The body, for the answer to repeat.
    pub body: Map<String, Value>,
}

pub(super) fn check(call: &Call<'_>) -> Result<Checked, Failure> {
    let Ok(Value::Object(map)) = serde_json::from_slice(call.body) else {
        return Err(bad_json());
    };
    let body = Fields { map: &map, path: "" };
    check_names(body, call.profile.strict)?;
    let model = body.need_text("model")?;
    let instructions = body.text("instructions")?;
    let mut toolbox = Toolbox::read(body)?;
    check_rest(body)?;
    let format = format(body)?;
    let stream = body.flag("stream")?.unwrap_or(false);
    let obfuscate = obfuscate(body, stream)?;
    if !call.profile.has_model(model, MODEL_PREFIXES) {
        return Err(no_such_model(model));
    }
    toolbox.check_offer(model)?;
    let (thinking, seal) = thinking(body, model)?;
    let conversation = conversation(body, call)?;
    toolbox.add(&conversation)?;
    let mut prompt = prompt(instructions, &conversation);
    if format == Format::Json && !mentions_json(&conversation) {
        let message = "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.";
        return Err(invalid(message).with_param("input"));
    }
    prompt.tools = toolbox.prompt_tools();
    prompt.choice = std::mem::take(&mut toolbox.choice);
    prompt.parallel = body.flag("parallel_tool_calls")? != Some(false);
    prompt.max_tokens = body.integer("max_output_tokens", LEAST_OUTPUT)?;
    prompt.format = format;
    prompt.thinking = thinking;
    let of_model = Model::of(model);
    let overflows = window::overflow(model, of_model.window(), &prompt).is_some();
    Ok(Checked {
        model: of_model.served(),
        is_too_long: overflows && body.text("truncation")? != Some("auto"),
        stream,
        obfuscate,
        store: body.flag("store")?.unwrap_or(true),
        seal,
        logprobs: includes(body, "message.output_text.logprobs"),
        toolbox,
        prompt,
        conversation,
        body: map,
    })
}

fn check_names(body: Fields<'_>, strict: bool) -> Result<(), Failure> {
    for name in body.map.keys() {
        if let Some((_, moved)) = MOVED.iter().find(|(old, _)| old == name) {
            let message = format!(
                "Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{moved}'. Try again with the new parameter. See the API documentation for more information: https://platform.openai.com/docs/api-reference/responses/create."
            );
            return Err(invalid(message).with_param(name.clone()).with_code("unsupported_parameter"));
        }
        if UNKNOWN.contains(&name.as_str()) || strict && !FIELDS.contains(&name.as_str()) {
            let failure = invalid(format!("Unknown parameter: '{name}'."));
            return Err(failure.with_param(name.clone()).with_code("unknown_parameter"));
        }
    }
    Ok(())
}

/// The fields that change nothing here.
fn check_rest(body: Fields<'_>) -> Result<(), Failure> {
    for name in ["user", "safety_identifier", "prompt_cache_key"] {
        at_most(name, body.text(name)?.unwrap_or_default(), LONGEST_KEY)?;
    }
    body.decimal("temperature", 2.0)?;
    body.decimal("top_p", 1.0)?;
    body.integer("top_logprobs", 0)?;
    body.integer("max_tool_calls", 1)?;
    body.one_of("truncation", &["auto", "disabled"])?;
    body.one_of("service_tier", TIERS)?;
    body.one_of("prompt_cache_retention", &["in_memory", "in-memory", "24h"])?;
    if body.flag("background")? == Some(true) {
        return Err(invalid("Background responses are not supported.").with_param("background"));
    }
    for (index, include) in body.list("include")?.unwrap_or_default().iter().enumerate() {
        let param = format!("include[{index}]");
        let given = include.as_str().ok_or_else(|| wrong_type(&param, "a string", include))?;
        if !INCLUDES.contains(&given) {
            return Err(unknown_value(&param, given, INCLUDES));
        }
    }
    let Some(metadata) = body.inner("metadata", "metadata")? else {
        return Ok(());
    };
    if metadata.map.len() > MOST_METADATA {
        let message = format!(
            "Invalid 'metadata': too many properties. Expected an object with at most {MOST_METADATA} properties, but got an object with {} properties instead.",
            metadata.map.len()
        );
        return Err(invalid(message).with_param("metadata").with_code("object_above_max_properties"));
    }
    metadata.map.keys().try_for_each(|name| {
        at_most(&metadata.param(name), metadata.text(name)?.unwrap_or_default(), LONGEST_METADATUM)
    })
}

fn obfuscate(body: Fields<'_>, stream: bool) -> Result<bool, Failure> {
    let Some(options) = body.inner("stream_options", "stream_options")? else {
        return Ok(true);
    };
    if !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(invalid(message).with_param("stream_options"));
    }
    Ok(options.flag("include_obfuscation")?.unwrap_or(true))
}

fn format(body: Fields<'_>) -> Result<Format, Failure> {
    let Some(text) = body.inner("text", "text")? else {
        return Ok(Format::Text);
    };
    text.one_of("verbosity", VERBOSITIES)?;
    let Some(format) = text.inner("format", "text.format")? else {
        return Ok(Format::Text);
    };
    match format.one_of("type", &["text", "json_object", "json_schema"])? {
        None => Err(missing("text.format.type")),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => {
            let name = format.need_name("name")?;
            let schema = format.need("schema")?;
            let fields = Fields::of(schema, "text.format.schema")?;
            let fault = match fields.map.get("type").and_then(Value::as_str) {
                Some("object") if format.flag("strict")? == Some(true) => schema::strict_fault(schema),
                Some("object") => None,
                kind => {
                    let given = kind.unwrap_or("None");
                    Some(format!(
                        "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{given}\"'."
                    ))
                }
            };
            match fault {
                None => Ok(Format::Schema(schema.clone())),
                Some(fault) => {
                    let failure = invalid(format!("Invalid schema for response_format '{name}': {fault}"));
                    Err(failure.with_param("text.format.schema").with_code("invalid_json_schema"))
                }
            }
        }
        Some(_) => Ok(Format::Text),
    }
}

fn includes(body: Fields<'_>, what: &str) -> bool {
    let includes = body.get("include").and_then(Value::as_array);
    includes.is_some_and(|includes| includes.iter().any(|include| include == what))
}

/// How the model thinks, and whether it gives its thought away sealed.
fn thinking(body: Fields<'_>, model: &str) -> Result<(Thinking, bool), Failure> {
    let able = reasoning::thinks(model);
    let seal = includes(body, "reasoning.encrypted_content");
    if seal && !able {
        return Err(invalid("Encrypted content is not supported with this model.").with_param("include"));
    }
    let Some(fields) = body.inner("reasoning", "reasoning")? else {
        check_sampling(body, Model::of(model).thinks_untold())?;
        return Ok((Thinking::None, seal));
    };
    let effort = fields.one_of("effort", EFFORTS)?;
    let summary = fields.one_of("summary", SUMMARIES)?.or(fields.one_of("generate_summary", SUMMARIES)?);
    let asked = [("reasoning.effort", effort), ("reasoning.summary", summary)];
    if let Some((param, _)) = asked.iter().find(|(_, given)| given.is_some() && !able) {
        let message = format!("Unsupported parameter: '{param}' is not supported with this model.");
        return Err(invalid(message).with_param(*param).with_code("unsupported_parameter"));
    }
    check_effort(effort, model)?;
    let thinking = match (effort, summary) {
        (Some("none"), _) | (None, None) => Thinking::None,
        (_, Some(_)) => Thinking::Shown,
        (Some(_), None) => Thinking::Hidden,
    };
    let untold = effort.is_none() && Model::of(model).thinks_untold();
    check_sampling(body, untold || thinking != Thinking::None)?;
    Ok((thinking, seal))
}

/// A model that thinks takes no say in its sampling.
fn check_sampling(body: Fields<'_>, thinks: bool) -> Result<(), Failure> {
    let given = |name: &&&str| body.get(name).is_some_and(|given| given.as_f64() != Some(1.0));
    let Some(name) = ["temperature", "top_p"].iter().find(given).filter(|_| thinks) else { return Ok(()) };
    let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
    Err(invalid(message).with_param(*name).with_code("unsupported_parameter"))
}

fn check_effort(effort: Option<&str>, model: &str) -> Result<(), Failure> {
    let known = Model::of(model).efforts();
    let Some(effort) = effort.filter(|effort| !known.contains(effort)) else { return Ok(()) };
    let message = format!(
        "Unsupported value: '{effort}' is not supported with the '{model}' model. Supported values are: {}.",
        listed(known)
    );
    Err(invalid(message).with_param("reasoning.effort").with_code("unsupported_value"))
}

fn conversation(body: Fields<'_>, call: &Call<'_>) -> Result<Vec<Value>, Failure> {
    for (name, kind) in [("conversation", "Conversation"), ("prompt", "Prompt")] {
        let Some(given) = body.get(name) else { continue };
        let id = given.as_str().or_else(|| given.get("id")?.as_str()).unwrap_or_default();
        let message = format!("{kind} with id '{id}' not found.");
        return Err(Failure::new(404, "invalid_request_error", message).with_param(name));
    }
    let previous = body.text("previous_response_id")?;
    let Some(input) = body.get("input") else {
        return match previous {
            Some(id) => stored::conversation(id, call.memory),
            None => Err(invalid("One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided.")
                .with_code("missing_required_parameter")),
        };
    };
    let new = input::read(input, call.memory)?;
    let mut items = match previous {
        Some(id) => stored::conversation(id, call.memory)?,
        None => Vec::new(),
    };
    items.extend(new);
    input::check_pairs(&items)?;
    Ok(items)
}

fn mentions_json(items: &[Value]) -> bool {
    items.iter().any(|item| content::text(item.get("content")).to_lowercase().contains("json"))
}

fn prompt(instructions: Option<&str>, items: &[Value]) -> Prompt {
    let said = |item: &Value| content::text(item.get("content").or_else(|| item.get("output")));
    let field = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).map_or(0, str::len);
    let role = |item: &Value| item.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_result = |item: &Value| {
        let kind = item.get("type").and_then(Value::as_str);
        matches!(kind, Some("function_call_output" | "custom_tool_call_output"))
    };
    let plain = items.iter().map(|item| said(item).len() + field(item, "arguments") + field(item, "input"));
    let prompts = items.iter().filter(|item| matches!(role(item).as_str(), "system" | "developer")).map(said);
    let system: Vec<String> = instructions.map(str::to_owned).into_iter().chain(prompts).collect();
    let last = items.iter().rev().find(|item| role(item) == "user" || is_result(item));
    Prompt {
        bytes: PromptBytes {
            plain: plain.sum::<usize>() + instructions.map_or(0, str::len),
            ..PromptBytes::default()
        },
        messages: items.len() as u64,
        past: past::read(items),
        system: system.join("\n"),
        last_user: last.map(said).unwrap_or_default(),
        media: last
            .map(|item| content::media(item.get("content").or_else(|| item.get("output"))))
            .unwrap_or_default(),
        after_tool: last.is_some_and(is_result),
        n: 1,
        ..Prompt::default()
    }
}
