//! GET /v1/models and GET /v1/models/{model}

use serde::Serialize;

use crate::{
    clock::CREATED_SECONDS,
    provider::{
        Call, Failure,
        openai::{MODEL_PREFIXES, no_such_model},
    },
    template::Draft,
};

const MODELS: &[&str] = &["gpt-5.1", "gpt-5-mini", "gpt-4o", "gpt-4o-mini", "o3", "text-embedding-3-small"];

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

pub(crate) fn list(call: &Call<'_>) -> Result<Draft, Failure> {
    let data = match &call.profile.models {
        Some(models) => models.iter().map(|id| model(id)).collect(),
        None => MODELS.iter().copied().map(model).collect(),
    };
    Ok(Draft::Json(serde_json::to_vec(&List { object: "list", data }).unwrap_or_default()))
}

pub(crate) fn one(call: &Call<'_>) -> Result<Draft, Failure> {
    let id = call.name.unwrap_or_default();
    if !call.profile.has_model(id, MODEL_PREFIXES) {
        return Err(no_such_model(id));
    }
    Ok(Draft::Json(serde_json::to_vec(&model(id)).unwrap_or_default()))
}

const fn model(id: &str) -> Model<'_> {
    Model { id, object: "model", created: CREATED_SECONDS, owned_by: "system" }
}
