//! What a page or a sum reads is about what it shows, however much there is: counted by the databases themselves, since
//! the name of an index says nothing about how much of it is walked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proto::v1 as contract;
use shared::{clock::Millis, money::Ppm};

use super::world::{MODEL, START, Spool, World};
use crate::{
    store::{
        StoreError, Tx, db,
        latency::{self, Metric},
        rollups::ALL_MODELS,
        usage_queries::{self, RecordFilter},
        usage_sums::{self, Period, Scope},
    },
    words::{outcome::Outcome, purpose::Purpose},
};

/// Requests that a careless plan would walk.
const HISTORY: u32 = 3_000;
/// Rows of a page.
const PAGE: u32 = 10;
/// SQLite counts instructions of its virtual machine: a row of a page takes some seventy, a row that is only walked over
/// at least five.
const MOST_INSTRUCTIONS: u64 = 5_000;
/// MariaDB counts rows and index entries.
const MOST_ROWS: u64 = 150;

/// How much the database reads while `ask` runs.
async fn read<T>(world: &World, ask: impl AsyncFn(&mut Tx) -> Result<T, StoreError>) -> (u64, u64, T) {
    let mut tx = world.store.read().await.unwrap();
    let instructions = Arc::new(AtomicU64::new(0));
    if let Tx::Sqlite(transaction) = &mut tx {
        let counted = Arc::clone(&instructions);
        let mut handle = transaction.lock_handle().await.unwrap();
        handle.set_progress_handler(1, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            true
        });
    }
    let before = handler_reads(&mut tx).await;
    let answer = ask(&mut tx).await.unwrap();
    let rows = handler_reads(&mut tx).await - before;
    if let Tx::Sqlite(transaction) = &mut tx {
        transaction.lock_handle().await.unwrap().remove_progress_handler();
    }
    (instructions.load(Ordering::Relaxed), rows, answer)
}

/// MariaDB's count of rows read by this connection; 0 on SQLite.
async fn handler_reads(tx: &mut Tx) -> u64 {
    if matches!(tx, Tx::Sqlite(_)) {
        return 0;
    }
    let sql = "SHOW SESSION STATUS LIKE 'Handler_read%'";
    let rows = db::fetch_all!(tx, (String, String), sql).unwrap();
    rows.iter().map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}

fn assert_few(what: &str, (instructions, rows): (u64, u64)) {
    assert!(instructions <= MOST_INSTRUCTIONS, "{what}: {instructions} instructions");
    // MariaDB counts its own answer to the question among them: a few dozen at most.
    assert!(rows <= MOST_ROWS, "{what}: {rows} rows");
}

pub(super) async fn a_page_reads_what_it_shows(world: &World) {
    let client = world.client(Ppm::ONE).await;
    let spool = Spool::new();
    let records = (0..HISTORY).map(|number| {
        let open = client.opens(Duration::from_millis(u64::from(number)));
        let outcome = match number {
            1 => contract::Outcome::Refused,
            2 => contract::Outcome::CutOff,
            _ => contract::Outcome::Completed,
        };
        spool.close(&contract::CloseRecord { outcome: outcome.into(), ..client.completes(&open, 1, 1) })
    });
    world.take(&spool, records.collect()).await;
    let all = RecordFilter::default;
    let scoped = [
        ("key", RecordFilter { key_id: Some(client.key), ..all() }),
        ("user", RecordFilter { user_id: Some(client.user), ..all() }),
        ("account", RecordFilter { account_id: Some(client.account), ..all() }),
        ("model", RecordFilter { model: Some(MODEL.into()), ..all() }),
        ("nothing", all()),
    ];
    let mut asked = vec![
        ("a rare wire".to_owned(), RecordFilter { wire: Some("gemini".into()), ..all() }),
        ("no model".to_owned(), RecordFilter { model: Some("no such".into()), ..all() }),
        (
            "an hour".to_owned(),
            RecordFilter { from: Some(START), to: Some(Millis(START.0 + 60_000)), ..all() },
        ),
        ("tests".to_owned(), RecordFilter { purpose: Some(Purpose::AccountTest), ..all() }),
    ];
    for (scope, filter) in scoped {
        let with = |outcome| RecordFilter { outcome: Some(outcome), ..filter.clone() };
        asked.extend([
            (format!("{scope}, open"), with(Outcome::Open)),
            (format!("{scope}, completed"), with(Outcome::Completed)),
            (format!("{scope}, refused"), with(Outcome::Refused)),
            (format!("{scope}, client gone"), with(Outcome::ClientGone)),
            (format!("{scope}, failed"), RecordFilter { failed: Some(true), ..filter.clone() }),
            (format!("{scope}, not failed"), RecordFilter { failed: Some(false), ..filter.clone() }),
            (scope.to_owned(), filter),
        ]);
    }
    for (what, filter) in asked {
        let (instructions, rows, page) =
            read(world, async |tx| usage_queries::records(tx, &filter, PAGE).await).await;
        assert!(page.len() <= 10, "{what}");
        assert_few(&what, (instructions, rows));
    }
    let mine = RecordFilter { failed: Some(true), user_id: Some(client.user), ..all() };
    assert_eq!(world.records(&mine).await.len(), 2);
}

/// A span of 1,000 days is whole, to the quarter-hour at its ends, and is read by days.
pub(super) async fn a_long_span_is_read_by_days(world: &World) {
    const DAY: Duration = Duration::from_secs(86_400);
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    world.clock.advance(DAY * 1_001);
    let midnight = Duration::from_secs(12 * 3_600);
    let quarter = Duration::from_secs(900);
    let mut records = Vec::new();
    // Four requests on every fifth day, and one at either end of the span and just beyond it.
    for day in (1..1_000_u32).step_by(5) {
        for time in 0..4_u32 {
            let open = client.opens(midnight + DAY * (day - 1) + quarter * 7 * time);
            records.push(spool.close(&client.completes(&open, 1, 1)));
        }
    }
    let (from, to) = (midnight - quarter * 2, midnight + DAY * 1_000 - quarter * 2);
    for at in [from - Duration::from_millis(1), from, to - Duration::from_millis(1), to] {
        records.push(spool.close(&client.completes(&client.opens(at), 1, 1)));
    }
    world.take(&spool, records).await;
    let (from, to) = (START.plus(from), START.plus(to));
    let scope = Scope::Key(client.key);
    let (instructions, rows, sum) =
        read(world, async |tx| usage_sums::sums(tx, &scope, from, to).await).await;
    assert_eq!(sum.requests, 200 * 4 + 2);
    // A row of each day with requests, and few of the ends; by quarter-hours it were four times as many.
    assert!(
        instructions <= 202 * 40 && rows <= 202 * 2 + MOST_ROWS,
        "{instructions} instructions, {rows} rows"
    );
    let mut tx = world.store.read().await.unwrap();
    let days = usage_sums::by_period(&mut tx, &scope, Period::Day, from, to).await.unwrap();
    assert_eq!(days.iter().map(|day| day.counts.requests).sum::<i64>(), 802);
    let times = latency::of(&mut tx, ALL_MODELS, Metric::Total, from, to).await.unwrap();
    assert!(times.iter().map(|(_, requests)| requests).sum::<i64>() >= 802);
}
