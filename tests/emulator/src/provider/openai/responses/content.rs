//! The parts of a message or of a tool's output.

use base64::Engine as _;
use serde_json::Value;

use crate::{
    provider::{
        Failure,
        openai::{
            invalid, missing,
            responses::field::{Fields, unknown_value, wrong_type},
        },
    },
    turn::Media,
};

const IMAGE_TYPES: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp"];
const ASSISTANT_PARTS: &[&str] = &["output_text", "refusal"];
const INPUT_PARTS: &[&str] = &["input_text", "input_image", "input_file"];
const DETAILS: &[&str] = &["low", "high", "auto", "original"];

/// Who says it decides what it may be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    Assistant,
    Other,
}

pub(super) fn check(content: &Value, path: &str, speaker: Speaker) -> Result<(), Failure> {
    match content {
        Value::String(_) => Ok(()),
        Value::Array(parts) => parts
            .iter()
            .enumerate()
            .try_for_each(|(index, part)| check_part(part, &format!("{path}[{index}]"), speaker)),
        other => Err(wrong_type(path, "one of a string or array of objects", other)),
    }
}

fn check_part(part: &Value, path: &str, speaker: Speaker) -> Result<(), Failure> {
    let fields = Fields::of(part, path)?;
    let kind = fields.need_text("type")?;
    let known = if speaker == Speaker::Assistant { ASSISTANT_PARTS } else { INPUT_PARTS };
    if !known.contains(&kind) {
        return Err(unknown_value(path, kind, known));
    }
    match kind {
        "input_text" | "output_text" => fields.need_text("text").map(|_| ()),
        "refusal" => fields.need_text("refusal").map(|_| ()),
        "input_image" => check_image(fields),
        _ => check_file(fields),
    }
}

fn check_image(part: Fields<'_>) -> Result<(), Failure> {
    part.one_of("detail", DETAILS)?;
    if part.text("file_id")?.is_some() {
        return Ok(());
    }
    let Some(url) = part.text("image_url")? else {
        return Err(missing(&part.param("image_url")));
    };
    let param = part.param("image_url");
    match data_url(url) {
        Some(Ok((kind, _))) if IMAGE_TYPES.contains(&kind) => Ok(()),
        Some(Ok((kind, _))) => Err(bad_image(&param, &format!("but got unsupported MIME type '{kind}'."))),
        Some(Err(())) => Err(bad_image(&param, "but got an invalid base64-encoded value.")),
        None if is_http(url) => Ok(()),
        None => Err(bad_url(&param)),
    }
}

fn check_file(part: Fields<'_>) -> Result<(), Failure> {
    if let Some(data) = part.text("file_data")? {
        part.need_text("filename")?;
        return match data_url(data) {
            Some(Ok(_)) => Ok(()),
            _ => {
                let param = part.param("file_data");
                let message = format!(
                    "Invalid '{param}'. Expected a base64-encoded data URL (e.g. 'data:application/pdf;base64,aGVsbG8='), but got a value without the 'data:' prefix or an invalid base64-encoded value."
                );
                Err(invalid(message).with_param(param).with_code("invalid_value"))
            }
        };
    }
    match (part.text("file_url")?, part.text("file_id")?) {
        (Some(url), _) if !is_http(url) => Err(bad_url(&part.param("file_url"))),
        (None, None) => Err(missing(&part.param("file_id"))),
        _ => Ok(()),
    }
}

fn bad_image(param: &str, but: &str) -> Failure {
    let message = format!(
        "Invalid '{param}'. Expected a base64-encoded data URL with an image MIME type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), {but}"
    );
    invalid(message).with_param(param).with_code("invalid_value")
}

fn bad_url(param: &str) -> Failure {
    let message = format!("Invalid '{param}'. Expected a valid URL, but got a value with an invalid format.");
    invalid(message).with_param(param).with_code("invalid_value")
}

fn is_http(url: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

/// The media type of a data URL and how many bytes it holds; an error if these are no base64, none if it is another URL.
fn data_url(url: &str) -> Option<Result<(&str, usize), ()>> {
    let rest = url.strip_prefix("data:")?;
    let Some((head, data)) = rest.split_once(',') else { return Some(Err(())) };
    let Some(kind) = head.strip_suffix(";base64") else { return Some(Err(())) };
    let kind = kind.split(';').next().unwrap_or_default();
    let decoded = base64::engine::general_purpose::STANDARD.decode(data);
    Some(decoded.map(|bytes| (kind, bytes.len())).map_err(|_| ()))
}

/// All text in a content, of whatever kind.
pub(super) fn text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").or_else(|| part.get("refusal")));
            texts.filter_map(Value::as_str).collect()
        }
        _ => String::new(),
    }
}

/// The images and files in a content that has been checked.
pub(super) fn media(content: Option<&Value>) -> Vec<Media> {
    let parts = content.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(medium).collect()
}

fn medium(part: &Value) -> Option<Media> {
    let field = |name: &str| part.get(name).and_then(Value::as_str);
    let names: &[&str] = match field("type")? {
        "input_image" => &["file_id", "image_url"],
        "input_file" => &["file_data", "file_url", "file_id"],
        _ => return None,
    };
    let given = names.iter().find_map(|name| field(name))?;
    Some(match data_url(given) {
        Some(Ok((kind, length))) => Media::Bytes(kind.to_owned(), length),
        _ => Media::Url(given.to_owned()),
    })
}
