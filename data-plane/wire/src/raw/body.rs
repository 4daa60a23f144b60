//! What an answer that is no stream says: usage, the model that served, or an error.

use std::borrow::Cow;

use bytes::Bytes;
use shared::usage::Usage;
use shared::wire::Wire;

use crate::error::upstream::UpstreamError;
use crate::messages::usage::Counts;
use crate::raw::watch::ID_MAX;
use crate::raw::{rename::Rename, served};
use crate::{chat, gemini, json, responses};

/// What was found in a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BodyFacts {
    /// Absent: not reported. Counting tokens reports none.
    pub usage: Option<Usage>,
    pub served_model: Option<String>,
    /// responses: the id under which the provider keeps the answer.
    pub issued_id: Option<String>,
    /// The error that the body is about. Absent also where the provider answered with something else than JSON.
    pub error: Option<UpstreamError>,
    /// It is an object with something in it, and not about an error.
    pub is_answer: bool,
}

/// Reads a whole body, of a success or of an error. A body that can't be read has no facts.
#[must_use]
pub fn facts(wire: Wire, body: &[u8]) -> BodyFacts {
    let mut facts = BodyFacts::default();
    let Ok(text) = std::str::from_utf8(body) else {
        return facts;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Servers in front of a provider answer with a bare message.
    let mut said: Option<&str> = None;
    // Code Assist wraps the answer.
    let mut wrapped: Option<&str> = None;
    let (mut is_forgotten, mut has_fields) = (false, false);
    let read = json::object(text, |field| {
        has_fields = true;
        match &*field.name() {
            name if wire == Wire::Gemini && facts.take_gemini(name, field.value) => {}
            "response" if wire == Wire::Gemini => wrapped = Some(field.value),
            "id" if wire == Wire::Responses => {
                facts.issued_id =
                    json::string(field.value).filter(|id| id.len() <= ID_MAX).map(Cow::into_owned);
            }
            "store" => is_forgotten = field.value == "false",
            "model" => facts.served_model = json::string(field.value).and_then(|model| served(&model)),
            "usage" => facts.usage = usage(wire, field.value),
            "error" if field.value != "null" => facts.error = Some(UpstreamError::read(field.value)),
            "message" | "detail" if field.value.starts_with('"') => said = Some(field.value),
            _ => {}
        }
    });
    if read.is_err() {
        return BodyFacts::default();
    }
    facts.issued_id = facts.issued_id.filter(|_| !is_forgotten);
    if let Some(wrapped) = wrapped {
        // A wrapper without an object in it says nothing.
        let _ = json::object(wrapped, |field| {
            facts.take_gemini(&field.name(), field.value);
        });
    }
    facts.error = facts.error.or_else(|| said.map(UpstreamError::read));
    facts.is_answer = has_fields && facts.error.is_none();
    facts
}

impl BodyFacts {
    /// Whether the field is one of those that gemini names in its own way.
    fn take_gemini(&mut self, name: &str, value: &str) -> bool {
        match name {
            "modelVersion" => self.served_model = json::string(value).and_then(|model| served(&model)),
            "usageMetadata" => self.usage = gemini::usage::read(value),
            _ => return false,
        }
        true
    }
}

fn usage(wire: Wire, usage: &str) -> Option<Usage> {
    match wire {
        Wire::Chat => chat::usage::read(usage),
        Wire::Messages => {
            let mut counts = Counts::default();
            counts.restate(usage);
            counts.usage()
        }
        Wire::Responses => responses::usage::read(usage),
        Wire::Gemini => None,
    }
}

/// The body with the answer's model under the name that was asked for.
#[must_use]
pub fn under_the_name(wire: Wire, body: Bytes, asked: &str) -> Bytes {
    Rename::new(wire, asked).in_body(body)
}

/// What an error's body says, in the manner of any provider. Empty where it can't be read.
#[must_use]
pub fn facts_of_error(body: &[u8]) -> UpstreamError {
    let Ok(text) = std::str::from_utf8(body) else { return UpstreamError::default() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii();
    // Google answers streams that are not server-sent events with a list.
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let mut error = None;
    let mut said: Option<&str> = None;
    let read = json::object(text, |field| match &*field.name() {
        "error" if field.value != "null" => error = Some(UpstreamError::read(field.value)),
        "message" | "Message" | "detail" if field.value.starts_with('"') => said = Some(field.value),
        _ => {}
    });
    match read {
        Ok(()) => error.or_else(|| said.map(UpstreamError::read)).unwrap_or_default(),
        Err(_) => UpstreamError::default(),
    }
}
