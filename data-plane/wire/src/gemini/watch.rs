//! gemini streams: each frame is an answer with what is new, and totals of usage. No frame says that it is the last:
//! the stream ends with the connection, and is complete once a reason was given.

use std::borrow::Cow;

use shared::usage::Usage;

use crate::error::upstream::UpstreamError;
use crate::gemini::usage;
use crate::json;
use crate::raw::watch::{FailureCause, Notes, Verdict};
use crate::sse::Frame;

#[derive(Debug, Default)]
pub(crate) struct GeminiReader {
    usage: Option<Usage>,
    /// The usage came with, or behind, the reason for the answer's end.
    usage_came_last: bool,
}

impl GeminiReader {
    pub(crate) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    pub(crate) const fn usage_is_final(&self) -> bool {
        self.usage_came_last
    }

    /// Every frame has totals of usage, so all are read.
    pub(crate) fn read(&mut self, frame: &Frame<'_>, notes: &mut Notes, closely: bool) -> Verdict {
        let fields = frame.fields();
        if fields.has_comment && fields.data.is_none() {
            notes.ping();
        }
        if closely && fields.has_stray_line {
            return malformed("a line is not a field of server-sent events");
        }
        let data = fields.data.as_deref().unwrap_or_default();
        // `[DONE]` is not of this wire, but routers in front of other models close with it.
        if matches!(data.trim_ascii(), b"" | b"[DONE]") {
            return Verdict::Pass;
        }
        let chunk = std::str::from_utf8(data).ok().and_then(|data| Chunk::read(data).ok());
        let Some(chunk) = chunk else {
            return if closely { malformed("the data is not a JSON object") } else { Verdict::Pass };
        };
        if let Some(error) = chunk.error {
            return Verdict::Failed(FailureCause::Reported(error));
        }
        notes.seen.preamble = true;
        notes.seen.content |= chunk.has_content;
        notes.seen.stopped |= chunk.stops;
        notes.begin_as(chunk.id.as_deref());
        notes.serve_model(chunk.model.as_deref());
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage);
            self.usage_came_last = notes.seen.stopped;
        } else if chunk.usage_is_unreadable {
            self.usage_came_last = false;
        }
        Verdict::Pass
    }
}

const fn malformed(what: &'static str) -> Verdict {
    Verdict::Failed(FailureCause::Malformed(what))
}

/// What matters of one frame.
#[derive(Default)]
struct Chunk<'a> {
    id: Option<Cow<'a, str>>,
    model: Option<Cow<'a, str>>,
    has_content: bool,
    stops: bool,
    usage: Option<Usage>,
    usage_is_unreadable: bool,
    error: Option<UpstreamError>,
}

impl<'a> Chunk<'a> {
    fn read(data: &'a str) -> Result<Self, serde_json::Error> {
        let mut chunk = Self::default();
        let mut wrapped = None;
        json::object(data, |field| match &*field.name() {
            // Code Assist wraps the answer.
            "response" => wrapped = Some(field.value),
            name => chunk.take(name, field.value),
        })?;
        if let Some(wrapped) = wrapped {
            // A wrapper without an object in it says nothing.
            let _ = json::object(wrapped, |field| chunk.take(&field.name(), field.value));
        }
        Ok(chunk)
    }

    fn take(&mut self, name: &str, value: &'a str) {
        match name {
            "candidates" => self.read_candidates(value),
            "promptFeedback" => self.read_feedback(value),
            "usageMetadata" => {
                let stated = usage::stated(value);
                self.usage_is_unreadable = stated.is_err();
                self.usage = stated.ok().flatten();
            }
            "modelVersion" => self.model = json::string(value),
            "responseId" => self.id = json::string(value),
            "error" if value != "null" => self.error = Some(UpstreamError::read(value)),
            _ => {}
        }
    }

    fn read_candidates(&mut self, candidates: &str) {
        // Something else than an array of objects says nothing.
        let _ = json::array(candidates, |candidate| {
            let _ = json::object(candidate, |field| match &*field.name() {
                "content" => self.has_content |= has_parts(field.value),
                "finishReason" => {
                    self.stops |=
                        json::is_filled(field.value) && field.value != "\"FINISH_REASON_UNSPECIFIED\"";
                }
                _ => {}
            });
        });
        self.has_content |= self.stops;
    }

    /// A prompt that is refused has no candidates.
    fn read_feedback(&mut self, feedback: &str) {
        let _ = json::object(feedback, |field| {
            self.stops |= field.name() == "blockReason" && json::is_filled(field.value);
        });
        self.has_content |= self.stops;
    }
}

fn has_parts(content: &str) -> bool {
    let mut has_parts = false;
    let _ = json::object(content, |field| {
        has_parts |= field.name() == "parts" && json::is_filled(field.value);
    });
    has_parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> Chunk<'_> {
        Chunk::read(data).unwrap()
    }

    #[test]
    fn parts_and_endings_are_content() {
        for data in [
            r#"{"candidates":[{"content":{"parts":[{"text":""}]}}]}"#,
            r#"{"candidates":[{"finishReason":"STOP"}]}"#,
            r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#,
            r#"{"response":{"candidates":[{"content":{"parts":[{}]}}]}}"#,
        ] {
            assert!(read(data).has_content, "{data}");
        }
        for data in [
            "{}",
            r#"{"candidates":[{"content":{"role":"model"}}]}"#,
            r#"{"candidates":[{"content":{"parts":[]},"finishReason":"FINISH_REASON_UNSPECIFIED"}]}"#,
            r#"{"candidates":7,"promptFeedback":{"safetyRatings":[]},"response":7}"#,
        ] {
            let chunk = read(data);
            assert!(!chunk.has_content && !chunk.stops, "{data}");
        }
    }

    #[test]
    fn a_wrapped_answer_is_read_like_a_bare_one() {
        let chunk = read(
            r#"{"response":{"candidates":[{"finishReason":"STOP"}],"modelVersion":"gemini-2.5-pro",
                "usageMetadata":{"promptTokenCount":3}},"traceId":"t"}"#,
        );
        assert!(chunk.stops);
        assert_eq!(
            (chunk.model.as_deref(), chunk.usage.map(|usage| usage.input)),
            (Some("gemini-2.5-pro"), Some(3))
        );
    }
}
