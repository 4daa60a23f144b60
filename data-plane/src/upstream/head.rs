//! Heads of HTTP/1.1 messages: a request's as bytes, and an answer's read, with what it says of its body.

mod names;

use std::{fmt::Write as _, mem::MaybeUninit};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{
    HeaderValue, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
    request, response,
};
use smallvec::SmallVec;

use super::chunked::Chunked;

/// An answer may have so many headers, and a head so many bytes.
const HEADERS_MAX: usize = 128;
const HEAD_MAX: usize = 64 << 10;
/// Answers ahead of the answer (1xx).
const PRELIMINARY_MAX: u8 = 16;
/// Room for most requests' heads.
const USUAL_HEAD: usize = 1 << 10;

/// It is no answer of HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer's head is malformed")]
pub(super) struct BadHead;

/// An answer's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: response::Parts,
    pub(super) framing: Framing,
    /// Another request may follow on the connection.
    pub(super) persists: bool,
}

/// How long a body is (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So much of it is left.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Framing {
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::End))
    }
}

/// A request's head as it goes over the wire. `host` and the body's length are not among its headers.
pub(super) fn written(parts: &request::Parts, host: &HeaderValue, length: usize) -> Bytes {
    let mut head = BytesMut::with_capacity(USUAL_HEAD);
    head.put_slice(parts.method.as_str().as_bytes());
    head.put_u8(b' ');
    head.put_slice(parts.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    head.put_slice(b" HTTP/1.1\r\nhost: ");
    head.put_slice(host.as_bytes());
    head.put_slice(b"\r\n");
    for (name, value) in &parts.headers {
        head.put_slice(name.as_str().as_bytes());
        head.put_slice(b": ");
        head.put_slice(value.as_bytes());
        head.put_slice(b"\r\n");
    }
    // Writing to a buffer does not fail.
    _ = write!(head, "content-length: {length}\r\n\r\n");
    head.freeze()
}

/// Takes the answer's head out of `input`; none: it has not come as a whole. What is said ahead of the answer (1xx) is
/// passed over.
///
/// `preliminary`: how many of those came so far.
pub(super) fn read(input: &mut BytesMut, preliminary: &mut u8) -> Result<Option<Head>, BadHead> {
    loop {
        let Some(found) = find(input)? else {
            return if input.len() > HEAD_MAX { Err(BadHead) } else { Ok(None) };
        };
        match found.status.as_u16() {
            // Asked for by nobody.
            101 => return Err(BadHead),
            100..=199 if *preliminary < PRELIMINARY_MAX => {
                *preliminary += 1;
                input.advance(found.length);
            }
            100..=199 => return Err(BadHead),
            _ => return take(input, &found).map(Some),
        }
    }
}

/// Where the parts of a head are, in the bytes that begin with it.
struct Found {
    length: usize,
    status: StatusCode,
    version: Version,
    headers: SmallVec<[[(usize, usize); 2]; 24]>,
}

fn find(input: &[u8]) -> Result<Option<Found>, BadHead> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let parsed = parser.parse_response_with_uninit_headers(&mut head, input, &mut headers);
    let length = match parsed.map_err(|_| BadHead)? {
        httparse::Status::Complete(length) if length > HEAD_MAX => return Err(BadHead),
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let base = input.as_ptr() as usize;
    let place = |part: &[u8]| (part.as_ptr() as usize - base, part.len());
    let code = head.code.ok_or(BadHead)?;
    Ok(Some(Found {
        length,
        status: StatusCode::from_u16(code).map_err(|_| BadHead)?,
        version: if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 },
        headers: head.headers.iter().map(|it| [place(it.name.as_bytes()), place(it.value)]).collect(),
    }))
}

fn take(input: &mut BytesMut, found: &Found) -> Result<Head, BadHead> {
    let bytes = input.split_to(found.length).freeze();
    let (mut parts, ()) = Response::new(()).into_parts();
    (parts.status, parts.version) = (found.status, found.version);
    parts.headers.reserve(found.headers.len());
    for [(name, name_length), (value, value_length)] in &found.headers {
        let name = names::name(&bytes[*name..name + name_length]).map_err(|_| BadHead)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice(*value..value + value_length));
        parts.headers.append(name, value.map_err(|_| BadHead)?);
    }
    let framing = framing(&parts)?;
    let persists = framing != Framing::UntilClose && persists(&parts);
    Ok(Head { parts, framing, persists })
}

