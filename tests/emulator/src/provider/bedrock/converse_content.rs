//! The blocks of a conversation: what each may hold, who may say it, and what answers what.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    converse::{is_sealed, signature},
    converse_request::{constraint, is_name, list, not_of_type},
    invalid, model_says,
};
use crate::{
    provider::Failure,
    turn::{Media, PromptBytes},
};

const KINDS: &[&str] = &[
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
    "citationsContent",
    "searchResult",
];
const IMAGES: &[&str] = &["gif", "jpeg", "png", "webp"];
const DOCUMENTS: &[(&str, &str)] = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];
const MOST_CACHE_POINTS: usize = 4;

/// What the way through a request has met.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub bytes: PromptBytes,
    cache_points: usize,
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

/// A block where it stands.
struct Block<'a> {
    block: &'a Value,
    role: &'a str,
    message: usize,
    place: usize,
    is_claude: bool,
}

impl Block<'_> {
    /// As messages of the service's own checks write it.
    fn at(&self) -> String {
        format!("messages.{}.content.{}", self.message, self.place)
    }

    /// As messages about constraints write it, from one.
    fn member(&self) -> String {
        format!("messages.{}.member.content.{}.member", self.message + 1, self.place + 1)
    }

    fn check(&self, walk: &mut Walk) -> Result<(), Failure> {
        let Value::Object(fields) = self.block else {
            return Err(not_of_type("union"));
        };
        let place = format!("#/messages/{}/content/{}", self.message, self.place);
        if let Some(extra) = fields.keys().find(|name| !KINDS.contains(&name.as_str())) {
            return Err(invalid(format!(
                "Malformed input request: {place}: extraneous key [{extra}] is not permitted, please reformat your input and try again."
            )));
        }
        let mut held = fields.iter().filter(|(_, value)| !value.is_null());
        let (Some((kind, value)), None) = (held.next(), held.next()) else {
            return Err(invalid(format!(
                "Malformed input request: {place}: exactly one key of a content block must be set, please reformat your input and try again."
            )));
        };
        self.check_role(kind)?;
        walk.bytes.plain += text_of(self.block).len();
        match kind.as_str() {
            "text" => self.check_text(value),
            "image" => self.check_media(value, "image", IMAGES),
            "document" => self.check_document(value),
            "toolUse" => self.check_tool_use(value),
            "toolResult" => self
                .check_id(&value["toolUseId"], "toolResult")
                .and_then(|()| list(&value["content"]).map(|_| ())),
            "reasoningContent" => self.check_reasoning(value),
            "cachePoint" => walk.cache_point(value, &format!("{}.cachePoint", self.member())),
            _ => Ok(()),
        }
    }

    fn check_role(&self, kind: &str) -> Result<(), Failure> {
        let fits = match kind {
            "toolUse" | "reasoningContent" | "citationsContent" => self.role == "assistant",
            "toolResult" | "image" | "document" | "video" | "audio" | "searchResult" => self.role == "user",
            _ => true,
        };
        if fits {
            return Ok(());
        }
        Err(invalid(format!(
            "The {kind} block at {} is not valid in a message of the {} role.",
            self.at(),
            self.role
        )))
    }

    fn check_text(&self, text: &Value) -> Result<(), Failure> {
        let text = text.as_str().ok_or_else(|| not_of_type("string"))?;
        if !text.trim().is_empty() {
            return Ok(());
        }
        Err(invalid(format!(
            "The text field in the ContentBlock object at {} is blank. Add text to the text field, and try again.",
            self.at()
        )))
    }

    fn check_media(&self, media: &Value, kind: &str, formats: &[&str]) -> Result<(), Failure> {
        let format = media["format"].as_str().unwrap_or_default();
        if !formats.contains(&format) {
            let rule = format!("satisfy enum value set: [{}]", formats.join(", "));
            return Err(constraint(format, &format!("{}.{kind}.format", self.member()), &rule));
        }
        let source = &media["source"];
        match source["bytes"].as_str().map(|text| STANDARD.decode(text)) {
            Some(Ok(bytes)) if !bytes.is_empty() => Ok(()),
            Some(Err(_)) => Err(Failure::new(400, "SerializationException", "Unable to decode base64 blob")),
            None if ["s3Location", "text", "content"].iter().any(|name| !source[*name].is_null()) => Ok(()),
            _ => Err(invalid(format!("The {kind} at {} has no source. Add one and try again.", self.at()))),
        }
    }

    fn check_document(&self, document: &Value) -> Result<(), Failure> {
        let formats: Vec<&str> = DOCUMENTS.iter().map(|(format, _)| *format).collect();
        self.check_media(document, "document", &formats)?;
        let name = document["name"].as_str().unwrap_or_default();
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || " -()[]".contains(letter);
        if !name.is_empty() && name.chars().all(allowed) && !name.contains("  ") {
            return Ok(());
        }
        Err(invalid(format!(
            "The document file name at {} can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character.",
            self.at()
        )))
    }

    fn check_id(&self, id: &Value, kind: &str) -> Result<(), Failure> {
        let id = id.as_str().unwrap_or_default();
        if is_name(id) {
            return Ok(());
        }
        let place = format!("{}.{kind}.toolUseId", self.member());
        Err(constraint(id, &place, "satisfy regular expression pattern: [a-zA-Z0-9_-]+"))
    }

    fn check_tool_use(&self, tool: &Value) -> Result<(), Failure> {
        self.check_id(&tool["toolUseId"], "toolUse")?;
        let name = tool["name"].as_str().unwrap_or_default();
        if !is_name(name) {
            let place = format!("{}.toolUse.name", self.member());
            return Err(constraint(name, &place, "satisfy regular expression pattern: [a-zA-Z0-9_-]+"));
        }
        if tool["input"].is_object() {
            return Ok(());
        }
        Err(invalid(format!(
            "The format of the value at {}.toolUse.input is invalid. Provide a json object for the field and try again.",
            self.at()
        )))
    }

    /// A thought comes back as it was given, or not at all.
    fn check_reasoning(&self, reasoning: &Value) -> Result<(), Failure> {
        let thought = &reasoning["reasoningText"];
        let at = self.at();
        if thought.is_null() {
            return match reasoning["redactedContent"].as_str() {
                Some(content) if is_sealed(content) => Ok(()),
                _ => Err(model_says(&format!("{at}: Invalid `data` in `redacted_thinking` block"))),
            };
        }
        let text = thought["text"].as_str().unwrap_or_default();
        match thought["signature"].as_str() {
            Some(signed) if signed == signature(text) => Ok(()),
            Some(_) => Err(model_says(&format!("{at}: Invalid `signature` in `thinking` block"))),
            None if self.is_claude => Err(model_says(&format!("{at}.thinking.signature: Field required"))),
            None => Ok(()),
        }
    }
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
