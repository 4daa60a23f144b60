//! Errors in words that the clients of each wire understand, and the errors that upstreams report.

pub mod upstream;

use bytes::Bytes;
use serde::Serialize;
use shared::wire::Wire;

use crate::{chat, gemini, messages, responses};

/// An error of the gateway's own, to be said to a client.
#[derive(Debug, Clone, Copy)]
pub struct WireError<'a> {
    /// HTTP status that goes with it; in a stream, the status that it would have had.
    pub status: u16,
    pub kind: ErrorKind,
    /// For people: what happened and what to do.
    pub message: &'a str,
    /// For programs: a stable word. Absent: the wire's own for this kind, if it has one.
    pub code: Option<&'a str>,
    pub request_id: &'a str,
}

/// What SDKs tell apart. Each wire has its own words for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    InvalidRequest,
    Authentication,
    Billing,
    Permission,
    NotFound,
    TooLarge,
    RateLimited,
    Api,
    Unavailable,
    Timeout,
    Overloaded,
}

impl ErrorKind {
    pub const ALL: [Self; 11] = [
        Self::InvalidRequest,
        Self::Authentication,
        Self::Billing,
        Self::Permission,
        Self::NotFound,
        Self::TooLarge,
        Self::RateLimited,
        Self::Api,
        Self::Unavailable,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// The status that this kind has by itself.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            Self::Api => 500,
            Self::Unavailable => 503,
            Self::Timeout => 504,
            Self::Overloaded => 529,
        }
    }

    /// The kind that an HTTP error status stands for.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimited,
            503 => Self::Unavailable,
            529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Api,
        }
    }
}

/// The JSON body of an error answer.
#[must_use]
pub fn body(wire: Wire, error: &WireError<'_>) -> Bytes {
    match wire {
        Wire::Chat => chat::error::body(error),
        Wire::Responses => responses::error::body(error),
        Wire::Messages => messages::error::body(error),
        Wire::Gemini => gemini::error::body(error),
    }
}

/// The frame that ends a stream which can't go on. It must start on a frame's border:
/// [`crate::raw::watch::StreamWatch::close`] sees to that.
#[must_use]
pub fn stream_event(wire: Wire, error: &WireError<'_>) -> Bytes {
    match wire {
        Wire::Chat => frame(None, &chat::error::body(error)),
        Wire::Responses => frame(Some("error"), &responses::error::event(error)),
        Wire::Messages => frame(Some("error"), &messages::error::body(error)),
        Wire::Gemini => frame(None, &gemini::error::body(error)),
    }
}

fn frame(event: Option<&str>, data: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(data.len() + 32);
    if let Some(event) = event {
        frame.extend_from_slice(b"event: ");
        frame.extend_from_slice(event.as_bytes());
        frame.push(b'\n');
    }
    frame.extend_from_slice(b"data: ");
    frame.extend_from_slice(data);
    frame.extend_from_slice(b"\n\n");
    frame.into()
}

/// Writes a wire's error. They are made of strings and numbers, which JSON can always say.
pub(crate) fn render(error: &impl Serialize) -> Bytes {
    serde_json::to_vec(error).unwrap_or_default().into()
}
