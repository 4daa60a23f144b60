//! Reading Google's requests, answers and streams.

mod calls;
mod config;
mod part;
mod place;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
mod tools;

pub(crate) use request::request;
pub(crate) use response::response;
pub(crate) use stream::StreamDecoder;
