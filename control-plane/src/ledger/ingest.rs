//! Takes a spool's records into the ledger, each exactly once.
//!
//! The row of (node, spool) in `spool_cursors` says how far the spool is taken. A transaction locks it, takes the
//! records that follow without a gap, and moves it on; so what is sent again, on whatever stream and to whatever
//! replica, finds the cursor past it. A batch that begins beyond the next sequence is not taken: what is missing may
//! be under way on another stream. A node that has lost a record for good sends an empty one in its place, which is kept
//! as rejected; so is one that can't be decoded.
//!
//! A request counts once even where two spools close it: only the transaction that turns its row from open to closed,
//! or makes it closed, adds to the roll-ups.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use prost::{Message as _, bytes::Bytes};
use proto::v1::{self as contract, SpoolRecords};
use shared::{
    clock::{Clock, Millis},
    id::{AccountId, IncarnationId, RequestId, UserId},
    money::Ppm,
};

use super::{
    cost::PriceList,
    entry::{self, ClosedEntry},
    metrics::{RejectedLabels, metrics},
    price_cache::PriceCache,
    record::{self, Closed, Entry, Opened, Rejection},
};
use crate::store::{
    Store, StoreError, Tx,
    account_errors::{self, LastError},
    ledger::{self as rows, LedgerRow, RejectedRow},
    rollups::{self, Additions},
};

/// Records that one transaction takes.
pub const MAX_BATCH: usize = 500;
/// Bytes of a rejected record that are kept.
const MAX_REJECTED_BYTES: usize = 64 * 1024;
/// Bytes of a node's name that are kept.
const MAX_NODE_BYTES: usize = 128;
/// How often a transaction is tried while others are in the way.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Models without a price are warned of this often at most.
const WARN_EVERY_MS: i64 = 60_000;

/// Takes what is new of `batch` and answers what of the spool has been taken for good: all records up to and with
/// that sequence. Where it is below the batch's first, a record before it has not arrived.
///
/// # Errors
/// `Busy` or `Unavailable`, with the part taken before it in place: sending the same again is right. A record that
/// can't be understood is no error.
pub async fn ingest(
    store: &Store,
    prices: &PriceCache,
    clock: &Clock,
    node_id: &str,
    spool: IncarnationId,
    batch: SpoolRecords,
) -> Result<u64, StoreError> {
    if batch.records.is_empty() {
        return acknowledged(store, node_id, spool).await;
    }
    let node = node_name(node_id);
    let (mut reached, mut first) = (0, batch.first_sequence);
    for records in batch.records.chunks(MAX_BATCH) {
        reached = take_patiently(store, prices, clock, node, spool, Run { first, records }).await?;
        first = first.saturating_add(count(records));
        if reached.saturating_add(1) < first {
            break;
        }
    }
    Ok(reached)
}

/// Encoded records with rising sequences.
#[derive(Debug, Clone, Copy)]
struct Run<'a> {
    /// Sequence of the first.
    first: u64,
    records: &'a [Bytes],
}

fn count(records: &[Bytes]) -> u64 {
    u64::try_from(records.len()).unwrap_or(u64::MAX)
}

/// What of the spool has been taken for good; 0 for a spool never heard of.
///
/// # Errors
/// `Unavailable`.
pub async fn acknowledged(store: &Store, node_id: &str, spool: IncarnationId) -> Result<u64, StoreError> {
    let mut tx = store.read().await?;
    rows::acknowledged(&mut tx, node_name(node_id), spool).await
}

fn node_name(node_id: &str) -> &str {
    let end = (0..=node_id.len().min(MAX_NODE_BYTES)).rev().find(|end| node_id.is_char_boundary(*end));
    &node_id[..end.unwrap_or(0)]
}

async fn take_patiently(
    store: &Store,
    prices: &PriceCache,
    clock: &Clock,
    node: &str,
    spool: IncarnationId,
    records: Run<'_>,
) -> Result<u64, StoreError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match take(store, prices, clock.now(), node, spool, records).await {
            Err(StoreError::Busy(_)) => {
                metrics().retried.inc();
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            done => return done,
        }
    }
    take(store, prices, clock.now(), node, spool, records).await
}

