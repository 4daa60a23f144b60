//! Anthropic Messages.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod error;
mod stop;
#[cfg(test)]
mod tests;
pub(crate) mod usage;
pub(crate) mod watch;
