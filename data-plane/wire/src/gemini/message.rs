//! Objects as protobuf reads them from JSON: fields in camelCase or snake_case, whole numbers also as strings, and one
//! item also where a list belongs.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// As `json::record!`, with field names in camelCase that are found in snake_case too.
macro_rules! message {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field:ident : $type:ty = $key:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default)]
        $vis struct $name<'a> {
            $($vis $field: Option<$type>,)+
            $vis unknown: Vec<(std::borrow::Cow<'a, str>, &'a serde_json::value::RawValue)>,
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
                        let mut message = $name::default();
                        while let Some($crate::json::record::Str(key)) = map.next_key()? {
                            match &*$crate::gemini::message::camel(&key) {
                                $($key => message.$field = map.next_value()?,)+
                                _ => {
                                    let value: &'de serde_json::value::RawValue = map.next_value()?;
                                    if value.get() != "null" {
                                        message.unknown.push((key, value));
                                    }
                                }
                            }
                        }
                        Ok(message)
                    }
                }
                deserializer.deserialize_map(Visitor(std::marker::PhantomData))
            }
        }
    };
}

pub(super) use message;

/// `inline_data` is `inlineData`.
pub(super) fn camel(name: &str) -> Cow<'_, str> {
    if !name.contains('_') {
        return Cow::Borrowed(name);
    }
    let mut camel = String::with_capacity(name.len());
    let mut raised = false;
    for letter in name.chars() {
        match letter {
            '_' => raised = true,
            _ if std::mem::take(&mut raised) => camel.push(letter.to_ascii_uppercase()),
            _ => camel.push(letter),
        }
    }
    Cow::Owned(camel)
}

/// A list, or one item in its place, read one by one later.
#[derive(Debug, Clone, Default)]
pub(super) struct Many<'a>(pub(super) Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Many<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&'de RawValue>::deserialize(deserializer)?;
        if value.get().starts_with('[') {
            return serde_json::from_str(value.get()).map(Self).map_err(de::Error::custom);
        }
        Ok(Self(vec![value]))
    }
}

/// A whole number. A fraction is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Int(pub(super) i64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Int;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_i64<E>(self, number: i64) -> Result<Int, E> {
                Ok(Int(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Int, E> {
                Ok(Int(i64::try_from(number).unwrap_or(i64::MAX)))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Int, E> {
                Ok(Int(number as i64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int, E> {
                let number = text.trim().parse();
                number.map(Int).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::record::Str;

    message! {
        struct Sample {
            name: Str<'a> = "displayName",
            list: Many<'a> = "aList",
            number: Int = "topK",
        }
    }

    fn read(body: &str) -> Option<Sample<'_>> {
        serde_json::from_str(body).ok()
    }

    #[test]
    fn fields_are_found_in_both_cases_and_unknown_ones_keep_their_names() {
        for body in [
            r#"{"displayName":"n","aList":[1,2],"topK":40,"odd_one":[7]}"#,
            r#"{"display_name":"n","a_list":[1,2],"top_k":"40","odd_one":[7],"none":null}"#,
        ] {
            let sample = read(body).unwrap();
            assert_eq!((sample.name.unwrap().0, sample.number), (Cow::Borrowed("n"), Some(Int(40))));
            assert_eq!(sample.list.unwrap().0.len(), 2);
            assert_eq!((&*sample.unknown[0].0, sample.unknown[0].1.get()), ("odd_one", "[7]"));
            assert_eq!(sample.unknown.len(), 1);
        }
    }

    #[test]
    fn one_item_is_a_list_too() {
        let list = |body| {
            read(body).unwrap().list.map(|list| list.0.iter().map(|item| item.get()).collect::<Vec<_>>())
        };
        assert_eq!(list(r#"{"aList":{"a":1}}"#), Some(vec![r#"{"a":1}"#]));
        assert_eq!(list(r#"{"aList":null}"#), None);
    }

    #[test]
    fn numbers_are_whole() {
        let number =
            |text: &str| read(&format!(r#"{{"topK":{text}}}"#)).map(|sample| sample.number.unwrap().0);
        assert_eq!([number("40.9"), number("-1"), number("1e30")], [Some(40), Some(-1), Some(i64::MAX)]);
        assert_eq!([number("\"x\""), number("[]"), number("true")], [None; 3]);
    }
}
