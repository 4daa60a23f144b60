//! Objects read into records, with the field at fault named where one can't be.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};
use serde_json::{Number, value::RawValue};

use crate::{
    codec::Unreadable,
    json::{self, place_in},
};

/// The body as text, without a byte order mark.
pub(super) fn text_of(body: &[u8]) -> Result<&str, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::new("body", "must be UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads a value; `at` says where it stands, empty for the whole body.
pub(super) fn parse<'a, T: Deserialize<'a>>(
    text: &'a str,
    at: impl FnOnce() -> String,
) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|error| unreadable(text, at(), &error))
}

fn unreadable(text: &str, at: String, error: &serde_json::Error) -> Unreadable {
    let whole = |at: String| if at.is_empty() { "body".to_owned() } else { at };
    if !error.is_data() {
        return Unreadable::new(whole(at), format!("is not valid JSON: {error}"));
    }
    // The field that was being read when it failed: the last that starts ahead of that place.
    let place = place_of(text, error);
    let mut field = None;
    let _ = json::object(text, |each| {
        if place_in(text.as_bytes(), each.value).start <= place {
            field = Some(each.name());
        }
    });
    let field = match field {
        Some(name) if at.is_empty() => name.into_owned(),
        Some(name) => format!("{at}.{name}"),
        None => whole(at),
    };
    Unreadable::new(field, json::problem(error))
}

fn place_of(text: &str, error: &serde_json::Error) -> usize {
    let ahead: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    ahead.saturating_add(error.column())
}

/// A value whose form depends on what stands beside it.
#[derive(Debug, Clone)]
pub(super) enum Loose<'a> {
    Text(Cow<'a, str>),
    Items(Vec<&'a RawValue>),
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> de::Visitor<'de> for Visitor<'a> {
            type Value = Loose<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'a>, E> {
                Ok(Loose::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Loose<'a>, E> {
                Ok(Loose::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Loose<'a>, E> {
                Ok(Loose::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Loose<'a>, E> {
                Ok(Loose::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Loose<'a>, E> {
                Ok(Loose::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Loose<'a>, E> {
                Ok(Loose::Other)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Loose<'a>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<&'de RawValue>()? {
                    list.push(item);
                }
                Ok(Loose::Items(list))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Loose<'a>, A::Error> {
                while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
                Ok(Loose::Other)
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

impl<'a> Loose<'a> {
    pub(super) fn text(self, at: impl FnOnce() -> String) -> Result<Cow<'a, str>, Unreadable> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Items(_) | Self::Other => Err(Unreadable::new(at(), "must be a string")),
        }
    }

    pub(super) fn items(self, at: impl FnOnce() -> String) -> Result<Vec<&'a RawValue>, Unreadable> {
        match self {
            Self::Items(items) => Ok(items),
            Self::Text(_) | Self::Other => Err(Unreadable::new(at(), "must be an array")),
        }
    }
}

/// A count, also when written as `12.0`.
pub(super) fn count(number: Option<&Number>, at: &'static str) -> Result<Option<u64>, Unreadable> {
    let unfit = || Unreadable::new(at, "must be a whole number, not negative");
    number.map(|number| json::count(&number.to_string()).ok_or_else(unfit)).transpose()
}

/// What must be there.
pub(super) fn required<T>(value: Option<T>, at: impl FnOnce() -> String) -> Result<T, Unreadable> {
    value.ok_or_else(|| Unreadable::new(at(), "is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::record::{Str, record};

    record! {
        struct Sample {
            text: Str<'a> = "text",
            list: Vec<&'a RawValue> = "list",
            flag: bool = "flag",
            number: Number = "number",
        }
    }

    fn problem(text: &str, at: &str) -> String {
        parse::<Sample<'_>>(text, || at.to_owned()).expect_err("it can't be read").to_string()
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(problem(r#"{"text":7,"flag":true}"#, ""), "`text` must be a string");
        assert_eq!(problem("{\"flag\":true,\n\"text\" : {\"a\":1}}", "x[1]"), "`x[1].text` must be a string");
        assert_eq!(problem("{\"flag\":true,\n\"list\":\"a\"\n}", "x"), "`x.list` must be an array");
        assert_eq!(problem(r#"{"text":"é\n","flag":"yes"}"#, ""), "`flag` must be true or false");
        assert_eq!(problem(r#"{"number":[]}"#, ""), "`number` must be a number");
        assert_eq!(problem("[]", "x"), "`x` must be an object");
        assert!(problem("{", "").starts_with("`body` is not valid JSON"));
    }

    #[test]
    fn a_loose_value_takes_all_forms() {
        for value in ["1", "-1", "1.5", "true", r#"{"a":[{}]}"#] {
            assert!(matches!(serde_json::from_str(value), Ok(Loose::Other)), "{value}");
        }
        assert!(matches!(serde_json::from_str(r#""a""#), Ok(Loose::Text(Cow::Borrowed("a")))));
        assert!(matches!(serde_json::from_str("[1,[]]"), Ok(Loose::Items(items)) if items.len() == 2));
    }
}
