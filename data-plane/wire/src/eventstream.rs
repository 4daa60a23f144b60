//! `application/vnd.amazon.eventstream`: the binary frames of AWS's streams.
//!
//! A message is: total length, headers' length, checksum of these two; headers; payload; checksum of all before. It is
//! cut out of chunks as [`crate::sse`] cuts frames: one that lies within a chunk is borrowed from it, one that straddles
//! chunks is gathered in a buffer that is used again and again.
//!
//! Behind [`EventStreamToSse`] everything reads server-sent events, whatever the upstream's framing.

mod exception;
mod headers;
mod to_sse;
mod write;

pub use to_sse::{Bodies, EventStreamToSse};
pub use write::write;

pub(crate) use exception::status;
use headers::Headers;

/// AWS's own limits, in bytes.
pub const MESSAGE_MAX: usize = 16 << 20;
pub const HEADERS_MAX: usize = 128 << 10;

const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// The bytes are no event stream, or were changed on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Broken {
    PreludeChecksum,
    Length,
    MessageChecksum,
    Headers,
}

impl Broken {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreludeChecksum => "the checksum of a message's lengths is wrong",
            Self::Length => "a message's lengths contradict each other or AWS's limits",
            Self::MessageChecksum => "the checksum of a message is wrong",
            Self::Headers => "the headers of a message can't be read",
        }
    }
}

/// One message. Of headers that come twice the last one holds; those that are not text are absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// `:message-type`: `event`, `exception` or `error`.
    pub message_type: Option<&'a str>,
    /// `:event-type`.
    pub event_type: Option<&'a str>,
    /// `:exception-type`.
    pub exception_type: Option<&'a str>,
    /// `:error-code`.
    pub error_code: Option<&'a str>,
    /// `:error-message`.
    pub error_message: Option<&'a str>,
    /// `:content-type`.
    pub content_type: Option<&'a str>,
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// From all bytes of a message whose prelude is checked.
    fn read(bytes: &'a [u8], prelude: Prelude) -> Result<Self, Broken> {
        let (checked, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(Broken::Length)?;
        if crc32fast::hash(checked) != u32::from_be_bytes(*sum) {
            return Err(Broken::MessageChecksum);
        }
        let content = checked.get(PRELUDE..).and_then(|content| content.split_at_checked(prelude.headers));
        let (headers, payload) = content.ok_or(Broken::Length)?;
        let mut message = Self { payload, ..Self::default() };
        for header in Headers::new(headers) {
            let (name, value) = header?;
            let place = match name {
                ":message-type" => &mut message.message_type,
                ":event-type" => &mut message.event_type,
                ":exception-type" => &mut message.exception_type,
                ":error-code" => &mut message.error_code,
                ":error-message" => &mut message.error_message,
                ":content-type" => &mut message.content_type,
                _ => continue,
            };
            *place = value;
        }
        Ok(message)
    }
}

/// A message's lengths, in bytes.
#[derive(Debug, Clone, Copy)]
struct Prelude {
    total: usize,
    headers: usize,
}

impl Prelude {
    /// None: there are too few bytes.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Broken> {
        let Some(&prelude) = bytes.first_chunk::<PRELUDE>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h, sum @ ..] = prelude;
        if crc32fast::hash(&[a, b, c, d, e, f, g, h]) != u32::from_be_bytes(sum) {
            return Err(Broken::PreludeChecksum);
        }
        let total = u32::from_be_bytes([a, b, c, d]) as usize;
        let headers = u32::from_be_bytes([e, f, g, h]) as usize;
        let fits = total <= MESSAGE_MAX
            && headers <= HEADERS_MAX
            && total.checked_sub(PRELUDE + CHECKSUM).is_some_and(|content| headers <= content);
        if fits { Ok(Some(Self { total, headers })) } else { Err(Broken::Length) }
    }
}

/// Cuts chunks into messages.
#[derive(Debug, Default)]
pub struct MessageSplitter {
    /// The unfinished message's bytes of earlier chunks.
    carry: Vec<u8>,
    /// The message in `carry` has been handed out.
    spent: bool,
    /// No message can be found behind a broken one.
    broken: Option<Broken>,
}

