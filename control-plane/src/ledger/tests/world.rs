//! A database with prices and a user, and nodes that report to it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prost::{Message as _, bytes::Bytes};
use proto::v1::{self as contract, RecordBatch, SpoolRecords, record::Record as Content};
use shared::{
    clock::{Clock, Millis},
    id::{AccountId, IncarnationId, KeyId, RequestId, UserId},
    money::Ppm,
    secret::Secret,
};

use crate::{
    ledger::{ingest::Ingest, prices},
    store::{
        Store, db,
        latency::{Histogram, Metric},
        ledger::LedgerRow,
        rollup_additions::{self, Additions},
        rollups::{Counts, Dimension},
        usage_queries::{self, RecordFilter},
        users,
    },
    words::role::Role,
};

/// 2026-11-10T12:00:00Z.
pub(super) const START: Millis = Millis(1_794_312_000_000);
pub(super) const MODEL: &str = "claude-sonnet-4-5";
pub(super) const NODE: &str = "node-1";

/// One database for all cases: each takes ids of its own.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) store: Store,
    pub(super) ledger: Ingest,
    pub(super) clock: Clock,
}

/// A key, its owner and an account, new for each case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) user: UserId,
    pub(super) key: KeyId,
    pub(super) account: AccountId,
    /// As its node knows it.
    pub(super) rate: Ppm,
}

/// A spool, as a node writes it.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) id: IncarnationId,
    sequence: AtomicU64,
}

/// A record as it lies in a spool.
#[derive(Debug, Clone)]
pub(super) struct Spooled {
    sequence: u64,
    bytes: Bytes,
}

/// What of a spool is sent in one message.
pub(super) fn batch(records: &[Spooled]) -> SpoolRecords {
    let first_sequence = records.first().map_or(0, |first| first.sequence);
    let follow_on =
        records.iter().zip(first_sequence..).all(|(record, expected)| record.sequence == expected);
    assert!(follow_on, "a batch has no room for a gap: {records:?}");
    SpoolRecords {
        spool: 0,
        gone: 0,
        first_sequence,
        records: records.iter().map(|record| record.bytes.clone()).collect(),
    }
}

/// One stream: hello, a batch. Answers how far the spool is taken.
pub(super) async fn deliver(ledger: &Ingest, spool: &Spool, records: &[Spooled]) -> u64 {
    let known = ledger.hello(NODE, spool.id, 1).await.unwrap();
    if records.is_empty() {
        return known.of(0);
    }
    let batch = RecordBatch { spools: vec![batch(records)] };
    ledger.take(spool.id, batch).await.unwrap().of(0)
}

impl World {
    pub(super) async fn new(store: Store) -> Self {
        let clock = Clock::manual(START);
        let ledger = Ingest::new(store.clone(), clock.clone());
        let world = Self { store, ledger, clock };
        prices::seed(&world.store, &world.clock, &prices::PriceFile::embedded().unwrap()).await.unwrap();
        world
    }

    pub(super) async fn client(&self, rate: Ppm) -> Client {
        let (user, key) = (UserId::new(START), KeyId::new(START));
        let row = users::User {
            id: user,
            name: user.to_string(),
            password_hash: Secret::new("-"),
            role: Role::User,
            enabled: true,
            price_rate: rate,
            language: None,
            created_at: START,
            updated_at: START,
            revision: 1,
        };
        let mut tx = self.store.begin().await.unwrap();
        users::insert(&mut tx, &row).await.unwrap();
        tx.commit().await.unwrap();
        Client { user, key, account: AccountId::new(START), rate }
    }

    pub(super) async fn take(&self, spool: &Spool, records: Vec<Spooled>) -> u64 {
        deliver(&self.ledger, spool, &records).await
    }

    pub(super) async fn records(&self, filter: &RecordFilter) -> Vec<LedgerRow> {
        let mut tx = self.store.read().await.unwrap();
        let rows = usage_queries::records(&mut tx, filter, 1_000).await.unwrap();
        // What is only dropped ends a little later, and keeps partitions from being arranged until then.
        tx.rollback().await.unwrap();
        rows
    }

    pub(super) async fn records_of(&self, client: &Client) -> Vec<LedgerRow> {
        self.records(&RecordFilter { user_id: Some(client.user), ..RecordFilter::default() }).await
    }

    pub(super) async fn only_record_of(&self, client: &Client) -> LedgerRow {
        let mut rows = self.records_of(client).await;
        assert_eq!(rows.len(), 1, "{rows:#?}");
        rows.remove(0)
    }

    pub(super) async fn rejected(&self, spool: &Spool) -> Vec<(i64, String)> {
        let mut tx = self.store.read().await.unwrap();
        let sql = "SELECT first_sequence, reason FROM ledger_rejected WHERE incarnation_id = ? ORDER BY first_sequence";
        db::fetch_all!(&mut tx, (i64, String), sql, spool.id.to_bytes().to_vec()).unwrap()
    }

