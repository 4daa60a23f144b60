//! Takes an incarnation's records into the ledger, each exactly once.
//!
//! A cursor for each spool of an incarnation says how far that is taken. A transaction locks the incarnation, takes the
//! records that follow its cursors without a gap, of all spools of a batch together, and moves the cursors on; so what is
//! sent again, on whatever stream and to whatever replica, finds the cursor past it. A batch in which a spool begins
//! beyond its next sequence is not taken at all: what is missing may be under way on another stream. A node that has
//! lost a record for good sends an empty one in its place, which is kept as rejected; so is one that can't be decoded. Of
//! sequences that it does not have any more it says so, and they are kept as one range.
//!
//! A request counts once even where two spools close it: its row is written once, and only the transaction that writes it
//! adds to the roll-ups; what it adds is kept as it is and folded in with that of others. A request that opens and
//! closes in one batch never stands among the open ones.
//!
//! Where the database refuses a batch for what is in it, it is halved until the record at fault is alone; that one is
//! set aside, and the others go on. So does the end of its incarnation, see [`closing`].

mod batch;
mod write;

use std::time::Duration;

use prost::bytes::Bytes;
use proto::v1::RecordBatch;
use shared::{clock::Clock, id::IncarnationId};

pub(super) use self::batch::count_rejected;
use self::batch::{Batch, Item};
use super::{
    closing,
    folding::Folding,
    metrics::metrics,
    names::NameCache,
    owners::OwnerCache,
    price_cache::PriceCache,
    record::{Rejection, cut},
    tally::Tally,
};
use crate::store::{
    Store, StoreError,
    incarnations::{self, Cursor, State},
    ledger_rejected::{self, RejectedRow},
    rollup_additions::{self, Additions},
};

/// Records of one message, over all of its spools: a transaction takes them all.
pub const MAX_BATCH: usize = 10_000;
/// Spools of one incarnation: more than a machine has cores.
pub const MAX_SPOOLS: u32 = 4_096;
/// Bytes of a rejected record that are kept.
pub(super) const MAX_REJECTED_BYTES: usize = 64 * 1024;
/// Bytes of what a database says that are kept.
const MAX_DETAIL_BYTES: usize = 512;
/// Bytes of a node's name that are kept.
const MAX_NODE_BYTES: usize = 128;
/// How often a transaction is tried while others are in the way.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// What ingestion needs. Clones are the same.
#[derive(Debug, Clone)]
pub struct Ingest {
    pub store: Store,
    pub prices: PriceCache,
    pub names: NameCache,
    owners: OwnerCache,
    pub clock: Clock,
    folding: Folding,
}

/// How far an incarnation is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// Spools of which something was taken, by number, and up to which sequence.
    pub acknowledged: Vec<(u32, u64)>,
    /// All of its spools have ended and are in the ledger.
    pub closed: bool,
}

