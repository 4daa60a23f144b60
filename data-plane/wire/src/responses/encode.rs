//! The canonical form written as Responses.

mod input;
mod object;
mod output;
mod request;
mod response;
mod stream;
mod tools;

pub(crate) use self::{request::request, response::response, stream::StreamEncoder};
