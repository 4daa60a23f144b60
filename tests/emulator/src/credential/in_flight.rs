//! A request from the moment it was read to the end of its answer. Dropped before that, the client is gone.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::credential::{
    Credential,
    record::{End, Recording},
};

#[derive(Debug)]
pub(crate) struct InFlight {
    credential: Arc<Credential>,
    record: Option<Arc<Recording>>,
    ended: bool,
}

/// Counts a wait at a hold point for as long as it lives.
struct Held<'c>(&'c Credential);

impl InFlight {
    pub(crate) fn begin(credential: Arc<Credential>, record: impl FnOnce() -> Recording) -> Self {
        let record = (credential.keep > 0).then(|| Arc::new(record()));
        if let Some(record) = &record {
            credential.keep_record(record);
        }
        credential.change(|counters| {
            counters.requests += 1;
            counters.in_flight += 1;
        });
        Self { credential, record, ended: false }
    }

    pub(crate) fn head(&self, status: StatusCode, headers: &HeaderMap) {
        if let Some(record) = &self.record {
            record.head(status, headers);
        }
        self.credential.change(|counters| *counters.by_status.entry(status.as_u16()).or_default() += 1);
    }

    pub(crate) fn wrote(&self, bytes: &Bytes) {
        if let Some(record) = &self.record {
            record.wrote(bytes);
        }
    }

    /// The answer has come to the end that the script wanted.
    pub(crate) fn served(&mut self) {
        self.end(End::Served);
    }

    /// Waits for a release that comes after this call.
    pub(crate) async fn hold(&self) {
        let credential = &self.credential;
        let before = credential.begin_hold();
        let _held = Held(credential);
        loop {
            let mut released = std::pin::pin!(credential.released.notified());
            released.as_mut().enable();
            if credential.state.lock().releases != before {
                return;
            }
            released.await;
        }
    }

    fn end(&mut self, end: End) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(record) = &self.record {
            record.ended(end);
        }
        self.credential.change(|counters| {
            counters.in_flight = counters.in_flight.saturating_sub(1);
            match end {
                End::Disconnected => counters.disconnects += 1,
                End::Served | End::InFlight => counters.served += 1,
            }
        });
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.end(End::Disconnected);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.change(|counters| counters.held = counters.held.saturating_sub(1));
    }
}
