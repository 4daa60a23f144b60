//! chat streams: chunks without event names; usage in a last chunk of its own, or in every chunk; `[DONE]`.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use shared::usage::Usage;

use crate::chat::usage;
use crate::error::upstream::UpstreamError;
use crate::json;
use crate::raw::member::with_comma;
use crate::raw::watch::{FailureCause, Notes, Seen, Verdict};
use crate::sse::Frame;

const DONE: &[u8] = b"[DONE]";

/// Keys that make a frame worth reading once content has begun.
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"finish_reason\""));
static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(DONE));

#[derive(Debug, Default)]
pub(crate) struct ChatReader {
    hide_usage: bool,
    usage: Option<Usage>,
    /// The usage came with, or behind, the answer's last word.
    usage_came_last: bool,
    /// The last usage that came can't be read: the one before it may be less than all.
    usage_is_unreadable: bool,
}

impl ChatReader {
    pub(crate) fn new(hide_usage: bool) -> Self {
        Self { hide_usage, ..Self::default() }
    }

    pub(crate) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    pub(crate) const fn usage_is_final(&self, seen: Seen) -> bool {
        self.usage.is_some() && !self.usage_is_unreadable && (self.usage_came_last || seen.end)
    }

    pub(crate) fn read(&mut self, frame: &Frame<'_>, notes: &mut Notes, closely: bool) -> Verdict {
        if !closely && !self.matters(frame.part.bytes, notes.seen) {
            return Verdict::Pass;
        }
        let fields = frame.fields();
        if fields.has_comment && fields.data.is_none() {
            notes.ping();
        }
        if closely && fields.has_stray_line {
            return malformed("a line is not a field of server-sent events");
        }
        let data = fields.data.as_deref().unwrap_or_default();
        match data.trim_ascii() {
            b"" => return Verdict::Pass,
            DONE => {
                notes.seen.end = true;
                return Verdict::Pass;
            }
            _ => {}
        }
        let chunk = std::str::from_utf8(data).ok().and_then(|data| Chunk::read(data).ok());
        let Some(chunk) = chunk else {
            return if closely { malformed("the data is not a JSON object") } else { Verdict::Pass };
        };
        if let Some(error) = chunk.error {
            return Verdict::Failed(FailureCause::Reported(error));
        }
        let in_frame = fields.data_at.map(|place| place.start);
        self.take(&chunk, data, in_frame, notes)
    }

    /// Whether a frame can hold anything of interest behind the first content.
    fn matters(&self, frame: &[u8], seen: Seen) -> bool {
        (self.hide_usage && USAGE.find(frame).is_some())
            || has_value(frame, &USAGE)
            || (!seen.stopped && has_value(frame, &FINISH))
            || has_value(frame, &ERROR)
            || END.find(frame).is_some()
    }

    fn take(
        &mut self,
        chunk: &Chunk<'_>,
        data: &[u8],
        in_frame: Option<usize>,
        notes: &mut Notes,
    ) -> Verdict {
        notes.seen.preamble = true;
        notes.seen.content |= chunk.has_content;
        notes.seen.stopped |= chunk.stops;
        notes.begin_as(chunk.id.as_deref());
        notes.serve_model(chunk.model.as_deref());
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage);
            self.usage_came_last = chunk.has_no_choices || notes.seen.stopped;
        }
        let states_usage = chunk.usage.is_some() || chunk.usage_is_unreadable;
        if states_usage {
            self.usage_is_unreadable = chunk.usage_is_unreadable;
        }
        match (&chunk.usage_null, in_frame) {
            _ if !self.hide_usage => Verdict::Pass,
            _ if states_usage && chunk.has_no_choices => Verdict::Drop,
            (Some(field), Some(start)) => {
                let field = with_comma(data, field.clone());
                Verdict::Cut(start + field.start..start + field.end)
            }
            _ => Verdict::Pass,
        }
    }
}

const fn malformed(what: &'static str) -> Verdict {
    Verdict::Failed(FailureCause::Malformed(what))
}

/// Whether a key stands in the frame with another value than null. Text of the answer can't be mistaken for a key: its
/// quotes are escaped.
fn has_value(frame: &[u8], key: &Finder<'_>) -> bool {
    key.find_iter(frame).any(|at| {
        let rest = frame.get(at + key.needle().len()..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| !value.starts_with(b"null"))
    })
}