/// One transaction: all of what is new, or nothing.
async fn take(
    store: &Store,
    prices: &PriceCache,
    now: Millis,
    node: &str,
    spool: IncarnationId,
    records: Run<'_>,
) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let cursor = rows::lock_cursor(&mut tx, node, spool, now).await?;
    let batch = Batch::new(records, cursor, now);
    batch.note_gap(node, spool, cursor);
    if batch.reached == cursor {
        tx.rollback().await?;
        metrics().repeated.inc_by(batch.repeated);
        return Ok(cursor);
    }
    let prices = prices.list(&mut tx, now).await?;
    let written = write(&mut tx, &batch, node, &prices, now).await?;
    for rejected in &batch.rejected {
        rows::reject(&mut tx, node, spool, rejected, now).await?;
    }
    for (account, failure) in &written.failures {
        account_errors::note(&mut tx, *account, failure).await?;
    }
    rollups::add(&mut tx, &written.additions).await?;
    rows::advance_cursor(&mut tx, node, spool, batch.reached, now).await?;
    tx.commit().await?;
    batch.tell(node, spool);
    written.tell(now);
    Ok(batch.reached)
}

/// What is new in a list of records, by request.
#[derive(Debug, Default)]
struct Batch {
    requests: BTreeMap<RequestId, Pending>,
    rejected: Vec<RejectedRow>,
    /// The last sequence taken.
    reached: u64,
    /// Records that had been taken before.
    repeated: u64,
    /// Records taken.
    fresh: u64,
    /// Further close records of one request.
    closed_twice: u64,
    /// Records before the first are missing.
    gap: bool,
}

#[derive(Debug, Default)]
struct Pending {
    open: Option<Opened>,
    close: Option<Box<Closed>>,
}

impl Batch {
    fn new(run: Run<'_>, cursor: u64, now: Millis) -> Self {
        let mut batch = Self { reached: cursor, ..Self::default() };
        let next = cursor.saturating_add(1);
        if run.first > next {
            batch.gap = true;
            return batch;
        }
        batch.repeated = next.saturating_sub(run.first).min(count(run.records));
        let fresh = run.records.iter().skip(usize::try_from(batch.repeated).unwrap_or(usize::MAX));
        for record in fresh {
            batch.reached += 1;
            batch.fresh += 1;
            batch.take(record, now);
        }
        batch
    }

    /// The record of the sequence that is now reached.
    fn take(&mut self, record: &Bytes, now: Millis) {
        let decoded = contract::Record::decode(record.clone()).map_err(|_| Rejection::NoContent);
        match decoded.and_then(|decoded| record::parse(&decoded, now)) {
            Ok(parsed) => {
                if let Some(reason) = parsed.left_out {
                    self.reject(record, reason);
                }
                self.enter(parsed.entry);
            }
            Err(reason) => self.reject(record, reason),
        }
    }

    fn enter(&mut self, entry: Entry) {
        let pending = self.requests.entry(entry.request_id()).or_default();
        match entry {
            Entry::Open(open) => {
                pending.open.get_or_insert(open);
            }
            Entry::Close(_) if pending.close.is_some() => self.closed_twice += 1,
            Entry::Close(close) => pending.close = Some(close),
        }
    }

    fn reject(&mut self, record: &Bytes, reason: Rejection) {
        let payload = record[..record.len().min(MAX_REJECTED_BYTES)].to_vec();
        self.rejected.push(RejectedRow { sequence: self.reached, reason: reason.as_str(), payload });
    }