    /// All of the ledger and all roll-ups, in order.
    pub(super) async fn everything(&self) -> (Vec<LedgerRow>, Additions) {
        let (mut rows, mut filter) = (Vec::new(), RecordFilter::default());
        loop {
            let page = self.records(&filter).await;
            let Some(last) = page.last() else { break };
            filter.before = Some(RequestId::try_from(last.request_id.as_slice()).unwrap());
            rows.extend(page);
        }
        while rollup_additions::fold(&self.store).await.unwrap() {}
        let mut all = Additions::default();
        let mut tx = self.store.read().await.unwrap();
        let sql = "SELECT quarter_start AS start, r.* FROM rollup_quarters r";
        for row in db::fetch_all!(&mut tx, SumRow, sql).unwrap() {
            all.counts.insert((row.start, dimension(row.dimension), row.subject), row.counts);
        }
        let latency = "SELECT quarter_start, model, metric, buckets FROM latency_quarters";
        for (quarter, model, metric, buckets) in
            db::fetch_all!(&mut tx, (i64, String, String, Vec<u8>), latency).unwrap()
        {
            let metric = if metric == Metric::Total.as_str() { Metric::Total } else { Metric::FirstToken };
            all.latency.insert((quarter, model, metric), Histogram::decode(&buckets).unwrap());
        }
        (rows, all)
    }
}

/// One of the dimensions of everything, by subject and quarter-hour.
pub(super) fn of(sums: &Additions, wanted: Dimension) -> impl Iterator<Item = (&[u8], i64, &Counts)> {
    let found = sums.counts.iter().filter(move |((_, dimension, _), _)| *dimension == wanted);
    found.map(|((start, _, subject), counts)| (subject.as_slice(), *start, counts))
}

fn dimension(number: i64) -> Dimension {
    crate::store::rollups::dimension_of(number).unwrap()
}

#[derive(sqlx::FromRow)]
struct SumRow {
    start: i64,
    dimension: i64,
    subject: Vec<u8>,
    #[sqlx(flatten)]
    counts: Counts,
}

impl Spool {
    pub(super) fn new() -> Self {
        Self { id: IncarnationId::new(START), sequence: AtomicU64::new(0) }
    }

    /// The next record.
    pub(super) fn next(&self, bytes: impl Into<Bytes>) -> Spooled {
        Spooled { sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1, bytes: bytes.into() }
    }

    pub(super) fn open(&self, open: &contract::OpenRecord) -> Spooled {
        self.next(contract::Record { record: Some(Content::Open(open.clone())) }.encode_to_vec())
    }

    pub(super) fn end(&self) -> Spooled {
        let end = contract::EndRecord { ended_at_ms: START.0, recovered: false };
        self.next(contract::Record { record: Some(Content::End(end)) }.encode_to_vec())
    }

    pub(super) fn close(&self, close: &contract::CloseRecord) -> Spooled {
        self.next(contract::Record { record: Some(Content::Close(close.clone())) }.encode_to_vec())
    }
}

impl Client {
    /// A request that began so long after the start.
    pub(super) fn opens(&self, after: Duration) -> contract::OpenRecord {
        let at = START.plus(after);
        contract::OpenRecord {
            request_id: RequestId::new(at).to_bytes().to_vec(),
            key_id: self.key.to_bytes().to_vec(),
            user_id: self.user.to_bytes().to_vec(),
            wire: contract::Wire::Messages.into(),
            model_requested: MODEL.into(),
            started_at_ms: at.0,
            stream: true,
            trace_id: vec![7; 16],
            price_rate_ppm: Some(self.rate.0.into()),
            ..contract::OpenRecord::default()
        }
    }

    /// It completed at the first try, with so many tokens in and out.
    pub(super) fn completes(
        &self,
        open: &contract::OpenRecord,
        input: u64,
        output: u64,
    ) -> contract::CloseRecord {
        contract::CloseRecord {
            open: Some(open.clone()),
            outcome: contract::Outcome::Completed.into(),
            status: 200,
            attempts: vec![self.attempt(open, input, output)],
            first_token_ms: Some(300),
            total_ms: 1_700,
            estimated: false,
            conditions: Vec::new(),
            losses: Vec::new(),
        }
    }

    pub(super) fn attempt(&self, open: &contract::OpenRecord, input: u64, output: u64) -> contract::Attempt {
        contract::Attempt {
            account_id: self.account.to_bytes().to_vec(),
            outcome: contract::Outcome::Completed.into(),
            http_status: 200,
            reason: String::new(),
            usage: Some(contract::Usage { input, output, ..contract::Usage::default() }),
            model_mapped: open.model_requested.clone(),
            model_served: format!("{}-20250929", open.model_requested),
            started_at_ms: open.started_at_ms,
            total_ms: 1_650,
            ..contract::Attempt::default()
        }
    }
}
