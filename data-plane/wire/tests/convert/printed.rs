//! JSON for people: the outer levels a line each, what is inside of them on one line.

use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Objects and lists are spread over lines down to this depth.
pub(crate) fn spread(value: &Value, depth: usize) -> String {
    let mut out = String::new();
    write(value, depth, 0, &mut out);
    out
}

fn write(value: &Value, depth: usize, indent: usize, out: &mut String) {
    let pad = " ".repeat((indent + 1) * 2);
    let end = " ".repeat(indent * 2);
    match value {
        Value::Object(fields) if depth > 0 && !fields.is_empty() => {
            out.push_str("{\n");
            for (number, (name, value)) in fields.iter().enumerate() {
                let comma = if number == 0 { "" } else { ",\n" };
                write!(out, "{comma}{pad}{}: ", Value::from(name.as_str())).unwrap();
                write(value, depth - 1, indent + 1, out);
            }
            write!(out, "\n{end}}}").unwrap();
        }
        Value::Array(items) if depth > 0 && !items.is_empty() => {
            out.push_str("[\n");
            for (number, value) in items.iter().enumerate() {
                out.push_str(if number == 0 { &pad } else { "," });
                if number > 0 {
                    write!(out, "\n{pad}").unwrap();
                }
                write(value, depth - 1, indent + 1, out);
            }
            write!(out, "\n{end}]").unwrap();
        }
        value => write!(out, "{value}").unwrap(),
    }
}

/// Reads JSON in which no object says a thing twice.
pub(crate) fn json(text: &[u8]) -> Value {
    serde_json::from_slice::<Once>(text)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
        .0
}

struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Once;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Once, E> {
                Ok(Once(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Once, E> {
                Ok(Once(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Once, E> {
                Ok(Once(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Once, E> {
                Ok(Once(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Once, E> {
                Ok(Once(value.into()))
            }

            fn visit_unit<E>(self) -> Result<Once, E> {
                Ok(Once(Value::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
                let mut all = Vec::new();
                while let Some(Once(item)) = items.next_element()? {
                    all.push(item);
                }
                Ok(Once(all.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Once, A::Error> {
                let mut all = serde_json::Map::new();
                while let Some((name, Once(value))) = fields.next_entry::<String, Once>()? {
                    if all.insert(name.clone(), value).is_some() {
                        return Err(serde::de::Error::custom(format!("`{name}` is there twice")));
                    }
                }
                Ok(Once(all.into()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
