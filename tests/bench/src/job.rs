//! What the load client is told, and what it tells.

use std::{io, net::SocketAddr, path::PathBuf};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header::HOST};
use http_body_util::Full;
use serde::{Deserialize, Serialize};

use crate::{dialer::Dialer, percentiles::Percentiles};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    Repeat(Job),
    Hold(Hold),
}

/// A request, and whom to send it to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Call {
    pub addr: SocketAddr,
    /// PEM file of the authority that is trusted; None where no TLS is spoken.
    pub authority: Option<PathBuf>,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Send a request again and again over so many connections, one at a time on each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub call: Call,
    pub concurrency: u32,
    pub millis: u64,
    /// Frames that a whole stream has; None for an answer that is no stream.
    pub frames: Option<usize>,
}

/// Open so many streams, each on a connection of its own, and read them until the next line comes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hold {
    pub call: Call,
    pub streams: u32,
}

/// Times are in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Sent in all, the warming ones included: what the CPU time is to be divided by.
    pub sent: u64,
    /// Of these, whole and right, within the measured time.
    pub measured: u64,
    pub failures: u64,
    pub first_failure: Option<String>,
    /// Length of the measured time.
    pub micros: u64,
    /// To the first byte of the body.
    pub first_byte: Percentiles,
    pub whole: Percentiles,
    /// Between two arrivals of one stream.
    pub gap: Percentiles,
}

/// Streams that are held.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Open now.
    pub open: u64,
    /// Never opened, or ended meanwhile.
    pub failures: u64,
    pub first_failure: Option<String>,
}

impl Call {
    pub(crate) fn dialer(&self) -> io::Result<Dialer> {
        Dialer::new(self.addr, self.authority.as_deref())
    }

    pub(crate) fn request(&self) -> io::Result<Request<Full<Bytes>>> {
        let body = Full::new(Bytes::from(self.body.clone()));
        let mut request = Request::post(self.path.as_str()).body(body).map_err(io::Error::other)?;
        let host = HeaderValue::try_from(self.addr.to_string()).map_err(io::Error::other)?;
        request.headers_mut().insert(HOST, host);
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(io::Error::other)?;
            let value = HeaderValue::try_from(value).map_err(io::Error::other)?;
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.measured as f64 * 1e6 / (self.micros.max(1)) as f64
    }
}
