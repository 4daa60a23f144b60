//! What the load client is told, and what it tells.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::percentiles::Percentiles;

/// Send this request again and again over so many connections, one at a time on each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub addr: SocketAddr,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub concurrency: u32,
    pub millis: u64,
    /// Frames that a whole stream has; None for an answer that is no stream.
    pub frames: Option<usize>,
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

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.measured as f64 * 1e6 / (self.micros.max(1)) as f64
    }
}
