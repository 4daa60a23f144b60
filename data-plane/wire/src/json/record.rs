//! Objects with known fields, read in one pass: known ones into a struct, unknown ones kept as they are.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// Text that borrows from the body where it holds no escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Str<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> de::Visitor<'de> for Visitor<'a> {
            type Value = Str<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Str<'a>, E> {
                Ok(Str(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Str<'a>, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Str<'a>, E> {
                Ok(Str(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(Visitor(PhantomData))
    }
}

/// A string, or a list of items that are read one by one later: how wires write content.
#[derive(Debug, Clone)]
pub(crate) enum TextOr<'a> {
    Text(Cow<'a, str>),
    Items(Vec<&'a RawValue>),
}

impl<'de: 'a, 'a> Deserialize<'de> for TextOr<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> de::Visitor<'de> for Visitor<'a> {
            type Value = TextOr<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<TextOr<'a>, E> {
                Ok(TextOr::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<TextOr<'a>, E> {
                Ok(TextOr::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<TextOr<'a>, E> {
                Ok(TextOr::Text(Cow::Owned(text)))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<TextOr<'a>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<&'de RawValue>()? {
                    list.push(item);
                }
                Ok(TextOr::Items(list))
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

/// Makes a struct that reads a JSON object: `record! { pub(crate) struct Name { field: Type = "name" } }`. Every
/// field is an `Option`: absent and null are `None`; of doubles the last one holds. `unknown` has all other fields.
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field:ident : $type:ty = $key:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default)]
        $vis struct $name<'a> {
            $(pub(crate) $field: Option<$type>,)+
            pub(crate) unknown: Vec<(std::borrow::Cow<'a, str>, &'a serde_json::value::RawValue)>,
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor<'a>(std::marker::PhantomData<&'a ()>);
                impl<'de: 'a, 'a> serde::de::Visitor<'de> for Visitor<'a> {
                    type Value = $name<'a>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name<'a>, A::Error> {
                        let mut record = $name::default();
                        while let Some($crate::json::record::Str(key)) = map.next_key()? {
                            match &*key {
                                $($key => record.$field = map.next_value()?,)+
                                _ => {
                                    let value: &'de serde_json::value::RawValue = map.next_value()?;
                                    if value.get() != "null" {
                                        record.unknown.push((key, value));
                                    }
                                }
                            }
                        }
                        Ok(record)
                    }
                }
                deserializer.deserialize_map(Visitor(std::marker::PhantomData))
            }
        }
    };
}

pub(crate) use record;

#[cfg(test)]
mod tests {
    use super::*;

    record! {
        struct Sample {
            text: Str<'a> = "text",
            content: TextOr<'a> = "content",
            count: u64 = "count",
        }
    }

    #[test]
    fn known_fields_are_read_and_unknown_ones_kept() {
        let body =
            r#"{"count":null,"text":"plain","odd":{"a":[1]},"content":["x",{"y":1}],"none":null,"count":3}"#;
        let sample: Sample<'_> = serde_json::from_str(body).unwrap();
        assert_eq!(sample.count, Some(3));
        assert!(matches!(sample.text, Some(Str(Cow::Borrowed("plain")))));
        assert!(matches!(&sample.content, Some(TextOr::Items(items)) if items[1].get() == r#"{"y":1}"#));
        assert_eq!(sample.unknown.len(), 1);
        assert_eq!((&*sample.unknown[0].0, sample.unknown[0].1.get()), ("odd", r#"{"a":[1]}"#));
    }

    #[test]
    fn escapes_are_taken_off() {
        let sample: Sample<'_> = serde_json::from_str(r#"{"te\u0078t":"a\nb","content":"c\"d"}"#).unwrap();
        assert_eq!(sample.text.unwrap().0, "a\nb");
        assert!(matches!(sample.content, Some(TextOr::Text(text)) if text == "c\"d"));
    }
}
