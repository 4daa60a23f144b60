//! Reading: bodies and streams of the messages wire into the canonical form.

mod block;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
mod tool;

use std::{borrow::Cow, fmt};

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::wire::Wire;

use crate::{
    canonical::Opaque,
    codec::Unreadable,
    json::{
        self,
        record::{Str, record},
    },
};

/// Where a value stands in the body, for what an error says. It lives on the stack: naming costs nothing until then.
#[derive(Debug, Clone, Copy)]
enum Place<'p> {
    Body,
    Field(&'p Self, &'p str),
    Item(&'p Self, usize),
}

impl<'p> Place<'p> {
    fn refuse(&self, problem: impl Into<String>) -> Unreadable {
        Unreadable::new(self.to_string(), problem)
    }

    /// Refuses what stands in the field `name`.
    fn refuse_field(&'p self, name: &'p str, problem: impl Into<String>) -> Unreadable {
        Place::Field(self, name).refuse(problem)
    }

    fn missing(&'p self, name: &'p str) -> Unreadable {
        self.refuse_field(name, "is required")
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("body"),
            Self::Field(Self::Body, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

record! {
    /// An object whose type says how its other fields are to be read.
    struct Tagged {
        kind: Str<'a> = "type",
    }
}

type Fields<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The type and the other fields.
fn tagged<'a>(value: &'a RawValue, at: &Place<'_>) -> Result<(Option<Cow<'a, str>>, Fields<'a>), Unreadable> {
    let Tagged { kind, unknown } = read(value.get(), at)?;
    Ok((kind.map(|Str(kind)| kind), unknown))
}

fn opaque<'a>(kind: Cow<'a, str>, value: &'a RawValue) -> Opaque<'a> {
    Opaque { origin: Wire::Messages, kind, value: Cow::Borrowed(value) }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str, at: &Place<'_>) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|error| blame(text, &error, at))
}

fn text<'a>(value: &'a RawValue, at: &Place<'_>) -> Result<Cow<'a, str>, Unreadable> {
    json::string(value.get()).ok_or_else(|| {
        let is_string = value.get().starts_with('"');
        at.refuse(if is_string { "has an escape that stands for no character" } else { "must be a string" })
    })
}

fn count(value: &RawValue, at: &Place<'_>) -> Result<u64, Unreadable> {
    json::count(value.get()).ok_or_else(|| at.refuse("must be a whole number, 0 or more"))
}

/// What `error` is about: the field of the object `text` in which reading stopped, or `text` as a whole.
fn blame(text: &str, error: &serde_json::Error, at: &Place<'_>) -> Unreadable {
    if !error.is_data() {
        return at.refuse(format!("is not valid JSON: {error}"));
    }
    let problem = json::problem(error);
    let stopped = offset(text, error.line(), error.column());
    let mut name = None;
    let _ = json::object(text, |field| {
        if name.is_none() && field.range_in(text.as_bytes()).end >= stopped {
            name = Some(field.name());
        }
    });
    match name {
        Some(name) => at.refuse_field(&name, problem),
        None => at.refuse(problem),
    }
}

/// Of a line, counted from 1, and a column in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let ends = memchr::memchr_iter(b'\n', text.as_bytes());
    let start = line.checked_sub(2).and_then(|back| ends.skip(back).map(|end| end + 1).next()).unwrap_or(0);
    start + column
}

#[cfg(test)]
mod tests {
    use super::*;

    record! {
        struct Sample {
            word: Str<'a> = "word",
            flag: bool = "flag",
            list: Vec<&'a RawValue> = "list",
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        let messages = Place::Field(&Place::Body, "messages");
        let message = Place::Item(&messages, 2);
        let refused = |text| read::<Sample<'_>>(text, &message).unwrap_err().to_string();
        assert_eq!(refused("[]"), "`messages[2]` must be an object");
        assert_eq!(refused(r#"{"flag":true,"word":7}"#), "`messages[2].word` must be a string");
        assert_eq!(
            refused("{\n\"word\":\"x\",\n\n \"flag\": \"y\", \"list\":[]}"),
            "`messages[2].flag` must be true or false"
        );
        assert_eq!(
            refused(r#"{"word":"x","list":{"a":1},"flag":true}"#),
            "`messages[2].list` must be an array"
        );
        assert_eq!(
            read::<Sample<'_>>("{", &Place::Body).unwrap_err().to_string(),
            "`body` is not valid JSON: EOF while parsing an object at line 1 column 1"
        );
    }
}
