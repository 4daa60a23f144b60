//! Anthropic Messages.

pub(crate) mod decode;
pub(crate) mod error;
mod stop;
pub(crate) mod usage;
pub(crate) mod watch;
