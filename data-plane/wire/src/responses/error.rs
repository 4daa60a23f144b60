//! Errors of the Responses wire: OpenAI's object as a body, an `error` event in a stream.

use bytes::Bytes;
use serde::Serialize;

use crate::chat;
use crate::error::{WireError, render, upstream::UpstreamError};

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    event: &'static str,
    code: Option<&'a str>,
    message: &'a str,
    param: Option<&'a str>,
    sequence_number: u64,
    /// Makes SDKs raise instead of handing the event out like any other.
    error: chat::error::Error<'a>,
}

pub(crate) fn body(error: &WireError<'_>) -> Bytes {
    chat::error::body(error)
}

/// The data of the `error` event. The gateway does not count a passing stream's events, so the number is 0.
pub(crate) fn event(error: &WireError<'_>) -> Bytes {
    numbered_event(error, 0)
}

/// As [`event`], in a stream whose events are counted.
pub(crate) fn numbered_event(error: &WireError<'_>, sequence_number: u64) -> Bytes {
    let inner = chat::error::Error::new(error);
    render(&Event {
        event: "error",
        code: inner.code,
        message: inner.message,
        param: inner.param,
        sequence_number,
        error: inner,
    })
}

#[derive(Serialize)]
struct Failed<'a> {
    #[serde(rename = "type")]
    event: &'static str,
    sequence_number: u64,
    response: FailedResponse<'a>,
}

#[derive(Serialize)]
struct FailedResponse<'a> {
    id: String,
    object: &'static str,
    status: &'static str,
    error: Reason<'a>,
    output: [(); 0],
}

#[derive(Serialize)]
struct Reason<'a> {
    code: &'a str,
    message: &'a str,
}

/// The data of the `response.failed` event, for clients that pass over an `error` event.
pub(crate) fn failed(error: &WireError<'_>) -> Bytes {
    numbered_failed(error, &format!("resp_{}", error.request_id), 0)
}

/// As [`failed`], of the answer with this id, in a stream whose events are counted.
pub(crate) fn numbered_failed(error: &WireError<'_>, id: &str, sequence_number: u64) -> Bytes {
    let code = chat::error::Error::new(error).code.unwrap_or("server_error");
    let error = Reason { code, message: error.message };
    let response =
        FailedResponse { id: id.to_owned(), object: "response", status: "failed", error, output: [] };
    render(&Failed { event: "response.failed", sequence_number, response })
}

/// What an upstream's `error` event says: in its field `error`, or, as OpenAI documents it, in the event itself.
pub(crate) fn reported(data: &str, error: Option<&str>) -> UpstreamError {
    if let Some(error) = error {
        return UpstreamError::read(error);
    }
    let mut error = UpstreamError::read(data);
    // That is the event's type, not the error's.
    error.kind = error.kind.filter(|kind| kind != "error");
    error
}
