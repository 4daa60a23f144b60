//! A stream that is open for longer than the files last in which it was opened.

use emulator::{Behaviour, Condition, Position};
use serde_json::json;
use tests::{Client, Seen, eventually};

use super::{
    disk::{self, Watch},
    world::{EACH, PATIENCE, World},
};

const ROUNDS: usize = 20;
/// Requests of a round.
const ROUND: usize = 60;
/// Of an open or a close record here, at most.
const RECORD: u64 = 5 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_outlives_its_segment_many_times_over() {
    // Large records, so that few requests fill a segment.
    let metadata: serde_json::Map<_, _> =
        (0..16).map(|number| (format!("field-{number}"), json!("x".repeat(250)))).collect();
    let mut world = World::quiet(1, json!({ "metadata": metadata })).await;
    world.records = 2 * RECORD;
    let folder = world.split.nodes[0].data_folder().to_owned();
    let held = Behaviour::chunked(8).with_hold(Position::Content(2));
    world.credential().next(held).unwrap();
    let (client, url) = (Client::new(&world.key), world.split.nodes[0].url.clone());
    let stream = shared::tasks::Tasks::new().spawn(async move { client.ask(&url, "long ago", true).await });
    world.credential().wait_for(Condition::held(1), PATIENCE).await.unwrap();
    let first = eventually("its open record to be durable", async || disk::segments(&folder).pop()).await;
    assert_eq!(disk::segments(&folder).len(), 1);

    // What is on the disk beside what the ledger lacks.
    let kept = disk::RUN + 2 * (EACH as u64 + 1) * RECORD;
    for _ in 0..ROUNDS {
        let mut watch = Watch::start(vec![folder.clone()]);
        let before = world.asked().len();
        world.ask_on();
        world.more(ROUND..ROUND + 1).await;
        world.ask_no_more().await;
        eventually("the round to be in the ledger", async || {
            let depth = world.split.nodes[0].metric("switchyard_spool_depth").await;
            (depth == Some(0.0)).then_some(())
        })
        .await;
        let round = (world.asked().len() - before) as u64 * 2 * RECORD;
        let most = watch.stop();
        assert!(most <= kept + round, "{most} bytes, more than {kept} and {round}");
        eventually("only what the stream needs to be on the disk", async || {
            (disk::bytes(&folder) <= kept).then_some(())
        })
        .await;
    }
    assert!(!first.exists(), "{}", first.display());

    world.credential().release();
    let asked = stream.await.unwrap();
    assert_eq!(asked.seen, Seen::Whole);
    world.note(asked.clone());
    let books = world.law().await;
    assert_eq!(books.records[&asked.trace]["outcome"], "completed");
    assert!(books.records.len() > ROUNDS * ROUND);
}
