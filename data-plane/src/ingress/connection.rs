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
use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    lifecycle::Phase, load::Load, proxy::Proxy, service::serve_request, write_deadline::WriteDeadline,
};

/// From a connection's start, or the end of its last answer, to a whole request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// A client that takes nothing for so long is given up: nobody else can see that it stands still.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that the kernel holds for a client and has not sent yet. With all of the buffer that it would take (megabytes), a
/// third of that has to be free before it tells of any progress, and a client that reads slowly but steadily looks as if
/// it stood still.
const UNSENT_MAX: u32 = 32 << 10;

/// Serves one connection to its end.
pub(super) async fn serve(proxy: Arc<Proxy>, stream: TcpStream) {
    let _counted = proxy.load.connection();
    if prepare(&stream).is_ok() {
        serve_io(proxy, TokioIo::new(WriteDeadline::new(stream, WRITE_TIMEOUT))).await;
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Frames must not wait for the acknowledgement of earlier ones.
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX)?;
    Ok(())
}

pub(super) async fn serve_io(proxy: Arc<Proxy>, io: impl Read + Write + Unpin) {
    let lasts = Arc::new(Lasts::new(proxy.settings.max_connection_age));
    let service = {
        let (proxy, lasts) = (Arc::clone(&proxy), Arc::clone(&lasts));
        service_fn(move |request| {
            lasts.look(&proxy.load);
            serve_request(Arc::clone(&proxy), request)
        })
    };
    let hyper = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(io, service);
    let mut hyper = std::pin::pin!(hyper);
    let mut bells = Bells::of(&proxy);
    let mut told = false;
    let ended = poll_fn(|cx| {
        if bells.ring(&proxy, cx) {
            hyper.as_mut().graceful_shutdown();
        }
        let polled = hyper.as_mut().poll(cx);
        if polled.is_pending() && !told && lasts.is_over() {
            told = true;
            hyper.as_mut().graceful_shutdown();
        }
        polled
    })
    .await;
    if let Err(error) = ended {
        tracing::trace!(%error, "a client's connection ended");
    }
}

/// How long a connection lasts. Looked at with each request, and told with its answer, so that no request meets a
/// connection that is being closed.
struct Lasts {
    until: Instant,
    over: AtomicBool,
}

impl Lasts {
    /// Not all that began together end together.
    fn new(age: Duration) -> Self {
        let until = Instant::now() + age.mul_f64(rand::rng().random_range(0.8..1.2));
        Self { until, over: AtomicBool::new(false) }
    }

    fn look(&self, load: &Load) {
        if Instant::now() >= self.until || load.sheds() {
            self.over.store(true, Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
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
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpSocket},
    };

    use super::*;

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
