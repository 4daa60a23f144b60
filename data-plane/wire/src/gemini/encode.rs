//! Writing Google's requests, answers and streams.

mod config;
mod part;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
mod tools;

pub(crate) use request::request;
pub(crate) use response::response;
pub(crate) use stream::StreamEncoder;
