//! Amazon Bedrock's Converse: one wire for models of many makers. It is spoken to upstreams only, so there are an encoder
//! of requests and decoders of answers. Model and streaming are in the path, not in the body.
//!
//! Streams are read as [`crate::eventstream::EventStreamToSse`] writes them.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod error;
pub(crate) mod usage;
