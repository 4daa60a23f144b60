//! One client's connection: hyper's, told of a shutdown.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Context,
    time::Duration,
};

use hyper::{
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    proxy::{Phase, Proxy},
    service::serve_request,
    write_deadline::WriteDeadline,
};

/// From a connection's start, or the end of its last answer, to a whole request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// A client that takes nothing for so long is given up: nobody else can see that it stands still.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves one connection to its end.
pub(super) async fn serve(proxy: Arc<Proxy>, stream: TcpStream) {
    // Frames must not wait for the acknowledgement of earlier ones.
    if stream.set_nodelay(true).is_ok() {
        serve_io(proxy, TokioIo::new(WriteDeadline::new(stream, WRITE_TIMEOUT))).await;
    }
}

pub(super) async fn serve_io(proxy: Arc<Proxy>, io: impl Read + Write + Unpin) {
    let service = {
        let proxy = Arc::clone(&proxy);
        service_fn(move |request| serve_request(Arc::clone(&proxy), request))
    };
    let hyper = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(io, service);
    let mut hyper = std::pin::pin!(hyper);
    let mut bells = Bells::of(&proxy);
    let ended = poll_fn(|cx| {
        if bells.ring(&proxy, cx) {
            hyper.as_mut().graceful_shutdown();
        }
        hyper.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = ended {
        tracing::trace!(%error, "a client's connection ended");
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
