//! Takes what nodes refused by themselves into the database, each report once.
//!
//! The row of (node, incarnation) in `refusal_cursors` says which reports are taken. A transaction locks it, adds the
//! report's counts, keeps its requests and moves it on; so a report that is sent again, to whatever replica, finds the
//! cursor past it. [`retention`] removes what is old or too much. What people see of it is in `ops/refusals.rs`.

pub mod retention;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use proto::v1::{RefusalCount, RefusalReport, RefusedRequest};
use shared::{
    clock::{Clock, Millis},
    id::{IncarnationId, RequestId},
};

use crate::{
    ledger::{
        entry::UNKNOWN_WIRE,
        record::{self, MAX_AHEAD_MS, MAX_CODE_BYTES, MAX_NAME_BYTES},
    },
    store::{
        Store, StoreError,
        refusals::{self as rows, CountRow, NOBODY, RefusalRow},
    },
};

/// Bytes of a text that are kept, as many as its column holds.
const MAX_TEXT_BYTES: usize = 60 << 10;
/// More than a node refuses within a quarter-hour; keeps every sum far inside 63 bits.
const MAX_REQUESTS: u64 = 1 << 40;

/// Takes a report that was not taken before, and answers up to which one all are.
///
/// # Errors
/// `Busy` or `Unavailable`, with nothing taken: sending the same again is right.
pub async fn take(
    store: &Store,
    clock: &Clock,
    incarnation: IncarnationId,
    report: RefusalReport,
) -> Result<u64, StoreError> {
    let (now, node) = (clock.now(), report.node_id.as_str());
    let mut tx = store.begin().await?;
    let acknowledged = rows::lock_cursor(&mut tx, node, incarnation, now).await?;
    if report.sequence <= acknowledged {
        tx.rollback().await?;
        return Ok(acknowledged);
    }
    for count in counts(&report.counts, now) {
        rows::add(&mut tx, node, &count).await?;
    }
    for refused in report.requests.iter().filter_map(|refused| kept(refused, node, now)) {
        rows::keep(&mut tx, &refused).await?;
    }
    rows::advance_cursor(&mut tx, node, incarnation, report.sequence, now).await?;
    tx.commit().await?;
    Ok(report.sequence)
}

/// Each row once, in the order in which all transactions lock them.
fn counts(reported: &[RefusalCount], now: Millis) -> Vec<CountRow> {
    let mut sums = BTreeMap::new();
    for count in reported {
        let row = CountRow {
            quarter_start: possible(count.quarter_start_ms, now).quarter_start().0,
            code: code(&count.code),
            key_id: id(&count.key_id),
            model: record::cut(&count.model, MAX_NAME_BYTES),
            others: count.others,
            user_id: id(&count.user_id),
            requests: 0,
        };
        let requests = count.requests.min(MAX_REQUESTS).cast_signed();
        *sums.entry(row).or_insert(0_i64) += requests;
    }
    sums.into_iter().map(|(row, requests)| CountRow { requests, ..row }).collect()
}

/// None: it has no id by which it could be found, or one that is no time's.
fn kept(refused: &RefusedRequest, node: &str, now: Millis) -> Option<RefusalRow> {
    let request = RequestId::try_from(refused.request_id.as_slice()).ok()?;
    let latest = now.0.saturating_add(MAX_AHEAD_MS);
    i64::try_from(request.timestamp_ms()).ok().filter(|at| *at <= latest)?;
    Some(RefusalRow {
        request_id: request.to_bytes().to_vec(),
        refused_at: possible(refused.refused_at_ms, now).0,
        code: code(&refused.code),
        status: refused.status.min(999).into(),
        wire: record::wire_of(refused.wire()).map_or(UNKNOWN_WIRE, |wire| wire.as_str()).to_owned(),
        node_id: node.to_owned(),
        key_id: id(&refused.key_id).to_vec(),
        user_id: id(&refused.user_id).to_vec(),
        model: record::cut(&refused.model, MAX_NAME_BYTES),
        message: record::cut(&refused.message, MAX_TEXT_BYTES),
        explanation: record::cut(&refused.explanation, MAX_TEXT_BYTES),
    })
}

/// The time of the report's arrival in the place of one that can't be.
fn possible(at: i64, now: Millis) -> Millis {
    if at > 0 && at <= now.0.saturating_add(MAX_AHEAD_MS) { Millis(at) } else { now }
}

fn id(bytes: &[u8]) -> [u8; 16] {
    bytes.try_into().unwrap_or(NOBODY)
}

fn code(given: &str) -> String {
    if given.is_empty() { "unknown".to_owned() } else { record::cut(given, MAX_CODE_BYTES) }
}
