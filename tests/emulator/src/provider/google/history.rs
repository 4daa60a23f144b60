//! The turns of a conversation: who may say what after whom, and which signatures must be there.

use serde_json::Value;

use super::{
    Surface, invalid, proto,
    request::{Model, refuse_fields},
    schema::list,
    signature::{Signed, is_valid},
};
use crate::{provider::Failure, turn::Media};

const CALL_AFTER_USER: &str = "Please ensure that function call turn comes immediately after a user turn or after a function response turn.";
const RESPONSE_AFTER_CALL: &str =
    "Please ensure that function response turn comes immediately after a function call turn.";
const AS_MANY: &str = "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.";
const LEARN_MORE: &str =
    "Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini";

/// What a part may hold, one of them.
const DATA: &[&str] = &[
    "text",
    "inline_data",
    "file_data",
    "function_call",
    "function_response",
    "tool_call",
    "tool_response",
    "executable_code",
    "code_execution_result",
];
const IMAGES: &[&str] = &["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];

/// Checks `contents`; `place` is where they stand in the body.
pub(super) fn check(contents: &[Value], place: &str, model: &Model<'_>) -> Result<(), Failure> {
    if contents.is_empty() {
        if model.surface == Surface::Gemini {
            refuse_fields(model.surface, vec![(place.to_owned(), "contents is not specified".to_owned())])?;
        }
        return Err(invalid(format!(
            "Unable to submit request because at least one contents field is required. {LEARN_MORE}"
        )));
    }
    for (index, content) in contents.iter().enumerate() {
        check_role(content, model)?;
        let place = format!("{place}[{index}]");
        let parts = list(&content["parts"]);
        if parts.is_empty() {
            let why = "contents.parts must not be empty.".to_owned();
            refuse_fields(model.surface, vec![(format!("{place}.parts"), why)])?;
        }
        for (index, part) in parts.iter().enumerate() {
            check_part(part, &format!("{place}.parts[{index}]"), model)?;
        }
    }
    check_order(contents)?;
    if !model.is_third {
        return Ok(());
    }
    check_signed(contents, model)?;
    check_answers(contents, model)
}

fn check_role(content: &Value, model: &Model<'_>) -> Result<(), Failure> {
    match content["role"].as_str() {
        Some("user" | "model") => Ok(()),
        None | Some("") if model.surface == Surface::Gemini => Ok(()),
        _ => Err(invalid("Please use a valid role: user, model.")),
    }
}

fn check_part(part: &Value, place: &str, model: &Model<'_>) -> Result<(), Failure> {
    let held: Vec<&&str> = DATA.iter().filter(|name| !part[**name].is_null()).collect();
    match held.as_slice() {
        [] => {
            let why = "required oneof field 'data' must have one initialized field".to_owned();
            refuse_fields(model.surface, vec![(format!("{place}.data"), why)])?;
        }
        [_] => {}
        [_, second, ..] => {
            return Err(invalid(format!(
                "Invalid value at '{place}' (oneof), oneof field 'data' is already set. Cannot set '{second}'"
            )));
        }
    }
    let signature = part["thought_signature"].as_str();
    if part["text"] == "" && signature.is_none() && model.surface != Surface::Gemini {
        return Err(invalid(format!(
            "Unable to submit request because it has an empty text parameter. Add a value to the parameter and try again. {LEARN_MORE}"
        )));
    }
    for name in ["function_call", "function_response"] {
        if !part[name].is_null() && part[name]["name"].as_str().unwrap_or_default().is_empty() {
            let why = "Name cannot be empty.".to_owned();
            refuse_fields(model.surface, vec![(format!("{place}.{name}.name"), why)])?;
        }
    }
    let media = list(&part["function_response"]["parts"]).iter().chain([part]);
    for one in media.filter(|one| !one["inline_data"].is_null()) {
        let kind = one["inline_data"]["mime_type"].as_str().unwrap_or_default();
        if !is_supported(kind) {
            return Err(invalid(format!("Unsupported MIME type: {kind}")));
        }
    }
    let signed = part["function_call"]["name"].as_str().map_or(Signed::Text, Signed::Call);
    match signature {
        Some(signature) if !is_valid(signature, signed) => Err(match model.surface {
            Surface::Vertex => invalid(format!(
                "Unable to submit request because Thought signature is not valid.. {LEARN_MORE}"
            )),
            _ => invalid("Thought signature is not valid."),
        }),
        _ => Ok(()),
    }
}

fn is_supported(mime_type: &str) -> bool {
    IMAGES.contains(&mime_type)
        || matches!(mime_type, "application/pdf" | "application/json" | "application/rtf")
        || ["text/", "audio/", "video/"].iter().any(|kind| mime_type.starts_with(kind))
}

fn holds(content: &Value, name: &str) -> usize {
    list(&content["parts"]).iter().filter(|part| !part[name].is_null()).count()
}

fn is_model(content: &Value) -> bool {
    content["role"] == "model"
}

fn check_order(contents: &[Value]) -> Result<(), Failure> {
    let mut open = 0;
    let mut before: Option<&Value> = None;
    for content in contents {
        let (calls, responses) = (holds(content, "function_call"), holds(content, "function_response"));
        if calls > 0 && (!is_model(content) || before.is_none_or(is_model)) {
            return Err(invalid(CALL_AFTER_USER));
        }
        if responses > 0 && (is_model(content) || open == 0) {
            return Err(invalid(RESPONSE_AFTER_CALL));
        }
        if responses != open {
            return Err(invalid(AS_MANY));
        }
        (open, before) = (calls, Some(content));
    }
    if open > 0 { Err(invalid(AS_MANY)) } else { Ok(()) }
}

/// Since the user last spoke, the first call of each step must bring its signature back.
fn check_signed(contents: &[Value], model: &Model<'_>) -> Result<(), Failure> {
    let spoken = |content: &Value| !is_model(content) && holds(content, "function_response") == 0;
    let start = contents.iter().rposition(spoken).unwrap_or_default();
    for (index, content) in contents.iter().enumerate().skip(start).filter(|(_, content)| is_model(content)) {
        let first = list(&content["parts"]).iter().find(|part| !part["function_call"].is_null());
        if let Some(part) = first.filter(|part| part["thought_signature"].is_null()) {
            let name = part["function_call"]["name"].as_str().unwrap_or_default();
            if model.surface == Surface::Vertex {
                return Err(invalid(format!(
                    "Unable to submit request because function call `default_api:{name}` in the {}. content block is missing a `thought_signature`. Learn more: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures",
                    index + 1
                )));
            }
            return Err(invalid(format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call `default_api:{name}` , position {}. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                index + 1
            )));
        }
    }
    Ok(())
}

