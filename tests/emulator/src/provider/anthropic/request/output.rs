//! What the answer is to look like: effort, and JSON by a schema.

use serde_json::Value;

use super::field::{one_of, present, refuse, required, tag};
use crate::{
    provider::{
        Failure,
        anthropic::{invalid, model::Model},
    },
    turn::Format,
};

const EFFORTS: &[&str] = &["low", "medium", "high", "xhigh", "max"];

/// The format stands in `output_config`, and in older requests beside it.
pub(super) fn read(body: &Value, model: Model) -> Result<Format, Failure> {
    let config = present(body, "output_config");
    if let Some(config) = config {
        if !config.is_object() {
            return Err(refuse("output_config", "Input should be a valid dictionary"));
        }
        if let Some(effort) = present(config, "effort") {
            one_of(effort, "output_config.effort", EFFORTS)?;
            check_effort(model)?;
        }
    }
    if let Some(format) = config.and_then(|config| present(config, "format")) {
        return schema(format, "output_config.format");
    }
    match present(body, "output_format") {
        Some(format) => schema(format, "output_format"),
        None => Ok(Format::Text),
    }
}

pub(super) fn check_effort(model: Model) -> Result<(), Failure> {
    if model.takes_effort() {
        return Ok(());
    }
    Err(invalid("This model does not support the effort parameter."))
}

fn schema(format: &Value, path: &str) -> Result<Format, Failure> {
    tag(format, path, &["json_schema"])?;
    let schema = required(format, path, "schema")?;
    let path = format!("{path}.schema");
    if !schema.is_object() {
        return Err(refuse(&path, "Input should be a valid dictionary"));
    }
    check_closed(schema, &path)?;
    Ok(Format::Schema(schema.clone()))
}

/// Each object of the schema says that it has no other properties.
pub(super) fn check_closed(schema: &Value, path: &str) -> Result<(), Failure> {
    let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
    if is_object && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(refuse(
            path,
            "For 'object' type, 'additionalProperties' must be explicitly set to false",
        ));
    }
    match schema {
        Value::Object(fields) => fields.values().try_for_each(|inner| check_closed(inner, path)),
        Value::Array(inner) => inner.iter().try_for_each(|inner| check_closed(inner, path)),
        _ => Ok(()),
    }
}