fn framing(parts: &response::Parts) -> Result<Framing, BadHead> {
    let headers = &parts.headers;
    if matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        // No other was asked for, and none can be taken off.
        let chunked =
            codings.next().is_none() && coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
        return if chunked { Ok(Framing::Chunked(Chunked::Size)) } else { Err(BadHead) };
    }
    let mut lengths =
        headers.get_all(CONTENT_LENGTH).iter().flat_map(|it| it.as_bytes().split(|byte| *byte == b','));
    let Some(first) = lengths.next() else { return Ok(Framing::UntilClose) };
    let length = digits(first).ok_or(BadHead)?;
    // Who says two lengths is not to be trusted with either.
    if lengths.all(|other| digits(other) == Some(length)) {
        Ok(Framing::Length(length))
    } else {
        Err(BadHead)
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn persists(parts: &response::Parts) -> bool {
    let says = |word: &[u8]| {
        let values = parts.headers.get_all(CONNECTION).iter();
        let mut options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(word))
    };
    // A length that a coding overrides may be an attempt to have the next answer misread.
    let ambiguous =
        parts.headers.contains_key(TRANSFER_ENCODING) && parts.headers.contains_key(CONTENT_LENGTH);
    !ambiguous && !says(b"close") && (parts.version == Version::HTTP_11 || says(b"keep-alive"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Option<Head>, BadHead> {
        read(&mut BytesMut::from(text.as_bytes()), &mut 0)
    }

    fn framed(headers: &str) -> (Framing, bool) {
        let head = head(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).unwrap().unwrap();
        (head.framing, head.persists)
    }

    #[test]
    fn a_body_is_as_long_as_its_head_says() {
        let chunked = Framing::Chunked(Chunked::Size);
        assert_eq!(framed("Content-Length: 5\r\n"), (Framing::Length(5), true));
        assert_eq!(framed("content-length: 5, 5\r\ncontent-length: 5\r\n"), (Framing::Length(5), true));
        assert_eq!(framed("transfer-encoding: Chunked\r\n"), (chunked, true));
        assert_eq!(framed("transfer-encoding: chunked\r\ncontent-length: 5\r\n"), (chunked, false));
        assert_eq!(framed("content-length: 5\r\nconnection: x, Close\r\n"), (Framing::Length(5), false));
        assert_eq!(framed(""), (Framing::UntilClose, false));
        let none = head("HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert!(none.framing.is_over() && none.persists);
        let old = |headers| {
            head(&format!("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n{headers}\r\n")).unwrap().unwrap()
        };
        assert!(!old("").persists && old("connection: keep-alive\r\n").persists);
    }

    #[test]
    fn a_head_that_can_be_read_in_two_ways_is_refused() {
        for bad in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "<html>",
        ] {
            assert!(head(bad).is_err(), "{bad}");
        }
        assert!(head(&format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(HEAD_MAX))).is_err());
        assert!(head(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1))).is_err());
    }

    #[test]
    fn what_is_said_ahead_of_an_answer_is_passed_over() {
        let mut input = BytesMut::from(
            &b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-A: \xe4\r\nx-a: 2\r\n\r\nhi"[..],
        );
        let head = read(&mut input, &mut 0).unwrap().unwrap();
        let values: Vec<_> = head.parts.headers.get_all("x-a").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(
            (head.parts.status.as_u16(), values, &*input),
            (200, vec![&b"\xe4"[..], b"2"], &b"hi"[..])
        );
    }

    #[test]
    fn answers_ahead_of_the_answer_are_bounded() {
        let mut input = BytesMut::from("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17).as_bytes());
        assert!(read(&mut input, &mut 0).is_err());
    }

    #[test]
    fn a_request_is_written_with_its_host_and_its_length() {
        let request = http::Request::post("/v1/messages?beta=true").header("x-a", "1").header("x-a", "2");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let written = written(&parts, &HeaderValue::from_static("api.test"), 17);
        let expected = "POST /v1/messages?beta=true HTTP/1.1\r\nhost: api.test\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 17\r\n\r\n";
        assert_eq!(written, expected);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_a_head_is_the_same_however_it_comes(bytes: Vec<u8>, cut in 0_usize..80) {
            _ = read(&mut BytesMut::from(&*bytes), &mut 0);
            let all = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-type: text/plain\r\n\r\nabc";
            let mut input = BytesMut::from(&all[..cut.min(all.len())]);
            let early = read(&mut input, &mut 0).unwrap();
            if early.is_none() {
                input = BytesMut::from(&all[..]);
            } else {
                input.extend_from_slice(&all[cut.min(all.len())..]);
            }
            let head = match early {
                Some(head) => head,
                None => read(&mut input, &mut 0).unwrap().unwrap(),
            };
            prop_assert_eq!((head.framing, &*input), (Framing::Length(3), &b"abc"[..]));
        }
    }
}
