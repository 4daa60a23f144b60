//! Reads JSON as Google's servers do: against protobuf messages.
//!
//! Names come in camelCase or snake_case, a list of one may stand without brackets, nulls are as good as absent, numbers
//! may be strings, enums are read in any case, and every unknown name is refused, all of them at once. What is read comes
//! out in one spelling: names in snake_case, as in the paths of errors, enums in capitals.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value, json};

use crate::provider::{
    Failure,
    google::{Surface, invalid},
};

/// More are not told.
const MOST_VIOLATIONS: usize = 100;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A message's name without its package, and its fields in snake_case.
#[derive(Debug)]
pub(super) struct Message {
    pub name: &'static str,
    pub fields: &'static [(&'static str, Kind)],
}

#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Bytes,
    Bool,
    Int,
    Float,
    /// Its type, and its values.
    Enum(&'static str, &'static [&'static str]),
    Message(&'static Message),
    List(&'static Kind),
    /// From text.
    Map(&'static Kind),
    /// Any object.
    Struct,
    /// Anything.
    Any,
}

/// What base64 of either alphabet stands for.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).ok()
}

/// The body as a message, in one spelling.
pub(super) fn read(body: &[u8], message: &Message, surface: Surface) -> Result<Map<String, Value>, Failure> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let text = String::from_utf8_lossy(body);
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        invalid(format!(
            "Invalid JSON payload received. {error}\n{}\n^",
            line.chars().take(80).collect::<String>()
        ))
    })?;
    let mut reader = Reader { surface, path: String::new(), violations: Vec::new() };
    let read = reader.message(&value, message);
    match read {
        Some(read) if reader.violations.is_empty() => Ok(read),
        _ => Err(reader.refusal()),
    }
}

struct Reader {
    surface: Surface,
    path: String,
    /// Where, and what.
    violations: Vec<(String, String)>,
}

impl Reader {
    fn refusal(self) -> Failure {
        let said: Vec<&str> = self.violations.iter().map(|(_, what)| what.as_str()).collect();
        let told: Vec<Value> = self
            .violations
            .iter()
            .map(|(place, what)| match place.as_str() {
                "" => json!({"description": what}),
                field => json!({"field": field, "description": what}),
            })
            .collect();
        let details = json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": told});
        invalid(said.join("\n")).with_details(vec![details])
    }

    fn violate(&mut self, what: String) {
        if self.violations.len() < MOST_VIOLATIONS {
            self.violations.push((self.path.clone(), what));
        }
    }

    fn unknown(&mut self, name: &str, why: &str) {
        let at = if self.path.is_empty() { String::new() } else { format!(" at '{}'", self.path) };
        self.violate(format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: {why}"));
    }

    fn wrong(&mut self, kind: &str, value: &Value) {
        let shown = match value {
            Value::Object(_) => "Starting an object on a scalar field".to_owned(),
            other => other.to_string(),
        };
        let path = self.path.clone();
        self.violate(format!("Invalid value at '{path}' ({kind}), {shown}"));
    }

    fn within<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if !step.starts_with('[') && length > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
        let read = read(self);
        self.path.truncate(length);
        read
    }

    fn message(&mut self, value: &Value, message: &Message) -> Option<Map<String, Value>> {
        let Value::Object(given) = value else {
            let kind = format!("type.googleapis.com/{}.{}", self.surface.package(), message.name);
            self.wrong(&kind, value);
            return None;
        };
        let mut read = Map::new();
        for (name, value) in given {
            let found = message.fields.iter().find(|(field, _)| field == name || camel(field) == *name);
            let Some((field, kind)) = found else {
                self.unknown(name, "Cannot find field.");
                continue;
            };
            if value.is_null() && !matches!(kind, Kind::Any) {
                continue;
            }
            if value.is_array() && !matches!(kind, Kind::List(_) | Kind::Any) {
                self.unknown(name, "Proto field is not repeating, cannot start list.");
                continue;
            }
            if let Some(value) = self.within(field, |reader| reader.value(value, kind)) {
                read.insert((*field).to_owned(), value);
            }
        }
        Some(read)
    }

    fn value(&mut self, value: &Value, kind: &Kind) -> Option<Value> {
        match kind {
            Kind::Any => Some(value.clone()),
            Kind::Message(message) => self.message(value, message).map(Value::Object),
            Kind::List(kind) => self.list(value, kind),
            Kind::Map(kind) => self.map(value, kind),
            Kind::Struct if value.is_object() => Some(value.clone()),
            scalar => {
                let read = scalar.scalar(value);
                if read.is_none() {
                    self.wrong_scalar(value, scalar);
                }
                read
            }
        }
    }

    fn wrong_scalar(&mut self, value: &Value, kind: &Kind) {
        match (kind, value) {
            (Kind::Enum(name, _), _) => {
                let kind = format!("type.googleapis.com/{}.{name}", self.surface.package());
                self.wrong(&kind, value);
            }
            (Kind::Bytes, Value::String(text)) => {
                let shown: String = text.chars().take(40).collect();
                let path = self.path.clone();
                self.violate(format!(
                    "Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{shown}\""
                ));
            }
            (Kind::Text, _) => self.wrong("TYPE_STRING", value),
            (Kind::Bytes, _) => self.wrong("TYPE_BYTES", value),
            (Kind::Bool, _) => self.wrong("TYPE_BOOL", value),
            (Kind::Int, _) => self.wrong("TYPE_INT32", value),
            (Kind::Float, _) => self.wrong("TYPE_FLOAT", value),
            _ => self.wrong("type.googleapis.com/google.protobuf.Struct", value),
        }
    }