impl Taken {
    /// What of a spool is taken; 0 for one that was never heard of.
    #[must_use]
    pub fn of(&self, spool: u32) -> u64 {
        let found = self.acknowledged.iter().find(|(number, _)| *number == spool);
        found.map_or(0, |(_, sequence)| *sequence)
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// It can't be what a node means; sending it again does not help.
    #[error("{0}")]
    Invalid(&'static str),
    /// The incarnation is another node's.
    #[error("the incarnation is another node's")]
    Foreign,
    /// A price can't be read: no record is at fault, and none is taken without its price.
    #[error("the price list can't be read: {0}")]
    Prices(String),
    /// It never said hello, or was forgotten.
    #[error("no such incarnation")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Ingest {
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        let (prices, names) = (PriceCache::default(), NameCache::default());
        Self { store, prices, names, owners: OwnerCache::default(), clock, folding: Folding::default() }
    }

    /// Notes that an incarnation with so many spools reports, and answers how far it is taken.
    ///
    /// # Errors
    /// `Invalid`, `Foreign`, or `Busy` and `Unavailable` of the store.
    pub async fn hello(
        &self,
        node_id: &str,
        incarnation: IncarnationId,
        spools: u32,
    ) -> Result<Taken, IngestError> {
        if !(1..=MAX_SPOOLS).contains(&spools) {
            return Err(IngestError::Invalid("spools: 1 to 4096 are expected"));
        }
        let node = cut(node_id, MAX_NODE_BYTES);
        let mut tx = self.store.begin().await?;
        incarnations::hello(&mut tx, incarnation, &node, spools, self.clock.now()).await?;
        let row = incarnations::lock(&mut tx, incarnation).await?;
        if row.node != node {
            tx.rollback().await?;
            return Err(IngestError::Foreign);
        }
        let cursors = incarnations::cursors(&mut tx, incarnation).await?;
        tx.commit().await?;
        Ok(taken(&cursors, row.state))
    }

    /// Takes what is new of `batch` and answers how far the incarnation is taken for good. Where that is below a spool's
    /// first sequence, a record before it has not arrived, and nothing was taken.
    ///
    /// # Errors
    /// `Busy` or `Unavailable` of the store: sending the same again is right. `Unknown`: a hello goes before.
    pub async fn take(&self, incarnation: IncarnationId, batch: RecordBatch) -> Result<Taken, IngestError> {
        let items = batch::items(batch)?;
        // Parts that are still to be taken, the first one last.
        let mut parts = vec![items.as_slice()];
        let mut taken = None;
        while let Some(part) = parts.pop() {
            match self.patiently(incarnation, part).await {
                Ok(done) => {
                    let (now, all_there) = done;
                    taken = Some(now);
                    if !all_there {
                        break;
                    }
                }
                Err(error) if is_of_records(&error) && part.len() > 1 => {
                    let (first, rest) = part.split_at(part.len() / 2);
                    parts.extend([rest, first]);
                }
                Err(IngestError::Store(error)) if error.is_of_data() => {
                    let Some(item) = part.first() else { return Err(error.into()) };
                    taken = Some(self.set_aside(incarnation, item, error).await?);
                }
                Err(error) => return Err(error),
            }
        }
        taken.ok_or(IngestError::Unknown)
    }

    async fn patiently(
        &self,
        incarnation: IncarnationId,
        items: &[Item],
    ) -> Result<(Taken, bool), IngestError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.transaction(incarnation, items).await {
                Err(IngestError::Store(StoreError::Busy(_))) => {
                    metrics().retried.inc();
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                done => return done,
            }
        }
        self.transaction(incarnation, items).await
    }

