//! Wires: the request and response formats of model APIs. Pure: bytes in, bytes out; no I/O, no async.
//!
//! Where the client's wire and the upstream's are the same, bodies stay bytes ([`raw`]): a shallow view reads the few
//! fields that routing and metering need, edits are splices by byte range, and a stream is watched as it passes.
//! What the gateway itself has to say to a client, it says in the client's wire ([`error`]).
//!
//! A wire is a folder (`chat`, `responses`, `messages`, `gemini`) that knows how this format names things: its errors,
//! its token counts, its stream's events. `converse` is spoken to upstreams only. What is common to all lies beside
//! them: [`sse`] cuts a stream into frames, [`eventstream`] turns AWS's binary framing into that, `json` reads an
//! object's fields in place.
//!
//! To let a wire pass raw: a `usage` and a `watch` file in its folder, and its lines in [`raw::watch`] and
//! [`raw::body`].

pub mod canonical;
pub mod codec;
pub mod convert;
pub mod count;
pub mod embeddings;
pub mod error;
pub mod eventstream;
pub mod loss;
pub mod raw;
pub mod relay;
pub mod sse;

mod chat;
mod converse;
mod gemini;
mod json;
mod messages;
mod responses;
mod usage;
