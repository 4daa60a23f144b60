//! What a credential's next answers do: the words of the script, the same in Rust and in JSON.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{coding::Coding, plan::Plan, refusal::Refusal};

/// The most pieces a scripted stream may have.
pub(crate) const MAX_CHUNKS: u32 = 100_000;
/// The most characters in one piece.
pub(crate) const MAX_CHUNK_CHARS: u32 = 65_536;
/// The most characters in one answer.
pub(crate) const MAX_ANSWER_CHARS: u64 = 16 << 20;
/// The most pauses at places of their own.
pub(crate) const MAX_PAUSES: u64 = 1_000;
/// The most pings in one answer.
pub(crate) const MAX_PINGS: u64 = 10_000;
/// The longest pause of one kind.
pub(crate) const MAX_PAUSE_MS: u64 = 600_000;

/// How one request is answered. The default is a plain, fast, correct answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// The answer's text. Absent: the last user message, echoed.
    pub text: Option<String>,
    /// What is done in place of an echo about prompts that a plan is for; `text` is not for these.
    pub plans: Vec<Plan>,
    /// Pieces that the text is sent in. Absent: at most four.
    pub chunks: Option<u32>,
    /// Characters in each piece; the text is repeated to fill them. Absent: the text once, cut evenly.
    pub chunk_chars: Option<u32>,
    /// Pause before each frame but the first.
    pub gap_ms: u64,
    /// Pause before the status line.
    pub head_delay_ms: u64,
    pub writes: Writes,
    pub line_ends: LineEnds,
    /// Pauses at places of their own, in any order.
    pub pauses: Vec<Pause>,
    /// Signs of life, where the provider's streams have any.
    pub pings: Option<Pings>,
    /// Wait there until the credential is released.
    pub hold: Option<Position>,
    pub fault: Option<Fault>,
    /// Counts to report in place of the derived ones.
    pub usage: UsageScript,
    /// Set (or replaced) on the answer, whatever its status.
    pub headers: BTreeMap<String, String>,
    /// Compress the body, whatever its status and whatever was asked for. What comes ahead of a pause can be decoded
    /// before it.
    pub coding: Option<Coding>,
}

/// What came before goes out, and nothing more for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    pub at: Position,
    pub ms: u64,
}

/// So many pings at one place, with a pause ahead of each: the provider's own, or comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pings {
    pub at: Position,
    pub count: u32,
    pub every_ms: u64,
}

/// How the body is cut into writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writes {
    /// As much at once as the pauses allow.
    #[default]
    Coalesced,
    /// A write for each frame, as providers do.
    Frames,
    /// A write for each run of so many bytes; 1 is the classic.
    Bytes(u32),
    /// A write ends inside each character that takes more than one byte.
    SplitUtf8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineEnds {
    /// The provider's own.
    #[default]
    Usual,
    Lf,
    Crlf,
    Cr,
}

/// A place in an answer's body. Past the end means the end. A body that is not a stream is a single frame without
/// preamble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// After so many frames, whatever they hold.
    Frame(u32),
    /// After so many pieces of content (text, thinking, tool arguments); 0: after the preamble (message_start, ping; the
    /// chunk that only names the role).
    Content(u32),
    /// After so many bytes.
    Bytes(u64),
    /// Ahead of what says that the stream is over.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// This status, with the provider's own error body unless `error` says otherwise.
    Status {
        status: u16,
        /// The header's value as it goes out: seconds, or a date. Google says seconds in the error's details instead.
        #[serde(default)]
        retry_after: Option<String>,
        #[serde(default)]
        error: Option<ErrorText>,
    },
    /// The provider does not serve the account, and says so as it does.
    Refused(Refusal),
    /// Takes the request and never answers.
    HangBeforeHead,
    /// Takes the request and closes the connection.
    CloseBeforeHead,
    /// Sends so much and then nothing, for ever.
    Stall(Position),
    /// Sends so much and closes the connection.
    Cut(Position),
    /// Sends so much, then an error event, then ends the stream cleanly. An answer that is no stream becomes an error
    /// with that status.
    ErrorEvent {
        at: Position,
        /// Picks the error's kind. 529 and 500 are the usual ones.
        #[serde(default = "overloaded")]
        status: u16,
        #[serde(default)]
        error: Option<ErrorText>,
    },
    /// Puts a frame with broken JSON there (in AWS's framing: with a wrong checksum) and goes on. An answer that is no stream is cut in half, with its length
    /// corrected.
    Malformed(Position),
    /// Leaves out the terminal event (message_stop, `[DONE]`) and ends the stream cleanly.
    MissingEnd,
}