    /// All of what is new, or nothing. False: something before it is missing.
    async fn transaction(
        &self,
        incarnation: IncarnationId,
        items: &[Item],
    ) -> Result<(Taken, bool), IngestError> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let row = locked(&mut tx, incarnation).await?;
        let cursors = incarnations::cursors(&mut tx, incarnation).await?;
        let mut batch = Batch::new(items, &cursors, now);
        let foreign = self.owners.foreign(&mut tx, batch.keys()).await?;
        if !foreign.is_empty() {
            batch = Batch::without(items, &cursors, now, foreign);
        }
        if batch.gap || batch.fresh == 0 {
            tx.rollback().await?;
            batch.tell(&row);
            return Ok((taken(&cursors, row.state), !batch.gap));
        }
        let prices = match self.prices.list(&mut tx, now).await {
            Err(StoreError::Corrupt(why)) => return Err(IngestError::Prices(why)),
            read => read?,
        };
        let mut written = write::write(&mut tx, self, &batch, &row, &prices).await?;
        for rejected in &batch.rejected {
            ledger_rejected::insert(&mut tx, &rejected.row(&row, now)).await?;
        }
        for (spool, cursor) in batch.moved() {
            incarnations::set_cursor(&mut tx, incarnation, spool, cursor, now).await?;
        }
        incarnations::advance(&mut tx, incarnation, batch.fresh, now).await?;
        let cursors = batch.cursors();
        let mut state = row.state;
        // It was taken for lost, and serves clients.
        if state == State::ClosedByPerson && written.opened {
            incarnations::reopen(&mut tx, incarnation).await?;
            state = State::Open;
        }
        let mut additions = Additions::default();
        let open = (state == State::Open).then_some(incarnation);
        std::mem::take(&mut written.tally).enter(&mut additions, open);
        let mut beside = std::mem::take(&mut written.beside);
        if state != State::Closed && ended(&cursors, row.spools) {
            closing::finish(&mut tx, &self.names, &row, now, &mut beside).await?;
            state = State::Closed;
        }
        beside.enter(&mut additions, None);
        rollup_additions::keep(&mut tx, &additions).await?;
        tx.commit().await?;
        batch.tell(&row);
        written.tell(self, now);
        self.folding.kept(&self.store).await;
        Ok((taken(&cursors, state), true))
    }

    /// Keeps a record that the database refuses, and goes on behind it.
    async fn set_aside(
        &self,
        incarnation: IncarnationId,
        item: &Item,
        error: StoreError,
    ) -> Result<Taken, IngestError> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let row = locked(&mut tx, incarnation).await?;
        let mut cursors = incarnations::cursors(&mut tx, incarnation).await?;
        let batch = Batch::new(std::slice::from_ref(item), &cursors, now);
        let (Some(payload), 1, false) = (item.record(), batch.fresh, batch.gap) else {
            return Err(error.into());
        };
        let rejected = RejectedRow {
            detail: detail_of(&error),
            ..batch::rejected_row(&row, now, item.spool, item.first, Rejection::Refused, payload)
        };
        ledger_rejected::insert(&mut tx, &rejected).await?;
        for (spool, cursor) in batch.moved() {
            incarnations::set_cursor(&mut tx, incarnation, spool, cursor, now).await?;
        }
        cursors = batch.cursors();
        let mut tally = Tally::default();
        let mut state = row.state;
        if state != State::Closed && ended(&cursors, row.spools) {
            closing::finish(&mut tx, &self.names, &row, now, &mut tally).await?;
            state = State::Closed;
        }
        let mut additions = Additions::default();
        tally.enter(&mut additions, None);
        rollup_additions::keep(&mut tx, &additions).await?;
        tx.commit().await?;
        count_rejected(Rejection::Refused);
        let (spool, sequence) = (item.spool, item.first);
        tracing::warn!(node = row.node, %incarnation, spool, sequence, %error, "the database refuses a usage record; it is kept in ledger_rejected");
        Ok(taken(&cursors, state))
    }
}

async fn locked(
    tx: &mut crate::store::Tx,
    incarnation: IncarnationId,
) -> Result<incarnations::Incarnation, IngestError> {
    match incarnations::lock(tx, incarnation).await {
        Err(StoreError::NotFound) => Err(IngestError::Unknown),
        done => Ok(done?),
    }
}

/// What is in the records may be why.
fn is_of_records(error: &IngestError) -> bool {
    matches!(error, IngestError::Store(error) if error.is_of_data())
}

/// What a rejected record says of why the database refuses it.
pub(super) fn detail_of(error: &StoreError) -> String {
    let cause = std::error::Error::source(error);
    let said = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    cut(&said, MAX_DETAIL_BYTES)
}

fn ended(cursors: &[(u32, Cursor)], spools: u32) -> bool {
    (0..spools).all(|spool| cursors.iter().any(|(number, cursor)| *number == spool && cursor.ended))
}

fn taken(cursors: &[(u32, Cursor)], state: State) -> Taken {
    let acknowledged = cursors.iter().map(|(spool, cursor)| (*spool, cursor.acknowledged)).collect();
    Taken { acknowledged, closed: state == State::Closed }
}

fn bounded(record: &Bytes) -> Vec<u8> {
    record[..record.len().min(MAX_REJECTED_BYTES)].to_vec()
}