    fn users(&self) -> Vec<UserId> {
        let closes = self.requests.values().filter_map(|pending| pending.close.as_ref());
        closes.map(|close| close.open.user_id).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn note_gap(&self, node: &str, spool: IncarnationId, cursor: u64) {
        if self.gap {
            metrics().gaps.inc();
            tracing::warn!(node, %spool, cursor, "usage records before a batch are missing; it is not taken");
        }
    }

    /// After the commit.
    fn tell(&self, node: &str, spool: IncarnationId) {
        let metrics = metrics();
        metrics.records.inc_by(self.fresh);
        metrics.repeated.inc_by(self.repeated);
        metrics.closed_twice.inc_by(self.closed_twice);
        for rejected in &self.rejected {
            metrics.rejected.get_or_create(&RejectedLabels { reason: rejected.reason }).inc();
            let RejectedRow { sequence, reason, .. } = rejected;
            tracing::warn!(node, %spool, sequence, reason, "a usage record is not understood in full; it is kept in ledger_rejected");
        }
    }
}

/// What a batch came to.
#[derive(Debug, Default)]
struct Written {
    additions: Additions,
    /// The latest of each account. Ordered, so that all transactions take row locks in one order.
    failures: BTreeMap<AccountId, LastError>,
    closed_twice: u64,
    unpriced: Vec<String>,
}

async fn write(
    tx: &mut Tx,
    batch: &Batch,
    node: &str,
    prices: &PriceList,
    now: Millis,
) -> Result<Written, StoreError> {
    let rates = rows::price_rates(tx, &batch.users()).await?;
    let ids: Vec<RequestId> = batch.requests.keys().copied().collect();
    let there = rows::open_rows(tx, &ids).await?;
    let mut written = Written::default();
    let (mut begun, mut made, mut completed) = (Vec::new(), Vec::new(), Vec::new());
    for (id, pending) in &batch.requests {
        let row_is_open = there.get(id).copied();
        match (&pending.close, &pending.open) {
            (Some(_), _) if row_is_open == Some(false) => written.closed_twice += 1,
            (Some(close), _) => {
                let rate = rates.get(&close.open.user_id).copied().unwrap_or(Ppm::ONE);
                let entry = entry::closed(close, node, prices, rate)?;
                if row_is_open.is_some() { completed.push(entry) } else { made.push(entry) }
            }
            (None, Some(open)) if row_is_open.is_none() => begun.push(entry::open_row(open, node, prices)?),
            (None, _) => {}
        }
    }
    for begun in rows::pieces(&begun) {
        insert_begun(tx, begun).await?;
    }
    for made in rows::pieces(&made) {
        // Where another spool has made one of them meanwhile, it is found one by one.
        let rows: Vec<&LedgerRow> = made.iter().map(|entry| &entry.row).collect();
        if rows::insert(tx, &rows).await? {
            made.iter().for_each(|entry| written.count(entry, now));
            continue;
        }
        for entry in made {
            if rows::insert(tx, &[&entry.row]).await? {
                written.count(entry, now);
            } else {
                written.complete(tx, std::slice::from_ref(entry), now).await?;
            }
        }
    }
    written.complete(tx, &completed, now).await?;
    Ok(written)
}

/// Where another spool has made a row meanwhile, that one stands.
async fn insert_begun(tx: &mut Tx, begun: &[LedgerRow]) -> Result<(), StoreError> {
    let rows: Vec<&LedgerRow> = begun.iter().collect();
    if !rows::insert(tx, &rows).await? {
        for row in rows {
            rows::insert(tx, &[row]).await?;
        }
    }
    Ok(())
}

impl Written {
    /// Of requests that have a row: those whose row is still open.
    async fn complete(
        &mut self,
        tx: &mut Tx,
        entries: &[ClosedEntry],
        now: Millis,
    ) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let ids: Vec<RequestId> = entries.iter().map(ClosedEntry::request_id).collect();
        let open = rows::lock_open(tx, &ids).await?;
        let (open, closed): (Vec<_>, Vec<_>) =
            entries.iter().partition(|entry| open.contains(&entry.request_id()));
        let rows: Vec<&LedgerRow> = open.iter().map(|entry| &entry.row).collect();
        rows::close(tx, &rows).await?;
        open.iter().for_each(|entry| self.count(entry, now));
        self.closed_twice += closed.len() as u64;
        Ok(())
    }

    /// The request is over, and was not before.
    fn count(&mut self, entry: &ClosedEntry, now: Millis) {
        entry.add_to(&mut self.additions);
        for (account, failure) in entry.failures(now) {
            let latest = self.failures.entry(account).or_insert_with(|| failure.clone());
            if failure.at > latest.at {
                *latest = failure;
            }
        }
        self.unpriced.extend(entry.unpriced.iter().cloned());
    }

    /// After the commit.
    fn tell(&self, now: Millis) {
        metrics().closed_twice.inc_by(self.closed_twice);
        if self.unpriced.is_empty() {
            return;
        }
        metrics().unpriced.inc_by(u64::try_from(self.unpriced.len()).unwrap_or(u64::MAX));
        if warn_is_due(now) {
            let models: BTreeSet<&str> = self.unpriced.iter().map(String::as_str).take(10).collect();
            tracing::warn!(?models, "models without a price were used; their cost counts as 0");
        }
    }
}

fn warn_is_due(now: Millis) -> bool {
    static LAST: AtomicI64 = AtomicI64::new(i64::MIN);
    let last = LAST.load(Ordering::Relaxed);
    now.0.saturating_sub(last) >= WARN_EVERY_MS
        && LAST.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}
