//! Reading a JSON object's own fields in place: no tree, no copies, and the place of each value is known.
//!
//! What a field holds is checked to be JSON but not looked into. The check does not recurse, so depth costs a bit of
//! heap per level and no stack: the size of the text bounds it.

pub(crate) mod record;
mod scan;
pub(crate) mod write;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One field of an object, as it was written.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    /// With its quotes.
    key: &'a str,
    /// There are escapes in the key.
    escaped: bool,
    pub(crate) value: &'a str,
}

impl<'a> Field<'a> {
    /// The key without quotes and escapes. Empty when its escapes make no text (a lone surrogate).
    pub(crate) fn name(&self) -> Cow<'a, str> {
        if self.escaped {
            return string(self.key).unwrap_or_default();
        }
        Cow::Borrowed(self.key.get(1..self.key.len() - 1).unwrap_or_default())
    }

    /// From the key's opening quote to the value's end, in `text`, which the field was read from.
    pub(crate) fn range_in(&self, text: &[u8]) -> Range<usize> {
        place_in(text, self.key).start..place_in(text, self.value).end
    }
}

/// Calls `each` for every field of the object that `text` is, in order, duplicates too. Nothing but white space may
/// stand around the object.
pub(crate) fn object<'a>(text: &'a str, each: impl FnMut(Field<'a>)) -> Result<(), serde_json::Error> {
    scan::object(text, each).ok_or_else(|| problem_of(fields_by_serde(text, |_, _| {})))
}

/// Calls `each` for every item of the array that `text` is.
pub(crate) fn array<'a>(text: &'a str, each: impl FnMut(&'a str)) -> Result<(), serde_json::Error> {
    scan::array(text, each).ok_or_else(|| problem_of(items_by_serde(text, |_| {})))
}

/// What is wrong is for `serde_json` to say, and where.
fn problem_of(read: Result<(), serde_json::Error>) -> serde_json::Error {
    read.err().unwrap_or_else(|| serde_json::Error::custom("it can't be read"))
}

/// Calls `each` with the key, in its quotes, and the value of every field.
fn fields_by_serde<'a>(text: &'a str, each: impl FnMut(&'a str, &'a str)) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Fields(each))?;
    deserializer.end()
}

fn items_by_serde<'a>(text: &'a str, each: impl FnMut(&'a str)) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(Items(each))?;
    deserializer.end()
}

struct Fields<F>(F);

impl<'de, F: FnMut(&'de str, &'de str)> Visitor<'de> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            (self.0)(key.get(), value.get());
        }
        Ok(())
    }
}

struct Items<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            (self.0)(item.get());
        }
        Ok(())
    }
}

/// Where `part`, which was cut out of `text`, lies in it.
pub(crate) fn place_in(text: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    start..start.saturating_add(part.len())
}

/// The text of a JSON string; none for any other value.
pub(crate) fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(value).ok().map(Cow::Owned)
}

/// What would be right, without repeating what was written: `must be an array`.
pub(crate) fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let expected = match error.classify() {
        serde_json::error::Category::Data => text.rsplit_once("expected ").map(|(_, expected)| expected),
        _ => return format!("is not JSON that can be read: {text}"),
    };
    match expected {
        Some("u64" | "u32" | "i64") => "must be a whole number".to_owned(),
        Some("a sequence") => "must be an array".to_owned(),
        Some("a boolean") => "must be true or false".to_owned(),
        Some("a JSON number") => "must be a number".to_owned(),
        Some(expected) if expected != "any valid JSON value" => format!("must be {expected}"),
        _ => "must be of another form".to_owned(),
    }
}

/// A count: a whole number from 0, also when written as `12.0`; none for any other value.
pub(crate) fn count(value: &str) -> Option<u64> {
    if let Ok(count) = value.parse() {
        return Some(count);
    }
    let number: f64 = value.parse().ok()?;
    // Up to 2^53 whole numbers are exact in a double.
    let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    is_whole.then_some(number as u64)
}

/// The counts that are fields of an object, in the order of their names. None of a value that is no object.
pub(crate) fn counts_in<const N: usize>(value: &str, names: [&str; N]) -> [Option<u64>; N] {
    let mut found = [None; N];
    let read = object(value, |field| {
        let key = field.name();
        if let Some(at) = names.iter().position(|name| *name == key) {
            found[at] = count(field.value);
        }
    });
    if read.is_ok() { found } else { [None; N] }
}

/// Whether a value holds anything: not null, and not an empty string, array or object.
pub(crate) fn is_filled(value: &str) -> bool {
    if value == "null" || value == "\"\"" {
        return false;
    }
    let inner = match value.as_bytes() {
        [b'{', inner @ .., b'}'] | [b'[', inner @ .., b']'] => inner,
        _ => return true,
    };
    !inner.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_not_repeated() {
        let wrong = |error: serde_json::Error| problem(&error);
        let secret = "\"secret\"";
        assert_eq!(wrong(serde_json::from_str::<u64>(secret).unwrap_err()), "must be a whole number");
        assert_eq!(wrong(serde_json::from_str::<bool>(secret).unwrap_err()), "must be true or false");
        assert_eq!(wrong(serde_json::from_str::<Vec<u64>>(secret).unwrap_err()), "must be an array");
        assert_eq!(wrong(serde_json::from_str::<String>("[]").unwrap_err()), "must be a string");
        assert_eq!(
            wrong(serde_json::from_str::<String>("{\"secret").unwrap_err()),
            "must be a string",
            "what it is comes before whether it is whole"
        );
        assert_eq!(
            wrong(object("{\"secret", |_| {}).unwrap_err()),
            "is not JSON that can be read: EOF while parsing a string"
        );
    }
}
