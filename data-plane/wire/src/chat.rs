//! OpenAI Chat Completions, and embeddings, which share its errors and counts.

pub(crate) mod error;
pub(crate) mod usage;
pub(crate) mod watch;