const fn overloaded() -> u16 {
    529
}

/// Replaces the provider's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorText {
    /// The error's `type`.
    pub kind: Option<String>,
    /// OpenAI's `code`.
    pub code: Option<String>,
    pub message: Option<String>,
}

/// Token counts to report; `input` is without what was read from or written to the cache. Each absent one is derived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsageScript {
    pub input: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write_5m: Option<u64>,
    pub cache_write_1h: Option<u64>,
    /// Everything generated, reasoning included.
    pub output: Option<u64>,
    pub reasoning: Option<u64>,
}

/// Why a behaviour is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    #[error("{what} is {given}; the most is {most}")]
    TooMuch { what: &'static str, given: u64, most: u64 },
    #[error("`writes.bytes` must be at least 1")]
    EmptyWrites,
    #[error("status {0} is not between 400 and 599")]
    NotAnError(u16),
    #[error("`{0}` is no header name, or its value is no header value")]
    BadHeader(String),
    #[error("the queue of behaviours is full ({0})")]
    QueueFull(usize),
}

impl Behaviour {
    /// A correct answer but for this fault.
    #[must_use]
    pub fn failing(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// The provider's own answer with this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::failing(Fault::Status { status, retry_after: None, error: None })
    }

    /// The provider's own answer to an account that it does not serve.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self::failing(Fault::Refused(refusal))
    }

    /// As [`Self::status`], with a Retry-After of so many seconds.
    #[must_use]
    pub fn retry_after(status: u16, seconds: u64) -> Self {
        Self::failing(Fault::Status { status, retry_after: Some(seconds.to_string()), error: None })
    }

    /// A stream of so many pieces, each written by itself.
    #[must_use]
    pub fn chunked(chunks: u32) -> Self {
        Self { chunks: Some(chunks), writes: Writes::Frames, ..Self::default() }
    }

    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    #[must_use]
    pub fn with_plan(mut self, plan: Plan) -> Self {
        self.plans.push(plan);
        self
    }

    #[must_use]
    pub fn with_chunk_chars(mut self, chars: u32) -> Self {
        self.chunk_chars = Some(chars);
        self
    }

    #[must_use]
    pub fn with_gap(mut self, gap: Duration) -> Self {
        self.gap_ms = millis(gap);
        self
    }

    #[must_use]
    pub fn with_head_delay(mut self, delay: Duration) -> Self {
        self.head_delay_ms = millis(delay);
        self
    }

    #[must_use]
    pub fn with_pause(mut self, at: Position, pause: Duration) -> Self {
        self.pauses.push(Pause { at, ms: millis(pause) });
        self
    }

    #[must_use]
    pub fn with_writes(mut self, writes: Writes) -> Self {
        self.writes = writes;
        self
    }

    #[must_use]
    pub fn with_line_ends(mut self, line_ends: LineEnds) -> Self {
        self.line_ends = line_ends;
        self
    }

    #[must_use]
    pub fn with_hold(mut self, at: Position) -> Self {
        self.hold = Some(at);
        self
    }

    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    #[must_use]
    pub fn with_usage(mut self, usage: UsageScript) -> Self {
        self.usage = usage;
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    #[must_use]
    pub fn with_coding(mut self, coding: Coding) -> Self {
        self.coding = Some(coding);
        self
    }

    /// Refuses what would not be bounded or could not be sent.
    pub fn check(&self) -> Result<(), ScriptError> {
        let chunks = u64::from(self.chunks.unwrap_or_default());
        let chars = u64::from(self.chunk_chars.unwrap_or_default());
        at_most("chunks", chunks, u64::from(MAX_CHUNKS))?;
        at_most("chunk_chars", chars, u64::from(MAX_CHUNK_CHARS))?;
        at_most("chunks × chunk_chars", chunks.max(1).saturating_mul(chars), MAX_ANSWER_CHARS)?;
        at_most("gap_ms", self.gap_ms, MAX_PAUSE_MS)?;
        at_most("head_delay_ms", self.head_delay_ms, MAX_PAUSE_MS)?;
        at_most("pauses", self.pauses.len() as u64, MAX_PAUSES)?;
        let longest = self.pauses.iter().map(|pause| pause.ms).max();
        at_most("pauses.ms", longest.unwrap_or_default(), MAX_PAUSE_MS)?;
        if let Some(pings) = &self.pings {
            at_most("pings.count", u64::from(pings.count), MAX_PINGS)?;
            at_most("pings.every_ms", pings.every_ms, MAX_PAUSE_MS)?;
        }
        if let Some(text) = &self.text {
            at_most("text", text.len() as u64, MAX_ANSWER_CHARS)?;
        }
        let planned = self.plans.iter().flat_map(|plan| &plan.turns).filter_map(|turn| turn.text.as_ref());
        at_most("plans.turns.text", planned.map(String::len).sum::<usize>() as u64, MAX_ANSWER_CHARS)?;
        if self.writes == Writes::Bytes(0) {
            return Err(ScriptError::EmptyWrites);
        }
        if let Some(Fault::Status { status, .. } | Fault::ErrorEvent { status, .. }) = &self.fault
            && !(400..600).contains(status)
        {
            return Err(ScriptError::NotAnError(*status));
        }
        for (name, value) in &self.headers {
            if http::HeaderName::try_from(name).is_err() || http::HeaderValue::try_from(value).is_err() {
                return Err(ScriptError::BadHeader(name.clone()));
            }
        }
        Ok(())
    }
}

