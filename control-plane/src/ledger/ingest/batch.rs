//! What of a message is new, by request.

use std::collections::BTreeMap;

use prost::{Message as _, bytes::Bytes};
use proto::v1::{self as contract, RecordBatch};
use shared::{clock::Millis, id::RequestId};

use super::{IngestError, MAX_BATCH, MAX_SPOOLS, bounded};
use crate::{
    ledger::{
        metrics::{RejectedLabels, metrics},
        record::{self, Closed, Entry, Opened, Rejection},
    },
    store::{
        incarnations::{Cursor, Incarnation},
        ledger_rejected::RejectedRow,
    },
};

/// Sequences of a spool: one with its record, or several that are gone.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) spool: u32,
    pub(super) first: u64,
    last: u64,
    record: Option<Bytes>,
}

impl Item {
    /// `None`: gone.
    pub(super) const fn record(&self) -> Option<&Bytes> {
        self.record.as_ref()
    }
}

/// The message's items in order, each spool by rising sequence.
pub(super) fn items(batch: RecordBatch) -> Result<Vec<Item>, IngestError> {
    const LAST: u64 = i64::MAX.unsigned_abs();
    let mut items = Vec::new();
    for of in batch.spools {
        if of.spool >= MAX_SPOOLS {
            return Err(IngestError::Invalid("spool: its number is beyond reason"));
        }
        if items.len().saturating_add(of.records.len()) >= MAX_BATCH {
            return Err(IngestError::Invalid("a batch holds fewer records"));
        }
        let end = of.first_sequence.saturating_add(of.records.len() as u64);
        if of.first_sequence == 0 && of.records.is_empty() {
            continue;
        }
        if of.first_sequence == 0 || end > LAST {
            return Err(IngestError::Invalid("first_sequence: sequences are 1 to 2^63 - 1"));
        }
        let gone = of.gone.min(of.first_sequence - 1);
        if gone > 0 {
            let (first, last) = (of.first_sequence - gone, of.first_sequence - 1);
            items.push(Item { spool: of.spool, first, last, record: None });
        }
        let records = of.records.into_iter().zip(of.first_sequence..);
        items.extend(records.map(|(record, sequence)| Item {
            spool: of.spool,
            first: sequence,
            last: sequence,
            record: Some(record),
        }));
    }
    Ok(items)
}

/// A record that is not understood in full, or a range that is gone.
#[derive(Debug)]
pub(super) struct Rejected {
    spool: u32,
    first: u64,
    last: u64,
    reason: Rejection,
    payload: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) open: Option<Opened>,
    pub(super) close: Option<Box<Closed>>,
}

/// What is new in a list of items, by request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) requests: BTreeMap<RequestId, Pending>,
    pub(super) rejected: Vec<Rejected>,
    cursors: BTreeMap<u32, (Cursor, bool)>,
    /// Items that had been taken before.
    repeated: u64,
    /// Items taken.
    pub(super) fresh: u64,
    /// Further close records of one request.
    closed_twice: u64,
    /// Something before one of the items is missing.
    pub(super) gap: bool,
}

impl Batch {
    pub(super) fn new(items: &[Item], cursors: &[(u32, Cursor)], now: Millis) -> Self {
        let cursors = cursors.iter().map(|(spool, cursor)| (*spool, (*cursor, false))).collect();
        let mut batch = Self { cursors, ..Self::default() };
        for item in items {
            let (cursor, _) = batch.cursors.get(&item.spool).copied().unwrap_or_default();
            if item.last <= cursor.acknowledged {
                batch.repeated += 1;
                continue;
            }
            if item.first > cursor.acknowledged.saturating_add(1) {
                return Self { gap: true, ..Self::default() };
            }
            batch.fresh += 1;
            let ended = batch.take(item, cursor.acknowledged, now);
            let cursor = Cursor { acknowledged: item.last, ended: cursor.ended || ended };
            batch.cursors.insert(item.spool, (cursor, true));
        }
        batch
    }

