//! JSON Schemas as Anthropic and AWS enforce them: every object is closed, and limits of numbers, lengths and counts are
//! not known. Anthropic's own SDKs tell the model of such limits in the description, and so does this.

use std::borrow::Cow;

use super::Fit;
use crate::{
    json::{
        self,
        write::{self, Array, Object},
    },
    loss::LossCode,
};

/// Schemas below this depth stay as they are.
const DEPTH_MAX: usize = 64;

const LIMITS: [&str; 11] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

impl Fit<'_> {
    /// `what`: the field that the schema is in.
    pub(super) fn closed<'a>(&mut self, schema: Cow<'a, str>, what: &'static str) -> Cow<'a, str> {
        if !self.can.closed_schemas {
            return schema;
        }
        let mut changes = Changes::default();
        let mut out = Vec::with_capacity(schema.len() + schema.len() / 8);
        write::array(&mut out, |a| changes.item(a, &schema, DEPTH_MAX));
        if changes.closed {
            self.losses.add(LossCode::Clamped, what);
        }
        if changes.unbound {
            self.losses.add(LossCode::Strictness, what);
        }
        let written = out.get(1..out.len().saturating_sub(1)).unwrap_or_default();
        String::from_utf8(written.to_vec()).map_or(schema, Cow::Owned)
    }
}

/// What a schema comes to say otherwise.
#[derive(Debug, Default)]
struct Changes {
    /// An object that was said to be open is not.
    closed: bool,
    /// A limit or a choice is not enforced.
    unbound: bool,
}

type Fields<'s> = Vec<(Cow<'s, str>, &'s str)>;

impl Changes {
    fn item(&mut self, a: &mut Array<'_>, text: &str, depth: usize) {
        match fields(text, depth) {
            Some(fields) => a.object(|o| self.fields(o, &fields, depth - 1)),
            None => a.raw(text),
        }
    }

    fn field(&mut self, o: &mut Object<'_>, key: &str, text: &str, depth: usize) {
        match fields(text, depth) {
            Some(fields) => o.object(key, |o| self.fields(o, &fields, depth - 1)),
            None if text.starts_with('[') => self.list(o, key, text, depth),
            None => o.raw(key, text),
        }
    }

    fn list(&mut self, o: &mut Object<'_>, key: &str, text: &str, depth: usize) {
        if !text.starts_with('[') {
            return o.raw(key, text);
        }
        o.array(key, |a| {
            // It starts as a list and is JSON.
            let _ = json::array(text, |each| self.item(a, each, depth));
        });
    }

    /// Schemas by name.
    fn named(&mut self, o: &mut Object<'_>, key: &str, text: &str, depth: usize) {
        if !text.starts_with('{') {
            return o.raw(key, text);
        }
        o.object(key, |o| {
            // It starts as an object and is JSON.
            let _ = json::object(text, |entry| self.field(o, &entry.name(), entry.value, depth));
        });
    }

    fn fields(&mut self, o: &mut Object<'_>, all: &Fields<'_>, depth: usize) {
        let has = |wanted: &str| all.iter().any(|(name, _)| name == wanted);
        let (has_any, says_open) = (has("anyOf"), has("additionalProperties"));
        let mut description = None;
        let mut limits = Vec::new();
        for (name, value) in all {
            match &**name {
                "additionalProperties" => {
                    self.closed |= *value != "false";
                    o.raw(name, "false");
                }
                "description" if description.is_none() => description = Some(*value),
                "properties" | "$defs" | "definitions" => self.named(o, name, value, depth),
                "items" => self.field(o, name, value, depth),
                "anyOf" | "allOf" | "prefixItems" => self.list(o, name, value, depth),
                "oneOf" if !has_any => {
                    self.unbound = true;
                    self.list(o, "anyOf", value, depth);
                }
                _ if is_limit(name, value) => limits.push(format!("{name}: {value}")),
                _ => o.raw(name, value),
            }
        }
        if is_object(all) && !says_open {
            o.value("additionalProperties", &false);
        }
        self.unbound |= !limits.is_empty();
        match (description, limits.as_slice()) {
            (Some(description), []) => o.raw("description", description),
            (None, []) => {}
            (description, limits) => {
                let told = description.and_then(json::string).unwrap_or_default();
                let gap = if told.is_empty() { "" } else { "\n\n" };
                o.string("description", &format!("{told}{gap}{{{}}}", limits.join(", ")));
            }
        }
    }
}

