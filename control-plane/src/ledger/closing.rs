//! Ends incarnations: by themselves once all of their spools have ended, or by a person's word.
//!
//! What is open of an incarnation when it ends was cut off, as far as anybody knows, and is charged at what was reserved
//! for it, with a named condition. Where its spool tells later what became of a request, the true record replaces the
//! assumed one, with the roll-ups corrected by the difference.

use shared::{
    clock::Millis,
    id::{IncarnationId, RequestId},
};

use super::{
    entry::{self, CLOSED_BY_PERSON, ClosedEntry, NEVER_CLOSED},
    ingest::Ingest,
    names::NameCache,
    tally::Tally,
};
use crate::store::{
    StoreError, Tx,
    audit::{self, AuditEntry},
    incarnations::{self, Incarnation, State},
    ledger as rows, ledger_open,
    rollup_additions::{self, Additions},
};

/// Open requests that one transaction closes.
const AT_ONCE: i64 = 500;

/// Ends an incarnation of which nothing more is expected, within the transaction that learned so.
///
/// # Errors
/// What the database says.
pub(super) async fn finish(
    tx: &mut Tx,
    names: &NameCache,
    incarnation: IncarnationId,
    now: Millis,
    tally: &mut Tally,
) -> Result<(), StoreError> {
    while close_open(tx, names, incarnation, NEVER_CLOSED, tally).await? {}
    incarnations::close(tx, incarnation, State::Closed, now).await
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
        let more = close_open(&mut tx, names, incarnation, CLOSED_BY_PERSON, &mut tally).await?;
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

/// Closes at most [`AT_ONCE`] open requests. True: there may be more.
async fn close_open(
    tx: &mut Tx,
    names: &NameCache,
    incarnation: IncarnationId,
    condition: &str,
    tally: &mut Tally,
) -> Result<bool, StoreError> {
    let open = ledger_open::lock_of(tx, incarnation, AT_ONCE).await?;
    let ids: Vec<RequestId> = open
        .iter()
        .map(|row| RequestId::try_from(row.request_id.as_slice()).map_err(StoreError::corrupt))
        .collect::<Result<_, _>>()?;
    let closed = rows::lock_closed(tx, &ids).await?;
    let more = open.len() as u64 >= AT_ONCE.unsigned_abs();
    let mut entries: Vec<ClosedEntry> =
        open.into_iter().map(|row| entry::assumed(row, condition)).collect::<Result<_, _>>()?;
    names.settle(tx, &mut entries).await?;
    for entry in entries.iter().filter(|entry| !closed.contains(&entry.request_id())) {
        rows::insert(tx, &[&entry.row]).await?;
        rows::note_ended(tx, &[&entry.row]).await?;
        rows::note_assumed(tx, entry.request_id(), incarnation).await?;
        entry.add_to(tally);
    }
    ledger_open::delete(tx, &ids).await?;
    Ok(more)
}
