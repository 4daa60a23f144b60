//! POST /v1/embeddings

use base64::Engine as _;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    provider::{
        Call, Failure,
        openai::{MODEL_PREFIXES, bad_json, invalid, missing, no_such_model, wrong_type},
    },
    template::Draft,
    turn::tokens,
};

/// Short, so that answers stay readable.
const DEFAULT_DIMENSIONS: u64 = 16;
const MOST_DIMENSIONS: u64 = 4096;
const MOST_INPUTS: usize = 2048;

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Embedding>,
    model: &'a str,
    usage: Counts,
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<f32>),
    Packed(String),
}

#[derive(Serialize)]
struct Counts {
    prompt_tokens: u64,
    total_tokens: u64,
}

pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let Ok(Value::Object(body)) = serde_json::from_slice(call.body) else {
        return Err(bad_json());
    };
    let model = match body.get("model") {
        None => return Err(invalid("you must provide a model parameter")),
        Some(model) => model.as_str().ok_or_else(|| wrong_type("model", "a string"))?,
    };
    let inputs = inputs(body.get("input").ok_or_else(|| missing("input"))?)?;
    if !call.profile.has_model(model, MODEL_PREFIXES) {
        return Err(no_such_model(model));
    }
    let dimensions = body.get("dimensions").and_then(Value::as_u64).unwrap_or(DEFAULT_DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(
            invalid(format!("Invalid value for 'dimensions' = {dimensions}.")).with_param("dimensions")
        );
    }
    let packed = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let counted = inputs.iter().map(|input| tokens(input.len())).sum();
    let prompt_tokens = call.behaviour.usage.input.unwrap_or(counted);
    let data = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| Embedding {
            object: "embedding",
            index,
            embedding: vector(input, dimensions, packed),
        })
        .collect();
    let usage = Counts { prompt_tokens, total_tokens: prompt_tokens };
    let list = List { object: "list", data, model, usage };
    Ok(Draft::Json(serde_json::to_vec(&list).unwrap_or_default()))
}

/// One text, several, or token ids (whose text stands for them here).
fn inputs(input: &Value) -> Result<Vec<String>, Failure> {
    let texts = match input {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) if list.first().is_some_and(Value::is_number) => vec![input.to_string()],
        Value::Array(list) => {
            list.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
        }
        _ => return Err(wrong_type("input", "a string or an array")),
    };
    if texts.is_empty() || texts.len() > MOST_INPUTS || texts.iter().any(String::is_empty) {
        return Err(invalid(
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
        ));
    }
    Ok(texts)
}

/// A unit vector that follows from the text.
fn vector(text: &str, dimensions: u64, packed: bool) -> Vector {
    let digest = Sha256::digest(text.as_bytes());
    let raw: Vec<f32> =
        digest.iter().cycle().zip(0..dimensions).map(|(byte, _)| f32::from(*byte) - 127.5).collect();
    let length = raw.iter().map(|part| part * part).sum::<f32>().sqrt();
    let unit = raw.into_iter().map(|part| part / length);
    if packed {
        let bytes: Vec<u8> = unit.flat_map(f32::to_le_bytes).collect();
        Vector::Packed(base64::engine::general_purpose::STANDARD.encode(bytes))
    } else {
        Vector::Numbers(unit.collect())
    }
}
