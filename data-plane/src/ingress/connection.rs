//! One client's connection: hyper's, told of a shutdown.

use std::{
    future::{Future as _, poll_fn},
    io,
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
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    server::{CLOSING_TIME, Server},
    service::serve_request,
    tls::ClientTls,
    write_deadline::WriteDeadline,
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

/// A client that was silent for so long is asked whether it is still there, a few times: one that is gone without a word
/// (a machine that lost its power or its network) would stay for ever.
const ALIVE_AFTER: Duration = Duration::from_secs(30);
const ALIVE_EVERY: Duration = Duration::from_secs(10);
const ALIVE_ASKED: u32 = 3;

/// A client that takes nothing for so long is given up: nobody else can see that it stands still.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that the kernel holds for a client and has not sent yet. With all of the buffer that it would take (megabytes), a
/// third of that has to be free before it tells of any progress, and a client that reads slowly but steadily looks as if
/// it stood still.
const UNSENT_MAX: u32 = 32 << 10;

/// Serves one connection to its end.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream, _counted: Counted, spare: bool) {
    if prepare(&stream).is_err() {
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

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Frames must not wait for the acknowledgement of earlier ones.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(ALIVE_AFTER).with_interval(ALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive.with_retries(ALIVE_ASKED))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
    Ok(())
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
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        net::{TcpListener, TcpSocket},
    };

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

    #[tokio::test]
    async fn a_client_that_is_gone_without_a_word_is_found_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), ALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), ALIVE_EVERY);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), ALIVE_ASKED);
    }

    /// Takes far more in the time limit than nothing, and far less than a third of the kernel's buffer.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_and_steadily_does_not_stand_still() {
        const ALL: usize = 12 << 20;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 << 10).unwrap();
        let mut client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream).unwrap();
        let mut stream = WriteDeadline::new(stream, WRITE_TIMEOUT);
        let reading = async {
            let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
            while read < ALL {
                tokio::time::sleep(WRITE_TIMEOUT / 6).await;
                let taken = client.read(&mut buffer).await.unwrap();
                assert!(taken > 0, "it was given up");
                read += taken;
            }
        };
        let all = vec![b'x'; ALL];
        let (written, ()) = tokio::join!(stream.write_all(&all), reading);
        written.unwrap();
    }
}
