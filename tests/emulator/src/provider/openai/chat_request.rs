//! Reads and checks a chat completion body, and refuses it in the provider's own words.

use serde_json::{Map, Value};

use crate::{
    provider::{
        Call, Failure, bearer,
        openai::{MODEL_PREFIXES, bad_json, invalid, missing, no_such_model, wrong_type},
    },
    turn::{Prompt, Thinking},
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

pub(crate) fn check(call: &Call<'_>) -> Result<Checked, Failure> {
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
    let reasoner = bearer(&call.parts.headers).is_some_and(|key| key.contains(REASONER));
    let known = call.profile.has_model(model, MODEL_PREFIXES)
        || reasoner && call.profile.has_model(model, REASONER_PREFIXES);
    if !known {
        return Err(no_such_model(model));
    }
    let kind = if reasoner { Kind::Any } else { Kind::of(model) };
    let Sampling { n, max_tokens, stop, thinking, logprobs } = sampling::read(&body, model, kind)?;
    let thinking = if reasoner { Thinking::Shown } else { thinking };
    let (choice, tools) = tools::choice(&body, tools::read(&body)?)?;
    let parallel = body.flag("parallel_tool_calls")?.unwrap_or(true);
    let format = format::read(&body, said)?;
    let said = prompt::said(said);
    let prompt = Prompt { tools, choice, parallel, max_tokens, stop, format, thinking, n, ..said };
    Ok(Checked { model: model.to_owned(), stream, include_usage, logprobs, prompt })
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
