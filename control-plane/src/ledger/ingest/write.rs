//! Writes what is new of a batch, within its transaction.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::atomic::{AtomicI64, Ordering},
};

use shared::{
    clock::Millis,
    id::{AccountId, RequestId},
};

use super::{Ingest, batch::Batch};
use crate::{
    ledger::{
        cost::Prices,
        entry::{self, ClosedEntry},
        metrics::metrics,
        names::Learned,
        tally::Tally,
    },
    store::{
        StoreError, Tx,
        account_errors::{self, LastError},
        incarnations::{Incarnation, State},
        ledger::{self as rows, LedgerRow},
        ledger_open,
    },
};

/// Models without a price are warned of this often at most.
const WARN_EVERY_MS: i64 = 60_000;

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// A request has begun.
    pub(super) opened: bool,
    /// Of the incarnation's requests.
    pub(super) tally: Tally,
    /// Of requests of no open incarnation.
    pub(super) beside: Tally,
    /// The latest of each account. Ordered, so that all transactions take row locks in one order.
    failures: BTreeMap<AccountId, LastError>,
    closed_twice: u64,
    replaced: u64,
    unpriced: Vec<String>,
    learned: Learned,
}

pub(super) async fn write(
    tx: &mut Tx,
    ingest: &Ingest,
    batch: &Batch,
    incarnation: &Incarnation,
    prices: &Prices,
) -> Result<Written, StoreError> {
    let now = ingest.clock.now();
    let mut written = Written::default();
    let mut closes = closes(batch, incarnation, prices)?;
    written.learned = ingest.names.settle(tx, &mut closes).await?;
    let ids: Vec<RequestId> = batch.requests.keys().copied().collect();
    let open = ledger_open::there(tx, &ids).await?;
    written.opened = open_requests(tx, batch, incarnation, prices, &open).await?;
    written.close(tx, ingest, &closes, incarnation, now).await?;
    let over: Vec<RequestId> =
        closes.iter().map(ClosedEntry::request_id).filter(|id| open.contains(id)).collect();
    ledger_open::delete(tx, &over).await?;
    for (account, failure) in &written.failures {
        account_errors::note(tx, *account, failure).await?;
    }
    Ok(written)
}

/// The requests that are over, priced.
fn closes(batch: &Batch, incarnation: &Incarnation, prices: &Prices) -> Result<Vec<ClosedEntry>, StoreError> {
    let closes = batch.requests.values().filter_map(|pending| pending.close.as_deref());
    closes.map(|close| entry::closed(close, &incarnation.node, prices)).collect()
}

/// Requests that have begun, are not over and not known. False: there are none.
async fn open_requests(
    tx: &mut Tx,
    batch: &Batch,
    incarnation: &Incarnation,
    prices: &Prices,
    open: &HashSet<RequestId>,
) -> Result<bool, StoreError> {
    let begun = batch.requests.iter().filter_map(|(id, pending)| {
        let begun = pending.open.as_ref().filter(|_| pending.close.is_none() && !open.contains(id))?;
        Some((*id, begun))
    });
    let begun: Vec<_> = begun.collect();
    if begun.is_empty() {
        return Ok(false);
    }
    let ids: Vec<RequestId> = begun.iter().map(|(id, _)| *id).collect();
    let closed = rows::closed(tx, &ids).await?;
    let rows = begun.into_iter().filter(|(id, _)| !closed.contains(id));
    let rows: Vec<_> = rows
        .map(|(_, open)| entry::open_row(open, &incarnation.node, incarnation.id, prices))
        .collect::<Result<_, _>>()?;
    ledger_open::insert(tx, &rows).await?;
    Ok(!rows.is_empty())
}

impl Written {
    async fn close(
        &mut self,
        tx: &mut Tx,
        ingest: &Ingest,
        closes: &[ClosedEntry],
        incarnation: &Incarnation,
        now: Millis,
    ) -> Result<(), StoreError> {
        // What was open of it then was assumed.
        let is_over = incarnation.state != State::Open;
        let all: Vec<&ClosedEntry> = closes.iter().collect();
        let rows: Vec<&LedgerRow> = closes.iter().map(|entry| &entry.row).collect();
        let mut from = 0;
        for piece in rows::statements(&rows) {
            let entries = &all[from..from + piece.len()];
            from += piece.len();
            if !is_over && rows::insert(tx, piece).await? {
                entries.iter().for_each(|entry| self.count(entry, now));
                rows::note_ended(tx, piece).await?;
            } else {
                self.close_some(tx, ingest, entries, now).await?;
            }
        }
        Ok(())
    }

    /// Some of them have a row: it stands, save where it was only assumed.
    async fn close_some(
        &mut self,
        tx: &mut Tx,
        ingest: &Ingest,
        entries: &[&ClosedEntry],
        now: Millis,
    ) -> Result<(), StoreError> {
        let ids: Vec<RequestId> = entries.iter().map(|entry| entry.request_id()).collect();
        let there = rows::lock_closed(tx, &ids).await?;
        let assumed = rows::assumed(tx, &ids).await?;
        let mut missing = Vec::new();
        for entry in entries {
            let id = entry.request_id();
            let stands = match there.contains(&id) {
                true => !self.replaces(tx, ingest, entry).await?,
                // Its row is no longer kept, and what was assumed is in the sums for good.
                false => assumed.contains(&id),
            };
            if stands {
                self.closed_twice += 1;
            } else {
                missing.push(*entry);
            }
        }
        let rows: Vec<&LedgerRow> = missing.iter().map(|entry| &entry.row).collect();
        for row in &rows {
            // One by one: this is rare. Where another transaction wrote one meanwhile, all of this is done again.
            if !rows::insert(tx, &[row]).await? {
                return Err(StoreError::Busy(None));
            }
        }
        missing.iter().for_each(|entry| self.count(entry, now));
        rows::note_ended(tx, &rows).await
    }

    /// The request's row was only assumed: it is gone now, with its share of the roll-ups.
    async fn replaces(
        &mut self,
        tx: &mut Tx,
        ingest: &Ingest,
        entry: &ClosedEntry,
    ) -> Result<bool, StoreError> {
        let Some(row) = rows::take_assumed(tx, entry.request_id()).await? else { return Ok(false) };
        let mut assumed = [ClosedEntry::stored(row)?];
        ingest.names.settle(tx, &mut assumed).await?;
        assumed.iter().for_each(|assumed| assumed.take_from(&mut self.beside));
        self.replaced += 1;
        Ok(true)
    }

    /// The request is over, and was not before.
    fn count(&mut self, entry: &ClosedEntry, now: Millis) {
        entry.add_to(&mut self.tally);
        for (account, failure) in entry.failures(now) {
            let latest = self.failures.entry(account).or_insert_with(|| failure.clone());
            if failure.at > latest.at {
                *latest = failure;
            }
        }
        self.unpriced.extend(entry.unpriced.iter().cloned());
    }

    /// After the commit.
    pub(super) fn tell(self, ingest: &Ingest, now: Millis) {
        ingest.names.learn(self.learned);
        metrics().closed_twice.inc_by(self.closed_twice);
        metrics().replaced.inc_by(self.replaced);
        if self.unpriced.is_empty() {
            return;
        }
        metrics().unpriced.inc_by(self.unpriced.len() as u64);
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
