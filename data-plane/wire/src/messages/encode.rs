//! Writing: requests, answers and streams of the messages wire from the canonical form.

mod part;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
