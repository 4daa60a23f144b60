//! What all wires can say, in one form: the hub of every conversion.
//!
//! A [`Request`] is turns of [`Block`]s with tools and wishes; a [`Response`] is choices of blocks; a stream is
//! [`Event`]s. All borrow from the body that they were read from, and JSON that no wire looks into (schemas, arguments)
//! stays text. What only one wire has rides along as [`Extra`] or [`Opaque`] and is given back to that wire only.
//!
//! - [`signature`]: proofs of reasoning, which must come back to their makers unchanged through any client; [`bundle`]:
//!   with the reasoning itself, for clients that keep none.
//! - [`legal`]: makes whatever a decoder says into a stream in legal order, so that encoders can rely on it.
//! - [`aggregate`]: a stream's events as one response; [`replay`]: one response as a stream's events.

pub mod aggregate;
mod block;
pub mod bundle;
mod event;
pub mod legal;
mod refused;
pub mod replay;
mod request;
mod response;
pub mod signature;
pub(crate) mod tier;

pub use block::{
    Block, CacheMark, Media, MediaKind, Opaque, Reasoning, Source, Text, ToolCall, ToolKind, ToolResult,
    attach_signatures,
};
pub use event::{Delta, Event, Opening, Sink};
pub use refused::RefusedProofs;
pub(crate) use request::customs;
pub use request::{
    Effort, Extra, Format, Hints, Request, Role, Sampling, Show, Thinking, ThinkingMode, Tool, ToolChoice,
    Turn,
};
pub use response::{Choice, Response, Stop, StopReason};
pub(crate) use response::{MEDIA, TOOL_RESULT, lose_fields};
pub use signature::{Origin, Signature, SignatureKind, is_packed};
