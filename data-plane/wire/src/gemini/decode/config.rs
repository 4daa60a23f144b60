//! `generationConfig`.

use std::borrow::Cow;

use serde_json::{Number, value::RawValue};
use shared::wire::Wire;

use super::place::Place;
use crate::{
    canonical::{Effort, Extra, Format, Request, Sampling, Show, Thinking, ThinkingMode},
    codec::Unreadable,
    gemini::{
        message::{Int, message},
        schema,
    },
    json::record::Str,
    loss::{LossCode, Losses},
};

message! {
    struct Config {
        temperature: Number = "temperature",
        top_p: Number = "topP",
        top_k: Int = "topK",
        candidates: Int = "candidateCount",
        max_output: Int = "maxOutputTokens",
        stop: Vec<Str<'a>> = "stopSequences",
        seed: Int = "seed",
        presence_penalty: Number = "presencePenalty",
        frequency_penalty: Number = "frequencyPenalty",
        logprobs: bool = "responseLogprobs",
        top_logprobs: Int = "logprobs",
        media_type: &'a RawValue = "responseMimeType",
        schema: &'a RawValue = "responseSchema",
        json_schema: &'a RawValue = "responseJsonSchema",
        thinking: &'a RawValue = "thinkingConfig",
    }
}

message! {
    struct ThinkingConfig {
        show: bool = "includeThoughts",
        budget: Int = "thinkingBudget",
        level: Str<'a> = "thinkingLevel",
    }
}

pub(super) fn config<'a>(raw: &'a RawValue, request: &mut Request<'a>) -> Result<(), Unreadable> {
    let place = Place::top("generationConfig");
    let config: Config<'a> = place.read(raw)?;
    let count = |name: &'static str, number: Option<Int>| {
        let wrong = |_| place.field(name).wrong("must not be negative");
        number.map(|number| u64::try_from(number.0).map_err(wrong)).transpose()
    };
    request.max_output = count("maxOutputTokens", config.max_output)?;
    request.sampling = Sampling {
        temperature: config.temperature,
        top_p: config.top_p,
        top_k: count("topK", config.top_k)?,
        seed: config.seed.map(|seed| seed.0),
        presence_penalty: config.presence_penalty,
        frequency_penalty: config.frequency_penalty,
        stop: config.stop.unwrap_or_default().into_iter().map(|stop| stop.0).collect(),
        n: count("candidateCount", config.candidates)?,
        logprobs: config.logprobs,
        top_logprobs: count("logprobs", config.top_logprobs)?,
    };
    if let Some(raw) = config.thinking {
        request.thinking = thinking(raw, &place.field("thinkingConfig"), &mut request.losses)?;
    }
    let media_type: Option<Str<'a>> = match config.media_type {
        Some(raw) => Some(place.field("responseMimeType").read(raw)?),
        None => None,
    };
    let mut keep = |name: &str, value: Option<&'a RawValue>| {
        let name = Cow::Owned(format!("generationConfig.{name}"));
        request.extras.extend(value.map(|value| Extra { origin: Wire::Gemini, name, value }));
    };
    match media_type.as_ref().map_or("", |media_type| &*media_type.0) {
        "" | "text/plain" | "application/json" => {
            let is_json = media_type.is_some_and(|media_type| media_type.0 == "application/json");
            request.format = format(config.schema, config.json_schema, is_json);
        }
        // Such as `text/x.enum`: only Google knows it.
        _ => {
            keep("responseMimeType", config.media_type);
            keep("responseSchema", config.schema);
            keep("responseJsonSchema", config.json_schema);
        }
    }
    for (name, value) in config.unknown {
        keep(&name, Some(value));
    }
    Ok(())
}

fn format<'a>(schema: Option<&'a RawValue>, json_schema: Option<&'a RawValue>, is_json: bool) -> Format<'a> {
    let schema = match (json_schema, schema) {
        (Some(schema), _) => Cow::Borrowed(schema.get()),
        (None, Some(schema)) => Cow::Owned(schema::standard(schema)),
        (None, None) if is_json => return Format::JsonObject,
        (None, None) => return Format::Text,
    };
    Format::JsonSchema { name: None, description: None, schema, strict: None }
}

fn thinking(raw: &RawValue, place: &Place<'_>, losses: &mut Losses) -> Result<Thinking, Unreadable> {
    let config: ThinkingConfig<'_> = place.read(raw)?;
    for (name, _) in &config.unknown {
        losses.add_named(LossCode::Field, &format!("generationConfig.thinkingConfig.{name}"));
    }
    let (mode, budget) = match config.budget {
        None => (None, None),
        Some(Int(0)) => (Some(ThinkingMode::Off), None),
        // A negative budget leaves it to the model.
        Some(Int(budget)) => match u64::try_from(budget) {
            Ok(budget) => (Some(ThinkingMode::On), Some(budget)),
            Err(_) => (Some(ThinkingMode::Adaptive), None),
        },
    };
    let level = config.level.unwrap_or_default().0.to_ascii_lowercase();
    let effort = match level.as_str() {
        "" | "thinking_level_unspecified" => None,
        level => match Effort::parse(level) {
            Some(effort) => Some(effort),
            None => return Err(place.field("thinkingLevel").wrong("must be MINIMAL, LOW, MEDIUM or HIGH")),
        },
    };
    // Google shows thoughts only where they are asked for, and always gives the signatures.
    let show = if config.show == Some(true) { Show::Auto } else { Show::Hidden };
    let encrypted =
        mode != Some(ThinkingMode::Off) && (mode.is_some() || effort.is_some() || show == Show::Auto);
    Ok(Thinking { mode, effort, budget, show: Some(show), encrypted })
}
