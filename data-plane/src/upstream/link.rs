//! One connection to an upstream, and the one request that may be under way on it.
//!
//! HTTP/1.1 is read and written here, and not by hyper, whose connection is a task of its own that talks to the request
//! through channels: polled in the request's task it still hands over each frame of a stream by itself, which cost more
//! than all else that the gateway does with a stream. What comes here goes on as it was read.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderValue, request, response};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    time::Instant,
};
use tokio_util::io::poll_read_buf;

use super::{
    RequestBody,
    chunked::BadChunk,
    connect::{Stream, Waiting},
    head::{self, BadHead, Framing},
};

/// Room for the first read of an answer; most fit into it.
const READ_FIRST: usize = 16 << 10;
/// Long answers are read in long pieces, and streams of short frames that come slowly keep little memory.
const READ_MIN: usize = 2 << 10;
const READ_MAX: usize = 64 << 10;
/// Reads for a head before other tasks have their turn.
const READS: u8 = 16;
/// Pieces that one write takes.
const PIECES: usize = 16;

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the connection was closed ahead of the answer's end")]
    Closed,
    #[error("the answer is not HTTP/1.1: {0}")]
    Malformed(&'static str),
}

impl From<BadHead> for LinkError {
    fn from(_: BadHead) -> Self {
        Self::Malformed("its head")
    }
}

impl From<BadChunk> for LinkError {
    fn from(_: BadChunk) -> Self {
        Self::Malformed("its chunks")
    }
}

/// A connection, in use or idle.
pub(super) struct Link {
    stream: Stream,
    /// The `host` that requests on it carry.
    host: HeaderValue,
    /// What is not written yet, head first.
    unsent: VecDeque<Bytes>,
    /// What is written may still be in a buffer of TLS.
    unflushed: bool,
    /// What was read and not given away.
    input: BytesMut,
    /// Room for the next read.
    room: usize,
    /// Of the answer's body; none ahead of its head, and on an idle connection.
    framing: Option<Framing>,
    /// Another request may follow.
    persists: bool,
    /// None follows after this.
    until: Instant,
    /// Something came since the request was given.
    heard: bool,
    /// Answers that came ahead of the answer.
    preliminary: u8,
    /// The request could not be written to its end. The answer may be there all the same.
    broken: Option<io::Error>,
}

impl Link {
    pub(super) fn over(stream: Stream, host: HeaderValue, until: Instant) -> Self {
        Self {
            stream,
            host,
            unsent: VecDeque::new(),
            unflushed: false,
            input: BytesMut::new(),
            room: READ_FIRST,
            framing: None,
            persists: true,
            until,
            heard: false,
            preliminary: 0,
            broken: None,
        }
    }

    /// Gives it a request, which goes out as soon as the link is polled.
    pub(super) fn send(&mut self, parts: &request::Parts, body: RequestBody) {
        self.unsent.push_back(head::written(parts, &self.host, body.len()));
        self.unsent.extend(body.into_pieces());
        (self.framing, self.heard, self.preliminary) = (None, false, 0);
    }

    /// Whether all of the request was written.
    pub(super) fn is_sent(&self) -> bool {
        self.unsent.is_empty() && !self.unflushed && self.broken.is_none()
    }

    /// Whether anything has come since the last request was given.
    pub(super) const fn heard(&self) -> bool {
        self.heard
    }

