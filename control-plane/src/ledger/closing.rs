//! Ends incarnations: by themselves once all of their spools have ended, or by a person's word.
//!
//! What is open of an incarnation when it ends was cut off, as far as anybody knows, and is charged at what was reserved
//! for it, with a named condition. Where its spool tells later what became of a request, the true record replaces the
//! assumed one, with the roll-ups corrected by the difference.
//!
//! Where the database refuses an assumed row or what stands beside it, or what is kept of an open request can't be read,
//! that request is set aside among the rejected records: an incarnation that could not end for its sake would hold up all
//! that its node has to deliver after it.

use prost::Message as _;
use proto::v1 as contract;
use shared::{
    clock::Millis,
    id::{IncarnationId, RequestId},
};

use super::{
    entry::{self, CLOSED_BY_PERSON, ClosedEntry, NEVER_CLOSED},
    ingest::{self, Ingest},
    names::NameCache,
    record::Rejection,
    tally::Tally,
};
use crate::store::{
    StoreError, Tx,
    audit::{self, AuditEntry},
    incarnations::{self, Incarnation, State},
    ledger as rows,
    ledger_open::{self, OpenRow},
    ledger_rejected::{self, RejectedRow},
    rollup_additions::{self, Additions},
};

/// Open requests that one transaction closes.
const AT_ONCE: i64 = 500;
/// The spool of rejected records that no spool tells of: open requests. Their sequences count them.
const NO_SPOOL: i64 = -1;

/// Ends an incarnation of which nothing more is expected, within the transaction that learned so.
///
/// # Errors
/// What the database says.
pub(super) async fn finish(
    tx: &mut Tx,
    names: &NameCache,
    incarnation: &Incarnation,
    now: Millis,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    let mut assuming = Assuming { names, incarnation, condition: NEVER_CLOSED, now, set_aside: 0 };
    while assuming.close_open(tx, tally).await? {}
    incarnations::close(tx, incarnation.id, State::Closed, now).await
}

/// What a person's word came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Closing {
    Done(Incarnation),
    /// It was heard of at this time or later.
    Alive,
    /// It is not open.
    Over,
}

/// Ends a lost incarnation, in transactions of bounded size; the last one writes what `audit` makes of it. It counts as lost where
/// it was not heard of since `lost_before`.
///
/// # Errors
/// `NotFound`, or what the database says; what is done stays, and the same again goes on from there.
pub async fn close_lost<'a>(
    ingest: &Ingest,
    incarnation: IncarnationId,
    lost_before: Millis,
    audit: impl Fn(&Incarnation) -> AuditEntry<'a> + Send,
) -> Result<Closing, StoreError> {
    let now = ingest.clock.now();
    let mut set_aside = 0;
    loop {
        let mut tx = ingest.store.begin().await?;
        let row = incarnations::lock(&mut tx, incarnation).await?;
        let refused = match row.state {
            State::Open if row.last_seen >= lost_before => Some(Closing::Alive),
            State::Open => None,
            State::Closed | State::ClosedByPerson => Some(Closing::Over),
        };
        if let Some(refused) = refused {
            tx.rollback().await?;
            return Ok(refused);
        }
        let mut tally = Tally::default();
        let names = &ingest.names;
        let mut assuming = Assuming { names, incarnation: &row, condition: CLOSED_BY_PERSON, now, set_aside };
        let more = assuming.close_open(&mut tx, &mut tally).await?;
        set_aside = assuming.set_aside;
        if !more {
            incarnations::close(&mut tx, incarnation, State::ClosedByPerson, now).await?;
            audit::write(&mut tx, &audit(&row)).await?;
        }
        let mut additions = Additions::default();
        tally.enter(&mut additions, None);
        rollup_additions::keep(&mut tx, &additions).await?;
        tx.commit().await?;
        if !more {
            return Ok(Closing::Done(row));
        }
    }
}

/// Ends open requests by what is assumed of them.
struct Assuming<'a> {
    names: &'a NameCache,
    incarnation: &'a Incarnation,
    condition: &'static str,
    now: Millis,
    /// Requests that can't be charged.
    set_aside: i64,
}

