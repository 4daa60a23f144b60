//! Takes connections from the listener, and hands each to a worker.

use std::{io::Write as _, net::TcpStream, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::balance;
use crate::metrics::{Counted, Load};

/// After a failure to accept (no file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a client gets whose connection is one too many.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-type: application/json\r\ncontent-length: 93\r\n\r\n\
    {\"error\":{\"type\":\"overloaded_error\",\"message\":\"too many connections; try again in a second\"}}";

/// Connections beyond the most there may be, which are told so in their own wire, or asked for the node's health: a node
/// that is full is well.
pub(crate) const SPARE: usize = 64;

/// A connection on its way to a worker.
#[derive(Debug)]
pub struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) counted: Counted,
    /// It is one of the [`SPARE`].
    pub(super) spare: bool,
}

/// The way to a worker.
#[derive(Debug)]
pub struct Hand {
    /// Bounded by the acceptor, which counts what it sends.
    pub connections: mpsc::UnboundedSender<Accepted>,
    pub load: Arc<Load>,
}

/// Where connections come from; plain, where nothing else is said.
#[derive(Debug)]
pub struct Listening {
    pub listener: TcpListener,
    /// Clients expect a handshake, and would not understand a word before it.
    pub tls: bool,
}

impl From<TcpListener> for Listening {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: false }
    }
}

/// Hands out connections until `stopping`, at most so many at the same time; then the listener is closed, and what waits
/// in it is reset by the system.
pub async fn accept(
    from: impl Into<Listening> + Send,
    hands: Vec<Hand>,
    most: usize,
    stopping: CancellationToken,
) {
    let from = from.into();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            accepted = from.listener.accept() => accepted,
        };
        match accepted.and_then(|(stream, _peer)| stream.into_std()) {
            Ok(stream) => match open(&hands) {
                open if open >= most.saturating_add(SPARE) => refuse(stream, from.tls),
                open => hand_out(&hands, stream, open >= most),
            },
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn open(hands: &[Hand]) -> usize {
    hands.iter().map(|hand| hand.load.connections()).sum()
}

fn hand_out(hands: &[Hand], stream: TcpStream, spare: bool) {
    let Some(hand) =
        balance::choose(hands.iter().map(|hand| &*hand.load)).and_then(|number| hands.get(number))
    else {
        return;
    };
    hand.load.add_fresh();
    let counted = hand.load.connection();
    if hand.connections.send(Accepted { stream, counted, spare }).is_err() {
        tracing::error!("a worker takes no connections");
    }
}

/// The socket takes this much at once, or the client is not told.
fn refuse(mut stream: TcpStream, tls: bool) {
    tracing::debug!("too many connections");
    if !tls {
        _ = stream.write(FULL);
    }
}

#[cfg(test)]
mod tests {
    use shared::tasks::Tasks;
    use tokio::{io::AsyncReadExt as _, net};

    use super::*;

    #[tokio::test]
    async fn a_connection_too_many_is_answered_and_only_closed_where_a_handshake_is_expected() {
        for tls in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let tasks = Tasks::new();
            let load = Arc::new(Load::default());
            let _open: Vec<_> = (0..SPARE).map(|_| load.connection()).collect();
            let hands = vec![Hand { connections: mpsc::unbounded_channel().0, load }];
            tasks.spawn(accept(Listening { listener, tls }, hands, 0, tasks.stopping()));
            let mut said = String::new();
            let mut client = net::TcpStream::connect(address).await.unwrap();
            client.read_to_string(&mut said).await.unwrap();
            assert_eq!((said.starts_with("HTTP/1.1 503"), said.is_empty()), (!tls, tls));
        }
    }
}
