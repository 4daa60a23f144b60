//! Errors in words that the clients of each wire understand, and the errors that upstreams report.

pub mod overflow;
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
    /// The field of the client's body that is at fault.
    pub param: Option<&'a str>,
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

/// How a stream that can't go on is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// With [`stream_event`].
    Event,
    /// The connection breaks off.
    Break,
    /// In order, and without what would say that the answer is complete.
    Unfinished,
}

/// How a stream of this wire is ended that can't go on: in the way after which its own clients recover best, as was seen
/// with them.
///
/// Claude Code sends a request again whose stream broke off, and gives up at an error event. Gemini CLI asks again where an
/// answer has no `finishReason`, takes an error event for the end of an answer, and gives up where the connection breaks.
/// Codex tries again after an event and a break alike, and the OpenAI SDKs raise an error that says more where there is an
/// event.
#[must_use]
pub const fn broken_end(wire: Wire) -> StreamEnd {
    match wire {
        Wire::Chat | Wire::Responses => StreamEnd::Event,
        Wire::Messages => StreamEnd::Break,
        Wire::Gemini => StreamEnd::Unfinished,
    }
}

/// What ends a stream that can't go on: one frame, but for clients of Responses, of which SDKs heed the first and Codex
/// the second. It must start on a frame's border:
/// [`crate::raw::watch::StreamWatch::close`] sees to that.
#[must_use]
pub fn stream_event(wire: Wire, error: &WireError<'_>) -> Bytes {
    match wire {
        Wire::Chat => frame(None, &chat::error::body(error)),
        Wire::Responses => {
            let failed = frame(Some("response.failed"), &responses::error::failed(error));
            [frame(Some("error"), &responses::error::event(error)), failed].concat().into()
        }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn error(kind: ErrorKind, code: Option<&'static str>) -> WireError<'static> {
        WireError {
            status: kind.status(),
            kind,
            message: "say \"what\"\nto do",
            code,
            param: None,
            request_id: "01J",
        }
    }

    fn parsed(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    /// The words of one wire for every kind.
    fn words(wire: Wire, read: impl Fn(&Value) -> String) -> Vec<String> {
        let line = |kind: ErrorKind| {
            let found = read(&parsed(&body(wire, &error(kind, None))));
            format!("{} {found}", kind.status())
        };
        ErrorKind::ALL.into_iter().map(line).collect()
    }

    #[test]
    fn a_messages_error_is_shaped_as_anthropics() {
        let found = parsed(&body(Wire::Messages, &error(ErrorKind::Overloaded, None)));
        let inner = json!({"type": "overloaded_error", "message": "say \"what\"\nto do"});
        assert_eq!(found, json!({"type": "error", "error": inner, "request_id": "01J"}));
        let coded = parsed(&body(Wire::Messages, &error(ErrorKind::Billing, Some("budget_spent"))));
        assert_eq!(coded["error"]["code"], "budget_spent");
    }

    #[test]
    fn messages_has_a_type_for_each_kind() {
        let found = words(Wire::Messages, |body| body["error"]["type"].as_str().unwrap().to_owned());
        let expected = [
            "400 invalid_request_error",
            "401 authentication_error",
            "402 billing_error",
            "403 permission_error",
            "404 not_found_error",
            "413 request_too_large",
            "429 rate_limit_error",
            "500 api_error",
            "503 api_error",
            "504 timeout_error",
            "529 overloaded_error",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_chat_error_is_shaped_as_openais() {
        for wire in [Wire::Chat, Wire::Responses] {
            let found = parsed(&body(wire, &error(ErrorKind::NotFound, Some("model_not_found"))));
            let inner = json!({
                "message": "say \"what\"\nto do",
                "type": "invalid_request_error",
                "param": null,
                "code": "model_not_found",
            });
            assert_eq!(found, json!({ "error": inner }));
        }
    }

    #[test]
    fn chat_has_a_type_and_a_code_for_each_kind() {
        let found = words(Wire::Chat, |body| {
            let code = body["error"]["code"].as_str().unwrap_or("-");
            format!("{} {code}", body["error"]["type"].as_str().unwrap())
        });
        let expected = [
            "400 invalid_request_error -",
            "401 invalid_request_error invalid_api_key",
            "402 insufficient_quota insufficient_quota",
            "403 invalid_request_error permission_denied",
            "404 invalid_request_error -",
            "413 invalid_request_error request_too_large",
            "429 rate_limit_error rate_limit_exceeded",
            "500 server_error -",
            "503 service_unavailable_error -",
            "504 server_error timeout",
            "529 service_unavailable_error server_is_overloaded",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_gemini_error_is_shaped_as_googles() {
        let found = parsed(&body(Wire::Gemini, &error(ErrorKind::RateLimited, Some("slow"))));
        let expected = json!({ "error": {
            "code": 429,
            "message": "say \"what\"\nto do",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "slow", "domain": "switchyard"},
                {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "01J"},
            ],
        }});
        assert_eq!(found, expected);
        let found = words(Wire::Gemini, |body| body["error"]["status"].as_str().unwrap().to_owned());
        assert!(
            found.contains(&"401 UNAUTHENTICATED".to_owned())
                && found.contains(&"529 UNAVAILABLE".to_owned())
        );
    }

    #[test]
    fn a_broken_stream_ends_in_the_wires_own_form() {
        let error = error(ErrorKind::Timeout, None);
        for wire in Wire::ALL {
            let event = stream_event(wire, &error);
            let text = std::str::from_utf8(&event).unwrap();
            let text = text.strip_suffix("\n\n").expect("a frame ends with a blank line");
            // Codex passes over the first of these two, and SDKs never see the second.
            let text = match text.split_once("\n\n") {
                Some((first, second)) if wire == Wire::Responses => {
                    let data = second.strip_prefix("event: response.failed\ndata: ").expect("its own name");
                    let data = parsed(data.as_bytes());
                    let response = &data["response"];
                    assert_eq!(
                        (&data["type"], &response["status"]),
                        (&"response.failed".into(), &"failed".into())
                    );
                    assert_eq!(response["error"], json!({"code": "timeout", "message": error.message}));
                    first
                }
                _ => text,
            };
            let data = match wire {
                Wire::Chat | Wire::Gemini => text.strip_prefix("data: "),
                Wire::Responses | Wire::Messages => text.strip_prefix("event: error\ndata: "),
            };
            let data = data.expect("the frame starts as the wire's do");
            assert!(!data.contains('\n'), "{wire}: the data is one line");
            let data = parsed(data.as_bytes());
            assert_eq!(data["error"]["message"], error.message, "{wire}");
            let kind = matches!(wire, Wire::Responses | Wire::Messages).then_some("error");
            assert_eq!(data["type"].as_str(), kind, "{wire}");
        }
    }

    #[test]
    fn a_kind_and_its_status_stand_for_each_other() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::of_status(kind.status()), kind);
        }
        assert_eq!(ErrorKind::of_status(422), ErrorKind::InvalidRequest);
        assert_eq!(ErrorKind::of_status(502), ErrorKind::Api);
    }
}
