//! OpenAI Responses.

pub(crate) mod error;
