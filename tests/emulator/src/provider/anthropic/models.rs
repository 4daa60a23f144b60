//! GET /v1/models and GET /v1/models/{model}

use serde::Serialize;

use crate::{
    clock::CREATED_AT,
    provider::{
        Call, Failure,
        anthropic::{MODEL_PREFIXES, invalid, no_such_model},
        query,
    },
    template::Draft,
};

const MODELS: &[&str] = &[
    "claude-opus-4-5-20251101",
    "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5-20250929",
    "claude-sonnet-4-20250514",
];

#[derive(Serialize)]
struct Model<'a> {
    r#type: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: &'static str,
}

#[derive(Serialize)]
struct Page<'a> {
    data: Vec<Model<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

pub(crate) fn list(call: &Call<'_>) -> Result<Draft, Failure> {
    let known: Vec<&str> = match &call.profile.models {
        Some(models) => models.iter().map(String::as_str).collect(),
        None => MODELS.to_vec(),
    };
    let limit = match query(call.parts, "limit") {
        None => 20,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=1000) => limit,
            _ => return Err(invalid("limit: Input should be between 1 and 1000")),
        },
    };
    let after = query(call.parts, "after_id");
    let start = after.and_then(|after| known.iter().position(|id| *id == after)).map_or(0, |at| at + 1);
    let page: Vec<&str> = known.iter().skip(start).take(limit).copied().collect();
    let page = Page {
        has_more: start + page.len() < known.len(),
        first_id: page.first().copied(),
        last_id: page.last().copied(),
        data: page.into_iter().map(model).collect(),
    };
    Ok(Draft::Json(serde_json::to_vec(&page).unwrap_or_default()))
}

pub(crate) fn one(call: &Call<'_>) -> Result<Draft, Failure> {
    let id = call.name.unwrap_or_default();
    if !call.profile.has_model(id, MODEL_PREFIXES) {
        return Err(no_such_model(id));
    }
    Ok(Draft::Json(serde_json::to_vec(&model(id)).unwrap_or_default()))
}

const fn model(id: &str) -> Model<'_> {
    Model { r#type: "model", id, display_name: id, created_at: CREATED_AT }
}
