//! What of a message is new, by request.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::{Message as _, bytes::Bytes};
use proto::v1::{self as contract, RecordBatch};
use shared::{
    clock::Millis,
    id::{KeyId, RequestId, UserId},
};

use super::{IngestError, MAX_BATCH, MAX_SPOOLS, bounded};
use crate::{
    ledger::{
        metrics::{RejectedLabels, metrics},
        record::{self, Closed, Entry, Opened, Parsed, Rejection},
    },
    store::{
        incarnations::{Cursor, Incarnation},
        ledger_rejected::RejectedRow,
    },
    words::purpose::Purpose,
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

impl Item {
    /// The request that it opens, where that can be told without decoding all of it.
    fn opens(&self) -> Option<[u8; 16]> {
        first_field(first_field(self.record.as_deref()?, 1)?, 1)?.try_into().ok()
    }

    /// The request that it closes, of which it says all that its open record says; where that can be told so.
    fn closes(&self) -> Option<[u8; 16]> {
        let close = first_field(self.record.as_deref()?, 2)?;
        first_field(first_field(close, 1)?, 1)?.try_into().ok()
    }
}

/// What is in the message's first field, where that has this number and is delimited by its length.
fn first_field(message: &[u8], number: u8) -> Option<&[u8]> {
    const LENGTH_DELIMITED: u8 = 2;
    let (key, mut rest) = message.split_first()?;
    if *key != (number << 3 | LENGTH_DELIMITED) {
        return None;
    }
    let length = prost::encoding::decode_varint(&mut rest).ok()?;
    rest.get(..usize::try_from(length).ok()?)
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

/// What came of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Took {
    Request,
    /// Nothing follows in the spool.
    End,
    Nothing,
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
    /// Keys, each with another user than its own, whose records are not taken.
    foreign: HashSet<(KeyId, UserId)>,
}

impl Batch {
    pub(super) fn new(items: &[Item], cursors: &[(u32, Cursor)], now: Millis) -> Self {
        Self::without(items, cursors, now, HashSet::new())
    }

    /// `foreign`: keys with users that are not theirs, whose records are rejected.
    pub(super) fn without(
        items: &[Item],
        cursors: &[(u32, Cursor)],
        now: Millis,
        foreign: HashSet<(KeyId, UserId)>,
    ) -> Self {
        let cursors = cursors.iter().map(|(spool, cursor)| (*spool, (*cursor, false))).collect();
        let mut batch = Self { cursors, foreign, ..Self::default() };
        let mut closed: HashSet<[u8; 16]> = items.iter().filter_map(Item::closes).collect();
        let mut told_by_close = HashMap::new();
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
            let mut ended = false;
            if let Some(request) = item.opens().filter(|request| closed.contains(request)) {
                told_by_close.insert(request, item);
            } else {
                let took = batch.take(item, cursor.acknowledged, now);
                ended = took == Took::End;
                if let (Took::Nothing, Some(request)) = (took, item.closes()) {
                    closed.remove(&request);
                    if let Some(open) = told_by_close.remove(&request) {
                        batch.take(open, cursor.acknowledged, now);
                    }
                }
            }
            let cursor = Cursor { acknowledged: item.last, ended: cursor.ended || ended };
            batch.cursors.insert(item.spool, (cursor, true));
        }
        batch
    }

    /// The keys of its requests, with whose they are by the node's word.
    pub(super) fn keys(&self) -> impl Iterator<Item = (KeyId, UserId)> {
        let opened = self.requests.values().flat_map(|pending| {
            pending.open.as_ref().into_iter().chain(pending.close.as_ref().map(|close| &close.open))
        });
        opened.filter(|open| open.purpose == Purpose::Client).map(|open| (open.key_id, open.user_id))
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

    fn take(&mut self, item: &Item, acknowledged: u64, now: Millis) -> Took {
        let Some(record) = &item.record else {
            let first = item.first.max(acknowledged.saturating_add(1));
            let (spool, last) = (item.spool, item.last);
            self.rejected.push(Rejected { spool, first, last, reason: Rejection::Gone, payload: Vec::new() });
            return Took::Nothing;
        };
        let decoded = contract::Record::decode(record.clone()).map_err(|_| Rejection::NoContent);
        let parsed = decoded.and_then(|decoded| record::parse(&decoded, now));
        match parsed.and_then(|parsed| self.owned(parsed)) {
            Ok(parsed) => {
                if let Some(reason) = parsed.left_out {
                    self.reject(item, record, reason);
                }
                self.enter(parsed.entry)
            }
            Err(reason) => {
                self.reject(item, record, reason);
                Took::Nothing
            }
        }
    }

    fn owned(&self, parsed: Parsed) -> Result<Parsed, Rejection> {
        let open = match &parsed.entry {
            Entry::Open(open) => open,
            Entry::Close(close) => &close.open,
            Entry::End => return Ok(parsed),
        };
        let is_foreign =
            open.purpose == Purpose::Client && self.foreign.contains(&(open.key_id, open.user_id));
        if is_foreign { Err(Rejection::KeyOfOther) } else { Ok(parsed) }
    }

    fn enter(&mut self, entry: Entry) -> Took {
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
            Entry::End => return Took::End,
        }
        Took::Request
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
            let code = reason.as_str();
            if *reason == Rejection::Gone {
                tracing::warn!(node, incarnation = %id, spool, first, last, "usage records are gone from the node's disk; ledger_rejected says which");
            } else {
                tracing::warn!(node, incarnation = %id, spool, first, last, reason = code, "a usage record is not understood in full; it is kept in ledger_rejected");
            }
        }
    }
}

