//! Reads and checks a chat completion body, and refuses it in the provider's own words.

use serde_json::{Map, Value};

use crate::{
    provider::{
        Call, Failure, bearer,
        openai::{
            MODEL_PREFIXES, bad_json, invalid, missing, model::Model, no_such_model, overflow, wrong_type,
        },
        window::{self, Overflow},
    },
    turn::{Prompt, TOKENS_PER_TOOL, Thinking},
};
use field::Fields;
use sampling::{Kind, Sampling};

mod content;
mod field;
mod format;
mod messages;
mod prompt;
mod sampling;
mod schema;
mod tools;

/// A key with this is one of a server that is merely compatible: it has another maker's model, which thinks aloud.
const REASONER: &str = "reasoner";
const REASONER_PREFIXES: &[&str] = &["deepseek-"];

const FIELDS: &[&str] = &[
    "model",
    "messages",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// A body that passed.
#[derive(Debug)]
pub(crate) struct Checked {
    pub model: String,
    pub stream: bool,
    pub include_usage: bool,
    /// How many alternatives are told of for each token, where tokens are told of at all.
    pub logprobs: Option<u64>,
    pub prompt: Prompt,
}

/// Whose models answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    OpenAi,
    /// A server that merely speaks the wire.
    Other,
}

pub(crate) fn check(call: &Call<'_>, maker: Maker) -> Result<Checked, Failure> {
    let Ok(Value::Object(map)) = serde_json::from_slice(call.body) else {
        return Err(bad_json());
    };
    check_known(call, &map)?;
    let model = match map.get("model") {
        None => return Err(invalid("you must provide a model parameter")),
        Some(model) => model.as_str().ok_or_else(|| wrong_type("model", "a string"))?,
    };
    let said = map.get("messages").ok_or_else(|| missing("messages"))?;
    let said = said.as_array().ok_or_else(|| wrong_type("messages", "an array of objects"))?;
    messages::check(said)?;
    let body = Fields::root(&map);
    let stream = body.flag("stream")?.unwrap_or_default();
    let include_usage = include_usage(&body, stream)?;
    let own = maker == Maker::OpenAi;
    let reasoner = bearer(&call.parts.headers).is_some_and(|key| key.contains(REASONER));
    let known = call.profile.has_model(model, MODEL_PREFIXES)
        || reasoner && call.profile.has_model(model, REASONER_PREFIXES)
        || !own && call.profile.has_model(model, &[""]);
    if !known {
        return Err(no_such_model(model));
    }
    let own = own && !reasoner;
    let (name, model) = (model, Model::of(model));
    if own && model.is_responses_only() {
        let message = "This model is only supported in v1/responses and not in v1/chat/completions.";
        return Err(Failure::new(404, "invalid_request_error", message).with_param("model"));
    }
    let kind = if own { Kind::of(name) } else { Kind::Any };
    let Sampling { n, effort, max_tokens, stop, thinking, logprobs } = sampling::read(&body, model, kind)?;
    let thinking = if reasoner { Thinking::Shown } else { thinking };
    let tools = tools::read(&body)?;
    let free_text = tools::free_text();
    if own && model.refuses_chat_tools(effort) && tools.iter().any(|tool| tool.schema != free_text) {
        return Err(unthinking_tools(name));
    }
    let (choice, tools) = tools::choice(&body, tools)?;
    let parallel = body.flag("parallel_tool_calls")?.unwrap_or(true);
    let format = format::read(&body, said)?;
    let said = prompt::said(said);
    let prompt = Prompt { tools, choice, parallel, max_tokens, stop, format, thinking, n, ..said };
    if let Some(overflow) = window::overflow(name, model.window(), &prompt) {
        return Err(too_long(&prompt, overflow, own && model.reads_apart()));
    }
    let served = if own { model.served() } else { name.to_owned() };
    Ok(Checked { model: served, stream, include_usage, logprobs, prompt })
}

fn unthinking_tools(model: &str) -> Failure {
    let message = format!(
        "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."
    );
    invalid(message).with_param("reasoning_effort")
}

/// `apart` is for models that read and write in windows of their own.
fn too_long(prompt: &Prompt, Overflow { tokens, most }: Overflow, apart: bool) -> Failure {
    let tools = prompt.tools.len() as u64 * TOKENS_PER_TOOL;
    let message = match tools {
        _ if apart => format!(
            "Input tokens exceed the configured limit of {most} tokens. Your messages resulted in {tokens} tokens. Please reduce the length of the messages."
        ),
        0 => format!(
            "This model's maximum context length is {most} tokens. However, your messages resulted in {tokens} tokens. Please reduce the length of the messages."
        ),
        tools => format!(
            "This model's maximum context length is {most} tokens. However, your messages resulted in {tokens} tokens ({} in the messages, {tools} in the functions). Please reduce the length of the messages or functions.",
            tokens.saturating_sub(tools)
        ),
    };
    overflow(message, "messages")
}

fn check_known(call: &Call<'_>, body: &Map<String, Value>) -> Result<(), Failure> {
    let extra = body.keys().find(|name| !FIELDS.contains(&name.as_str()));
    match extra.filter(|_| call.profile.strict) {
        None => Ok(()),
        Some(extra) => {
            let failure = invalid(format!("Unknown parameter: '{extra}'."));
            Err(failure.with_param(extra.clone()).with_code("unknown_parameter"))
        }
    }
}

fn include_usage(body: &Fields<'_>, stream: bool) -> Result<bool, Failure> {
    let Some(options) = body.inner("stream_options")? else { return Ok(false) };
    if !stream {
        let failure = invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.");
        return Err(failure.with_param("stream_options"));
    }
    Ok(options.flag("include_usage")?.unwrap_or_default())
}
