//! Reads fields, and refuses them in the words of the provider's own validation.

use serde_json::Value;

use crate::provider::{Failure, anthropic::invalid};

const MOST_NAME: usize = 128;

pub(super) fn refuse(path: &str, message: &str) -> Failure {
    invalid(format!("{path}: {message}"))
}

/// A field that is there and not null.
pub(super) fn present<'b>(object: &'b Value, name: &str) -> Option<&'b Value> {
    object.get(name).filter(|value| !value.is_null())
}

pub(super) fn required<'b>(object: &'b Value, path: &str, name: &str) -> Result<&'b Value, Failure> {
    object.get(name).ok_or_else(|| refuse(&format!("{path}.{name}"), "Field required"))
}

pub(super) fn text<'b>(object: &'b Value, path: &str, name: &str) -> Result<&'b str, Failure> {
    let value = required(object, path, name)?;
    value.as_str().ok_or_else(|| refuse(&format!("{path}.{name}"), "Input should be a valid string"))
}

pub(super) fn list<'b>(value: &'b Value, path: &str) -> Result<&'b [Value], Failure> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| refuse(path, "Input should be a valid list"))
}

/// The `type` by which a union tells its members apart.
pub(super) fn tag<'b>(object: &'b Value, path: &str, known: &[&str]) -> Result<&'b str, Failure> {
    if !object.is_object() {
        return Err(refuse(path, "Input should be a valid dictionary or object to extract fields from"));
    }
    let kind = text(object, path, "type")?;
    if known.contains(&kind) {
        return Ok(kind);
    }
    Err(unknown_tag(path, kind, known))
}

pub(super) fn unknown_tag(path: &str, kind: &str, known: &[&str]) -> Failure {
    let known: Vec<String> = known.iter().map(|known| format!("'{known}'")).collect();
    let known = known.join(", ");
    let message =
        format!("Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}");
    refuse(path, &message)
}

pub(super) fn one_of(value: &Value, path: &str, known: &[&str]) -> Result<(), Failure> {
    if value.as_str().is_some_and(|value| known.contains(&value)) {
        return Ok(());
    }
    let quoted: Vec<String> = known.iter().map(|known| format!("'{known}'")).collect();
    let listed = match quoted.as_slice() {
        [start @ .., before, last] => {
            let start: String = start.iter().map(|one| format!("{one}, ")).collect();
            format!("{start}{before} or {last}")
        }
        _ => quoted.concat(),
    };
    Err(refuse(path, &format!("Input should be {listed}")))
}

/// The names of tools, and the identifiers of their calls (which may be of any length).
pub(super) fn check_name(name: &str, path: &str, bounded: bool) -> Result<(), Failure> {
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits && !name.is_empty() && (!bounded || name.len() <= MOST_NAME) {
        return Ok(());
    }
    let count = if bounded { "{1,128}" } else { "+" };
    Err(refuse(path, &format!("String should match pattern '^[a-zA-Z0-9_-]{count}$'")))
}
