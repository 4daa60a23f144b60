//! Google `generateContent`.

mod base64;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod error;
mod id;
#[cfg(test)]
mod laws;
mod message;
mod schema;
mod signature;
pub(crate) mod usage;
pub(crate) mod watch;
