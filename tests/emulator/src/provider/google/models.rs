//! GET /v1beta/models and GET /v1beta/models/{model}

use serde_json::{Value, json};

use super::{MODEL_PREFIXES, Surface, generate::named, no_such_model};
use crate::{
    provider::{Call, Failure, query},
    template::Draft,
};

const MODELS: &[&str] = &[
    "gemini-3-pro-preview",
    "gemini-3-flash-preview",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-embedding-001",
];
const DEFAULT_PAGE: usize = 50;
const MOST_PAGE: usize = 1000;

/// A page token is the place to go on from.
pub(crate) fn list(call: &Call<'_>) -> Result<Draft, Failure> {
    let all: Vec<&str> = match &call.profile.models {
        Some(models) => models.iter().map(String::as_str).collect(),
        None => MODELS.to_vec(),
    };
    let number = |name: &str| query(call.parts, name).and_then(|text| text.parse::<usize>().ok());
    let start = number("pageToken").unwrap_or(0);
    let size = number("pageSize").filter(|size| *size > 0).unwrap_or(DEFAULT_PAGE).min(MOST_PAGE);
    let page: Vec<Value> = all.iter().skip(start).take(size).map(|name| model(name)).collect();
    let mut answer = json!({ "models": page });
    let next = start.saturating_add(size);
    if next < all.len() {
        answer["nextPageToken"] = next.to_string().into();
    }
    Ok(Draft::Json(answer.to_string().into_bytes()))
}

pub(crate) fn one(call: &Call<'_>) -> Result<Draft, Failure> {
    let name = named(call);
    if !call.profile.has_model(&name, MODEL_PREFIXES) {
        return Err(no_such_model(Surface::Gemini, call.parts.uri.path(), &name, "generateContent"));
    }
    Ok(Draft::Json(model(&name).to_string().into_bytes()))
}

fn model(name: &str) -> Value {
    let embeds = name.contains("embedding");
    let methods = if embeds {
        json!(["embedContent", "countTokens"])
    } else {
        json!(["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"])
    };
    json!({
        "name": format!("models/{name}"),
        "version": "001",
        "displayName": name,
        "description": "A model of the emulator.",
        "inputTokenLimit": if embeds { 2048 } else { 1_048_576 },
        "outputTokenLimit": if embeds { 1 } else { 65_536 },
        "supportedGenerationMethods": methods,
        "temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2, "thinking": !embeds,
    })
}
