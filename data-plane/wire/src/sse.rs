//! Server-sent events: a byte stream is cut into frames, a frame is read into event name and data.
//!
//! Lines end with LF, CRLF or CR, a blank line ends a frame, chunks may be cut at any byte. A frame that lies within
//! one chunk is borrowed from it; one that straddles chunks is gathered in a buffer that is used again and again.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// Largest frame that is gathered and read, in bytes. Providers' frames are far below; what is above passes unread.
pub const FRAME_MAX: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Cuts chunks into frames.
#[derive(Debug)]
pub struct FrameSplitter {
    max: usize,
    /// The unfinished frame's bytes of earlier chunks.
    carry: Vec<u8>,
    /// The frame in `carry` has been handed out.
    spent: bool,
    position: Position,
    /// A frame larger than `max` is passing.
    large: bool,
    /// No frame has ended yet, so a byte order mark may stand ahead.
    first: bool,
}

/// What the last byte was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// A line's start that ends the frame if the line stays empty.
    LineStart,
    InLine,
    /// Behind a CR that ended a line: an LF would belong to it.
    LineStartAfterCr,
    /// Behind a CR that ended a frame at a chunk's end: an LF would belong to it.
    FrameStartAfterCr,
}

/// What the next bytes are.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// Part of a frame that is larger than the limit; the first part holds all that was gathered of it.
    Large(Part<'a>),
}

/// Bytes of the stream: some perhaps from earlier chunks, the rest from the chunk at hand.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub bytes: &'a [u8],
    /// Some of the bytes came with earlier chunks.
    pub carried: bool,
}

/// A frame with the blank line that ends it.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub part: Part<'a>,
    /// Where the fields start: behind a byte order mark.
    start: usize,
}

impl Default for FrameSplitter {
    fn default() -> Self {
        Self::new(FRAME_MAX)
    }
}

impl FrameSplitter {
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self {
            max,
            carry: Vec::new(),
            spent: false,
            position: Position::LineStart,
            large: false,
            first: true,
        }
    }

    /// Whether the chunk's first byte is the LF of the CRLF that ended the frame before. It is then taken, and the
    /// chunk goes on at 1. To be asked once for each chunk, ahead of [`FrameSplitter::next`].
    pub fn takes_late_line_feed(&mut self, chunk: &[u8]) -> bool {
        if self.position != Position::FrameStartAfterCr || chunk.is_empty() {
            return false;
        }
        self.position = Position::LineStart;
        chunk.first() == Some(&b'\n')
    }

    /// The next frame that ends in `chunk[*at..]`; `at` moves behind it. None: the chunk is used up, and what it
    /// held of an unfinished frame is kept.
    pub fn next<'a>(&'a mut self, chunk: &'a [u8], at: &mut usize) -> Option<Piece<'a>> {
        if self.spent {
            self.carry.clear();
            self.spent = false;
        }
        let rest = chunk.get(*at..).filter(|rest| !rest.is_empty())?;
        let end = self.frame_end(rest);
        let (taken, ended) = (end.unwrap_or(rest.len()), end.is_some());
        *at += taken;
        let taken = rest.get(..taken).unwrap_or_default();
        if self.large {
            self.large = !ended;
            return Some(Piece::Large(Part { bytes: taken, carried: false }));
        }
        let carried = !self.carry.is_empty();
        if carried || !ended {
            self.carry.extend_from_slice(taken);
        }
        let size = counted(if carried { &self.carry } else { taken }, ended);
        if size <= self.max && !ended {
            return None;
        }
        self.spent = carried || !ended;
        let bytes = if self.spent { self.carry.as_slice() } else { taken };
        let part = Part { bytes, carried };
        if size > self.max {
            self.large = !ended;
            self.first = false;
            return Some(Piece::Large(part));
        }
        let start = start_of(bytes, self.first);
        self.first = false;
        Some(Piece::Frame(Frame { part, start }))
    }

    /// What is left of an unfinished frame when the stream ends.
    #[must_use]
    pub fn rest(&self) -> Option<Frame<'_>> {
        if self.spent || self.carry.is_empty() {
            return None;
        }
        let part = Part { bytes: &self.carry, carried: true };
        Some(Frame { part, start: start_of(&self.carry, self.first) })
    }

    /// Bytes of an unfinished frame.
    #[must_use]
    pub const fn pending(&self) -> usize {
        if self.spent { 0 } else { self.carry.len() }
    }

    /// Forgets an unfinished frame.
    pub fn clear(&mut self) {
        self.carry.clear();
    }

    /// Whether a part of a frame above the limit has been handed out, but not its end.
    #[must_use]
    pub const fn in_large_frame(&self) -> bool {
        self.large
    }

    /// How many of the bytes belong to the frame at hand, if it ends in them.
    fn frame_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut from = 0;
        if self.position == Position::LineStartAfterCr {
            from = usize::from(bytes.first() == Some(&b'\n'));
            self.position = Position::LineStart;
        }
        let mut line_is_empty = self.position != Position::InLine;
        loop {
            let line = bytes.get(from..).unwrap_or_default();
            let Some(length) = memchr2(b'\n', b'\r', line) else {
                if !line.is_empty() {
                    self.position = Position::InLine;
                } else if line_is_empty {
                    self.position = Position::LineStart;
                }
                return None;
            };
            let frame_ends = line_is_empty && length == 0;
            let is_cr = line.get(length) == Some(&b'\r');
            let crlf = is_cr && line.get(length + 1) == Some(&b'\n');
            from += length + 1 + usize::from(crlf);
            let open = is_cr && from == bytes.len() && !crlf;
            if frame_ends {
                self.position = if open { Position::FrameStartAfterCr } else { Position::LineStart };
                return Some(from);
            }
            if open {
                self.position = Position::LineStartAfterCr;
                return None;
            }
            line_is_empty = true;
        }
    }
}

