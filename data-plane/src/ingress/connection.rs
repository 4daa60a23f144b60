//! One client's connection: hyper's, told of a shutdown.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Context,
    time::Duration,
};

use hyper::{
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rand::Rng as _;
use shared::{socket, write_deadline::WriteDeadline};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    server::{CLOSING_TIME, Server},
    service::serve_request,
    tls::ClientTls,
};
use crate::{
    metrics::{Counted, Load},
    proxy::{Phase, Proxy},
};

/// From a connection's start, or the end of its last answer, to a whole request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Bytes of a request's head; a longer one is answered 431. Hyper by itself would take 400 KiB.
const HEAD_MAX: usize = 64 << 10;

/// Headers of a request; with more of them it is answered 431. It is hyper's own number, and with a larger one each request
/// would take memory for its headers apart.
const HEADERS_MAX: usize = 100;

/// A client that takes nothing for so long is given up: nobody else can see that it stands still.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves one connection to its end.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream, _counted: Counted, spare: bool) {
    if socket::prepare(&stream).is_err() {
        return;
    }
    match server.settings.tls.clone() {
        None => serve_io(server, TokioIo::new(WriteDeadline::new(stream, WRITE_TIMEOUT)), spare).await,
        // Apart, as it takes far more memory.
        Some(tls) => Box::pin(serve_tls(server, tls, stream, spare)).await,
    }
}

async fn serve_tls(server: Arc<Server>, tls: ClientTls, stream: TcpStream, spare: bool) {
    let (stopping, _) = server.proxy.lifecycle.bells();
    let shaking = tls.accept(&server.handshakes, stream, WRITE_TIMEOUT);
    // No request is on its way before the handshake is done, so that nothing is lost.
    if let Some(Some(stream)) = stopping.run_until_cancelled(shaking).await {
        serve_io(server, TokioIo::new(stream), spare).await;
    }
}

pub(super) async fn serve_io(server: Arc<Server>, io: impl Read + Write + Unpin, spare: bool) {
    let proxy = &server.proxy;
    let lasts = Arc::new(Lasts::new(server.settings.max_connection_age, spare));
    let service = {
        let (server, lasts) = (Arc::clone(&server), Arc::clone(&lasts));
        service_fn(move |request| {
            lasts.asked.store(true, Ordering::Relaxed);
            lasts.look(&server.proxy.load);
            // Hyper keeps the room of the future for as long as the answer goes on, and so there is nothing in it.
            Box::pin(serve_request(Arc::clone(&server), Arc::clone(&lasts), request))
        })
    };
    let mut hyper = std::pin::pin!(http().serve_connection(io, service));
    let mut bells = Bells::of(proxy);
    // For the rest of a first head, once a shutdown has begun.
    let mut head_timer = None;
    let ended = poll_fn(|cx| {
        if bells.ring(proxy, cx) {
            // Between requests it ends at once, and behind an answer that is on its way then. Ahead of the first request
            // hyper goes on waiting for a head that has begun.
            hyper.as_mut().graceful_shutdown();
            if !lasts.is_asked() {
                head_timer = Some(Box::pin(sleep(CLOSING_TIME)));
            }
        }
        let ended = hyper.as_mut().poll(cx);
        if let Some(timer) = head_timer.as_mut().filter(|_| ended.is_pending() && !lasts.is_asked()) {
            return timer.as_mut().poll(cx).map(Ok);
        }
        ended
    })
    .await;
    if let Err(error) = ended {
        tracing::trace!(%error, "a client's connection ended");
    }
}

fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_MAX)
        .max_headers(HEADERS_MAX);
    builder
}

/// How long a connection lasts. Looked at with each request, and told with its answer, so that no request meets a
/// connection that is being closed.
pub(super) struct Lasts {
    until: Instant,
    over: AtomicBool,
    /// A request came on it.
    asked: AtomicBool,
    /// There was no room for it: it ends behind one answer, and is served nothing that costs.
    pub(super) spare: bool,
}

impl Lasts {
    /// Not all that began together end together.
    fn new(age: Duration, spare: bool) -> Self {
        let until = Instant::now() + age.mul_f64(rand::rng().random_range(0.8..1.2));
        Self { until, over: AtomicBool::new(spare), asked: AtomicBool::new(false), spare }
    }

    fn look(&self, load: &Load) {
        if Instant::now() >= self.until || load.sheds() {
            self.over.store(true, Ordering::Relaxed);
        }
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Wakes the connection's task when a shutdown begins, and when its grace is over.
///
/// To listen again at every turn would take a lock that all connections share. Once is enough: the task is always the
/// same one, and what the bell means is in the proxy's phase.
struct Bells {
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    listening: bool,
    told: bool,
}

impl Bells {
    fn of(proxy: &Proxy) -> Self {
        let (stopping, closing) = proxy.lifecycle.bells();
        Self {
            stopping: Box::pin(stopping.cancelled_owned()),
            closing: Box::pin(closing.cancelled_owned()),
            listening: false,
            told: false,
        }
    }

    /// True, once: the connection has to end after the answer that is on its way.
    fn ring(&mut self, proxy: &Proxy, cx: &mut Context<'_>) -> bool {
        if !self.listening {
            self.listening = true;
            // Whether one has rung already shows in the phase.
            _ = self.stopping.as_mut().poll(cx);
            _ = self.closing.as_mut().poll(cx);
        }
        !self.told && proxy.lifecycle.phase() != Phase::Serving && {
            self.told = true;
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::body::Incoming;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// The first line of what a request with this much in its head is answered.
    async fn answered(headers: usize, bytes: usize) -> String {
        let (mut client, server) = duplex(1 << 20);
        let service = service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        });
        let mut head = String::from("GET / HTTP/1.1\r\nconnection: close\r\n");
        head.extend((2..headers).map(|number| format!("x-{number}: a\r\n")));
        let left = bytes.saturating_sub(head.len() + "x: \r\n\r\n".len());
        head += &format!("x: {}\r\n\r\n", "a".repeat(left));
        client.write_all(head.as_bytes()).await.unwrap();
        _ = http().serve_connection(TokioIo::new(server), service).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn heads_that_are_too_long_or_have_too_many_headers_are_answered_so() {
        assert_eq!(answered(HEADERS_MAX, HEAD_MAX).await, "HTTP/1.1 200 OK");
        let too_large = "HTTP/1.1 431 Request Header Fields Too Large";
        assert_eq!(answered(HEADERS_MAX + 1, 0).await, too_large);
        assert_eq!(answered(2, HEAD_MAX + 1).await, too_large);
        assert_eq!(answered(2, 4 * HEAD_MAX).await, too_large);
    }
}
