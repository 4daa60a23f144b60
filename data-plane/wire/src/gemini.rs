//! Google `generateContent`.

pub(crate) mod error;
pub(crate) mod usage;
pub(crate) mod watch;
