//! Responses read into the canonical form.

mod fields;
mod items;
mod media;
mod request;
mod response;
mod stream;
mod tools;

pub(crate) use self::{
    request::request, response::response, stream::StreamDecoder, tools::found as found_tools,
};
pub(crate) use super::echo::read as echo;
