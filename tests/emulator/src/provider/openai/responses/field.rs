//! The fields of a body, read as this endpoint reads them, and refused in its words.

use serde_json::{Map, Value};

use crate::provider::{
    Failure,
    openai::{invalid, missing},
};

const LONGEST_NAME: usize = 64;
const NAME_PATTERN: &str = "^[a-zA-Z0-9_-]+$";

/// An object of the body, and where it is; the body itself is at the empty path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'b> {
    pub map: &'b Map<String, Value>,
    pub path: &'b str,
}

impl<'b> Fields<'b> {
    pub(super) fn of(value: &'b Value, path: &'b str) -> Result<Self, Failure> {
        let map = value.as_object().ok_or_else(|| wrong_type(path, "an object", value))?;
        Ok(Self { map, path })
    }

    pub(super) fn param(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The field, unless it is absent or null, which this provider hardly tells apart.
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

    pub(super) fn integer(&self, name: &str, least: i64) -> Result<Option<u64>, Failure> {
        let Some(number) = self.read(name, "an integer", Value::as_i64)? else {
            return Ok(None);
        };
        if number < least {
            let param = self.param(name);
            let words = format!(
                "integer below minimum value. Expected a value >= {least}, but got {number} instead."
            );
            return Err(wrong(&param, &words, "integer_below_min_value"));
        }
        Ok(u64::try_from(number).ok())
    }

    /// A number from 0 to `most`.
    pub(super) fn decimal(&self, name: &str, most: f64) -> Result<Option<f64>, Failure> {
        let Some(number) = self.read(name, "a decimal", Value::as_f64)? else {
            return Ok(None);
        };
        let param = self.param(name);
        if number > most {
            let words =
                format!("decimal above maximum value. Expected a value <= {most}, but got {number} instead.");
            return Err(wrong(&param, &words, "decimal_above_max_value"));
        }
        if number < 0.0 {
            let words =
                format!("decimal below minimum value. Expected a value >= 0, but got {number} instead.");
            return Err(wrong(&param, &words, "decimal_below_min_value"));
        }
        Ok(Some(number))
    }

    pub(super) fn one_of(&self, name: &str, known: &[&str]) -> Result<Option<&'b str>, Failure> {
        match self.text(name)? {
            Some(given) if !known.contains(&given) => Err(unknown_value(&self.param(name), given, known)),
            given => Ok(given),
        }
    }

    pub(super) fn inner<'p>(&self, name: &str, path: &'p str) -> Result<Option<Fields<'p>>, Failure>
    where
        'b: 'p,
    {
        self.get(name).map(|value| Fields::of(value, path)).transpose()
    }

    /// A name as tools, formats and the like have it.
    pub(super) fn need_name(&self, name: &str) -> Result<&'b str, Failure> {
        let given = self.need_text(name)?;
        let param = self.param(name);
        if given.is_empty() {
            let words =
                "empty string. Expected a string with minimum length 1, but got an empty string instead.";
            return Err(wrong(&param, words, "empty_string"));
        }
        at_most(&param, given, LONGEST_NAME)?;
        if !given.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            let words = format!(
                "string does not match pattern. Expected a string that matches the pattern '{NAME_PATTERN}'."
            );
            return Err(wrong(&param, &words, "invalid_value"));
        }
        Ok(given)
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
pub(super) fn wrong(param: &str, words: &str, code: &'static str) -> Failure {
    invalid(format!("Invalid '{param}': {words}")).with_param(param).with_code(code)
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
