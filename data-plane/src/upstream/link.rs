//! One connection to an upstream, driven by the task that has a request on it.
//!
//! hyper gives a connection in two halves: one that takes requests, and one that reads and writes and has to be polled.
//! Here both live in one place and are polled one behind the other, so that no second task takes part in a request.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;
use http::{HeaderValue, Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{RequestBody, connect::Stream};

/// An answer's head that is on its way.
pub(super) type Head = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// Turns in which both halves may give each other something to do, before other tasks get theirs.
const TURNS: u8 = 16;

/// A connection, in use or idle.
pub(super) struct Link {
    requests: SendRequest<RequestBody>,
    connection: Connection<TokioIo<Heard>, RequestBody>,
    /// False once the connection has ended: it must not be polled again.
    open: bool,
    bell: Arc<Bell>,
    /// Of the bell.
    waker: Waker,
    /// The `host` that requests on it carry.
    host: HeaderValue,
}

impl Link {
    pub(super) async fn over(stream: Stream, host: HeaderValue) -> hyper::Result<Self> {
        let bell = Arc::new(Bell::default());
        let io = TokioIo::new(Heard { stream, bell: Arc::clone(&bell) });
        let (requests, connection) = http1::handshake(io).await?;
        let waker = Waker::from(Arc::clone(&bell));
        Ok(Self { requests, connection, open: true, bell, waker, host })
    }

    pub(super) const fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Gives it a request, which goes out as soon as the link is polled.
    pub(super) fn send(&mut self, request: Request<RequestBody>) -> Head {
        self.bell.heard.store(false, Ordering::Relaxed);
        Box::pin(self.requests.send_request(request))
    }

    /// Whether anything has come since the last request was given.
    pub(super) fn heard(&self) -> bool {
        self.bell.heard.load(Ordering::Relaxed)
    }

    /// Drives the connection until `look` finds what it waits for, or there is nothing more to be read or written. `look`
    /// is called with a waker that wakes nobody: what it looks at comes from the connection alone.
    pub(super) fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut looks = Context::from_waker(Waker::noop());
        self.bell.mute();
        let found = look(&mut looks);
        if found.is_ready() {
            self.bell.unmute();
            return found;
        }
        self.bell.target.register(cx.waker());
        let mut turns = 0;
        let found = loop {
            self.bell.forget();
            self.drive();
            let found = look(&mut looks);
            turns += 1;
            if found.is_ready() || turns == TURNS || !self.bell.has_rung() {
                break found;
            }
        };
        if self.bell.unmute() && found.is_pending() {
            cx.waker().wake_by_ref();
        }
        found
    }

    /// Whether another request may go out on it: the last one is over on both sides, and the upstream has neither closed
    /// it nor said anything unasked.
    pub(super) fn is_free(&mut self) -> bool {
        self.bell.target.take();
        self.bell.mute();
        self.drive();
        self.bell.unmute();
        self.open && self.requests.is_ready()
    }

    fn drive(&mut self) {
        let mut near = Context::from_waker(&self.waker);
        if self.open && Pin::new(&mut self.connection).poll(&mut near).is_ready() {
            self.open = false;
        }
    }
}

/// Wakes the task that has a request on the connection, if any has.
///
/// What asks for more wakes the connection, at every step. While the connection is driven that is only noted, since it is
/// driven again; and on an idle connection nobody is to be woken at all.
#[derive(Debug, Default)]
struct Bell {
    target: AtomicWaker,
    muted: AtomicBool,
    rung: AtomicBool,
    /// Bytes came from the upstream.
    heard: AtomicBool,
}

impl Bell {
    fn mute(&self) {
        self.muted.store(true, Ordering::SeqCst);
    }

    /// True: it rang while it was muted, and since it was last forgotten.
    fn unmute(&self) -> bool {
        self.muted.store(false, Ordering::SeqCst);
        self.rung.swap(false, Ordering::SeqCst)
    }

    fn has_rung(&self) -> bool {
        self.rung.load(Ordering::SeqCst)
    }

    fn forget(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.muted.load(Ordering::SeqCst) {
            self.rung.store(true, Ordering::SeqCst);
            // Between the two lines the polling may have ended, which would leave this one unheard.
            if self.muted.load(Ordering::SeqCst) {
                return;
            }
        }
        self.target.wake();
    }
}

/// Notes that something came.
struct Heard {
    stream: Stream,
    bell: Arc<Bell>,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.bell.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
