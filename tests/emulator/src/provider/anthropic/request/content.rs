//! The blocks of a message: what each kind must hold, and the images and documents in it.

use base64::Engine as _;
use serde_json::Value;

use super::field::{check_name, list, one_of, present, refuse, required, tag, text};
use crate::{
    provider::{Failure, anthropic::invalid},
    turn::Media,
};

/// What the last member of the union is called by: the ones that this emulator reads, and those that only its
/// provider's own tools make.
const BLOCKS: &[&str] = &[
    "advisor_tool_result",
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "compaction",
    "container_upload",
    "document",
    "fallback",
    "image",
    "mcp_tool_listing",
    "mcp_tool_result",
    "mcp_tool_use",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "text",
    "text_editor_code_execution_tool_result",
    "thinking",
    "tool_addition",
    "tool_removal",
    "tool_result",
    "tool_search_tool_result",
    "tool_use",
    "web_fetch_tool_result",
    "web_search_tool_result",
];
const RESULT_BLOCKS: &[&str] =
    &["browser_state", "document", "image", "search_result", "text", "tool_reference"];
const IMAGE_TYPES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

pub(super) fn check(block: &Value, path: &str) -> Result<(), Failure> {
    let kind = tag(block, path, BLOCKS)?;
    let path = format!("{path}.{kind}");
    match kind {
        "tool_use" => {
            check_name(text(block, &path, "id")?, &format!("{path}.id"), false)?;
            check_name(text(block, &path, "name")?, &format!("{path}.name"), true)?;
            if required(block, &path, "input")?.is_object() {
                return Ok(());
            }
            Err(refuse(&format!("{path}.input"), "Input should be a valid dictionary"))
        }
        "tool_result" => check_result(block, &path),
        "thinking" => text(block, &path, "thinking").and(text(block, &path, "signature")).map(drop),
        "redacted_thinking" => text(block, &path, "data").map(drop),
        _ => check_plain(block, kind, &path, "messages"),
    }
}

/// `part` is the part of the request that is named when a text is empty.
pub(super) fn check_plain(block: &Value, kind: &str, path: &str, part: &str) -> Result<(), Failure> {
    match kind {
        "text" => check_text(block, path, part),
        "image" => check_image(required(block, path, "source")?, &format!("{path}.source")),
        "document" => check_document(required(block, path, "source")?, &format!("{path}.source")),
        _ => Ok(()),
    }
}

fn check_text(block: &Value, path: &str, part: &str) -> Result<(), Failure> {
    let said = text(block, path, "text")?;
    if said.is_empty() && present(block, "cache_control").is_some() {
        return Err(refuse(path, "cache_control cannot be set for empty text blocks"));
    }
    check_said(said, part)
}

/// Text is neither empty nor blank.
pub(super) fn check_said(said: &str, part: &str) -> Result<(), Failure> {
    if said.is_empty() {
        return Err(invalid(format!("{part}: text content blocks must be non-empty")));
    }
    if said.trim().is_empty() {
        return Err(invalid(format!("{part}: text content blocks must contain non-whitespace text")));
    }
    Ok(())
}

fn check_result(block: &Value, path: &str) -> Result<(), Failure> {
    check_name(text(block, path, "tool_use_id")?, &format!("{path}.tool_use_id"), false)?;
    let failed = match present(block, "is_error") {
        None => false,
        Some(failed) => failed
            .as_bool()
            .ok_or_else(|| refuse(&format!("{path}.is_error"), "Input should be a valid boolean"))?,
    };
    let empty = match present(block, "content") {
        None => true,
        Some(Value::String(said)) => said.is_empty(),
        Some(content) => {
            let path = format!("{path}.content");
            let blocks = list(content, &path)?;
            for (place, block) in blocks.iter().enumerate() {
                let path = format!("{path}.{place}");
                let kind = tag(block, &path, RESULT_BLOCKS)?;
                check_plain(block, kind, &format!("{path}.{kind}"), "messages")?;
            }
            blocks.is_empty()
        }
    };
    if failed && empty {
        return Err(refuse(path, "content cannot be empty if `is_error` is true"));
    }
    Ok(())
}

fn check_image(source: &Value, path: &str) -> Result<(), Failure> {
    let kind = tag(source, path, &["base64", "file", "url"])?;
    let path = format!("{path}.{kind}");
    match kind {
        "base64" => {
            one_of(required(source, &path, "media_type")?, &format!("{path}.media_type"), IMAGE_TYPES)?;
            check_base64(source, &path, "image cannot be empty")
        }
        _ => check_reference(source, kind, &path),
    }
}

fn check_document(source: &Value, path: &str) -> Result<(), Failure> {
    let kind = tag(source, path, &["base64", "content", "file", "text", "url"])?;
    let path = format!("{path}.{kind}");
    let media_type = format!("{path}.media_type");
    match kind {
        "base64" => {
            one_of(required(source, &path, "media_type")?, &media_type, &["application/pdf"])?;
            check_base64(source, &path, "document cannot be empty")
        }
        "text" => {
            one_of(required(source, &path, "media_type")?, &media_type, &["text/plain"])?;
            text(source, &path, "data").map(drop)
        }
        "content" => match required(source, &path, "content")? {
            Value::String(_) => Ok(()),
            content => list(content, &format!("{path}.content")).map(drop),
        },
        _ => check_reference(source, kind, &path),
    }
}

fn check_reference(source: &Value, kind: &str, path: &str) -> Result<(), Failure> {
    if kind == "file" {
        return text(source, path, "file_id").map(drop);
    }
    let url = text(source, path, "url")?;
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    Err(refuse(&format!("{path}.url"), "Only HTTP and HTTPS URLs are supported"))
}

fn check_base64(source: &Value, path: &str, empty: &str) -> Result<(), Failure> {
    match decoded(text(source, path, "data")?) {
        None => Err(refuse(path, "invalid base64 data")),
        Some(0) => Err(refuse(path, empty)),
        Some(_) => Ok(()),
    }
}

/// How many bytes it stands for.
fn decoded(data: &str) -> Option<usize> {
    base64::engine::general_purpose::STANDARD.decode(data).ok().map(|bytes| bytes.len())
}

/// Images and documents of a checked content, those in tool results too, in order.
pub(super) fn media(content: &Value) -> Vec<Media> {
    let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut found = Vec::new();
    for block in blocks {
        match block.get("type").and_then(Value::as_str) {
            Some("image" | "document") => found.extend(block.get("source").and_then(source_media)),
            Some("tool_result") => found.extend(block.get("content").map(media).unwrap_or_default()),
            _ => {}
        }
    }
    found
}

fn source_media(source: &Value) -> Option<Media> {
    let field = |name: &str| source.get(name).and_then(Value::as_str);
    match field("type")? {
        "base64" => Some(Media::Bytes(field("media_type")?.to_owned(), decoded(field("data")?)?)),
        "text" => Some(Media::Bytes("text/plain".to_owned(), field("data")?.len())),
        "content" => {
            let length = super::prompt::text_of(source.get("content")?).len();
            Some(Media::Bytes("text/plain".to_owned(), length))
        }
        "url" => Some(Media::Url(field("url")?.to_owned())),
        "file" => Some(Media::Url(field("file_id")?.to_owned())),
        _ => None,
    }
}
