//! The messages of a conversation: who speaks after whom, what answers what, and what they say in all.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    converse_block::{Block, DOCUMENTS},
    converse_request::{constraint, list},
    invalid, model_says,
};
use crate::{
    provider::Failure,
    turn::{Media, PromptBytes},
};

const MOST_CACHE_POINTS: usize = 4;

/// What the way through a request has met.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub bytes: PromptBytes,
    cache_points: usize,
    /// The names of documents.
    pub documents: HashSet<String>,
}

impl Walk {
    /// Everything so far becomes a cache write.
    pub(super) fn cache_point(&mut self, point: &Value, place: &str) -> Result<(), Failure> {
        if point["type"] != "default" {
            let given = point["type"].as_str().unwrap_or_default();
            return Err(constraint(given, &format!("{place}.type"), "satisfy enum value set: [default]"));
        }
        self.cache_points += 1;
        if self.cache_points > MOST_CACHE_POINTS {
            return Err(model_says("A maximum of 4 blocks with cache_control may be provided."));
        }
        let written = std::mem::take(&mut self.bytes.plain);
        match point["ttl"].as_str() {
            Some("1h") => self.bytes.cached_1h += written,
            Some("5m") | None => self.bytes.cached_5m += written,
            Some(ttl) => {
                return Err(constraint(ttl, &format!("{place}.ttl"), "satisfy enum value set: [5m, 1h]"));
            }
        }
        Ok(())
    }
}

/// Checks the system prompts, and gives them as one text.
pub(super) fn system(blocks: &[Value], walk: &mut Walk) -> Result<String, Failure> {
    let mut texts = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        if !block["cachePoint"].is_null() {
            walk.cache_point(&block["cachePoint"], &format!("system.{index}.cachePoint"))?;
            continue;
        }
        let text = text_of(block);
        if text.trim().is_empty() {
            return Err(invalid(format!(
                "The text field in the SystemContentBlock object at system.{index} is blank. Add text to the text field, and try again."
            )));
        }
        walk.bytes.plain += text.len();
        texts.push(text);
    }
    Ok(texts.join("\n"))
}

pub(super) fn messages(
    messages: &[Value],
    has_tools: bool,
    is_claude: bool,
    walk: &mut Walk,
) -> Result<(), Failure> {
    let mut open: Vec<&str> = Vec::new();
    let mut before = "assistant";
    for (index, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if !matches!(role, "user" | "assistant") {
            let place = format!("messages.{}.member.role", index + 1);
            return Err(constraint(role, &place, "satisfy enum value set: [user, assistant]"));
        }
        let content = list(&message["content"])?;
        if content.is_empty() {
            return Err(invalid(format!(
                "The content field in the Message object at messages.{index} is empty. Add a ContentBlock object to the content field and try again."
            )));
        }
        if index == 0 && role != "user" {
            return Err(starts_wrong());
        }
        if role == before {
            return Err(invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
            ));
        }
        for (place, block) in content.iter().enumerate() {
            let block = Block { block, role, message: index, place, is_claude };
            block.check(walk)?;
        }
        check_documents(index, content)?;
        check_results(index, content, &open)?;
        open = content.iter().filter_map(|block| block["toolUse"]["toolUseId"].as_str()).collect();
        let tools = |block: &Value| !block["toolUse"].is_null() || !block["toolResult"].is_null();
        if !has_tools && content.iter().any(tools) {
            return Err(invalid(
                "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
            ));
        }
        before = role;
    }
    if messages.is_empty() {
        return Err(starts_wrong());
    }
    check_results(messages.len(), &[], &open)
}

/// With thinking on, the last assistant message begins with a thought if it uses tools.
pub(super) fn check_last(messages: &[Value]) -> Result<(), Failure> {
    let last = messages.iter().enumerate().rfind(|(_, message)| message["role"] == "assistant");
    let Some((index, message)) = last else { return Ok(()) };
    let blocks = list(&message["content"])?;
    let thinks = blocks.first().is_some_and(|block| !block["reasoningContent"].is_null());
    if thinks || blocks.iter().all(|block| block["toolUse"].is_null()) {
        return Ok(());
    }
    let first = blocks.first().filter(|block| block["toolUse"].is_null()).map_or("tool_use", |_| "text");
    Err(model_says(&format!(
        "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
    )))
}

fn starts_wrong() -> Failure {
    invalid(
        "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
    )
}

fn check_documents(index: usize, content: &[Value]) -> Result<(), Failure> {
    let document = content.iter().position(|block| !block["document"].is_null());
    match document {
        Some(place) if !content.iter().any(|block| block["text"].is_string()) => Err(invalid(format!(
            "The document at messages.{index}.content.{place} needs a text block in the same message. Add a text block and try again."
        ))),
        _ => Ok(()),
    }
}

/// Each tool use is answered in the next message, and nothing else is.
fn check_results(index: usize, content: &[Value], open: &[&str]) -> Result<(), Failure> {
    let results: Vec<&str> =
        content.iter().filter_map(|block| block["toolResult"]["toolUseId"].as_str()).collect();
    let missing: Vec<&str> = open.iter().copied().filter(|id| !results.contains(id)).collect();
    if !missing.is_empty() {
        return Err(invalid(format!(
            "Expected toolResult blocks at messages.{index}.content for the following Ids: {}",
            missing.join(", ")
        )));
    }
    if results.len() > open.len() {
        return Err(invalid(format!(
            "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous turn."
        )));
    }
    Ok(())
}

/// All text of a block: texts, thoughts, arguments and results of tools, documents of text.
pub(super) fn text_of(block: &Value) -> String {
    let plain = [
        &block["text"],
        &block["guardContent"]["text"]["text"],
        &block["reasoningContent"]["reasoningText"]["text"],
        &block["document"]["source"]["text"],
    ];
    if let Some(text) = plain.into_iter().find_map(Value::as_str) {
        return text.to_owned();
    }
    if block["toolUse"].is_object() {
        return block["toolUse"]["input"].to_string();
    }
    if !block["json"].is_null() {
        return block["json"].to_string();
    }
    let inner = block["toolResult"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    inner.iter().map(text_of).collect()
}

/// The images and files of a block, and of a tool's result.
pub(super) fn media_of(block: &Value) -> Vec<Media> {
    let inner = block["toolResult"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut found: Vec<Media> = inner.iter().flat_map(media_of).collect();
    for kind in ["image", "document", "video", "audio"] {
        let media = &block[kind];
        let format = media["format"].as_str().unwrap_or_default();
        let known = DOCUMENTS.iter().find(|(name, _)| kind == "document" && *name == format);
        let mime_type = known.map_or_else(|| format!("{kind}/{format}"), |(_, name)| (*name).to_owned());
        if let Some(bytes) = media["source"]["bytes"].as_str() {
            found.push(Media::Bytes(mime_type, STANDARD.decode(bytes).unwrap_or_default().len()));
        } else if let Some(uri) = media["source"]["s3Location"]["uri"].as_str() {
            found.push(Media::Url(uri.to_owned()));
        }
    }
    found
}