/// What functions said names them as they were called, where that is looked at, and refers only to what is there.
fn check_answers(contents: &[Value], model: &Model<'_>) -> Result<(), Failure> {
    let mut called: Vec<&str> = Vec::new();
    for content in contents {
        for answer in list(&content["parts"]).iter().map(|part| &part["function_response"]) {
            let Some(name) = answer["name"].as_str() else { continue };
            if model.surface == Surface::Vertex && !called.contains(&name) {
                return Err(invalid("Request contains an invalid argument."));
            }
            let shown: Vec<&str> = list(&answer["parts"])
                .iter()
                .filter_map(|part| {
                    part["inline_data"]["display_name"]
                        .as_str()
                        .or(part["file_data"]["display_name"].as_str())
                })
                .collect();
            let mut meant = Vec::new();
            references(&answer["response"], &mut meant);
            if let Some(name) = meant.into_iter().find(|name| !shown.contains(name)) {
                return Err(invalid(format!(
                    "The referenced name `{name}` in function_response.response does not match to a display_name in the function_response.parts."
                )));
            }
        }
        called = list(&content["parts"])
            .iter()
            .filter_map(|part| part["function_call"]["name"].as_str())
            .collect();
    }
    Ok(())
}

/// The names that a value refers to, at any depth, which that of JSON bounds.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(all) => all.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

/// All text of a content: texts, arguments of calls, what functions said.
pub(super) fn text_of(content: &Value) -> String {
    list(&content["parts"]).iter().map(part_text).collect()
}

fn part_text(part: &Value) -> String {
    if let Some(text) = part["text"].as_str() {
        return text.to_owned();
    }
    if let Some(call) = part["function_call"].as_object() {
        return call.get("args").map(Value::to_string).unwrap_or_default();
    }
    match &part["function_response"]["response"] {
        Value::Null => String::new(),
        // The usual form is one text under a name of the caller's choice.
        Value::Object(said) => match said.iter().next() {
            Some((_, Value::String(text))) if said.len() == 1 => text.clone(),
            _ => Value::Object(said.clone()).to_string(),
        },
        other => other.to_string(),
    }
}

/// The images and files of a content.
pub(super) fn media_of(content: &Value) -> Vec<Media> {
    let parts = list(&content["parts"]).iter();
    let all = parts.flat_map(|part| [part].into_iter().chain(list(&part["function_response"]["parts"])));
    all.filter_map(|part| {
        if let Some(uri) = part["file_data"]["file_uri"].as_str() {
            return Some(Media::Url(uri.to_owned()));
        }
        let data = part["inline_data"]["data"].as_str()?;
        let kind = part["inline_data"]["mime_type"].as_str().unwrap_or_default();
        Some(Media::Bytes(kind.to_owned(), proto::bytes(data).unwrap_or_default().len()))
    })
    .collect()
}

/// The content that the model answers: the user's last, or what functions said.
pub(super) fn last_said(contents: &[Value]) -> Option<&Value> {
    contents.iter().rev().find(|content| !is_model(content))
}

pub(super) fn is_response(content: &Value) -> bool {
    holds(content, "function_response") > 0
}
