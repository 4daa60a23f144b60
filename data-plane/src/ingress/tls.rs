//! TLS on the clients' listener: handshakes, each on the worker that got the connection.
//!
//! A peer that says nothing, or stops half-way, costs a socket until its time is over, and keeps nobody waiting: what is
//! bounded in number is the part that computes (key exchange and signature), and peers wait for their turn only once their
//! hello is whole. How many connections there are in all is bounded by the acceptor.

use std::{fmt, io, sync::Arc, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{TypedMetric as _, counter::Counter},
};
use rustls::server::Acceptor;
use shared::{
    tasks::Tasks,
    tls::{ReloadingTls, TlsError, TlsFiles},
    write_deadline::WriteDeadline,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, sink},
    net::TcpStream,
    sync::Semaphore,
    task::yield_now,
    time::timeout,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tracing::{Dispatch, instrument::WithSubscriber as _};

const PROTOCOLS: &[&[u8]] = &[b"http/1.1"];
/// How often the files are looked at.
const RELOAD: Duration = Duration::from_secs(10);
/// Hellos that a worker answers before it goes on with its streams: each takes a fraction of a millisecond, and a node that
/// starts anew gets thousands.
const AT_ONCE: usize = 8;
/// How a TLS record starts that has a hello in it.
const HANDSHAKE: u8 = 22;
/// What a client gets that speaks HTTP where TLS is spoken.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\
    content-length: 31\r\n\r\nthis port takes https:// only.\n";
/// As much as a client of that kind may have sent on; with something left unread, it would get a reset in place of the
/// answer.
const REST: u64 = 64 << 10;

/// TLS towards clients. Clones are the same, and so are the sessions that clients resume with any worker.
#[derive(Debug, Clone)]
pub struct ClientTls {
    certificates: Arc<ReloadingTls>,
    handshake_timeout: Duration,
}

/// Which of a worker's handshakes compute.
#[derive(Debug)]
pub(crate) struct Handshakes(Semaphore);

impl Default for Handshakes {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl ClientTls {
    /// # Errors
    /// The files can't be used.
    pub fn load(files: TlsFiles, handshake_timeout: Duration) -> Result<Self, TlsError> {
        Ok(Self { certificates: Arc::new(ReloadingTls::load(files, PROTOCOLS)?), handshake_timeout })
    }

    /// Has the files looked at, until shutdown.
    pub fn watch(&self, tasks: &Tasks, failures: &ReloadFailures) {
        self.watch_every(RELOAD, tasks, failures);
    }

    pub(super) fn watch_every(&self, every: Duration, tasks: &Tasks, failures: &ReloadFailures) {
        let count = failures.0.clone();
        let failed = move || _ = count.inc();
        tasks.spawn(Arc::clone(&self.certificates).watch("clients", every, tasks.clone(), failed));
    }

    /// The connection once the handshake is done. None: it came to nothing in time, which the log says at debug only, since
    /// anybody can bring it about.
    pub(super) async fn accept(
        &self,
        handshakes: &Handshakes,
        stream: TcpStream,
        write_timeout: Duration,
    ) -> Option<TlsStream<WriteDeadline<TcpStream>>> {
        // Of what it finds odd in a hello, rustls itself would warn.
        let shaking = self.shake(handshakes, stream, write_timeout).with_subscriber(Dispatch::none());
        match timeout(self.handshake_timeout, shaking).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a client's TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a client's TLS handshake took too long");
                None
            }
        }
    }

    async fn shake(
        &self,
        handshakes: &Handshakes,
        stream: TcpStream,
        write_timeout: Duration,
    ) -> io::Result<TlsStream<WriteDeadline<TcpStream>>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
            refuse(stream, first[0].is_ascii_uppercase()).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "that is no TLS"));
        }
        let stream = WriteDeadline::new(stream, write_timeout);
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let answered = {
            let _turn = handshakes.0.acquire().await.map_err(io::Error::other)?;
            let answered = hello.into_stream(self.certificates.config());
            // What is ready on this worker goes first, and those that wait for a turn after it.
            yield_now().await;
            answered
        };
        answered.await
    }
}

/// `tell`: it speaks HTTP, by the looks of it.
async fn refuse(mut stream: TcpStream, tell: bool) -> io::Result<()> {
    if tell {
        stream.write_all(NOT_TLS).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(REST), &mut sink()).await?;
    }
    Ok(())
}

/// Counts looks at changed certificates that could not be used.
#[derive(Debug, Clone, Default)]
pub struct ReloadFailures(Counter);

impl Collector for ReloadFailures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Changed certificates for clients that could not be used";
        self.0.encode(encoder.encode_descriptor("tls_reload_failures", help, None, Counter::<u64>::TYPE)?)
    }
}