pub(in crate::ledger) fn count_rejected(reason: Rejection) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_790_000_000_000);

    fn open() -> contract::OpenRecord {
        contract::OpenRecord {
            request_id: vec![1; 16],
            key_id: vec![2; 16],
            user_id: vec![3; 16],
            started_at_ms: NOW.0,
            ..contract::OpenRecord::default()
        }
    }

    fn encoded(record: contract::record::Record) -> Bytes {
        contract::Record { record: Some(record) }.encode_to_vec().into()
    }

    fn close() -> Bytes {
        let close =
            contract::CloseRecord { open: Some(open()), status: 200, ..contract::CloseRecord::default() };
        encoded(contract::record::Record::Close(close))
    }

    fn batch(records: &[Bytes]) -> Batch {
        let spool =
            contract::SpoolRecords { first_sequence: 1, records: records.to_vec(), ..Default::default() };
        let items = items(RecordBatch { spools: vec![spool] }).unwrap();
        Batch::new(&items, &[], NOW)
    }

    fn item(record: &Bytes) -> Item {
        Item { spool: 0, first: 1, last: 1, record: Some(record.clone()) }
    }

    fn ends(batch: &Batch) -> Vec<(bool, bool)> {
        batch.requests.values().map(|pending| (pending.open.is_some(), pending.close.is_some())).collect()
    }

    #[test]
    fn an_open_record_is_not_read_where_its_close_is_there() {
        let open = encoded(contract::record::Record::Open(open()));
        let both = batch(&[open.clone(), close()]);
        assert_eq!((ends(&both), both.fresh, both.rejected.len()), (vec![(false, true)], 2, 0));
        let alone = batch(std::slice::from_ref(&open));
        assert_eq!((ends(&alone), alone.fresh), (vec![(true, false)], 1));
    }

    #[test]
    fn an_open_record_counts_where_its_close_can_not_be_read() {
        let open = encoded(contract::record::Record::Open(open()));
        let torn = Bytes::copy_from_slice(&close()[..close().len() - 1]);
        assert!(item(&torn).closes().is_none());
        // A field of no type, behind all others.
        let mut odd = close().to_vec();
        odd.push(7);
        odd[1] += 1;
        let odd = Bytes::from(odd);
        assert!(item(&odd).closes().is_some() && contract::Record::decode(odd.clone()).is_err());
        let orders = |close: Bytes| [[open.clone(), close.clone()], [close, open.clone()]];
        for records in [torn, odd].into_iter().flat_map(orders) {
            let batch = batch(&records);
            assert_eq!((ends(&batch), batch.fresh, batch.rejected.len()), (vec![(true, false)], 2, 1));
        }
    }
}
