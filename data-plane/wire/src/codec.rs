//! What every wire's codec is made of: the shapes that its decoders and encoders share.
//!
//! A wire's folder has `decode` (`request`, `response`, `stream`) and `encode` (the same three). Decoders borrow from
//! the body and put what they can't place into extras and losses. Encoders write what they are given and decide
//! nothing: what the wire can't say was taken out, and named as a loss, before they are called.

use crate::{
    canonical::{Event, Sink},
    error::WireError,
    loss::Losses,
};

/// A body that is not of its wire. `Display` tells the client what to correct.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct Unreadable {
    /// Such as `messages[2].content`.
    pub field: String,
    /// Such as `must be a string or an array of content parts`.
    pub problem: String,
}

impl Unreadable {
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// What the gateway adds when it writes an answer.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The request's id, from which the answer's ids are made: `msg_{id}`, `chatcmpl-{id}`, `resp_{id}`, `call_{id}_0`.
    pub id: String,
    /// Seconds since 1970.
    pub created: i64,
    /// The answer's own id where the client was told one already; else it is made of `id`.
    pub answer_id: Option<String>,
    /// Said as the answer's model where the response or the stream's start names none.
    pub model: String,
    /// chat streams: the client asked for usage.
    pub include_usage: bool,
    /// gemini streams: as one JSON array instead of server-sent events.
    pub array: bool,
    /// responses: what the answer repeats of the request, as JSON text by field.
    pub echo: Vec<(&'static str, String)>,
}

impl Context {
    /// The answer's id, with the prefix that the wire's ids have.
    pub(crate) fn answer_id(&self, prefix: &'static str) -> AnswerId<'_> {
        match &self.answer_id {
            Some(told) => AnswerId { prefix: "", id: told },
            None => AnswerId { prefix, id: &self.id },
        }
    }
}

/// Displayed, an id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerId<'a> {
    prefix: &'static str,
    id: &'a str,
}

impl std::fmt::Display for AnswerId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.prefix)?;
        f.write_str(self.id)
    }
}

/// Reads a stream's frames.
pub trait StreamDecoder: std::fmt::Debug + Send {
    /// One frame: its event's name, if it has one, and its data.
    ///
    /// # Errors
    /// The frame is not of this wire; what is wrong with it.
    fn frame(&mut self, event: Option<&str>, data: &str, out: &mut Sink<'_>) -> Result<(), &'static str>;

    /// The upstream closed the connection in good order: says what is still to be said. A wire whose end is the end of
    /// the connection (gemini) says [`Event::End`] here if the answer was complete.
    fn close(&mut self, out: &mut Sink<'_>);

    /// What was found so far and no event can say, under the names that the wire's plain answers give it.
    fn losses(&self) -> &Losses;

    /// The last usage that the upstream reported can't be read: what it reported before may be less than all. Wires that
    /// report it once need not tell.
    fn usage_is_unreadable(&self) -> bool {
        false
    }
}

/// Writes a stream's frames. Events come in legal order.
pub trait StreamEncoder: std::fmt::Debug + Send {
    /// Appends the frames that the event makes, each with its blank line. [`Event::Error`] makes none: see
    /// [`StreamEncoder::error`].
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>);

    /// Appends what ends the stream with an error, whatever is open.
    fn error(&mut self, error: &WireError<'_>, out: &mut Vec<u8>);
}
