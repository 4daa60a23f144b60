//! The content of a message: which parts it may have, and the images, files and sounds in it.

use base64::Engine as _;
use serde_json::Value;

use super::field::{Fields, empty_array, wrong_type};
use crate::{
    provider::{
        Failure,
        openai::{invalid, missing},
    },
    turn::Media,
};

const IMAGES: &[&str] = &["image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"];

/// `path` is that of the message.
pub(super) fn check(content: &Value, role: &str, path: &str) -> Result<(), Failure> {
    let path = format!("{path}.content");
    let parts = match content {
        Value::String(_) => return Ok(()),
        Value::Array(parts) if parts.is_empty() => return Err(empty_array(&path)),
        Value::Array(parts) => parts,
        other => return Err(wrong_type(&path, "one of a string or array of objects", other)),
    };
    let known: &[&str] = match role {
        "user" => &["text", "image_url", "input_audio", "file"],
        "assistant" => &["text", "refusal"],
        _ => &["text"],
    };
    for (index, part) in parts.iter().enumerate() {
        let part = Fields::of(part, format!("{path}[{index}]"))?;
        match part.need_one_of("type", known)? {
            "text" => part.need_text("text").map(drop)?,
            "refusal" => part.need_text("refusal").map(drop)?,
            "image_url" => check_image(&part.need_inner("image_url")?)?,
            "input_audio" => check_audio(&part.need_inner("input_audio")?)?,
            _ => check_file(&part.need_inner("file")?)?,
        }
    }
    Ok(())
}

fn check_image(image: &Fields<'_>) -> Result<(), Failure> {
    let url = image.need_text("url")?;
    image.one_of("detail", &["auto", "low", "high", "original"])?;
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    match data_url(url) {
        Some((kind, _)) if !IMAGES.contains(&kind) => Err(invalid(
            "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].",
        )
        .with_code("invalid_image_format")),
        Some((_, None | Some(0))) => Err(invalid("Invalid base64 image_url.").with_code("invalid_base64")),
        Some(_) => Ok(()),
        None => Err(not_a_url(&image.param("url"))),
    }
}

fn check_audio(audio: &Fields<'_>) -> Result<(), Failure> {
    let data = audio.need_text("data")?;
    audio.need_one_of("format", &["wav", "mp3"])?;
    match decoded(data) {
        None | Some(0) => {
            let param = audio.param("data");
            let message = format!(
                "Invalid '{param}'. Expected base64-encoded data, but got a value with an invalid format."
            );
            Err(invalid(message).with_param(param).with_code("invalid_value"))
        }
        Some(_) => Ok(()),
    }
}

fn check_file(file: &Fields<'_>) -> Result<(), Failure> {
    let Some(data) = file.text("file_data")? else {
        return file.text("file_id")?.map(drop).ok_or_else(|| missing(&file.param("file_id")));
    };
    let wrong = match data_url(data) {
        Some((_, Some(1..))) => return Ok(()),
        Some(_) => "invalid base64-encoded data",
        None => "a value without the 'data:' prefix",
    };
    let param = file.param("file_data");
    let message = format!(
        "Invalid '{param}'. Expected a base64-encoded data URL with an application/pdf MIME type (e.g. 'data:application/pdf;base64,aW1nIGJ5dGVzIGhlcmU='), but got {wrong}."
    );
    Err(invalid(message).with_param(param).with_code("invalid_value"))
}

fn not_a_url(param: &str) -> Failure {
    invalid(format!("Invalid '{param}'. Expected a valid URL, but got a value with an invalid format."))
        .with_param(param)
        .with_code("invalid_value")
}

/// The media type, and how many bytes the data stands for, if it is base64.
fn data_url(url: &str) -> Option<(&str, Option<usize>)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?;
    Some((kind.split(';').next().unwrap_or(kind), decoded(data)))
}

fn decoded(data: &str) -> Option<usize> {
    base64::engine::general_purpose::STANDARD.decode(data).ok().map(|bytes| bytes.len())
}

/// What a checked content holds besides text, in order.
pub(super) fn media(content: &Value) -> Vec<Media> {
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(part_media).collect()
}

fn part_media(part: &Value) -> Option<Media> {
    let kind = part.get("type")?.as_str()?;
    let inner = part.get(kind)?;
    let field = |name: &str| inner.get(name).and_then(Value::as_str);
    match kind {
        "image_url" | "file" => match field("url").or_else(|| field("file_data")) {
            Some(url) => match data_url(url) {
                Some((kind, length)) => Some(Media::Bytes(kind.to_owned(), length?)),
                None => Some(Media::Url(url.to_owned())),
            },
            None => Some(Media::Url(field("file_id")?.to_owned())),
        },
        "input_audio" => Some(Media::Bytes(format!("audio/{}", field("format")?), decoded(field("data")?)?)),
        _ => None,
    }
}
