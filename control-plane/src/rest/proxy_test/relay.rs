//! Passes the data plane's answer on as it arrives.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::timeout,
};

use crate::{
    app::App,
    ops::proxy_tests::{Minted, SILENCE},
};

/// The longest that a client may leave a piece of the answer unread.
const UNREAD: Duration = Duration::from_secs(130);

/// What people see of the answer's headers. The data plane's answer is partly its upstream's, and must not speak to the
/// browser in the name of the admin pages.
const SHOWN: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::RETRY_AFTER,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-upstream-request-id"),
    HeaderName::from_static("x-should-retry"),
];
const SHOWN_PREFIXES: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];

const RELAYED: HeaderName = HeaderName::from_static("x-switchyard-relayed");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The answer as the caller gets it. `key` is held for as long as it lasts.
pub(super) fn pass(app: &App, answer: reqwest::Response, key: Minted) -> Response {
    let status = answer.status();
    let headers = shown(answer.headers());
    let (sender, receiver) = mpsc::channel(1);
    let stopping = app.edge.stopping();
    app.edge.spawn(async move {
        // Its time is over, or the process's: the body breaks off, and the data plane sees its client leave.
        _ = stopping.run_until_cancelled(pump(answer, &sender)).await;
        drop(key);
    });
    let mut response = Response::new(Body::from_stream(stream::unfold(receiver, next)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn shown(answered: &HeaderMap) -> HeaderMap {
    let is_shown = |name: &HeaderName| {
        SHOWN.contains(name) || SHOWN_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
    };
    let mut shown: HeaderMap = answered
        .iter()
        .filter(|(name, _)| is_shown(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    shown.insert(RELAYED, HeaderValue::from_static("true"));
    // Neither a proxy in front nor anything else may hold the frames back.
    shown.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    shown.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    shown
}

/// What goes to the client's body. A channel that ends without [`Piece::End`] is an answer that broke off.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Ends when the answer does, when it breaks off, or when the client has left.
async fn pump(mut answer: reqwest::Response, client: &Sender<Piece>) {
    loop {
        let chunk = tokio::select! {
            chunk = timeout(SILENCE, answer.chunk()) => chunk,
            () = client.closed() => return,
        };
        let (piece, last) = match chunk {
            Ok(Ok(Some(bytes))) => (Piece::Bytes(bytes), false),
            Ok(Ok(None)) => (Piece::End, true),
            Ok(Err(_)) | Err(_) => return,
        };
        if timeout(UNREAD, client.send(piece)).await.is_err() || last {
            return;
        }
    }
}

/// The data plane's answer broke off.
#[derive(Debug, thiserror::Error)]
#[error("the data plane's answer broke off")]
struct Broken;

async fn next(mut pieces: Receiver<Piece>) -> Option<(Result<Bytes, Broken>, Receiver<Piece>)> {
    match pieces.recv().await {
        Some(Piece::Bytes(bytes)) => Some((Ok(bytes), pieces)),
        Some(Piece::End) => None,
        None => Some((Err(Broken), pieces)),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio::time::Instant;

    use super::*;

    /// An answer of one piece and then silence.
    fn answer() -> reqwest::Response {
        let pieces = stream::iter([Ok::<_, Broken>(Bytes::from("1"))]).chain(stream::pending());
        http::Response::new(reqwest::Body::wrap_stream(pieces)).into()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_bounded_and_breaks_the_answer_off() {
        let (sender, mut receiver) = mpsc::channel(2);
        let started = Instant::now();
        pump(answer(), &sender).await;
        assert_eq!(started.elapsed(), SILENCE);
        drop(sender);
        let (piece, rest) = next(receiver).await.unwrap();
        assert_eq!(piece.unwrap(), "1");
        receiver = next(rest).await.map(|(piece, rest)| (piece.unwrap_err(), rest)).unwrap().1;
        assert!(receiver.recv().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_does_not_hold_the_data_plane_for_ever() {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(Piece::Bytes(Bytes::from("unread"))).await.unwrap();
        let started = Instant::now();
        pump(answer(), &sender).await;
        assert_eq!(started.elapsed(), UNREAD);
        drop(receiver);
    }
}
