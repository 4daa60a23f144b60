//! An answer, written once and sent many times.
//!
//! Endpoints write a [`Draft`] with [`ID`] wherever an identifier of this answer belongs. [`Template`] lays it out as
//! one run of bytes and remembers where the identifiers are, so that each request costs one copy and a few patches.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use memchr::memmem;

use crate::{memory::Kept, script::LineEnds};

/// Stands for the identifier of an answer; as long as every identifier is.
pub(crate) const ID: &str = "~switchyard-answer-id~24";

/// An endpoint's answer, before it has an identifier.
#[derive(Debug)]
pub(crate) enum Draft {
    Json(Vec<u8>),
    /// Server-sent events.
    Stream(Vec<Frame>),
    Formed(Formed),
}

/// An answer in a form, or with headers, of its own.
#[derive(Debug)]
pub(crate) struct Formed {
    pub form: Form,
    pub frames: Vec<Frame>,
    pub headers: Vec<(&'static str, String)>,
}

/// How frames become a body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    Json,
    /// Server-sent events, and the line ends that the provider gives them.
    Events(LineEnds),
    /// One JSON array whose elements come bit by bit. The first frame opens it, the last one closes it.
    Array,
    /// AWS's event stream. Frames are sealed last: their lengths and checksums cover the identifier.
    Sealed(fn(&[u8]) -> Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub role: Role,
    pub bytes: Vec<u8>,
}

/// What a frame is for, which is how a script finds its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Comes before anything of the answer itself.
    Preamble,
    /// Holds a piece of the answer.
    Content,
    /// Holds the answer together: block starts and stops, finish reasons, usage.
    Structure,
    /// Says that the stream is over.
    Terminal,
}

#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where each frame ends, and what it is.
    frames: Vec<(usize, Role)>,
    ids: Vec<usize>,
    pub stream: bool,
    /// Remembered each time it is sent.
    pub kept: Option<Arc<Kept>>,
    pub form: Form,
    pub headers: Vec<(&'static str, String)>,
}

/// A template with its identifier filled in: one run of bytes.
#[derive(Debug, Clone)]
pub(crate) struct Filled<'t> {
    pub bytes: Bytes,
    pub frames: Cow<'t, [(usize, Role)]>,
    pub stream: bool,
}

impl Template {
    pub(crate) fn new(draft: Draft, line_ends: LineEnds) -> Self {
        let Formed { form, frames: drawn, headers } = draft.formed();
        let drawn: Vec<Frame> = drawn.into_iter().map(|frame| form.ended(frame, line_ends)).collect();
        let mut bytes = Vec::with_capacity(drawn.iter().map(|frame| frame.bytes.len()).sum());
        let mut frames = Vec::with_capacity(drawn.len());
        for frame in drawn {
            bytes.extend_from_slice(&frame.bytes);
            frames.push((bytes.len(), frame.role));
        }
        let ids = memmem::find_iter(&bytes, ID).collect();
        Self { bytes, frames, ids, stream: !matches!(form, Form::Json), kept: None, form, headers }
    }

    /// `number` tells answers apart.
    pub(crate) fn fill(&self, number: u64) -> Filled<'_> {
        let mut bytes = self.bytes.clone();
        let id = identifier(number);
        for &at in &self.ids {
            if let Some(place) = bytes.get_mut(at..at + ID.len()) {
                place.copy_from_slice(id.as_bytes());
            }
        }
        if let Form::Sealed(seal) = self.form {
            let (bytes, frames) = sealed(&bytes, &self.frames, seal);
            return Filled { bytes: bytes.into(), frames: frames.into(), stream: self.stream };
        }
        Filled { bytes: bytes.into(), frames: Cow::Borrowed(&self.frames), stream: self.stream }
    }
}

impl Draft {
    fn formed(self) -> Formed {
        let (form, frames) = match self {
            Self::Json(bytes) => (Form::Json, vec![Frame { role: Role::Content, bytes }]),
            Self::Stream(frames) => (Form::Events(LineEnds::Lf), frames),
            Self::Formed(formed) => return formed,
        };
        Formed { form, frames, headers: Vec::new() }
    }
}

impl Form {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Events(LineEnds::Crlf) => "text/event-stream",
            Self::Events(_) => "text/event-stream; charset=utf-8",
            Self::Array => "application/json; charset=UTF-8",
            Self::Sealed(_) => "application/vnd.amazon.eventstream",
        }
    }

    /// The frame with the line ends of the script, where the form has lines.
    pub(crate) fn ended(self, frame: Frame, line_ends: LineEnds) -> Frame {
        match (self, line_ends) {
            (Self::Events(usual), LineEnds::Usual) => ended(frame, usual),
            (Self::Events(_), scripted) => ended(frame, scripted),
            _ => frame,
        }
    }
}

fn sealed(
    bytes: &[u8],
    frames: &[(usize, Role)],
    seal: fn(&[u8]) -> Vec<u8>,
) -> (Vec<u8>, Vec<(usize, Role)>) {
    let mut all = Vec::with_capacity(bytes.len() * 2);
    let mut ends = Vec::with_capacity(frames.len());
    let mut start = 0;
    for &(end, role) in frames {
        all.extend(seal(bytes.get(start..end).unwrap_or_default()));
        ends.push((all.len(), role));
        start = end;
    }
    (all, ends)
}

/// The identifier of an answer, without the provider's prefix.
pub(crate) fn identifier(number: u64) -> String {
    format!("{number:0width$}", width = ID.len())
}

/// A frame with the line ends of the script. JSON has no raw line ends, so each one belongs to the framing.
fn ended(frame: Frame, line_ends: LineEnds) -> Frame {
    let end: &[u8] = match line_ends {
        LineEnds::Usual | LineEnds::Lf => return frame,
        LineEnds::Crlf => b"\r\n",
        LineEnds::Cr => b"\r",
    };
    let mut bytes = Vec::with_capacity(frame.bytes.len() + 8);
    for byte in frame.bytes {
        if byte == b'\n' { bytes.extend_from_slice(end) } else { bytes.push(byte) }
    }
    Frame { role: frame.role, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_own_identifier_everywhere() {
        let draft = Draft::Json(format!(r#"{{"id":"msg_{ID}","tool":"toolu_{ID}"}}"#).into_bytes());
        let template = Template::new(draft, LineEnds::Lf);
        let first = template.fill(7);
        assert_eq!(
            std::str::from_utf8(&first.bytes).unwrap(),
            r#"{"id":"msg_000000000000000000000007","tool":"toolu_000000000000000000000007"}"#
        );
        assert_ne!(first.bytes, template.fill(8).bytes);
    }

    #[test]
    fn line_ends_follow_the_script() {
        let frame = Frame { role: Role::Content, bytes: b"data: {}\n\n".to_vec() };
        let template = Template::new(Draft::Stream(vec![frame]), LineEnds::Crlf);
        assert_eq!(&template.fill(1).bytes[..], b"data: {}\r\n\r\n");
    }
}