/// None: it is no object (`true` and `false` are schemas too), or too deep.
fn fields(text: &str, depth: usize) -> Option<Fields<'_>> {
    let mut fields = Vec::new();
    if depth == 0 || !text.starts_with('{') {
        return None;
    }
    json::object(text, |field| fields.push((field.name(), field.value))).ok()?;
    Some(fields)
}

fn is_limit(name: &str, value: &str) -> bool {
    match name {
        "minItems" => !matches!(value, "0" | "1"),
        "format" => json::string(value).is_some_and(|format| !FORMATS.contains(&&*format)),
        name => LIMITS.contains(&name),
    }
}

/// Whether it is about objects, perhaps besides other things.
fn is_object(fields: &Fields<'_>) -> bool {
    fields.iter().any(|(name, value)| match &**name {
        "properties" => true,
        "type" => {
            let mut is_one = json::string(value).as_deref() == Some("object");
            // What is no list names no others.
            let _ = json::array(value, |each| is_one |= json::string(each).as_deref() == Some("object"));
            is_one
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn closed(schema: &Value) -> (Value, bool, bool) {
        let mut changes = Changes::default();
        let mut out = Vec::new();
        write::array(&mut out, |a| changes.item(a, &schema.to_string(), DEPTH_MAX));
        let mut written: Vec<Value> = serde_json::from_slice(&out).unwrap();
        (written.remove(0), changes.closed, changes.unbound)
    }

    #[test]
    fn every_object_is_closed() {
        let schema = json!({
            "type": "object", "required": ["a"],
            "properties": {
                "a": {"type": ["object", "null"], "properties": {}},
                "list": {"type": "array", "minItems": 1, "items": {"properties": {"type": {"type": "string", "format": "uuid"}}}},
                "any": {"anyOf": [{"type": "object", "additionalProperties": false}, {"$ref": "#/$defs/A"}, true]},
            },
            "$defs": {"A": {"type": "object"}},
        });
        let expected = json!({
            "type": "object", "required": ["a"], "additionalProperties": false,
            "properties": {
                "a": {"type": ["object", "null"], "properties": {}, "additionalProperties": false},
                "list": {"type": "array", "minItems": 1, "items": {
                    "properties": {"type": {"type": "string", "format": "uuid"}}, "additionalProperties": false}},
                "any": {"anyOf": [{"type": "object", "additionalProperties": false}, {"$ref": "#/$defs/A"}, true]},
            },
            "$defs": {"A": {"type": "object", "additionalProperties": false}},
        });
        assert_eq!(closed(&schema), (expected.clone(), false, false));
        assert_eq!(closed(&expected), (expected, false, false));
    }

    #[test]
    fn what_it_said_otherwise_is_named() {
        for open in [json!(true), json!({"type": "string"})] {
            let (found, closed, unbound) = closed(&json!({"type": "object", "additionalProperties": open}));
            assert_eq!(found, json!({"type": "object", "additionalProperties": false}));
            assert_eq!((closed, unbound), (true, false));
        }
    }

    #[test]
    fn limits_are_told_in_the_description() {
        let schema = json!({"oneOf": [
            {"type": "integer", "format": "int32", "minimum": 1, "maximum": 5, "description": "Stars."},
            {"type": "array", "minItems": 2, "items": {"type": "string", "maxLength": 3}},
        ]});
        let expected = json!({"anyOf": [
            {"type": "integer", "description": "Stars.\n\n{format: \"int32\", maximum: 5, minimum: 1}"},
            {"type": "array", "items": {"type": "string", "description": "{maxLength: 3}"}, "description": "{minItems: 2}"},
        ]});
        assert_eq!(closed(&schema), (expected, false, true));
    }

    #[test]
    fn depth_is_bounded_and_what_is_no_schema_stays() {
        let depth = 100_000;
        let text = format!("{}{{}}{}", r#"{"items":"#.repeat(depth), "}".repeat(depth));
        let mut out = Vec::new();
        write::array(&mut out, |a| Changes::default().item(a, &text, DEPTH_MAX));
        assert_eq!(out.len(), text.len() + 2);
        for schema in [json!(true), json!([1]), json!({"properties": 7, "items": 1, "anyOf": "x"})] {
            let (found, ..) = closed(&schema);
            assert_eq!(found["anyOf"], schema["anyOf"]);
        }
    }
}
