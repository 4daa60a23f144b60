//! Numbers and switches of the sampling, and which models take which.

use serde_json::Value;

use super::field::{Fields, at_most, listed, long_array, wrong_type};
use crate::{
    provider::{
        Failure,
        openai::{
            invalid,
            model::{EFFORTS, Model},
        },
    },
    turn::Thinking,
};

const MOST_CHOICES: i64 = 128;
const MOST_STOPS: usize = 4;
/// Of names by which the caller tells users and caches apart.
const LONGEST_KEY: usize = 64;
const TIERS: &[&str] = &["auto", "default", "flex", "scale", "priority", "fast"];

/// How a model is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Thinks first, and takes no say in its sampling while it does.
    Reasoning,
    /// Does not think.
    Plain,
    /// Takes everything: another maker's model.
    Any,
}

impl Kind {
    pub(super) fn of(model: &str) -> Self {
        let plain = ["gpt-3", "gpt-4", "chatgpt-"].iter().any(|prefix| model.starts_with(prefix));
        match plain {
            true => Self::Plain,
            false if Model::of(model).thinks() => Self::Reasoning,
            false => Self::Any,
        }
    }
}

#[derive(Debug)]
pub(super) struct Sampling<'b> {
    pub n: u64,
    pub effort: Option<&'b str>,
    pub max_tokens: Option<u64>,
    pub stop: Vec<String>,
    pub thinking: Thinking,
    /// How many alternatives are told of for each token, where tokens are told of at all.
    pub logprobs: Option<u64>,
}

pub(super) fn read<'b>(body: &Fields<'b>, model: Model<'_>, kind: Kind) -> Result<Sampling<'b>, Failure> {
    for (name, least, most) in
        [("temperature", 0, 2), ("top_p", 0, 1), ("presence_penalty", -2, 2), ("frequency_penalty", -2, 2)]
    {
        body.decimal(name, least, most)?;
    }
    body.integer("seed", i64::MIN, i64::MAX)?;
    for name in ["user", "safety_identifier", "prompt_cache_key"] {
        at_most(name, body.text(name)?.unwrap_or_default(), LONGEST_KEY)?;
    }
    for name in ["logit_bias", "metadata"] {
        body.inner(name)?;
    }
    body.one_of("service_tier", TIERS)?;
    body.one_of("verbosity", &["low", "medium", "high"])?;
    let effort = body.one_of("reasoning_effort", EFFORTS)?;
    match kind {
        Kind::Reasoning => {
            check_effort(effort, model)?;
            // Where thinking can be turned off, and is, the sampling is free.
            if effort.map_or(model.thinks_untold(), |effort| effort != "none") {
                check_thinker(body)?;
            }
        }
        Kind::Plain if effort.is_some() => {
            return Err(invalid("Unrecognized request argument supplied: reasoning_effort"));
        }
        Kind::Plain | Kind::Any => {}
    }
    let thinking = match effort {
        None | Some("none") => Thinking::None,
        Some(_) => Thinking::Hidden,
    };
    let n = body.integer("n", 1, MOST_CHOICES)?.map_or(1, i64::unsigned_abs);
    let most = model.most_said().filter(|_| kind != Kind::Any);
    let max_tokens = max_tokens(body, kind, most)?;
    Ok(Sampling { n, effort, max_tokens, stop: stop(body)?, thinking, logprobs: logprobs(body)? })
}

fn check_effort(effort: Option<&str>, model: Model<'_>) -> Result<(), Failure> {
    let known = model.efforts();
    let Some(effort) = effort.filter(|effort| !known.contains(effort)) else { return Ok(()) };
    let message = format!(
        "Unsupported value: 'reasoning_effort' does not support '{effort}' with this model. Supported values are: {}.",
        listed(known)
    );
    Err(invalid(message).with_param("reasoning_effort").with_code("unsupported_value"))
}

fn unsupported(name: &str, more: &str) -> Failure {
    invalid(format!("Unsupported parameter: '{name}' is not supported with this model.{more}"))
        .with_param(name)
        .with_code("unsupported_parameter")
}

fn check_thinker(body: &Fields<'_>) -> Result<(), Failure> {
    for (name, default) in [("temperature", 1), ("presence_penalty", 0), ("frequency_penalty", 0)] {
        if let Some(value) = body.get(name)
            && value.as_f64() != Some(f64::from(default))
        {
            let message = format!(
                "Unsupported value: '{name}' does not support {value} with this model. Only the default ({default}) value is supported."
            );
            return Err(invalid(message).with_param(name).with_code("unsupported_value"));
        }
    }
    let refused = ["top_p", "logprobs", "top_logprobs", "logit_bias", "stop"];
    let given = |name: &&&str| body.get(name).is_some_and(|value| *value != Value::Bool(false));
    match refused.iter().find(given) {
        Some(name) => Err(unsupported(name, "")),
        None => Ok(()),
    }
}

/// `most` is what the model says at most.
fn max_tokens(body: &Fields<'_>, kind: Kind, most: Option<u64>) -> Result<Option<u64>, Failure> {
    let old = body.integer("max_tokens", 1, i64::MAX)?;
    let new = body.integer("max_completion_tokens", 1, i64::MAX)?;
    if old.is_some() && kind == Kind::Reasoning {
        return Err(unsupported("max_tokens", " Use 'max_completion_tokens' instead."));
    }
    if old.is_some() && new.is_some() {
        return Err(invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        ));
    }
    let asked = new.or(old).map(i64::unsigned_abs);
    if let (Some(asked), Some(most)) = (asked, most)
        && asked > most
    {
        let name = if new.is_some() { "max_completion_tokens" } else { "max_tokens" };
        let message = format!(
            "{name} is too large: {asked}. This model supports at most {most} completion tokens, whereas you provided {asked}."
        );
        return Err(invalid(message).with_param(name).with_code("invalid_value"));
    }
    Ok(asked)
}

fn stop(body: &Fields<'_>) -> Result<Vec<String>, Failure> {
    match body.get("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(sequence)) => Ok(vec![sequence.clone()]),
        Some(Value::Array(sequences)) if sequences.len() > MOST_STOPS => {
            Err(long_array("stop", sequences.len(), MOST_STOPS))
        }
        Some(Value::Array(sequences)) => {
            let text = |(index, sequence): (usize, &Value)| match sequence {
                Value::String(sequence) => Ok(sequence.clone()),
                other => Err(wrong_type(&format!("stop[{index}]"), "a string", other)),
            };
            sequences.iter().enumerate().map(text).collect()
        }
        Some(other) => Err(wrong_type("stop", "one of a string or array of strings", other)),
    }
}

fn logprobs(body: &Fields<'_>) -> Result<Option<u64>, Failure> {
    let top = body.integer("top_logprobs", 0, 20)?;
    if body.flag("logprobs")?.unwrap_or_default() {
        return Ok(Some(top.unwrap_or_default().unsigned_abs()));
    }
    if top.is_some() {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(invalid(message).with_param("top_logprobs"));
    }
    Ok(None)
}
