//! Records that can't be read, and records that the database refuses, in the middle of spools: what is behind them
//! arrives, and what is lost is shown.

use std::collections::BTreeSet;

use super::{
    disk,
    segments::{self, Stored},
    world::World,
};

/// A record in the middle of its spool.
fn in_the_middle(records: &[Stored], is: impl Fn(&Stored) -> bool) -> Stored {
    let last = |spool| records.iter().filter(|one| one.spool == spool).map(|one| one.sequence).max();
    let middle = records.iter().filter(|one| one.sequence > 5 && Some(one.sequence + 5) < last(one.spool));
    middle.filter(|one| is(one)).nth(3).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_can_take() {
    let mut world = World::start(1).await;
    let data = world.split.nodes[0].data_folder().to_owned();
    world.settled().await;
    world.end_node(0);
    world.kill_control();
    // Two runs of which the ledger has nothing: one that is killed, and one that ends.
    let mut runs = BTreeSet::new();
    let mut left = Vec::new();
    world.start_node(0);
    world.ask_on();
    world.more(100..200).await;
    world.kill_node(0);
    for _ in 0..2 {
        let run = disk::runs(&data).difference(&runs).next().unwrap().clone();
        left.push(segments::records(&run));
        runs.insert(run);
        if left.len() < 2 {
            world.start_node(0);
            world.more(100..200).await;
            world.end_node(0);
        }
    }
    let [killed, ended] = left.as_slice() else { panic!("{runs:?}") };

    // The ledger never hears how these ended, and of those that have their close record it misses nothing.
    let closes: Vec<_> = left.iter().map(|records| in_the_middle(records, Stored::closes)).collect();
    let opens: Vec<_> = left.iter().map(|records| in_the_middle(records, |one| !one.closes())).collect();
    for damaged in closes.iter().chain(&opens) {
        damaged.damage();
    }
    world.under_way += closes.len();
    // And these are refused, in whatever form.
    let others = |one: &Stored| one.closes() && closes.iter().chain(&opens).all(|d| d.trace() != one.trace());
    let refused = [in_the_middle(killed, others), in_the_middle(ended, others)];
    for (number, one) in refused.iter().enumerate() {
        _ = world.split.sql(&format!(
            "ALTER TABLE ledger ADD CONSTRAINT poison_{number} CHECK (trace_id <> X'{}')",
            one.trace()
        ));
    }

    world.split.restart_control().await;
    world.start_node(0);
    world.more(20..40).await;
    let traces: Vec<_> = refused.iter().map(Stored::trace).collect();
    let books = world.law_but_for(&traces.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for close in &closes {
        assert_eq!(books.records[&close.trace()]["outcome"], "cut_off");
    }
    for open in &opens {
        assert!(books.records.contains_key(&open.trace()));
    }
    let expected = closes.iter().chain(&opens).map(|one| (one, "gone"));
    let expected = expected.chain(refused.iter().map(|one| (one, "refused_by_database")));
    let expected: BTreeSet<_> =
        expected.map(|(one, why)| (one.spool, one.sequence, why.to_owned())).collect();
    let shown: BTreeSet<_> = books
        .rejected
        .iter()
        .map(|shown| {
            assert_eq!(shown["first_sequence"], shown["last_sequence"], "{shown}");
            let (spool, sequence) = (shown["spool"].as_u64(), shown["first_sequence"].as_u64());
            (spool.unwrap(), sequence.unwrap(), shown["reason"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!((books.rejected.len(), shown), (6, expected), "{:#?}", books.rejected);
}