impl Assuming<'_> {
    /// Closes at most [`AT_ONCE`] open requests. True: there may be more.
    async fn close_open(&mut self, tx: &mut Tx, tally: &mut Tally) -> Result<bool, StoreError> {
        let open = ledger_open::lock_of(tx, self.incarnation.id, AT_ONCE).await?;
        let ids: Vec<RequestId> = open
            .iter()
            .map(|row| RequestId::try_from(row.request_id.as_slice()).map_err(StoreError::corrupt))
            .collect::<Result<_, _>>()?;
        let mut counted = rows::lock_closed(tx, &ids).await?;
        // Also where its row is no longer kept: what was assumed is in the sums for good.
        counted.extend(rows::assumed(tx, &ids).await?);
        let (mut charged, mut entries) = (Vec::new(), Vec::new());
        for (row, request) in open.iter().zip(&ids).filter(|(_, id)| !counted.contains(id)) {
            match entry::assumed(row.clone(), self.condition) {
                Err(error) if error.is_of_data() => self.set_aside(tx, row, *request, &error).await?,
                assumed => {
                    entries.push(assumed?);
                    charged.push(row);
                }
            }
        }
        self.names.settle(tx, &mut entries).await?;
        for (row, entry) in charged.into_iter().zip(&entries) {
            match self.assume(tx, entry).await {
                Err(error) if error.is_of_data() => {
                    rows::take_back(tx, entry.request_id()).await?;
                    self.set_aside(tx, row, entry.request_id(), &error).await?;
                }
                done => {
                    done?;
                    entry.add_to(tally);
                }
            }
        }
        ledger_open::delete(tx, &ids).await?;
        Ok(open.len() as u64 >= AT_ONCE.unsigned_abs())
    }

    /// Writes the row that is assumed and what stands beside it.
    async fn assume(&self, tx: &mut Tx, entry: &ClosedEntry) -> Result<(), StoreError> {
        if !rows::insert(tx, &[&entry.row]).await? {
            // Another transaction wrote one meanwhile.
            return Err(StoreError::Busy(None));
        }
        rows::note_ended(tx, &[&entry.row]).await?;
        match rows::note_assumed(tx, entry.request_id(), self.incarnation.id).await {
            Err(StoreError::Conflict { .. }) => Err(StoreError::Busy(None)),
            done => done,
        }
    }

    /// Keeps what is known of an open request that can't be charged.
    async fn set_aside(
        &mut self,
        tx: &mut Tx,
        open: &OpenRow,
        request: RequestId,
        error: &StoreError,
    ) -> Result<(), StoreError> {
        self.set_aside += 1;
        let Incarnation { id: incarnation, node, .. } = self.incarnation;
        let rejected = RejectedRow {
            incarnation_id: incarnation.to_bytes().to_vec(),
            spool: NO_SPOOL,
            first_sequence: self.set_aside,
            last_sequence: self.set_aside,
            node: node.clone(),
            reason: Rejection::Refused.as_str().to_owned(),
            detail: ingest::detail_of(error),
            payload: record(open).encode_to_vec(),
            received_at: self.now.0,
        };
        ledger_rejected::insert(tx, &rejected).await?;
        ingest::count_rejected(Rejection::Refused);
        tracing::warn!(node, %incarnation, %request, %error, "what is assumed of an open request can't be written; it is kept in ledger_rejected");
        Ok(())
    }
}

/// The open record, as far as it was kept: what was reserved, and of which account, is in the row's JSON, which stands as
/// it is under this name.
const KEPT_AS: &str = "ledger_open.details";

/// What a client said at length is the first to go.
fn kept(details: &str) -> String {
    const MOST: usize = ingest::MAX_REJECTED_BYTES / 2;
    if details.len() <= MOST {
        return details.to_owned();
    }
    let mut parsed = serde_json::from_str(details).unwrap_or(serde_json::Value::Null);
    for said in ["metadata", "tags", "session"] {
        parsed.as_object_mut().and_then(|fields| fields.remove(said));
    }
    let mut rest = if parsed.is_null() { details.to_owned() } else { parsed.to_string() };
    rest.truncate(rest.floor_char_boundary(MOST));
    rest
}

fn record(open: &OpenRow) -> contract::Record {
    let open = contract::OpenRecord {
        request_id: open.request_id.clone(),
        key_id: open.key_id.clone(),
        user_id: open.user_id.clone(),
        model_requested: open.model_requested.clone(),
        started_at_ms: open.started_at,
        stream: open.stream,
        trace_id: open.trace_id.clone().unwrap_or_default(),
        metadata: [(KEPT_AS.to_owned(), kept(&open.details))].into(),
        ..contract::OpenRecord::default()
    };
    contract::Record { record: Some(contract::record::Record::Open(open)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_an_open_request_is_bounded_and_says_what_it_is_charged_by() {
        let long = "é".repeat(ingest::MAX_REJECTED_BYTES);
        let short = r#"{"reserved":{"real_cost":7},"metadata":{"a":"b"}}"#;
        assert_eq!(kept(short), short);
        let details = serde_json::json!({"reserved": {"real_cost": 7}, "metadata": {"a": long}}).to_string();
        assert_eq!(kept(&details), r#"{"reserved":{"real_cost":7}}"#);
        let broken = kept(&details[1..]);
        assert!(broken.len() <= ingest::MAX_REJECTED_BYTES / 2 && !broken.is_empty());
    }
}
