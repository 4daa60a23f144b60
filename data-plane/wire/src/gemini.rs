//! Google `generateContent`.

mod base64;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod error;
mod id;
mod message;
mod schema;
pub(crate) mod signature;
pub(crate) mod usage;
pub(crate) mod watch;

#[cfg(test)]
mod tests {
    mod laws;
}
