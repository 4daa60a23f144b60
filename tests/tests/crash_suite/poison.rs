//! Records that can't be read, and records that the database refuses, in the middle of spools: what is behind them
//! arrives, and what is lost is shown.

use serde_json::Value;

use super::{
    disk,
    segments::{self, Stored},
    world::World,
};

const GONE: &str = "gone";
const REFUSED: &str = "refused_by_database";
/// Where requests are shown that were open when their run had ended.
const NO_SPOOL: i64 = -1;

/// A record in the middle of its spool.
fn in_the_middle(records: &[Stored], number: usize, is: impl Fn(&Stored) -> bool) -> Stored {
    let last = |spool| records.iter().filter(|one| one.spool == spool).map(|one| one.sequence).max();
    let middle = records.iter().filter(|one| one.sequence > 5 && Some(one.sequence + 5) < last(one.spool));
    middle.filter(|one| is(one)).nth(number).unwrap().clone()
}

/// A run of which the ledger hears nothing, and that ends so: what it leaves.
async fn left_by(world: &mut World, end: impl FnOnce(&mut World, usize)) -> Vec<Stored> {
    world.start_node(0);
    world.ask_on();
    world.more(100..200).await;
    end(world, 0);
    world.ask_no_more().await;
    let runs = disk::runs(world.split.nodes[0].data_folder());
    segments::records(runs.last().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_can_take() {
    let mut world = World::start(1).await;
    world.settled().await;
    world.end_node(0);
    world.kill_control();
    let killed = left_by(&mut world, World::kill_node).await;
    let ended = left_by(&mut world, World::end_node).await;
    let left = [&killed, &ended];

    // The ledger never hears how these ended, and misses nothing of those that lose only their open record.
    let closes = left.map(|records| in_the_middle(records, 5, Stored::closes));
    let opens = left.map(|records| in_the_middle(records, 15, |one| !one.closes()));
    for damaged in closes.iter().chain(&opens) {
        damaged.damage();
    }
    world.under_way += closes.len();
    // And these are refused, in whatever form.
    let others = |one: &Stored| one.closes() && closes.iter().chain(&opens).all(|d| d.trace() != one.trace());
    let refused = left.map(|records| in_the_middle(records, 25, others));
    for (number, one) in refused.iter().enumerate() {
        _ = world.split.sql(&format!(
            "ALTER TABLE ledger ADD CONSTRAINT poison_{number} CHECK (trace_id <> X'{}')",
            one.trace()
        ));
    }

    world.split.restart_control().await;
    world.start_node(0);
    world.ask_on();
    world.more(20..40).await;
    let books = world.law_but_for(&refused.each_ref().map(Stored::trace)).await;
    for close in &closes {
        assert_eq!(books.records[&close.trace()]["outcome"], "cut_off");
    }
    for open in &opens {
        assert!(books.records.contains_key(&open.trace()));
    }
    // Of what is refused, the close record, and what is assumed of the open one when the run has ended.
    let stored = |one: &Stored, why: &str| (one.spool.cast_signed(), one.sequence, why.to_owned());
    let gone = closes.iter().chain(&opens).map(|one| stored(one, GONE));
    let refused_closes = refused.iter().map(|one| stored(one, REFUSED));
    let refused_opens = refused.iter().map(|_| (NO_SPOOL, 1, REFUSED.to_owned()));
    let mut expected: Vec<_> = gone.chain(refused_closes).chain(refused_opens).collect();
    expected.sort();
    let mut shown: Vec<_> = books.rejected.iter().map(shown).collect();
    shown.sort();
    assert_eq!(shown, expected, "{:#?}", books.rejected);
}

/// Its spool, its sequence, and why it is there.
fn shown(rejected: &Value) -> (i64, u64, String) {
    assert_eq!(rejected["first_sequence"], rejected["last_sequence"], "{rejected}");
    let (spool, sequence) = (rejected["spool"].as_i64(), rejected["first_sequence"].as_u64());
    (spool.unwrap(), sequence.unwrap(), rejected["reason"].as_str().unwrap().to_owned())
}
