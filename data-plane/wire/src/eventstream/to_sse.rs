//! An event stream as server-sent events.

use std::borrow::Cow;

use super::{Message, MessageSplitter, exception};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::json::{self, write};

/// What the messages hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// `invoke-with-response-stream` of Anthropic's models: an event of theirs in base64. It goes on as Anthropic's own
    /// API would send it, an exception as an `error` event.
    Anthropic,
    /// `converse-stream`: the event's name is a header, the payload its data. An exception goes on as the event
    /// `exception`, with its name as `type`.
    Converse,
}

/// Writes the frames that chunks of an event stream make.
#[derive(Debug)]
pub struct EventStreamToSse {
    bodies: Bodies,
    splitter: MessageSplitter,
    /// What base64 said, used again and again.
    decoded: Vec<u8>,
}

impl EventStreamToSse {
    #[must_use]
    pub fn new(bodies: Bodies) -> Self {
        Self { bodies, splitter: MessageSplitter::default(), decoded: Vec::new() }
    }

    /// Appends the frames of the messages that end in `chunk`.
    ///
    /// # Errors
    /// What is wrong with the stream. The messages ahead of the fault are written; nothing more will come.
    pub fn chunk(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let mut at = 0;
        while let Some(message) = self.splitter.next(chunk, &mut at).map_err(super::Broken::as_str)? {
            match (message.message_type, self.bodies) {
                (Some("exception" | "error"), bodies) => write_exception(bodies, &message, out),
                (_, Bodies::Anthropic) => write_anthropic(&message, &mut self.decoded, out)?,
                (_, Bodies::Converse) => write_converse(&message, out)?,
            }
        }
        Ok(())
    }

    /// Bytes of an unfinished message.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.splitter.pending()
    }

    /// To be asked when the stream ends.
    ///
    /// # Errors
    /// It ended inside a message.
    pub const fn finish(&self) -> Result<(), &'static str> {
        if self.splitter.in_message() { Err("the stream ended inside a message") } else { Ok(()) }
    }
}

fn write_anthropic(
    message: &Message<'_>,
    decoded: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    if message.event_type != Some("chunk") {
        // Such as `initial-response`: the model said nothing.
        return Ok(());
    }
    let payload = std::str::from_utf8(message.payload).map_err(|_| "a chunk is not UTF-8")?;
    let mut bytes = None;
    json::object(payload, |field| {
        if field.name() == "bytes" {
            bytes = json::string(field.value);
        }
    })
    .map_err(|_| "a chunk is not a JSON object")?;
    let bytes = bytes.ok_or("a chunk has no `bytes`")?;
    decoded.clear();
    BASE64.decode_vec(bytes.as_bytes(), decoded).map_err(|_| "a chunk's `bytes` are not base64")?;
    let event = std::str::from_utf8(decoded).map_err(|_| "an event is not UTF-8")?;
    let mut kind = None;
    json::object(event, |field| {
        if field.name() == "type" {
            kind = json::string(field.value);
        }
    })
    .map_err(|_| "an event is not a JSON object")?;
    write_frame(&kind.ok_or("an event has no `type`")?, event, out)
}

fn write_converse(message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let kind = message.event_type.ok_or("a message has no `:event-type`")?;
    let payload = std::str::from_utf8(message.payload).map_err(|_| "an event is not UTF-8")?;
    write_frame(kind, payload, out)
}

