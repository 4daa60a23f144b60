//! How the answer is sampled: numbers, and which of them which models and versions still take.

use http::HeaderMap;
use serde_json::Value;

use super::field::{present, refuse};
use crate::provider::{
    Failure,
    anthropic::{invalid, model::Model},
};

/// From this version on there is no say in the sampling, whatever the model.
pub(super) const VERSION_WITHOUT: &str = "2026-10-21";
const SAMPLERS: &[&str] = &["temperature", "top_p", "top_k"];

/// Where there is no say, a default is passed over in silence; `strict` refuses that as well.
pub(super) fn check(body: &Value, headers: &HeaderMap, model: Model, strict: bool) -> Result<(), Failure> {
    let version = headers.get("anthropic-version").and_then(|version| version.to_str().ok());
    if version == Some(VERSION_WITHOUT)
        && let Some(name) = SAMPLERS.iter().find(|name| present(body, name).is_some())
    {
        return Err(refuse(name, "Extra inputs are not permitted"));
    }
    check_ranges(body)?;
    check_model(body, model, strict)
}

/// What the model itself takes no more.
pub(super) fn check_model(body: &Value, model: Model, strict: bool) -> Result<(), Failure> {
    let given = || SAMPLERS.iter().filter(|name| present(body, name).is_some());
    let is_default = |name: &str| name != "top_k" && present(body, name).and_then(Value::as_f64) == Some(1.0);
    if model.refuses_samplers()
        && let Some(name) = given().find(|name| strict || !is_default(name))
    {
        return Err(invalid(format!("`{name}` is deprecated for this model.")));
    }
    if model.refuses_two_samplers() && given().filter(|name| **name != "top_k").count() == 2 {
        return Err(invalid(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        ));
    }
    Ok(())
}

fn check_ranges(body: &Value) -> Result<(), Failure> {
    for name in ["temperature", "top_p"] {
        let Some(value) = present(body, name) else { continue };
        let number = value.as_f64().ok_or_else(|| refuse(name, "Input should be a valid number"))?;
        if !(0.0..=1.0).contains(&number) {
            return Err(refuse(name, "range: 0..1"));
        }
    }
    match present(body, "top_k").map(Value::as_i64) {
        None | Some(Some(0..)) => Ok(()),
        Some(None) => Err(refuse("top_k", "Input should be a valid integer")),
        Some(Some(_)) => Err(refuse("top_k", "Input should be greater than or equal to 0")),
    }
}