/// A frame's size for the limit: without the LF of a last CRLF, which may as well come late.
fn counted(bytes: &[u8], ended: bool) -> usize {
    bytes.len() - usize::from(ended && bytes.ends_with(b"\r\n"))
}

fn start_of(bytes: &[u8], first: bool) -> usize {
    if first && bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

/// A frame's fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The last `event` field.
    pub event: Option<&'a [u8]>,
    /// All `data` lines, joined by LF. None: there was none.
    pub data: Option<Cow<'a, [u8]>>,
    /// Where the data lies in the frame's bytes; none when it was joined of several lines.
    pub data_at: Option<Range<usize>>,
    pub has_comment: bool,
    /// A line that is no field of server-sent events: readers skip it, but no provider writes one.
    pub has_stray_line: bool,
}

impl<'a> Frame<'a> {
    /// Reads the frame's lines.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        let mut fields = Fields::default();
        let mut from = self.start;
        while let Some((line, next)) = line(self.part.bytes, from) {
            fields.take(line, from);
            from = next;
        }
        fields
    }

    /// The event's name, if the frame starts with it: as providers write it, and cheaper than all fields.
    #[must_use]
    pub fn leading_event(&self) -> Option<&'a [u8]> {
        let (line, _) = line(self.part.bytes, self.start)?;
        let value = line.strip_prefix(b"event:")?;
        Some(value.strip_prefix(b" ").unwrap_or(value))
    }
}

/// The line that starts at `from`, without its end, and where the next one starts.
fn line(bytes: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(from..).filter(|rest| !rest.is_empty())?;
    let Some(length) = memchr2(b'\n', b'\r', rest) else {
        return Some((rest, bytes.len()));
    };
    let crlf = rest.get(length..length + 2) == Some(b"\r\n");
    Some((rest.get(..length).unwrap_or_default(), from + length + 1 + usize::from(crlf)))
}

impl<'a> Fields<'a> {
    fn take(&mut self, line: &'a [u8], at: usize) {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let skipped = usize::from(!value.is_empty()) + usize::from(value.starts_with(b": "));
        let value = value.get(skipped..).unwrap_or_default();
        match name {
            b"data" => self.take_data(value, at + colon + skipped),
            b"event" => self.event = Some(value),
            b"id" | b"retry" => {}
            b"" => self.has_comment |= !line.is_empty(),
            _ => self.has_stray_line = true,
        }
    }

