//! Google's `Schema` (OpenAPI 3.0's dialect) as standard JSON Schema.

use serde_json::value::RawValue;

use super::message::{Many, camel, message};
use crate::json::{
    self,
    write::{self, Array, Object},
};

/// Schemas below this depth stay as they are.
const DEPTH_MAX: usize = 64;

message! {
    struct Schema {
        kind: &'a RawValue = "type",
        nullable: &'a RawValue = "nullable",
        format: &'a RawValue = "format",
        words: Many<'a> = "enum",
        properties: &'a RawValue = "properties",
        items: &'a RawValue = "items",
        prefix_items: Many<'a> = "prefixItems",
        any_of: Many<'a> = "anyOf",
        additional: &'a RawValue = "additionalProperties",
        definitions: &'a RawValue = "defs",
        reference: &'a RawValue = "ref",
        example: &'a RawValue = "example",
        ordering: &'a RawValue = "propertyOrdering",
    }
}

/// JSON text of a schema in the standard dialect. What is standard already keeps its meaning.
pub(super) fn standard(schema: &RawValue) -> String {
    let Ok(read) = serde_json::from_str(schema.get()) else {
        return schema.get().to_owned();
    };
    let mut out = Vec::with_capacity(schema.get().len());
    write::object(&mut out, |o| fields(o, &read, DEPTH_MAX));
    String::from_utf8(out).unwrap_or_else(|_| schema.get().to_owned())
}

/// A schema below. `true` and `false` are schemas too, and stay.
fn below<'a>(text: &'a str, depth: usize) -> Option<(Schema<'a>, usize)> {
    let depth = depth.checked_sub(1)?;
    Some((serde_json::from_str(text).ok()?, depth))
}

fn field(o: &mut Object<'_>, key: &str, text: &str, depth: usize) {
    match below(text, depth) {
        Some((schema, depth)) => o.object(key, |o| fields(o, &schema, depth)),
        None => o.raw(key, text),
    }
}

fn item(a: &mut Array<'_>, text: &str, depth: usize) {
    match below(text, depth) {
        Some((schema, depth)) => a.object(|o| fields(o, &schema, depth)),
        None => a.raw(text),
    }
}

/// Schemas by name.
fn named(o: &mut Object<'_>, key: &str, map: &str, depth: usize) {
    if !map.starts_with('{') {
        return o.raw(key, map);
    }
    o.object(key, |o| {
        // It starts as an object and is JSON.
        let _ = json::object(map, |entry| field(o, &entry.name(), entry.value, depth));
    });
}

fn fields(o: &mut Object<'_>, schema: &Schema<'_>, depth: usize) {
    let nullable = schema.nullable.is_some_and(|value| value.get() == "true");
    if let Some(kind) = schema.kind {
        type_of(o, kind.get(), nullable);
    }
    // `enum` says only that there are words, and is no standard format.
    o.some_raw("format", schema.format.filter(|format| format.get() != "\"enum\""));
    if let Some(words) = &schema.words {
        o.array("enum", |a| {
            words.0.iter().for_each(|word| a.raw(word.get()));
            if nullable && words.0.iter().all(|word| word.get() != "null") {
                a.raw("null");
            }
        });
    }
    if let Some(properties) = schema.properties {
        named(o, "properties", properties.get(), depth);
    }
    if let Some(items) = schema.items {
        field(o, "items", items.get(), depth);
    }
    if let Some(items) = &schema.prefix_items {
        o.array("prefixItems", |a| items.0.iter().for_each(|each| item(a, each.get(), depth)));
    }
    if let Some(choices) = &schema.any_of {
        o.array("anyOf", |a| {
            choices.0.iter().for_each(|each| item(a, each.get(), depth));
            if nullable && schema.kind.is_none() {
                a.object(|o| o.string("type", "null"));
            }
        });
    }
    if let Some(additional) = schema.additional {
        field(o, "additionalProperties", additional.get(), depth);
    }
    if let Some(definitions) = schema.definitions {
        named(o, "$defs", definitions.get(), depth);
    }
    if let Some(reference) = schema.reference.and_then(|reference| json::string(reference.get())) {
        o.string("$ref", &reference.replacen("#/defs/", "#/$defs/", 1));
    }
    if let Some(example) = schema.example {
        o.array("examples", |a| a.raw(example.get()));
    }
    for (name, value) in &schema.unknown {
        other(o, name, value.get(), depth);
    }
}

/// A type's name, or several, in lower case.
fn type_of(o: &mut Object<'_>, kind: &str, nullable: bool) {
    let mut names = Vec::new();
    match json::string(kind) {
        Some(name) => names.push(name),
        None => {
            // Something else than a list of names says nothing.
            let _ = json::array(kind, |name| names.extend(json::string(name)));
        }
    }
    names.retain(|name| name != "TYPE_UNSPECIFIED");
    let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    if nullable && !names.is_empty() && names.iter().all(|name| name != "null") {
        names.push("null".to_owned());
    }
    match names.as_slice() {
        [] => {}
        [name] => o.string("type", name),
        names => o.value("type", names),
    }
}

/// Fields that both dialects have, or only the standard one.
fn other(o: &mut Object<'_>, name: &str, value: &str, depth: usize) {
    match &*camel(name) {
        "$defs" | "definitions" => named(o, name, value, depth),
        // Google writes whole numbers of 64 bits as strings.
        known @ ("minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties") => {
            match json::string(value).and_then(|number| number.parse::<u64>().ok()) {
                Some(number) => o.value(known, &number),
                None => o.raw(known, value),
            }
        }
        _ => o.raw(name, value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn translated(schema: &Value) -> Value {
        let schema = RawValue::from_string(schema.to_string()).unwrap();
        serde_json::from_str(&standard(&schema)).unwrap()
    }

    #[test]
    fn googles_dialect_becomes_the_standard_one() {
        let schema = json!({
            "type": "OBJECT", "title": "T", "required": ["type"], "propertyOrdering": ["type"],
            "properties": {
                "type": {"type": "STRING", "format": "enum", "enum": ["a"], "nullable": true, "example": "a"},
                "my_list": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "min_items": "1"},
                "any": {"anyOf": [{"type": "NUMBER"}, {"ref": "#/defs/X"}], "nullable": true},
            },
            "defs": {"X": {"type": "TYPE_UNSPECIFIED", "nullable": true}},
        });
        let expected = json!({
            "type": "object", "title": "T", "required": ["type"],
            "properties": {
                "type": {"type": ["string", "null"], "enum": ["a", null], "examples": ["a"]},
                "my_list": {"type": "array", "items": {"type": "integer", "format": "int32"}, "minItems": 1},
                "any": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/X"}, {"type": "null"}]},
            },
            "$defs": {"X": {}},
        });
        assert_eq!(translated(&schema), expected);
        assert_eq!(translated(&expected), expected);
    }

    #[test]
    fn what_is_standard_stays() {
        for schema in [
            json!({"type": ["string", "null"], "const": 1, "x_own": {"type": "STRING"}}),
            json!({"$defs": {"A": true}, "additionalProperties": false, "oneOf": [{"type": "string"}]}),
            json!(true),
            json!({"properties": 7, "minItems": "many"}),
        ] {
            assert_eq!(translated(&schema), schema);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let depth = 100_000;
        let text = format!("{}{{}}{}", r#"{"type":"ARRAY","items":"#.repeat(depth), "}".repeat(depth));
        let found = standard(&RawValue::from_string(text).unwrap());
        assert_eq!(found.matches("\"array\"").count(), DEPTH_MAX + 1);
    }
}
