//! messages streams: named events; usage in `message_start` and, as totals, in `message_delta`.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use shared::usage::Usage;

use crate::error::upstream::UpstreamError;
use crate::json;
use crate::messages::usage::Counts;
use crate::raw::watch::{FailureCause, Notes, Verdict};
use crate::sse::Frame;

#[derive(Debug, Default)]
pub(crate) struct MessagesReader {
    counts: Counts,
    /// A `message_delta` stated the output.
    output_is_total: bool,
}

impl MessagesReader {
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.counts.usage()
    }

    pub(crate) const fn usage_is_final(&self) -> bool {
        self.output_is_total && !self.counts.are_unreadable()
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
        // `[DONE]` is not of this wire, but routers in front of other models close with it.
        if matches!(data.trim_ascii(), b"" | b"[DONE]") {
            return Verdict::Pass;
        }
        let event = std::str::from_utf8(data).ok().and_then(|data| Event::read(data).ok());
        match event {
            Some(event) if event.kind.is_some() || event.error.is_some() => self.take(&event, notes),
            _ if !closely => Verdict::Pass,
            Some(_) => malformed("the data has no `type`"),
            None => malformed("the data is not a JSON object"),
        }
    }

    fn take(&mut self, event: &Event<'_>, notes: &mut Notes) -> Verdict {
        match event.kind.as_deref() {
            Some("message_start") => {
                notes.seen.preamble = true;
                self.start(event.message.unwrap_or_default(), notes);
            }
            Some("ping") => notes.ping(),
            Some("content_block_start" | "content_block_delta") => notes.seen.content = true,
            Some("message_delta") => {
                notes.seen.stopped |= event.delta.is_some_and(has_stop_reason);
                self.output_is_total |= event.usage.is_some_and(|usage| self.counts.restate(usage));
            }
            Some("message_stop") => notes.seen.end = true,
            Some("error") | None => {
                let error = event.error.map(UpstreamError::read).unwrap_or_default();
                return Verdict::Failed(FailureCause::Reported(error));
            }
            // An event that came later than this code; clients skip it too.
            Some(_) => {}
        }
        Verdict::Pass
    }

    fn start(&mut self, message: &str, notes: &mut Notes) {
        // A message that is no object states nothing.
        let _ = json::object(message, |field| match &*field.name() {
            "id" => notes.begin_as(json::string(field.value).as_deref()),
            "model" => notes.serve_model(json::string(field.value).as_deref()),
            "usage" => {
                self.counts.restate(field.value);
            }
            _ => {}
        });
    }
}

/// What makes a frame that does not start with its name worth reading.
static WORDS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| {
    [&b"\"usage\""[..], b"\"error\"", b"\"message_delta\"", b"\"message_stop\""].map(Finder::new)
});

/// Whether a frame can hold anything of interest behind the first content.
fn matters(frame: &Frame<'_>) -> bool {
    match frame.leading_event() {
        Some(b"content_block_delta" | b"content_block_start" | b"content_block_stop" | b"ping") => false,
        Some(b"message_delta" | b"message_stop" | b"message_start" | b"error") => true,
        _ => WORDS.iter().any(|word| word.find(frame.part.bytes).is_some()),
    }
}

const fn malformed(what: &'static str) -> Verdict {
    Verdict::Failed(FailureCause::Malformed(what))
}

fn has_stop_reason(delta: &str) -> bool {
    let mut has_reason = false;
    let _ = json::object(delta, |field| {
        has_reason |= field.name() == "stop_reason" && json::is_filled(field.value);
    });
    has_reason
}

/// The fields of an event that matter.
#[derive(Default)]
struct Event<'a> {
    kind: Option<Cow<'a, str>>,
    message: Option<&'a str>,
    delta: Option<&'a str>,
    usage: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Event<'a> {
    fn read(data: &'a str) -> Result<Self, serde_json::Error> {
        let mut event = Self::default();
        json::object(data, |field| match &*field.name() {
            "type" => event.kind = json::string(field.value),
            "message" => event.message = Some(field.value),
            "delta" => event.delta = Some(field.value),
            "usage" => event.usage = Some(field.value),
            "error" if field.value != "null" => event.error = Some(field.value),
            _ => {}
        })?;
        Ok(event)
    }
}