    fn take_data(&mut self, value: &'a [u8], at: usize) {
        match &mut self.data {
            None => {
                self.data = Some(Cow::Borrowed(value));
                self.data_at = Some(at..at + value.len());
            }
            Some(data) => {
                let data = data.to_mut();
                data.push(b'\n');
                data.extend_from_slice(value);
                self.data_at = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames' bytes; what is too large is marked.
    fn frames(max: usize, chunks: &[&str]) -> Vec<String> {
        let mut splitter = FrameSplitter::new(max);
        let mut frames = Vec::new();
        for chunk in chunks {
            let mut at = usize::from(splitter.takes_late_line_feed(chunk.as_bytes()));
            while let Some(piece) = splitter.next(chunk.as_bytes(), &mut at) {
                frames.push(match piece {
                    Piece::Frame(frame) => String::from_utf8_lossy(frame.part.bytes).into_owned(),
                    Piece::Large(part) => format!("large {}", String::from_utf8_lossy(part.bytes)),
                });
            }
        }
        frames
    }

    fn only_frame(chunk: &str, read: impl Fn(&Frame<'_>)) {
        let mut splitter = FrameSplitter::default();
        match splitter.next(chunk.as_bytes(), &mut 0) {
            Some(Piece::Frame(frame)) => read(&frame),
            other => panic!("not a frame: {other:?}"),
        }
    }

    #[test]
    fn a_blank_line_ends_a_frame_whatever_ends_the_lines() {
        assert_eq!(frames(99, &["data: 1\n\ndata: 2\n\n"]), ["data: 1\n\n", "data: 2\n\n"]);
        assert_eq!(frames(99, &["data: 1\r\n\r\ndata: 2\r\n\r\n"]), ["data: 1\r\n\r\n", "data: 2\r\n\r\n"]);
        assert_eq!(frames(99, &["data: 1\r\rdata: 2\r\r"]), ["data: 1\r\r", "data: 2\r\r"]);
        assert_eq!(frames(99, &["data: 1\r\n\rdata: 2\n\r\n"]), ["data: 1\r\n\r", "data: 2\n\r\n"]);
    }

    #[test]
    fn a_line_feed_that_comes_late_belongs_to_the_frame_before() {
        assert_eq!(frames(99, &["data: 1\r\n\r", "\ndata: 2\n\n"]), ["data: 1\r\n\r", "data: 2\n\n"]);
        assert_eq!(
            frames(99, &["data: 1\r", "\n\r\n", "data: 2\r", "\r"]),
            ["data: 1\r\n\r\n", "data: 2\r\r"]
        );
    }

    #[test]
    fn an_unfinished_frame_waits_for_its_end() {
        let mut splitter = FrameSplitter::default();
        assert!(splitter.next(b"data: 1\nda", &mut 0).is_none());
        assert_eq!(splitter.rest().map(|frame| frame.part.bytes), Some(b"data: 1\nda".as_slice()));
        splitter.clear();
        assert!(splitter.rest().is_none());
    }

    #[test]
    fn a_frame_above_the_limit_passes_in_parts_and_the_next_is_whole_again() {
        let passed = frames(12, &["data: 0123456789\n", "data: more\n\ndata: 2\n\n"]);
        assert_eq!(passed, ["large data: 0123456789\n", "large data: more\n\n", "data: 2\n\n"]);
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        only_frame("\u{feff}event:a\nevent: b\r\ndata\ndata:  x\ndata:y\n: note\nid: 1\n\n", |frame| {
            let fields = frame.fields();
            assert_eq!(fields.event, Some(b"b".as_slice()));
            assert_eq!(fields.data.as_deref(), Some(b"\n x\ny".as_slice()));
            assert_eq!(fields.data_at, None);
            assert!(fields.has_comment && !fields.has_stray_line);
            assert_eq!(frame.leading_event(), Some(b"a".as_slice()));
        });
    }

    #[test]
    fn data_of_one_line_is_known_by_its_place() {
        only_frame("\u{feff}data: {}\r\n\r\n", |frame| {
            let fields = frame.fields();
            assert_eq!(fields.data_at, Some(9..11));
            assert_eq!(&frame.part.bytes[9..11], b"{}");
            assert_eq!(fields.data, Some(Cow::Borrowed(b"{}".as_slice())));
        });
    }

    #[test]
    fn a_line_of_no_known_name_is_astray() {
        only_frame("<html>\n\n", |frame| assert!(frame.fields().has_stray_line));
    }
}
