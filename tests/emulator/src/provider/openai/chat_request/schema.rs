//! What a schema must be to be taken, and to be followed exactly.

use serde_json::{Map, Value};

/// What is wrong with a function's schema, in the provider's words: the place, and the rule.
pub(super) fn fault(schema: &Value, strict: bool) -> Option<String> {
    root_fault(schema).or_else(|| inner_fault(schema, strict, &mut Vec::new()))
}

/// The same of a format's, which is looked into only when it is strict.
pub(super) fn format_fault(schema: &Value, strict: bool) -> Option<String> {
    if strict { fault(schema, true) } else { root_fault(schema) }
}

fn root_fault(schema: &Value) -> Option<String> {
    match schema.get("type").and_then(Value::as_str).unwrap_or("None") {
        "object" => None,
        kind => Some(format!("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'.")),
    }
}

/// Recursion is bounded by the depth of JSON that is read at all.
fn inner_fault<'s>(schema: &'s Value, strict: bool, context: &mut Vec<&'s str>) -> Option<String> {
    let schema = schema.as_object()?;
    let broken = match schema.get("type").and_then(Value::as_str) {
        Some("object") => object_fault(schema, strict),
        Some("array") if !schema.contains_key("items") => Some("array schema missing items.".to_owned()),
        _ => None,
    };
    if let Some(broken) = broken {
        return Some(format!("In context={}, {broken}", place(context)));
    }
    schema.iter().find_map(|(name, inner)| match (name.as_str(), inner) {
        ("properties" | "$defs" | "definitions", Value::Object(named)) => {
            named.iter().find_map(|(key, value)| within(&[name, key], value, strict, context))
        }
        ("anyOf", Value::Array(several)) => {
            several.iter().find_map(|value| within(&[name], value, strict, context))
        }
        ("items", value) => within(&[name], value, strict, context),
        _ => None,
    })
}

fn within<'s>(
    steps: &[&'s str],
    schema: &'s Value,
    strict: bool,
    context: &mut Vec<&'s str>,
) -> Option<String> {
    let outside = context.len();
    context.extend_from_slice(steps);
    let found = inner_fault(schema, strict, context);
    context.truncate(outside);
    found
}

fn object_fault(schema: &Map<String, Value>, strict: bool) -> Option<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    if strict && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Some("'additionalProperties' is required to be supplied and to be false.".to_owned());
    }
    // A map has properties that nobody can name.
    if properties.is_none() && !schema.contains_key("additionalProperties") {
        return Some("object schema missing properties.".to_owned());
    }
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let listed = |name: &String| required.iter().any(|one| one.as_str() == Some(name));
    let absent = properties.filter(|_| strict)?.keys().find(|name| !listed(name))?;
    Some(format!(
        "'required' is required to be supplied and to be an array including every key in properties. Missing '{absent}'."
    ))
}

/// As the provider writes it, which is as Python writes a tuple.
fn place(context: &[&str]) -> String {
    let steps: Vec<String> = context.iter().map(|step| format!("'{step}'")).collect();
    match steps.as_slice() {
        [only] => format!("({only},)"),
        steps => format!("({})", steps.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_are_found_where_they_are() {
        let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
            "additionalProperties": false});
        let nested = json!({"type": "object", "required": ["list"], "additionalProperties": false, "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"b": {}}, "additionalProperties": false}}}});
        let bare = json!({"type": "object", "properties": {"list": {"type": "array"}}});
        let cases = [
            (&closed, true, None),
            (&nested, false, None),
            (
                &nested,
                true,
                Some(
                    "In context=('properties', 'list', 'items'), 'required' is required to be supplied and to be an array including every key in properties. Missing 'b'.",
                ),
            ),
            (
                &bare,
                true,
                Some("In context=(), 'additionalProperties' is required to be supplied and to be false."),
            ),
            (&bare, false, Some("In context=('properties', 'list'), array schema missing items.")),
            (&json!({"type": "object"}), false, Some("In context=(), object schema missing properties.")),
            (
                &json!({}),
                false,
                Some("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."),
            ),
        ];
        for (schema, strict, found) in cases {
            assert_eq!(fault(schema, strict).as_deref(), found, "{schema}");
        }
    }
}
