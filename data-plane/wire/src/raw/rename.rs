//! The model's name in an answer: a client is given the one that it asked for.
//!
//! Claude Code drops every signed thought, and other clients their encrypted reasoning, where an answer's model is not
//! the request's. Providers name the version that they served, accounts map names: the record keeps all of them.

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use bytes::Bytes;
use memchr::memmem::Finder;
use shared::wire::Wire;

use crate::{json, sse::Frame};

static MODEL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"model\""));
static MODEL_VERSION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"modelVersion\""));

/// What an answer's model is called towards the client.
#[derive(Debug, Clone)]
pub(crate) struct Rename {
    wire: Wire,
    asked: Box<str>,
    /// As JSON.
    written: Bytes,
    /// No frame to come names it.
    done: bool,
}

impl Rename {
    pub(crate) fn new(wire: Wire, asked: &str) -> Self {
        let written = serde_json::Value::from(asked).to_string();
        Self { wire, asked: asked.into(), written: written.into(), done: false }
    }

    /// Where another name stands in the frame, and what goes there.
    pub(crate) fn in_frame(&mut self, frame: &Frame<'_>) -> Option<(Range<usize>, Bytes)> {
        if self.done || !may_name(self.wire, frame) {
            return None;
        }
        let fields = frame.fields();
        let start = fields.data_at.as_ref()?.start;
        let data = fields.data.as_deref()?;
        let place = place(self.wire, data, true)?;
        let name = name(data, &place)?;
        // A message says its model once, at its beginning; and who says the right one goes on doing so.
        self.done = self.wire == Wire::Messages || name == *self.asked;
        (name != *self.asked).then(|| (start + place.start..start + place.end, self.written.clone()))
    }

    /// An answer that is no stream.
    pub(crate) fn in_body(&self, body: Bytes) -> Bytes {
        let other = |place: &Range<usize>| name(&body, place).is_some_and(|name| name != *self.asked);
        match place(self.wire, &body, false).filter(other) {
            Some(Range { start, end }) => [body.get(..start), Some(&self.written), body.get(end..)]
                .map(Option::unwrap_or_default)
                .concat()
                .into(),
            None => body,
        }
    }
}

/// Whether the frame is of a kind that names the model.
fn may_name(wire: Wire, frame: &Frame<'_>) -> bool {
    let known = match (wire, frame.leading_event()) {
        (Wire::Messages, Some(name)) => name == b"message_start",
        // Pieces don't say it, and what holds the whole answer so far does.
        (Wire::Responses, Some(name)) => {
            !name.ends_with(b".delta") && !name.ends_with(b".done") && !name.ends_with(b".added")
        }
        _ => true,
    };
    let key = if wire == Wire::Gemini { &*MODEL_VERSION } else { &*MODEL };
    known && key.find(frame.part.bytes).is_some()
}

/// Where the name stands in an answer or in an event's data.
fn place(wire: Wire, data: &[u8], in_event: bool) -> Option<Range<usize>> {
    let text = std::str::from_utf8(data).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii();
    let name = match wire {
        Wire::Messages if in_event => member(member(text, "message")?, "model"),
        Wire::Responses if in_event => member(member(text, "response")?, "model"),
        // Code Assist wraps the answer.
        Wire::Gemini => {
            member(text, "modelVersion").or_else(|| member(member(text, "response")?, "modelVersion"))
        }
        _ => member(text, "model"),
    };
    name.map(|name| json::place_in(data, name))
}

/// The last member of that name, as JSON parsers take it.
fn member<'t>(object: &'t str, name: &str) -> Option<&'t str> {
    let mut found = None;
    json::object(object, |field| {
        if field.name() == name {
            found = Some(field.value);
        }
    })
    .ok()?;
    found
}

/// None: none is said.
fn name<'d>(data: &'d [u8], place: &Range<usize>) -> Option<Cow<'d, str>> {
    let name = std::str::from_utf8(data.get(place.clone())?).ok().and_then(json::string)?;
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(wire: Wire, body: &'static str) -> String {
        let body = Rename::new(wire, "asked-\"5\"").in_body(Bytes::from_static(body.as_bytes()));
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn the_answers_own_name_is_replaced_and_nothing_else() {
        for (wire, body, expected) in [
            (
                Wire::Chat,
                r#"{"id": 1, "model" : "gpt-5.5-2026-04-02", "choices":[{"model":"x"}]}"#,
                r#"{"id": 1, "model" : "asked-\"5\"", "choices":[{"model":"x"}]}"#,
            ),
            (
                Wire::Messages,
                r#"{"model":"claude-opus-5-20260101","content":[{"text":"\"model\":\"x\""}]}"#,
                r#"{"model":"asked-\"5\"","content":[{"text":"\"model\":\"x\""}]}"#,
            ),
            (
                Wire::Gemini,
                r#"{"modelVersion":"gemini-3-pro","model":"x"}"#,
                r#"{"modelVersion":"asked-\"5\"","model":"x"}"#,
            ),
        ] {
            assert_eq!(renamed(wire, body), expected);
        }
    }

    #[test]
    fn what_names_no_model_or_the_one_that_was_asked_for_stays() {
        for body in [r#"{"model":""}"#, r#"{"model":null}"#, r#"{"model":"asked-\"5\""}"#, "{}", "[", ""] {
            assert_eq!(renamed(Wire::Chat, body), body);
        }
    }
}