    /// The answer's head. The request is written meanwhile.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<response::Parts, LinkError>> {
        for _ in 0..READS {
            self.write(cx);
            if !self.input.is_empty()
                && let Some(head) = head::read(&mut self.input, &mut self.preliminary)?
            {
                self.framing = Some(head.framing);
                self.persists &= head.persists;
                return Poll::Ready(Ok(head.parts));
            }
            let read = match ready!(self.poll_fill(cx)) {
                Ok(read) => read,
                Err(error) => return Poll::Ready(Err(self.broken.take().unwrap_or(error).into())),
            };
            if read == 0 {
                let closed = self.broken.take().map_or(LinkError::Closed, LinkError::Io);
                return Poll::Ready(Err(closed));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The next bytes of the answer's body, as many as are there; none at its end.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, LinkError>> {
        loop {
            let Some(framing) = &mut self.framing else { return Poll::Ready(Ok(None)) };
            let chunk = taken(framing, &mut self.input)?;
            if !chunk.is_empty() {
                return Poll::Ready(Ok(Some(chunk)));
            }
            if framing.is_over() {
                return Poll::Ready(Ok(None));
            }
            let until_close = *framing == Framing::UntilClose;
            self.write(cx);
            if ready!(self.poll_fill(cx))? == 0 {
                if !until_close {
                    return Poll::Ready(Err(LinkError::Closed));
                }
                self.framing = None;
            }
        }
    }

    /// Whether all of the answer's body was given away.
    pub(super) fn is_over(&self) -> bool {
        self.framing.is_none_or(Framing::is_over)
    }

    /// Whether the last request is over on both sides, and another one may follow.
    pub(super) fn is_free(&self) -> bool {
        self.persists && self.is_over() && self.is_sent() && self.input.is_empty()
    }

    /// Whether it has been used for as long as it may.
    pub(super) fn is_worn_out(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// Whether the upstream has neither closed an idle connection nor said anything unasked, as far as the system knows:
    /// what the runtime knows of the socket may be older.
    pub(super) fn is_alive(&mut self) -> bool {
        match self.stream.waiting() {
            Waiting::Nothing => true,
            // Such as a session's ticket, which is no data.
            Waiting::Something if self.stream.is_tls() => {
                let mut nobody = Context::from_waker(Waker::noop());
                let mut read = [0];
                let polled = Pin::new(&mut self.stream).poll_read(&mut nobody, &mut ReadBuf::new(&mut read));
                polled.is_pending() && self.stream.waiting() == Waiting::Nothing
            }
            Waiting::Something | Waiting::End => false,
        }
    }

    /// Lets go of memory while nothing is under way.
    pub(super) fn rest(&mut self) {
        self.framing = None;
        self.room = READ_FIRST;
        self.input = BytesMut::new();
        self.unsent.shrink_to(PIECES);
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let polled = self.poll_input(cx);
        if polled.is_pending() && self.input.is_empty() {
            // Most streams are silent for most of their time, and there may be thousands.
            self.input = BytesMut::new();
        }
        polled
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Ahead of making room, which would be for nothing.
        ready!(self.stream.poll_read_ready(cx))?;
        if self.input.is_empty() && self.input.capacity() > 4 * self.room {
            self.input = BytesMut::new();
        }
        if self.input.capacity() - self.input.len() < READ_MIN {
            self.input.reserve(self.room);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input));
        if let Ok(read) = read {
            self.heard |= read > 0;
            self.room = match read {
                read if read == room => (self.room * 2).min(READ_MAX),
                read if read < self.room / 4 => (self.room / 2).max(READ_MIN),
                _ => self.room,
            };
        }
        Poll::Ready(read)
    }

    /// Writes as much as goes. A failure is kept: an upstream may answer, and close, before it has read all.
    fn write(&mut self, cx: &mut Context<'_>) {
        if self.broken.is_none()
            && let Poll::Ready(Err(error)) = self.poll_write(cx)
        {
            self.unsent.clear();
            self.persists = false;
            self.broken = Some(error);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let pieces =
                self.unsent.iter().zip(&mut slices).map(|(piece, slice)| *slice = IoSlice::new(piece));
            let count = pieces.count();
            let stream = Pin::new(&mut self.stream);
            let mut written = ready!(stream.poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            while let Some(first) = self.unsent.front_mut() {
                if first.len() > written {
                    first.advance(written);
                    break;
                }
                written -= first.len();
                // Let go of, so that a piece that is sent is not held for the rest.
                self.unsent.pop_front();
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// What of `input` is the body's.
fn taken(framing: &mut Framing, input: &mut BytesMut) -> Result<Bytes, BadChunk> {
    match framing {
        Framing::Chunked(chunked) => chunked.decode(input),
        Framing::UntilClose => Ok(input.split().freeze()),
        Framing::Length(left) => {
            let there = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
            *left -= there as u64;
            Ok(input.split_to(there).freeze())
        }
    }
}