/// What matters of one chunk.
#[derive(Default)]
struct Chunk<'a> {
    id: Option<Cow<'a, str>>,
    model: Option<Cow<'a, str>>,
    has_no_choices: bool,
    has_content: bool,
    stops: bool,
    usage: Option<Usage>,
    usage_is_unreadable: bool,
    /// Where a single field `usage` with the value null lies.
    usage_null: Option<Range<usize>>,
    error: Option<UpstreamError>,
}

impl<'a> Chunk<'a> {
    fn read(data: &'a str) -> Result<Self, serde_json::Error> {
        let mut chunk = Self::default();
        let mut usages = 0;
        json::object(data, |field| match &*field.name() {
            "id" => chunk.id = json::string(field.value),
            "model" => chunk.model = json::string(field.value),
            "choices" => chunk.read_choices(field.value),
            "usage" => {
                usages += 1;
                let stated = usage::stated(field.value);
                chunk.usage_is_unreadable = stated.is_err();
                chunk.usage = stated.ok().flatten();
                let is_null = field.value == "null" && usages == 1;
                chunk.usage_null = is_null.then(|| field.range_in(data.as_bytes()));
            }
            "error" if field.value != "null" => chunk.error = Some(UpstreamError::read(field.value)),
            _ => {}
        })?;
        Ok(chunk)
    }

    fn read_choices(&mut self, choices: &str) {
        self.has_no_choices = choices.starts_with('[') && !json::is_filled(choices);
        // Something else than an array of objects says nothing.
        let _ = json::array(choices, |choice| {
            let _ = json::object(choice, |field| match &*field.name() {
                "delta" => self.has_content |= delta_has_content(field.value),
                "finish_reason" => self.stops |= json::is_filled(field.value),
                _ => {}
            });
        });
        self.has_content |= self.stops;
    }
}

/// Whether a delta carries a part of the answer: more than the role.
fn delta_has_content(delta: &str) -> bool {
    let mut has_content = false;
    let _ = json::object(delta, |field| {
        has_content |= match &*field.name() {
            "content" | "tool_calls" | "refusal" | "function_call" | "reasoning" | "reasoning_content"
            | "reasoning_details" | "thinking" | "audio" | "images" => json::is_filled(field.value),
            _ => false,
        };
    });
    has_content
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data without its `usage` of null, if it is cut out.
    fn without_null_usage(data: &str) -> Option<String> {
        let field = Chunk::read(data).unwrap().usage_null?;
        let range = with_comma(data.as_bytes(), field);
        Some(format!("{}{}", &data[..range.start], &data[range.end..]))
    }

    #[test]
    fn a_null_usage_goes_with_one_comma_wherever_it_stands() {
        for (data, expected) in [
            (r#"{"a":1,"usage":null}"#, r#"{"a":1}"#),
            (r#"{"usage":null,"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1,"usage":null,"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"usage":null}"#, "{}"),
            ("{ \"usage\" : null }", "{  }"),
            ("{ \"usage\" : null , \"a\" : 1 }", "{  \"a\" : 1 }"),
            ("{\"a\" : 1 , \"usage\" : null }", "{\"a\" : 1  }"),
        ] {
            assert_eq!(without_null_usage(data).as_deref(), Some(expected), "{data}");
        }
    }

    #[test]
    fn a_usage_that_is_doubled_or_not_null_or_not_the_chunks_own_stays() {
        for data in [
            r#"{"usage":null,"usage":null}"#,
            r#"{"usage":null,"usage":{}}"#,
            r#"{"usage":{}}"#,
            r#"{"delta":{"usage":null}}"#,
        ] {
            assert_eq!(without_null_usage(data), None, "{data}");
        }
    }

    #[test]
    fn all_that_is_more_than_the_role_is_content() {
        for delta in
            [r#"{"role":"assistant"}"#, r#"{"content":"","tool_calls":[],"refusal":null}"#, "null", "7"]
        {
            assert!(!delta_has_content(delta), "{delta}");
        }
        for delta in [
            r#"{"content":" "}"#,
            r#"{"tool_calls":[{"index":0}]}"#,
            r#"{"refusal":"no"}"#,
            r#"{"function_call":{"arguments":""}}"#,
            r#"{"reasoning":"a"}"#,
        ] {
            assert!(delta_has_content(delta), "{delta}");
        }
    }
}
