//! Requests that the gateway refused by itself: no account was tried, so the ledger has no record of them.
//!
//! Each is counted, by its code, key and model and by quarter-hour, and the latest are kept in full for who has to find
//! out why. `control::refusals` takes both to the control plane, a report at a time, each of which stays as it is until
//! it is answered. Nothing is on disk: a node that is killed loses what it has not reported, a second's worth as a rule.
//!
//! Memory is bounded, whatever clients send. Of a request whose key is not known nothing but the code is counted, and
//! nothing kept. Models are cut to [`MODEL_BYTES`], and beyond the bounds of [`counts`] they are counted together.

mod counts;

use std::{
    collections::VecDeque,
    fmt::{self, Display, Write as _},
    sync::Arc,
};

use parking_lot::Mutex;
use proto::v1::{RefusalReport, RefusedRequest};
use shared::{
    clock::Millis,
    id::{IncarnationId, KeyId, RequestId, UserId},
    wire::Wire,
};
use tokio::sync::Notify;

use crate::contract::wire_message;
use counts::{Counts, Model, Row};

/// Bytes of a model's name that are kept; the rest is cut off.
const MODEL_BYTES: usize = 200;
/// Bytes of what the client was told that are kept.
const MESSAGE_BYTES: usize = 2 << 10;
/// Bytes of what operators are told besides: with thousands of accounts it would not end.
const EXPLANATION_BYTES: usize = 16 << 10;
/// Counts of one report, and requests in full.
const COUNTS_AT_ONCE: usize = 500;
const KEPT_AT_ONCE: usize = 100;

/// What is known of a request by the time that it is refused; the stages say it as they learn it.
#[derive(Debug, Default)]
pub struct Asked {
    pub by: Option<Owner>,
    /// As the client wrote it.
    pub model: Option<String>,
    /// An account was picked for it: what becomes of it is no refusal, and stands in the ledger where it is metered.
    pub is_tried: bool,
}

impl Asked {
    pub(crate) fn wants(&mut self, model: &str) {
        self.model = Some(model.to_owned());
    }
}

/// A key, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    pub key: KeyId,
    pub user: UserId,
}

/// A refusal, as the client is given it.
pub(crate) struct Refused<'a> {
    pub id: RequestId,
    pub at: Millis,
    pub wire: Wire,
    pub code: &'static str,
    pub status: u16,
    pub message: &'a dyn Display,
    /// What only operators are told.
    pub explanation: Option<&'a dyn Display>,
    pub asked: &'a Asked,
}

/// Clones are the same.
#[derive(Debug, Clone)]
pub struct Refusals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    incarnation: IncarnationId,
    /// So many requests are kept in full.
    most_kept: usize,
    noted: Mutex<Noted>,
    /// A report is wanted now.
    hurry: Notify,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Noted {
    counts: Counts,
    /// The latest ones, the oldest of them in front.
    kept: VecDeque<RefusedRequest>,
    /// Of the last report that was made.
    sequence: u64,
    /// It may have been taken or not: it is sent again as it is.
    under_way: Option<RefusalReport>,
}

impl Refusals {
    /// Of a run of the node.
    #[must_use]
    pub fn new(most_kept: usize, incarnation: IncarnationId) -> Self {
        Self(Arc::new(Inner {
            incarnation,
            most_kept,
            noted: Mutex::default(),
            hurry: Notify::new(),
            taken: Notify::new(),
        }))
    }

    /// Counts a refusal, and keeps it where its key is known.
    pub(crate) fn note(&self, refused: &Refused<'_>) {
        let Refused { at, code, asked, .. } = *refused;
        let Some(by) = asked.by else {
            let row = Row { code, by: None, model: Model::Unknown };
            return self.0.noted.lock().counts.add(at, row);
        };
        let name = asked.model.as_deref().map(|name| &name[..name.floor_char_boundary(MODEL_BYTES)]);
        let kept = (self.0.most_kept > 0).then(|| request(refused, by, name.unwrap_or_default()));
        let row =
            Row { code, by: Some(by), model: name.map_or(Model::Unknown, |name| Model::Named(name.into())) };
        let mut noted = self.0.noted.lock();
        noted.counts.add(at, row);
        if noted.kept.len() >= self.0.most_kept {
            noted.kept.pop_front();
        }
        noted.kept.extend(kept);
    }

    /// Refusals that no answered report tells of.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let noted = self.0.noted.lock();
        let under_way = noted.under_way.iter().flat_map(|report| &report.counts);
        under_way.fold(noted.counts.waiting(), |sum, count| sum.saturating_add(count.requests))
    }

    /// The report to be sent now, without the node's name: the last one, until it is taken. None: there is nothing new.
    pub(crate) fn report(&self) -> Option<RefusalReport> {
        let mut noted = self.0.noted.lock();
        if noted.under_way.is_none() {
            noted.under_way = noted.next(self.0.incarnation);
        }
        noted.under_way.clone()
    }

    /// All reports up to and with this one are taken.
    pub(crate) fn acknowledged(&self, sequence: u64) {
        self.0.noted.lock().under_way.take_if(|report| report.sequence <= sequence);
        self.0.taken.notify_waiters();
    }

    /// Resolves where somebody waits for reports.
    pub(crate) async fn hurried(&self) {
        self.0.hurry.notified().await;
    }

    /// Resolves once everything is reported, which begins at once.
    pub async fn delivered(&self) {
        loop {
            let taken = self.0.taken.notified();
            if self.0.noted.lock().is_reported() {
                return;
            }
            self.0.hurry.notify_one();
            taken.await;
        }
    }
}

impl Noted {
    fn is_reported(&self) -> bool {
        self.under_way.is_none() && self.kept.is_empty() && self.counts.waiting() == 0
    }

    fn next(&mut self, incarnation: IncarnationId) -> Option<RefusalReport> {
        let counts: Vec<_> = self
            .counts
            .take(COUNTS_AT_ONCE)
            .into_iter()
            .map(|(quarter, row, requests)| row.count(quarter, requests))
            .collect();
        let requests: Vec<_> = self.kept.drain(..self.kept.len().min(KEPT_AT_ONCE)).collect();
        if counts.is_empty() && requests.is_empty() {
            return None;
        }
        self.sequence += 1;
        let incarnation_id = incarnation.to_bytes().to_vec();
        Some(RefusalReport {
            node_id: String::new(),
            incarnation_id,
            sequence: self.sequence,
            counts,
            requests,
        })
    }
}

fn request(refused: &Refused<'_>, by: Owner, model: &str) -> RefusedRequest {
    RefusedRequest {
        request_id: refused.id.to_bytes().to_vec(),
        refused_at_ms: refused.at.0,
        code: refused.code.to_owned(),
        status: refused.status.into(),
        wire: wire_message(refused.wire).into(),
        key_id: by.key.to_bytes().to_vec(),
        user_id: by.user.to_bytes().to_vec(),
        model: model.to_owned(),
        message: text(&refused.message, MESSAGE_BYTES),
        explanation: refused.explanation.map(|full| text(full, EXPLANATION_BYTES)).unwrap_or_default(),
    }
}

/// The beginning of what is said, with a mark where it is cut.
fn text(said: &dyn Display, most: usize) -> String {
    let mut bounded = Bounded { text: String::new(), most };
    if write!(bounded, "{said}").is_err() {
        bounded.text.push('…');
    }
    bounded.text
}

/// Stops who writes more than there is room for.
struct Bounded {
    text: String,
    most: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let fits = more.floor_char_boundary(self.most.saturating_sub(self.text.len()));
        self.text.push_str(&more[..fits]);
        if fits < more.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
