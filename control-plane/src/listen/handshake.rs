//! TLS handshakes of the listeners.
//!
//! A peer that says nothing, or stops half-way, costs its place until its time is over, and keeps nobody waiting. The part
//! that computes (key exchange and signature) takes a fraction of a millisecond, on as many threads as there are.

use std::{io, time::Duration};

use rustls::server::Acceptor;
use shared::{tls::ReloadingTls, write_deadline::WriteDeadline};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tracing::{Dispatch, instrument::WithSubscriber as _};

use super::WRITE_TIMEOUT;

/// From the connection's start to the handshake's end.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection over TLS.
pub type Shaken = TlsStream<WriteDeadline<TcpStream>>;

/// # Errors
/// It came to nothing in time.
pub async fn shake(tls: &ReloadingTls, stream: TcpStream) -> io::Result<Shaken> {
    // Of what it finds odd in a hello, rustls itself would warn.
    let shaking = answer(tls, stream).with_subscriber(Dispatch::none());
    timeout(HANDSHAKE, shaking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn answer(tls: &ReloadingTls, stream: TcpStream) -> io::Result<Shaken> {
    let stream = WriteDeadline::new(stream, WRITE_TIMEOUT);
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    hello.into_stream(tls.config()).await
}