    /// All cursors as they are once this is taken.
    pub(super) fn cursors(&self) -> Vec<(u32, Cursor)> {
        self.cursors.iter().map(|(spool, (cursor, _))| (*spool, *cursor)).collect()
    }

    /// Those that change.
    pub(super) fn moved(&self) -> impl Iterator<Item = (u32, Cursor)> {
        let moved = self.cursors.iter().filter(|(_, (_, moved))| *moved);
        moved.map(|(spool, (cursor, _))| (*spool, *cursor))
    }

    /// True: nothing follows in the spool.
    fn take(&mut self, item: &Item, acknowledged: u64, now: Millis) -> bool {
        let Some(record) = &item.record else {
            let first = item.first.max(acknowledged.saturating_add(1));
            let (spool, last) = (item.spool, item.last);
            self.rejected.push(Rejected { spool, first, last, reason: Rejection::Gone, payload: Vec::new() });
            return false;
        };
        let decoded = contract::Record::decode(record.clone()).map_err(|_| Rejection::NoContent);
        match decoded.and_then(|decoded| record::parse(&decoded, now)) {
            Ok(parsed) => {
                if let Some(reason) = parsed.left_out {
                    self.reject(item, record, reason);
                }
                self.enter(parsed.entry)
            }
            Err(reason) => {
                self.reject(item, record, reason);
                false
            }
        }
    }

    fn enter(&mut self, entry: Entry) -> bool {
        match entry {
            Entry::Open(open) => {
                self.requests.entry(open.request_id).or_default().open.get_or_insert(open);
            }
            Entry::Close(close) => {
                let pending = self.requests.entry(close.open.request_id).or_default();
                match pending.close {
                    Some(_) => self.closed_twice += 1,
                    None => pending.close = Some(close),
                }
            }
            Entry::End => return true,
        }
        false
    }

    fn reject(&mut self, item: &Item, record: &Bytes, reason: Rejection) {
        let (spool, first, last) = (item.spool, item.first, item.last);
        self.rejected.push(Rejected { spool, first, last, reason, payload: bounded(record) });
    }

    /// Behind the transaction.
    pub(super) fn tell(&self, incarnation: &Incarnation) {
        let metrics = metrics();
        let (node, id) = (incarnation.node.as_str(), incarnation.id);
        if self.gap {
            metrics.gaps.inc();
            tracing::warn!(node, incarnation = %id, "usage records before a batch are missing; it is not taken");
        }
        metrics.records.inc_by(self.fresh);
        metrics.repeated.inc_by(self.repeated);
        metrics.closed_twice.inc_by(self.closed_twice);
        for Rejected { spool, first, last, reason, .. } in &self.rejected {
            count_rejected(*reason);
            let reason = reason.as_str();
            tracing::warn!(node, incarnation = %id, spool, first, last, reason, "a usage record is not understood in full; it is kept in ledger_rejected");
        }
    }
}

pub(super) fn count_rejected(reason: Rejection) {
    metrics().rejected.get_or_create(&RejectedLabels { reason: reason.as_str() }).inc();
}

impl Rejected {
    pub(super) fn row(&self, incarnation: &Incarnation, now: Millis) -> RejectedRow {
        let first = rejected_row(incarnation, now, self.spool, self.first, self.reason, &Bytes::new());
        RejectedRow { last_sequence: stored(self.last), payload: self.payload.clone(), ..first }
    }
}

pub(super) fn rejected_row(
    incarnation: &Incarnation,
    now: Millis,
    spool: u32,
    sequence: u64,
    reason: Rejection,
    payload: &Bytes,
) -> RejectedRow {
    RejectedRow {
        incarnation_id: incarnation.id.to_bytes().to_vec(),
        spool: i64::from(spool),
        first_sequence: stored(sequence),
        last_sequence: stored(sequence),
        node: incarnation.node.clone(),
        reason: reason.as_str().to_owned(),
        detail: String::new(),
        payload: bounded(payload),
        received_at: now.0,
    }
}

/// Sequences are in bounds.
fn stored(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
