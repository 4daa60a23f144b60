//! AWS's event stream: messages with typed headers, a payload, and checksums over both.
//!
//! A message is its length, the length of its headers, a checksum of these two, headers, payload, and a checksum of all
//! before. All numbers are big-endian.

/// Lengths and checksums.
const FRAME: usize = 16;
const TEXT: u8 = 7;

/// An event with a JSON payload.
pub(super) fn event(kind: &str, payload: &[u8]) -> Vec<u8> {
    message(
        &[(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")],
        payload,
    )
}

/// An error inside a stream.
pub(super) fn exception(kind: &str, payload: &[u8]) -> Vec<u8> {
    let headers =
        [(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")];
    message(&headers, payload)
}

/// What an exception is called inside a stream, where there are fewer of them.
pub(super) fn exception_type(kind: &str) -> String {
    match kind {
        "ModelErrorException" => "modelStreamErrorException".to_owned(),
        _ => {
            let mut letters = kind.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        head.extend(name.as_bytes());
        head.push(TEXT);
        head.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        head.extend(value.as_bytes());
    }
    let total = FRAME + head.len() + payload.len();
    let mut message = Vec::with_capacity(total);
    message.extend(length(total));
    message.extend(length(head.len()));
    message.extend(crc32fast::hash(&message).to_be_bytes());
    message.extend(head);
    message.extend(payload);
    message.extend(crc32fast::hash(&message).to_be_bytes());
    message
}

/// Answers are bounded far below this.
fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_headers_is_as_the_published_vector_has_it() {
        let wanted = [
            0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a, 0x7b, 0x27, 0x66, 0x6f, 0x6f, 0x27, 0x3a,
            0x27, 0x62, 0x61, 0x72, 0x27, 0x7d, 0xc3, 0x65, 0x39, 0x36,
        ];
        assert_eq!(message(&[], b"{'foo':'bar'}"), wanted);
    }

    #[test]
    fn an_event_holds_its_headers_and_lengths() {
        let event = event("chunk", b"{}");
        assert_eq!(event.get(..4).unwrap(), u32::try_from(event.len()).unwrap().to_be_bytes());
        assert!(event.windows(17).any(|part| part == b"\x0b:event-type\x07\0\x05ch"));
        assert_eq!(exception_type("ThrottlingException"), "throttlingException");
        assert_eq!(exception_type("ModelErrorException"), "modelStreamErrorException");
    }
}
