//! What the provider wants of a schema beyond its spelling, and the schema as JSON Schema has it.

use serde_json::{Map, Value, json};

/// Adds what is wrong as a place and a reason.
pub(super) fn check(schema: &Value, place: &str, wrong: &mut Vec<(String, String)>) {
    let mut refuse = |field: String, why: &str| wrong.push((format!("{place}.{field}"), why.to_owned()));
    let kind = schema["type"].as_str().unwrap_or("TYPE_UNSPECIFIED");
    let properties = schema["properties"].as_object();
    let required: Vec<&str> = list(&schema["required"]).iter().filter_map(Value::as_str).collect();
    if kind == "OBJECT" {
        if properties.is_none_or(Map::is_empty) {
            refuse("properties".to_owned(), "should be non-empty for OBJECT type");
        }
        for (index, name) in required.iter().enumerate() {
            if properties.is_none_or(|all| !all.contains_key(*name)) {
                refuse(format!("required[{index}]"), "property is not defined");
            }
        }
    } else if kind != "TYPE_UNSPECIFIED" {
        if properties.is_some() {
            refuse("properties".to_owned(), "only allowed for OBJECT type");
        }
        if !required.is_empty() {
            refuse("required".to_owned(), "only allowed for OBJECT type");
        }
    }
    if kind == "ARRAY" && schema["items"].is_null() {
        refuse("items".to_owned(), "missing field.");
    }
    let values = list(&schema["enum"]);
    if !values.is_empty() && kind != "STRING" {
        refuse("enum".to_owned(), "only allowed for STRING type");
    }
    if let Some(index) = values.iter().position(|value| value == "") {
        refuse(format!("enum[{index}]"), "cannot be empty");
    }
    if kind == "STRING" && !matches!(schema["format"].as_str(), None | Some("enum" | "date-time")) {
        refuse("format".to_owned(), "only 'enum' and 'date-time' are supported for STRING type");
    }
    for (name, property) in properties.into_iter().flatten() {
        check(property, &format!("{place}.properties[{name}]"), wrong);
    }
    if schema["items"].is_object() {
        check(&schema["items"], &format!("{place}.items"), wrong);
    }
    for (index, choice) in list(&schema["any_of"]).iter().enumerate() {
        check(choice, &format!("{place}.any_of[{index}]"), wrong);
    }
}

/// As JSON Schema writes it: types in small letters.
pub(super) fn as_json_schema(schema: &Value) -> Value {
    let Value::Object(given) = schema else {
        return schema.clone();
    };
    let mut lowered = Map::new();
    for (name, value) in given {
        let (name, value) = match name.as_str() {
            "type" => ("type", json!(value.as_str().unwrap_or_default().to_ascii_lowercase())),
            "items" => ("items", as_json_schema(value)),
            "any_of" => ("anyOf", list(value).iter().map(as_json_schema).collect()),
            "properties" => {
                let all = value.as_object().into_iter().flatten();
                ("properties", all.map(|(name, one)| (name.clone(), as_json_schema(one))).collect())
            }
            other => (other, value.clone()),
        };
        lowered.insert(name.to_owned(), value);
    }
    lowered.into()
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(schema: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        check(schema, "s", &mut wrong);
        wrong.into_iter().map(|(place, why)| format!("{place}: {why}")).collect()
    }

    #[test]
    fn what_the_provider_does_not_take_is_named() {
        for (schema, told) in [
            (json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]}), vec![]),
            (json!({"type": "OBJECT"}), vec!["s.properties: should be non-empty for OBJECT type"]),
            (
                json!({"type": "OBJECT", "properties": {"a": {"type": "ARRAY"}}, "required": ["b"]}),
                vec!["s.required[0]: property is not defined", "s.properties[a].items: missing field."],
            ),
            (
                json!({"any_of": [{"type": "INTEGER", "enum": ["1"]}, {"type": "STRING", "format": "uri"}]}),
                vec![
                    "s.any_of[0].enum: only allowed for STRING type",
                    "s.any_of[1].format: only 'enum' and 'date-time' are supported for STRING type",
                ],
            ),
        ] {
            assert_eq!(wrong(&schema), told, "{schema}");
        }
    }

    #[test]
    fn types_become_small() {
        let schema =
            json!({"type": "OBJECT", "properties": {"type": {"type": "ARRAY", "items": {"type": "NUMBER"}}}});
        let lowered =
            json!({"type": "object", "properties": {"type": {"type": "array", "items": {"type": "number"}}}});
        assert_eq!(as_json_schema(&schema), lowered);
    }
}
