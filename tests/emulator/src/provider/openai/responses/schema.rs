//! What a schema must be for its arguments or answers to be exact.

use serde_json::{Map, Value};

/// Deeper ones are refused.
const MOST_LEVELS: usize = 10;

/// What is wrong with a strict schema, in the provider's words: the place, and the rule.
pub(super) fn strict_fault(schema: &Value) -> Option<String> {
    fault(schema, &mut Vec::new())
}

fn fault<'s>(schema: &'s Value, context: &mut Vec<&'s str>) -> Option<String> {
    if context.len() > 2 * MOST_LEVELS {
        return Some(format!("The schema exceeds {MOST_LEVELS} levels of nesting."));
    }
    let schema = schema.as_object()?;
    let found = if is_object(schema) { object_fault(schema, context) } else { None };
    found.or_else(|| inner_fault(schema, context))
}

fn is_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => schema.contains_key("properties"),
    }
}

fn object_fault(schema: &Map<String, Value>, context: &[&str]) -> Option<String> {
    let place = place(context);
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Some(format!(
            "In context={place}, 'additionalProperties' is required to be supplied and to be false."
        ));
    }
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object)?;
    let absent = properties.keys().find(|name| !required.iter().any(|one| one == name.as_str()))?;
    Some(format!(
        "In context={place}, 'required' is required to be supplied and to be an array including every key in properties. Missing '{absent}'."
    ))
}

fn inner_fault<'s>(schema: &'s Map<String, Value>, context: &mut Vec<&'s str>) -> Option<String> {
    for (name, inner) in schema {
        let found = match (name.as_str(), inner) {
            ("properties" | "$defs" | "definitions", Value::Object(named)) => {
                named.iter().find_map(|(key, value)| within(&[name, key], value, context))
            }
            ("anyOf", Value::Array(several)) => {
                several.iter().find_map(|value| within(&[name], value, context))
            }
            ("items", value) => within(&[name], value, context),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn within<'s>(names: &[&'s str], schema: &'s Value, context: &mut Vec<&'s str>) -> Option<String> {
    context.extend(names);
    let found = fault(schema, context);
    context.truncate(context.len().saturating_sub(names.len()));
    found
}

/// As Python writes a tuple of strings.
fn place(context: &[&str]) -> String {
    let quoted: Vec<String> = context.iter().map(|name| format!("'{name}'")).collect();
    match quoted.as_slice() {
        [one] => format!("({one},)"),
        several => format!("({})", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_object_names_all_its_properties_and_no_others() {
        let cases = [
            (json!({"type": "object"}), "In context=(), 'additionalProperties' is required"),
            (
                json!({"type": "object", "additionalProperties": false, "properties": {"a": {}}, "required": []}),
                "In context=(), 'required' is required to be supplied and to be an array including every key in properties. Missing 'a'.",
            ),
            (
                json!({"type": "object", "additionalProperties": false, "required": ["a"],
                    "properties": {"a": {"type": "array", "items": {"type": "object"}}}}),
                "In context=('properties', 'a', 'items'), 'additionalProperties'",
            ),
        ];
        for (schema, start) in cases {
            let found = strict_fault(&schema).unwrap();
            assert!(found.starts_with(start), "{found}");
        }
        let good = json!({"type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {"a": {"type": ["string", "null"]}}});
        assert_eq!(strict_fault(&good), None);
    }

    #[test]
    fn depth_has_a_bound() {
        let mut schema = json!({"type": "string"});
        for _ in 0..100 {
            schema = json!({"type": "array", "items": schema});
        }
        assert!(strict_fault(&schema).unwrap().contains("levels of nesting"));
    }
}
