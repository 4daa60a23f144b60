//! responses streams: events that say their `type`; usage in the last one, which holds the whole answer.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use shared::usage::Usage;

use crate::error::upstream::UpstreamError;
use crate::json;
use crate::raw::watch::{FailureCause, Notes, Verdict};
use crate::responses::{error, usage};
use crate::sse::Frame;

#[derive(Debug, Default)]
pub(crate) struct ResponsesReader {
    usage: Option<Usage>,
}

impl ResponsesReader {
    pub(crate) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Only the last event states any.
    pub(crate) const fn usage_is_final(&self) -> bool {
        self.usage.is_some()
    }

    pub(crate) fn read(&mut self, frame: &Frame<'_>, notes: &mut Notes, closely: bool) -> Verdict {
        if !closely && !matters(frame) {
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
        // `[DONE]` is not of this wire, but some servers close with it.
        if matches!(data.trim_ascii(), b"" | b"[DONE]") {
            return Verdict::Pass;
        }
        let data = std::str::from_utf8(data).ok();
        match data.and_then(|data| Some((data, Event::read(data).ok()?))) {
            Some((data, event)) if event.kind.is_some() || event.error.is_some() => {
                self.take(data, &event, notes)
            }
            _ if !closely => Verdict::Pass,
            Some(_) => malformed("the data has no `type`"),
            None => malformed("the data is not a JSON object"),
        }
    }

    fn take(&mut self, data: &str, event: &Event<'_>, notes: &mut Notes) -> Verdict {
        let answer = event.response.map(Answer::read).unwrap_or_default();
        notes.serve_model(answer.model.as_deref());
        notes.begin_as(answer.id.as_deref());
        notes.issue(answer.issued_id());
        match event.kind.as_deref() {
            Some("response.created" | "response.in_progress" | "response.queued") => {
                notes.seen.preamble = true;
            }
            Some("keepalive" | "ping") => notes.ping(),
            Some("response.completed" | "response.incomplete") => {
                notes.seen.content |= answer.has_output;
                notes.seen.stopped = true;
                notes.seen.end = true;
                self.usage = answer.usage.or(self.usage);
            }
            Some("response.failed" | "response.cancelled") => {
                self.usage = answer.usage.or(self.usage);
                return reported(answer.error.map(UpstreamError::read).unwrap_or_default());
            }
            Some("error") | None => return reported(error::reported(data, event.error)),
            Some(kind) => notes.seen.content |= event.has_content(kind),
        }
        Verdict::Pass
    }
}

/// What makes a frame that does not start with its name worth reading.
static WORDS: LazyLock<[Finder<'static>; 5]> = LazyLock::new(|| {
    [
        &b"\"response.completed\""[..],
        b"\"response.incomplete\"",
        b"\"response.failed\"",
        b"\"response.cancelled\"",
        b"\"error\"",
    ]
    .map(Finder::new)
});

/// Whether a frame can hold anything of interest behind the first content.
fn matters(frame: &Frame<'_>) -> bool {
    match frame.leading_event() {
        Some(
            b"response.completed"
            | b"response.incomplete"
            | b"response.failed"
            | b"response.cancelled"
            | b"error",
        ) => true,
        Some(name) if name.starts_with(b"response.") => false,
        _ => WORDS.iter().any(|word| word.find(frame.part.bytes).is_some()),
    }
}

const fn malformed(what: &'static str) -> Verdict {
    Verdict::Failed(FailureCause::Malformed(what))
}

const fn reported(error: UpstreamError) -> Verdict {
    Verdict::Failed(FailureCause::Reported(error))
}

/// The fields of an event that matter.
#[derive(Default)]
struct Event<'a> {
    kind: Option<Cow<'a, str>>,
    response: Option<&'a str>,
    item: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Event<'a> {
    fn read(data: &'a str) -> Result<Self, serde_json::Error> {
        let mut event = Self::default();
        json::object(data, |field| match &*field.name() {
            "type" => event.kind = json::string(field.value),
            "response" => event.response = Some(field.value),
            "item" => event.item = Some(field.value),
            "error" if field.value != "null" => event.error = Some(field.value),
            _ => {}
        })?;
        Ok(event)
    }

    /// Whether there is more in it than an empty shell.
    fn has_content(&self, kind: &str) -> bool {
        match kind.strip_prefix("response.") {
            Some("output_item.added") => self.item.is_some_and(item_has_content),
            Some("content_part.added" | "reasoning_summary_part.added") | None => false,
            Some(_) => true,
        }
    }
}

/// Whether an item that was just added holds something: a call its name, reasoning its cipher.
fn item_has_content(item: &str) -> bool {
    let (mut is_shell, mut is_filled) = (false, false);
    let _ = json::object(item, |field| match &*field.name() {
        "type" => is_shell = matches!(field.value, "\"message\"" | "\"reasoning\""),
        "content" | "summary" | "encrypted_content" => is_filled |= json::is_filled(field.value),
        _ => {}
    });
    is_filled || !is_shell
}

/// The fields of a response that matter.
#[derive(Default)]
struct Answer<'a> {
    model: Option<Cow<'a, str>>,
    usage: Option<Usage>,
    error: Option<&'a str>,
    has_output: bool,
    id: Option<Cow<'a, str>>,
    /// The provider keeps nothing of it.
    is_forgotten: bool,
}

impl<'a> Answer<'a> {
    /// The id under which the provider keeps the answer.
    fn issued_id(&self) -> Option<&str> {
        self.id.as_deref().filter(|_| !self.is_forgotten)
    }

    /// What is no object says nothing.
    fn read(response: &'a str) -> Self {
        let mut answer = Self::default();
        let read = json::object(response, |field| match &*field.name() {
            "model" => answer.model = json::string(field.value),
            "id" => answer.id = json::string(field.value),
            "store" => answer.is_forgotten = field.value == "false",
            "usage" => answer.usage = usage::read(field.value),
            "error" if field.value != "null" => answer.error = Some(field.value),
            "output" => answer.has_output = json::is_filled(field.value),
            _ => {}
        });
        if read.is_ok() { answer } else { Self::default() }
    }
}