impl MessageSplitter {
    /// The next message that ends in `chunk[*at..]`; `at` moves behind it. None: the chunk is used up, and what it held
    /// of an unfinished message is kept.
    ///
    /// # Errors
    /// What is wrong with the stream; the same from then on.
    pub fn next<'a>(&'a mut self, chunk: &'a [u8], at: &mut usize) -> Result<Option<Message<'a>>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if self.spent {
            self.carry.clear();
            self.spent = false;
        }
        let rest = chunk.get(*at..).unwrap_or_default();
        let (taken, prelude) = match self.gather(rest) {
            Ok(gathered) => gathered,
            Err(broken) => {
                self.broken = Some(broken);
                return Err(broken);
            }
        };
        *at += taken;
        let Some(prelude) = prelude else { return Ok(None) };
        self.spent = !self.carry.is_empty();
        let bytes = if self.spent { self.carry.as_slice() } else { rest.get(..taken).unwrap_or_default() };
        Message::read(bytes, prelude).map(Some).inspect_err(|broken| self.broken = Some(*broken))
    }

    /// Bytes of an unfinished message.
    #[must_use]
    pub const fn pending(&self) -> usize {
        if self.spent { 0 } else { self.carry.len() }
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub const fn in_message(&self) -> bool {
        self.pending() > 0
    }

    /// How many bytes of `rest` were taken, and the lengths of the message if it is whole with them: it is then in
    /// `carry`, or, if that is empty, in `rest`.
    fn gather(&mut self, rest: &[u8]) -> Result<(usize, Option<Prelude>), Broken> {
        if self.carry.is_empty() {
            let prelude = Prelude::read(rest)?;
            if let Some(prelude) = prelude.filter(|prelude| prelude.total <= rest.len()) {
                return Ok((prelude.total, Some(prelude)));
            }
            self.carry.extend_from_slice(rest);
            return Ok((rest.len(), None));
        }
        let mut taken = self.fill(PRELUDE, rest);
        let Some(prelude) = Prelude::read(&self.carry)? else { return Ok((taken, None)) };
        taken += self.fill(prelude.total, rest.get(taken..).unwrap_or_default());
        Ok((taken, (self.carry.len() == prelude.total).then_some(prelude)))
    }

    /// Adds what `carry` lacks of `length` bytes, as far as `rest` has it.
    fn fill(&mut self, length: usize, rest: &[u8]) -> usize {
        let lacking = length.saturating_sub(self.carry.len()).min(rest.len());
        self.carry.extend_from_slice(rest.get(..lacking).unwrap_or_default());
        lacking
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &[u8] = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff";
    /// A header of each type: those before and behind the text are skipped.
    const EVERY_TYPE: &str = "000000890000007717b5e9150474727565000566616c736501046279746502ff0573686f72740300080369\
        6e740400000008046c6f6e6705000000000000000805627974657306000268690b3a6576656e742d747970650700056368756e6b047469\
        6d65080000000000000000047575696409000102030405060708090a0b0c0d0e0f7b7daa707d90";

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// What is found, and how it ends.
    fn read(chunks: &[&[u8]]) -> (Vec<String>, Option<Broken>, bool) {
        let mut splitter = MessageSplitter::default();
        let mut found = Vec::new();
        for chunk in chunks {
            let mut at = 0;
            loop {
                match splitter.next(chunk, &mut at) {
                    Ok(Some(message)) => found.push(format!("{message:?}")),
                    Ok(None) => break,
                    Err(broken) => return (found, Some(broken), false),
                }
            }
            assert_eq!(at, chunk.len());
        }
        (found, None, splitter.in_message())
    }

    fn message(event: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&[(":message-type", "event"), (":event-type", event)], payload, &mut out);
        out
    }

    #[test]
    fn an_empty_message_is_the_smallest() {
        let mut written = Vec::new();
        write(&[], b"", &mut written);
        assert_eq!(written, EMPTY);
        assert_eq!(MessageSplitter::default().next(EMPTY, &mut 0), Ok(Some(Message::default())));
    }

    #[test]
    fn headers_of_every_type_are_stepped_over() {
        let bytes = unhex(EVERY_TYPE);
        let expected = Message { event_type: Some("chunk"), payload: b"{}", ..Message::default() };
        assert_eq!(MessageSplitter::default().next(&bytes, &mut 0), Ok(Some(expected)));
    }

    #[test]
    fn what_is_written_is_as_awss_own_writers_have_it() {
        let mut written = Vec::new();
        write(&[("content-type", "application/json")], b"{'foo':'bar'}", &mut written);
        let expected = "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27\
            666f6f273a27626172277d8d9c08b1";
        assert_eq!(written, unhex(expected));
    }

    #[test]
    fn named_headers_are_found() {
        let mut bytes = Vec::new();
        let headers = [
            (":message-type", "error"),
            (":exception-type", "throttlingException"),
            (":error-code", "Slow"),
            (":error-message", "é"),
            (":content-type", "application/json"),
            ("other", "x"),
            (":error-code", "Slower"),
        ];
        write(&headers, b"p", &mut bytes);
        let expected = Message {
            message_type: Some("error"),
            event_type: None,
            exception_type: Some("throttlingException"),
            error_code: Some("Slower"),
            error_message: Some("é"),
            content_type: Some("application/json"),
            payload: b"p",
        };
        assert_eq!(MessageSplitter::default().next(&bytes, &mut 0), Ok(Some(expected)));
    }

    /// A prelude that says so, with the right checksum.
    fn prelude(total: u32, headers: u32) -> Vec<u8> {
        let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn lengths_that_can_not_be_are_refused_before_anything_is_gathered() {
        for (total, headers) in [
            (0, 0),
            (15, 0),
            (16, 1),
            (u32::MAX, 0),
            (MESSAGE_MAX as u32 + 1, 0),
            (1 << 20, HEADERS_MAX as u32 + 1),
        ] {
            assert_eq!(read(&[&prelude(total, headers)]).1, Some(Broken::Length), "{total} {headers}");
        }
        assert_eq!(read(&[&prelude(MESSAGE_MAX as u32, HEADERS_MAX as u32)]), (vec![], None, true));
    }

    #[test]
    fn the_largest_message_passes() {
        let payload = vec![b'x'; MESSAGE_MAX - 16];
        let mut bytes = Vec::new();
        write(&[], &payload, &mut bytes);
        assert_eq!(bytes.len(), MESSAGE_MAX);
        let (first, second) = bytes.split_at(5_000_000);
        let (found, broken, _) = read(&[first, second]);
        assert_eq!((found.len(), broken), (1, None));
    }

    #[test]
    fn headers_that_end_early_are_broken() {
        for headers in [
            &b"\x05:ev"[..],
            b"\x01a",
            b"\x01a\x07\x00",
            b"\x01a\x07\x00\x02x",
            b"\x01a\x0a",
            b"\x00\x00",
            b"\x01\xff\x00",
            b"\x01a\x07\x00\x01\xff",
        ] {
            let mut bytes = prelude(16 + headers.len() as u32, headers.len() as u32);
            bytes.extend_from_slice(headers);
            let sum = crc32fast::hash(&bytes);
            bytes.extend_from_slice(&sum.to_be_bytes());
            assert_eq!(read(&[&bytes]).1, Some(Broken::Headers), "{headers:?}");
        }
    }

    #[test]
    fn behind_a_fault_there_is_nothing_more() {
        let mut splitter = MessageSplitter::default();
        let mut bytes = message("a", b"1");
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        bytes.extend_from_slice(EMPTY);
        let mut at = 0;
        assert_eq!(splitter.next(&bytes, &mut at), Err(Broken::MessageChecksum));
        assert_eq!(splitter.next(&bytes, &mut at), Err(Broken::MessageChecksum));
        assert_eq!(splitter.next(EMPTY, &mut 0), Err(Broken::MessageChecksum));
    }

    fn cut_at<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
        places.sort_unstable();
        let (mut from, mut chunks) = (0, Vec::new());
        for place in places {
            chunks.push(&bytes[from..place]);
            from = place;
        }
        chunks.push(&bytes[from..]);
        chunks
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let one = ("[a-z]{1,9}", prop::collection::vec(any::<u8>(), 0..60));
        prop::collection::vec(one, 1..5).prop_map(|messages| {
            messages.iter().flat_map(|(event, payload)| message(event, payload)).collect()
        })
    }

    proptest! {
        #[test]
        fn chunking_never_matters(stream in stream(), cuts: Vec<prop::sample::Index>, lost in 0usize..3) {
            let stream = &stream[..stream.len() - lost];
            prop_assert_eq!(read(&cut_at(stream, &cuts)), read(&[stream]));
        }

        #[test]
        fn every_flipped_bit_is_found(stream in stream(), at: prop::sample::Index, cuts: Vec<prop::sample::Index>) {
            let mut flipped = stream;
            let bit = at.index(flipped.len() * 8);
            let whole = read(&[&flipped]).0;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (found, broken, _) = read(&cut_at(&flipped, &cuts));
            prop_assert!(broken.is_some());
            prop_assert!(found.len() < whole.len() && whole.starts_with(&found));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, cuts: Vec<prop::sample::Index>) {
            prop_assert_eq!(read(&cut_at(&bytes, &cuts)), read(&[&bytes]));
        }

        #[test]
        fn any_headers_are_survived(headers in prop::collection::vec(0u8..12, 0..40)) {
            let mut bytes = prelude(16 + headers.len() as u32, headers.len() as u32);
            bytes.extend_from_slice(&headers);
            let sum = crc32fast::hash(&bytes);
            bytes.extend_from_slice(&sum.to_be_bytes());
            let (found, broken, _) = read(&[&bytes]);
            prop_assert_eq!(found.len() == 1, broken.is_none());
        }
    }
}
