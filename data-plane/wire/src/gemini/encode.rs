//! Writing Google's requests, answers and streams.

mod array;
mod config;
mod part;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
mod tools;

pub(crate) use array::ArrayEncoder;
pub(crate) use config::is_third_generation;
pub(crate) use request::request;
pub(crate) use response::response;
pub(crate) use stream::StreamEncoder;