    fn list(&mut self, value: &Value, kind: &Kind) -> Option<Value> {
        let Value::Array(given) = value else {
            return self.value(value, kind).map(|one| json!([one]));
        };
        let mut read = Vec::with_capacity(given.len());
        for (index, one) in given.iter().enumerate() {
            read.extend(self.within(&format!("[{index}]"), |reader| reader.value(one, kind)));
        }
        Some(read.into())
    }

    /// The parser sees a map as a list of pairs, which is how its errors name places in one.
    fn map(&mut self, value: &Value, kind: &Kind) -> Option<Value> {
        let Value::Object(given) = value else {
            self.wrong("type.googleapis.com/google.protobuf.Struct", value);
            return None;
        };
        let mut read = Map::new();
        for (index, (name, value)) in given.iter().enumerate() {
            let value = self.within(&format!("[{index}].value"), |reader| reader.value(value, kind));
            read.extend(value.map(|value| (name.clone(), value)));
        }
        Some(read.into())
    }
}

impl Kind {
    /// The value in its one form.
    fn scalar(&self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Text, Value::String(_)) | (Self::Bool, Value::Bool(_)) => Some(value.clone()),
            (Self::Bytes, Value::String(text)) => bytes(text).map(|_| value.clone()),
            (Self::Bool, Value::String(text)) => text.parse::<bool>().ok().map(Value::from),
            (Self::Int, Value::Number(number)) => whole(number.as_f64()?),
            (Self::Int, Value::String(text)) => whole(text.parse().ok()?),
            (Self::Float, Value::Number(_)) => Some(value.clone()),
            (Self::Float, Value::String(text)) => text.parse::<f64>().ok().map(Value::from),
            (Self::Enum(_, values), Value::String(text)) => {
                values.iter().find(|known| known.eq_ignore_ascii_case(text)).map(|known| json!(known))
            }
            (Self::Enum(_, values), Value::Number(number)) => {
                let index = usize::try_from(number.as_u64()?).ok()?;
                values.get(index).map(|known| json!(known))
            }
            _ => None,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked against the range first")]
fn whole(number: f64) -> Option<Value> {
    let fits = number.fract() == 0.0 && (-9e15..=9e15).contains(&number);
    fits.then(|| json!(number as i64))
}

/// `function_call` as `functionCall`.
fn camel(snake: &str) -> String {
    let mut name = String::with_capacity(snake.len());
    let mut capital = false;
    for (at, letter) in snake.char_indices() {
        match letter {
            '_' if at > 0 => capital = true,
            _ if capital => {
                name.push(letter.to_ascii_uppercase());
                capital = false;
            }
            _ => name.push(letter),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    static INNER: Message = Message {
        name: "Inner",
        fields: &[
            ("mime_type", Kind::Text),
            ("data", Kind::Bytes),
            ("more", Kind::Map(&Kind::Message(&INNER))),
            ("level", Kind::Enum("Level", &["LOW", "HIGH"])),
            ("count", Kind::Int),
        ],
    };
    static OUTER: Message = Message {
        name: "Outer",
        fields: &[("inner_list", Kind::List(&Kind::Message(&INNER))), ("rate", Kind::Float)],
    };

    fn read(body: &Value) -> Result<Map<String, Value>, Failure> {
        super::read(body.to_string().as_bytes(), &OUTER, Surface::Gemini)
    }

    #[test]
    fn either_spelling_and_loose_values_come_out_in_one_form() {
        let body = json!({"innerList": {"mime_type": "a", "mimeType": null, "level": "high", "count": "7",
                          "data": "_-8"}, "rate": "0.5"});
        let wanted = json!({"inner_list": [{"mime_type": "a", "level": "HIGH", "count": 7, "data": "_-8"}],
                            "rate": 0.5});
        assert_eq!(Value::Object(read(&body).unwrap()), wanted);
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        let body = json!({"extra": 1, "inner_list": [{}, {"more": {"x": {"$ref": "y"}}, "level": "up", "data": "%"}],
                          "rate": [1]});
        let failure = read(&body).unwrap_err();
        let mut lines: Vec<&str> = failure.message.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "Invalid JSON payload received. Unknown name \"$ref\" at 'inner_list[1].more[0].value': Cannot find field.",
                "Invalid JSON payload received. Unknown name \"extra\": Cannot find field.",
                "Invalid JSON payload received. Unknown name \"rate\": Proto field is not repeating, cannot start list.",
                "Invalid value at 'inner_list[1].data' (TYPE_BYTES), Base64 decoding failed for \"%\"",
                "Invalid value at 'inner_list[1].level' (type.googleapis.com/google.ai.generativelanguage.v1beta.Level), \"up\"",
            ]
        );
        assert_eq!(failure.details.unwrap()[0]["fieldViolations"].as_array().map(Vec::len), Some(5));
    }
}
