//! The fields of a body, and the provider's words for what is wrong with them.

use serde_json::{Map, Number, Value};

use crate::provider::{
    Failure,
    openai::{invalid, missing},
};

const LONGEST_NAME: usize = 64;
const NAME_PATTERN: &str = "^[a-zA-Z0-9_-]+$";

/// An object of the body, and where it is; the body itself is at the empty path. Null is absent.
#[derive(Debug, Clone)]
pub(super) struct Fields<'b> {
    map: &'b Map<String, Value>,
    path: String,
}

impl<'b> Fields<'b> {
    pub(super) const fn root(map: &'b Map<String, Value>) -> Self {
        Self { map, path: String::new() }
    }

    pub(super) fn of(value: &'b Value, path: String) -> Result<Self, Failure> {
        match value.as_object() {
            Some(map) => Ok(Self { map, path }),
            None => Err(wrong_type(&path, "an object", value)),
        }
    }

    pub(super) fn param(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'b Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn need(&self, name: &str) -> Result<&'b Value, Failure> {
        self.get(name).ok_or_else(|| missing(&self.param(name)))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'b str>, Failure> {
        self.read(name, "a string", Value::as_str)
    }

    pub(super) fn need_text(&self, name: &str) -> Result<&'b str, Failure> {
        self.text(name)?.ok_or_else(|| missing(&self.param(name)))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.read(name, "a boolean", Value::as_bool)
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&'b [Value]>, Failure> {
        self.read(name, "an array", |value| value.as_array().map(Vec::as_slice))
    }

    pub(super) fn inner(&self, name: &str) -> Result<Option<Self>, Failure> {
        self.get(name).map(|value| Self::of(value, self.param(name))).transpose()
    }

    pub(super) fn need_inner(&self, name: &str) -> Result<Self, Failure> {
        self.inner(name)?.ok_or_else(|| missing(&self.param(name)))
    }

    pub(super) fn integer(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, Failure> {
        let given = self.read(name, "an integer", Value::as_i64)?;
        self.bounded(name, "integer", given, least, most)
    }

    pub(super) fn decimal(&self, name: &str, least: i32, most: i32) -> Result<Option<f64>, Failure> {
        let given = self.read(name, "a decimal", |value| value.as_number().and_then(Number::as_f64))?;
        self.bounded(name, "decimal", given, f64::from(least), f64::from(most))
    }

    fn bounded<T: PartialOrd + std::fmt::Display>(
        &self,
        name: &str,
        kind: &str,
        given: Option<T>,
        least: T,
        most: T,
    ) -> Result<Option<T>, Failure> {
        let param = self.param(name);
        let code = |end: &str| format!("{kind}_{end}_value");
        match &given {
            Some(number) if *number > most => {
                let words = format!(
                    "{kind} above maximum value. Expected a value <= {most}, but got {number} instead."
                );
                Err(wrong(&param, &words, code("above_max")))
            }
            Some(number) if *number < least => {
                let words = format!(
                    "{kind} below minimum value. Expected a value >= {least}, but got {number} instead."
                );
                Err(wrong(&param, &words, code("below_min")))
            }
            _ => Ok(given),
        }
    }

    pub(super) fn one_of(&self, name: &str, known: &[&str]) -> Result<Option<&'b str>, Failure> {
        match self.text(name)? {
            Some(given) if !known.contains(&given) => Err(unknown_value(&self.param(name), given, known)),
            given => Ok(given),
        }
    }

    pub(super) fn need_one_of(&self, name: &str, known: &[&str]) -> Result<&'b str, Failure> {
        self.one_of(name, known)?.ok_or_else(|| missing(&self.param(name)))
    }

    /// A name as tools and formats have it.
    pub(super) fn need_name(&self) -> Result<&'b str, Failure> {
        let (given, param) = (self.need_text("name")?, self.param("name"));
        if given.is_empty() {
            let words =
                "empty string. Expected a string with minimum length 1, but got an empty string instead.";
            return Err(wrong(&param, words, "empty_string"));
        }
        at_most(&param, given, LONGEST_NAME)?;
        if given.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            return Ok(given);
        }
        let words = format!(
            "string does not match pattern. Expected a string that matches the pattern '{NAME_PATTERN}'."
        );
        Err(wrong(&param, &words, "invalid_value"))
    }

    fn read<T>(
        &self,
        name: &str,
        wanted: &str,
        read: impl Fn(&'b Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong_type(&self.param(name), wanted, value))
    }
}

/// A refusal of a value that is of the right type.
pub(super) fn wrong(param: &str, words: &str, code: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    let mut failure = invalid(format!("Invalid '{param}': {words}")).with_param(param);
    failure.code = Some(code.into());
    failure
}

pub(super) fn wrong_type(param: &str, wanted: &str, given: &Value) -> Failure {
    let given = match given {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{param}': expected {wanted}, but got {given} instead.");
    invalid(message).with_param(param).with_code("invalid_type")
}

/// `'a', 'b', and 'c'`
pub(super) fn listed(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|one| format!("'{one}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, [first])) => format!("{first} and {last}"),
        Some((last, rest)) => format!("{}, and {last}", rest.join(", ")),
        None => String::new(),
    }
}

pub(super) fn unknown_value(param: &str, given: &str, known: &[&str]) -> Failure {
    let known = listed(known);
    invalid(format!("Invalid value: '{given}'. Supported values are: {known}."))
        .with_param(param)
        .with_code("invalid_value")
}

pub(super) fn empty_array(param: &str) -> Failure {
    let words = "empty array. Expected an array with minimum length 1, but got an empty array instead.";
    wrong(param, words, "empty_array")
}

pub(super) fn long_array(param: &str, given: usize, most: usize) -> Failure {
    let words = format!(
        "array too long. Expected an array with maximum length {most}, but got an array with length {given} instead."
    );
    wrong(param, &words, "array_above_max_length")
}

pub(super) fn at_most(param: &str, given: &str, most: usize) -> Result<(), Failure> {
    let length = given.chars().count();
    if length <= most {
        return Ok(());
    }
    let words = format!(
        "string too long. Expected a string with maximum length {most}, but got a string with length {length} instead."
    );
    Err(wrong(param, &words, "string_above_max_length"))
}
