//! Single requests, for setting things up.

use std::io;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::dialer::Dialer;

/// Sends JSON over a connection of its own; gives the status and the body.
pub(crate) async fn exchange(
    dialer: &Dialer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<(StatusCode, Bytes)> {
    let mut request = Request::builder().method(method).uri(path).header("host", dialer.addr.to_string());
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).map_err(io::Error::other)?;
    let stream = dialer.dial().await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let answered = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    // The connection ends when the answer is read and its sender is gone.
    let ((), answer) = tokio::try_join!(connection, answered).map_err(io::Error::other)?;
    Ok(answer)
}

/// As [`exchange`], for an answer that must be a success with JSON in it.
pub(crate) async fn json(
    dialer: &Dialer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> io::Result<Value> {
    let (status, answer) = exchange(dialer, method, path, headers, &body.to_string()).await?;
    if !status.is_success() {
        let words = String::from_utf8_lossy(&answer).into_owned();
        return Err(io::Error::other(format!("{method} {path}: {status}: {words}")));
    }
    serde_json::from_slice(&answer).map_err(|error| io::Error::other(format!("{method} {path}: {error}")))
}
