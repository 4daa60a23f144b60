//! One block of a conversation: what it may hold, and who may say it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    converse::{is_sealed, signature},
    converse_content::{Walk, text_of},
    converse_request::{constraint, is_name, list, not_of_type},
    invalid, model_says,
};
use crate::provider::Failure;

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
/// Formats of documents, and their media types.
pub(super) const DOCUMENTS: &[(&str, &str)] = &[
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
/// What a tool's result may hold.
const RESULTS: &[&str] = &["json", "text", "image", "document", "video", "searchResult"];

/// A block where it stands.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub block: &'a Value,
    pub role: &'a str,
    pub message: usize,
    pub place: usize,
    pub is_claude: bool,
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

    pub(super) fn check(&self, walk: &mut Walk) -> Result<(), Failure> {
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
            "document" => self.check_document(value, walk),
            "toolUse" => self.check_tool_use(value),
            "toolResult" => self.check_tool_result(value),
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

    fn check_document(&self, document: &Value, walk: &mut Walk) -> Result<(), Failure> {
        let formats: Vec<&str> = DOCUMENTS.iter().map(|(format, _)| *format).collect();
        self.check_media(document, "document", &formats)?;
        let name = document["name"].as_str().unwrap_or_default();
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || " -()[]".contains(letter);
        if !name.is_empty() && name.chars().all(allowed) && !name.contains("  ") {
            if walk.documents.insert(name.to_owned()) {
                return Ok(());
            }
            return Err(invalid(format!("The document name at {} is not unique in the request.", self.at())));
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

    fn check_tool_result(&self, result: &Value) -> Result<(), Failure> {
        self.check_id(&result["toolUseId"], "toolResult")?;
        let status = &result["status"];
        if !(status.is_null() || status == "success" || status == "error") {
            let place = format!("{}.toolResult.status", self.member());
            return Err(constraint(&status.to_string(), &place, "satisfy enum value set: [success, error]"));
        }
        for (index, one) in list(&result["content"])?.iter().enumerate() {
            let held: Vec<&str> = RESULTS.iter().copied().filter(|kind| !one[*kind].is_null()).collect();
            let at = format!("{}.toolResult.content.{index}", self.at());
            match held.as_slice() {
                ["json"] if !one["json"].is_object() => {
                    return Err(invalid(format!(
                        "The format of the value at {at}.json is invalid. Provide a json object for the field and try again."
                    )));
                }
                ["image"] => self.check_media(&one["image"], "image", IMAGES)?,
                [_] => {}
                _ => {
                    return Err(invalid(format!(
                        "The ToolResultContentBlock object at {at} must set one of the following keys: {}.",
                        RESULTS.join(", ")
                    )));
                }
            }
        }
        Ok(())
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
