//! Google `generateContent`.

pub(crate) mod error;
