//! Reading values, and saying where one is that can't be read.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::Unreadable;
use crate::json;

/// Where a value stands in the body.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Body,
    Field(&'p Path<'p>, &'static str),
    Item(&'p Path<'p>, usize),
}

impl Path<'_> {
    pub(super) const fn field(&self, name: &'static str) -> Path<'_> {
        Path::Field(self, name)
    }

    pub(super) const fn item(&self, index: usize) -> Path<'_> {
        Path::Item(self, index)
    }

    pub(super) fn wrong(&self, problem: &str) -> Unreadable {
        unreadable(self.to_string(), problem)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Field(Path::Body, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn unreadable(field: String, problem: &str) -> Unreadable {
    let field = if field.is_empty() { "body".to_owned() } else { field };
    Unreadable::new(field, problem)
}

pub(super) fn text(body: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(body).map_err(|_| Path::Body.wrong("must be UTF-8"))
}

/// Reads `json`, which stands at `path`.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a str, path: &Path<'_>) -> Result<T, Unreadable> {
    serde_json::from_str(json).map_err(|error| {
        let field = path.to_string() + &within(json, place(json, &error));
        unreadable(field.trim_start_matches('.').to_owned(), &json::problem(&error))
    })
}

/// Reads each item of a list.
pub(super) fn each<'a, T: Deserialize<'a>>(
    items: &[&'a RawValue],
    path: &Path<'_>,
    mut take: impl FnMut(T, &'a RawValue, &Path<'_>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    for (index, item) in items.iter().enumerate() {
        let path = path.item(index);
        take(read(item.get(), &path)?, item, &path)?;
    }
    Ok(())
}

/// Records lie no deeper in records than this.
const DEPTH_MAX: usize = 6;
/// Bytes of a key that are repeated to the client.
const KEY_MAX: usize = 64;

/// The way from `json` down to the value at `offset`, as far as objects and arrays lead there: `.field[0]`.
fn within(json: &str, mut offset: usize) -> String {
    let mut way = String::new();
    let mut at = json;
    for _ in 0..DEPTH_MAX {
        let Some((step, value)) = step(at, offset) else { break };
        way.push_str(&step);
        offset -= json::place_in(at.as_bytes(), value).start;
        at = value;
    }
    way
}

fn step(json: &str, offset: usize) -> Option<(String, &str)> {
    let holds = |value: &str| {
        let place = json::place_in(json.as_bytes(), value);
        (place.start..=place.end).contains(&offset)
    };
    let mut found = None;
    // What is broken is read as far as it goes.
    if json.trim_start().starts_with('{') {
        let _ = json::object(json, |field| {
            if holds(field.value) {
                let name = field.name();
                let name = name.get(..name.floor_char_boundary(KEY_MAX)).unwrap_or_default();
                found.get_or_insert_with(|| (format!(".{name}"), field.value));
            }
        });
    } else if json.trim_start().starts_with('[') {
        let mut index = 0;
        let _ = json::array(json, |item| {
            if holds(item) {
                found.get_or_insert_with(|| (format!("[{index}]"), item));
            }
            index += 1;
        });
    }
    found
}

/// Bytes ahead of where the reader stopped.
fn place(json: &str, error: &serde_json::Error) -> usize {
    let lines_ahead = json.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines_ahead.map(str::len).sum::<usize>() + error.column()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::record::{Str, record};

    record! {
        struct Outer { inner: Inner<'a> = "inner", list: Vec<u64> = "list" }
    }
    record! {
        struct Inner { text: Str<'a> = "text", count: u64 = "count" }
    }

    fn error(json: &str) -> String {
        let path = Path::Body.field("messages");
        read::<Outer<'_>>(json, &path.item(2)).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        for (json, expected) in [
            (r#"{"inner":{"text":{}}}"#, "`messages[2].inner.text` must be a string"),
            (r#"{"inner":{"text":5,"count":1}}"#, "`messages[2].inner.text` must be a string"),
            ("{\n \"inner\":\n{\"count\" : -1}\n}", "`messages[2].inner.count` must be a whole number"),
            (r#"{"list":[1,2,"x"]}"#, "`messages[2].list[2]` must be a whole number"),
            (r#"{"list":{}}"#, "`messages[2].list` must be an array"),
            ("[]", "`messages[2]` must be an object"),
        ] {
            assert_eq!(error(json), expected, "{json}");
        }
        assert!(error(r#"{"list":"#).starts_with("`messages[2]` is not JSON that can be read: EOF"));
        assert_eq!(Path::Body.wrong("must be UTF-8").to_string(), "`body` must be UTF-8");
    }
}