fn at_most(what: &'static str, given: u64, most: u64) -> Result<(), ScriptError> {
    if given > most { Err(ScriptError::TooMuch { what, given, most }) } else { Ok(()) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reads_from_plain_json() {
        let behaviour: Behaviour = serde_json::from_str(
            r#"{"chunks":20,"gap_ms":5,"writes":"frames","hold":{"content":3},
                "fault":{"status":{"status":429,"retry_after":"7"}}}"#,
        )
        .unwrap();
        assert_eq!(behaviour.hold, Some(Position::Content(3)));
        assert_eq!(
            behaviour.fault,
            Some(Fault::Status { status: 429, retry_after: Some("7".into()), error: None })
        );
        let refused: Behaviour = serde_json::from_str(r#"{"fault":{"refused":"no_credit"}}"#).unwrap();
        assert_eq!(refused, Behaviour::refused(Refusal::NoCredit));
        let again: Behaviour = serde_json::from_str(&serde_json::to_string(&behaviour).unwrap()).unwrap();
        assert_eq!(again, behaviour);
    }

    #[test]
    fn what_is_not_bounded_is_refused() {
        let too_long = Behaviour {
            chunks: Some(MAX_CHUNKS),
            chunk_chars: Some(MAX_CHUNK_CHARS),
            ..Behaviour::default()
        };
        assert!(matches!(too_long.check(), Err(ScriptError::TooMuch { .. })));
        assert_eq!(Behaviour::status(200).check(), Err(ScriptError::NotAnError(200)));
        let no_write = Behaviour::default().with_writes(Writes::Bytes(0));
        assert_eq!(no_write.check(), Err(ScriptError::EmptyWrites));
    }
}
