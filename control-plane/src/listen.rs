//! What the listeners of people and of nodes have in common: whom they let in, and how long one may be silent.
//!
//! Anybody can open a connection and say nothing. [`places`] bounds how many there are in all and how many an address may
//! hold, so that nobody keeps others out; [`handshake`] and [`FIRST_REQUEST`] end those that never come to a request.
//! Whoever is one too many is closed at once: to let it wait would let it take the place of others in the system's queue.

pub mod handshake;
pub mod places;

use std::{io, time::Duration};

use shared::{socket, tasks::Tasks};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use places::{Place, Places};

/// From a connection's start, or the end of its handshake, to its first request.
pub const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// A peer that takes nothing for so long is given up.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that are told to end and have no request under way are closed after it.
pub const CLOSING: Duration = Duration::from_secs(1);

/// After a failed accept (no file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The next connection that there is a place for; `None`: at shutdown. `whom`: who connects, for the log.
pub async fn accept(
    listener: &TcpListener,
    places: &Places,
    whom: &'static str,
    tasks: &Tasks,
) -> Option<(TcpStream, std::net::SocketAddr, Place)> {
    let stopping = tasks.stopping();
    loop {
        match stopping.run_until_cancelled(accept_one(listener, places, whom)).await? {
            Ok(Some(accepted)) => return Some(accepted),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(whom, %error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// `Ok(None)`: there is no place for it, or it is gone already.
async fn accept_one(
    listener: &TcpListener,
    places: &Places,
    whom: &'static str,
) -> io::Result<Option<(TcpStream, std::net::SocketAddr, Place)>> {
    let (stream, address) = listener.accept().await?;
    match places.take(address.ip()) {
        Ok(place) => Ok(socket::prepare(&stream).ok().map(|()| (stream, address, place))),
        Err(full) => {
            tracing::debug!(whom, %address, %full, "a connection is closed at once");
            Ok(None)
        }
    }
}