fn write_frame(event: &str, data: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if event.contains(['\n', '\r']) {
        return Err("an event's name has more than one line");
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let start = out.len();
    out.extend_from_slice(data.as_bytes());
    // In JSON line ends are white space only.
    for byte in out.get_mut(start..).unwrap_or_default() {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
    Ok(())
}

fn write_exception(bodies: Bodies, message: &Message<'_>, out: &mut Vec<u8>) {
    let kind = message.exception_type.or(message.error_code).unwrap_or("unknownException");
    let text = words(message);
    match bodies {
        Bodies::Anthropic => {
            out.extend_from_slice(b"event: error\ndata: ");
            write::object(out, |o| {
                o.string("type", "error");
                o.object("error", |o| {
                    o.string("type", exception::word(kind));
                    o.string("message", &text);
                });
            });
        }
        Bodies::Converse => {
            out.extend_from_slice(b"event: exception\ndata: ");
            write::object(out, |o| {
                o.string("type", kind);
                o.string("message", &text);
            });
        }
    }
    out.extend_from_slice(b"\n\n");
}

/// What the exception says to people.
fn words<'a>(message: &Message<'a>) -> Cow<'a, str> {
    if let Some(text) = message.error_message {
        return Cow::Borrowed(text);
    }
    let payload = String::from_utf8_lossy(message.payload);
    let mut text = None;
    let is_object = json::object(&payload, |field| {
        if field.name().eq_ignore_ascii_case("message") {
            text = json::string(field.value).map(Cow::into_owned);
        }
    })
    .is_ok();
    if is_object { Cow::Owned(text.unwrap_or_default()) } else { payload }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::eventstream::write;

    type Written = (String, Result<(), &'static str>);

    fn written(bodies: Bodies, chunks: &[&[u8]]) -> Written {
        let mut stream = EventStreamToSse::new(bodies);
        let mut out = Vec::new();
        let read = chunks.iter().try_for_each(|chunk| stream.chunk(chunk, &mut out));
        (String::from_utf8(out).unwrap(), read.and_then(|()| stream.finish()))
    }

    fn message(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write(headers, payload.as_bytes(), &mut out);
        out
    }

    fn chunk(event: &str) -> Vec<u8> {
        let bytes = BASE64.encode(event.as_bytes());
        let headers =
            [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")];
        message(&headers, &format!(r#"{{"bytes":"{bytes}","p":"abcdef"}}"#))
    }

    fn event(kind: &str, payload: &str) -> Vec<u8> {
        message(&[(":event-type", kind), (":message-type", "event")], payload)
    }

    fn exception(kind: &str, payload: &str) -> Vec<u8> {
        message(&[(":exception-type", kind), (":message-type", "exception")], payload)
    }

    fn is_broken(bodies: Bodies, bytes: &[u8]) -> &'static str {
        let (out, read) = written(bodies, &[bytes]);
        assert_eq!(out, "");
        read.expect_err("the stream must be refused")
    }

    #[test]
    fn anthropics_events_go_on_as_its_own_api_sends_them() {
        let start = r#"{"type":"message_start","message":{"model":"claude-sonnet-4-5"}}"#;
        let stop = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":9}}"#;
        let stream = [chunk(start), event("initial-response", "{}"), chunk(stop)].concat();
        let expected =
            format!("event: message_start\ndata: {start}\n\nevent: message_stop\ndata: {stop}\n\n");
        assert_eq!(written(Bodies::Anthropic, &[&stream]), (expected, Ok(())));
    }

    #[test]
    fn line_ends_in_an_event_are_white_space() {
        let pretty = chunk("{\n  \"type\": \"ping\"\r\n}");
        let expected = "event: ping\ndata: {   \"type\": \"ping\"  }\n\n".to_owned();
        assert_eq!(written(Bodies::Anthropic, &[&pretty]), (expected, Ok(())));
    }

    #[test]
    fn converses_events_are_named_by_their_header() {
        let payload = r#"{"contentBlockIndex":0,"delta":{"text":"Hi"},"p":"abc"}"#;
        let expected = format!("event: contentBlockDelta\ndata: {payload}\n\n");
        let stream = event("contentBlockDelta", payload);
        assert_eq!(written(Bodies::Converse, &[&stream]), (expected, Ok(())));
    }

    #[test]
    fn an_exception_is_an_error_in_the_flavours_own_words() {
        let stream = exception("throttlingException", r#"{"message":"Too many \"tokens\"."}"#);
        let (out, _) = written(Bodies::Anthropic, &[&stream]);
        let error =
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Too many \"tokens\"."}}"#;
        assert_eq!(out, format!("event: error\ndata: {error}\n\n"));
        let (out, _) = written(Bodies::Converse, &[&stream]);
        let error = r#"{"type":"throttlingException","message":"Too many \"tokens\"."}"#;
        assert_eq!(out, format!("event: exception\ndata: {error}\n\n"));
    }

    #[test]
    fn an_error_outside_the_model_says_it_in_headers() {
        let headers =
            [(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "oh")];
        let (out, _) = written(Bodies::Anthropic, &[&message(&headers, "")]);
        assert_eq!(
            out,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"oh\"}}\n\n"
        );
        let bare = message(&[(":message-type", "exception")], "plain\nwords");
        let (out, _) = written(Bodies::Converse, &[&bare]);
        assert_eq!(
            out,
            "event: exception\ndata: {\"type\":\"unknownException\",\"message\":\"plain\\nwords\"}\n\n"
        );
    }

    #[test]
    fn what_is_no_event_breaks_the_stream() {
        let of_payload = |payload| is_broken(Bodies::Anthropic, &event("chunk", payload));
        assert_eq!(of_payload("<html>"), "a chunk is not a JSON object");
        assert_eq!(of_payload("{}"), "a chunk has no `bytes`");
        assert_eq!(of_payload(r#"{"bytes":"e30"}"#), "a chunk's `bytes` are not base64");
        assert_eq!(of_payload(r#"{"bytes":"/w=="}"#), "an event is not UTF-8");
        assert_eq!(is_broken(Bodies::Anthropic, &chunk("[]")), "an event is not a JSON object");
        assert_eq!(is_broken(Bodies::Anthropic, &chunk("{}")), "an event has no `type`");
        let two_lines = chunk(r#"{"type":"a\ndata: b"}"#);
        assert_eq!(is_broken(Bodies::Anthropic, &two_lines), "an event's name has more than one line");
        assert_eq!(is_broken(Bodies::Converse, &message(&[], "{}")), "a message has no `:event-type`");
    }

    #[test]
    fn a_stream_that_breaks_off_keeps_what_came_before() {
        let stream = [event("messageStart", "{}"), event("metadata", "{}")].concat();
        let (out, read) = written(Bodies::Converse, &[&stream[..stream.len() - 1]]);
        assert_eq!(out, "event: messageStart\ndata: {}\n\n");
        assert_eq!(read, Err("the stream ended inside a message"));
    }

    fn any_stream() -> impl Strategy<Value = Vec<u8>> {
        let one = prop_oneof![
            "[ -~]{0,20}".prop_map(|text| chunk(&text)),
            "[a-z]{1,9}".prop_map(|kind| chunk(&format!(r#"{{"type":"{kind}"}}"#))),
            ("[a-z\n]{0,9}", ".{0,20}").prop_map(|(kind, payload)| event(&kind, &payload)),
            ("[a-z\n]{0,9}", ".{0,20}").prop_map(|(kind, payload)| exception(&kind, &payload)),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        prop::collection::vec(one, 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn chunking_never_matters_and_frames_are_whole(
            stream in any_stream(), anthropic: bool, size in 1usize..40,
        ) {
            let bodies = if anthropic { Bodies::Anthropic } else { Bodies::Converse };
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            let (out, read) = written(bodies, &chunks);
            prop_assert_eq!(&(out.clone(), read), &written(bodies, &[&stream]));
            for frame in out.split_terminator("\n\n") {
                let lines: Vec<&str> = frame.split('\n').collect();
                prop_assert!(
                    matches!(&lines[..], [event, data] if event.starts_with("event: ") && data.starts_with("data: "))
                );
            }
        }
    }
}
