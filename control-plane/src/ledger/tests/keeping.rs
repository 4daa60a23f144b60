//! Retention: old requests go, on MySQL by the partition.

use std::time::Duration;

use proto::v1 as contract;
use shared::{
    clock::{Clock, Millis},
    money::Ppm,
    secret::Secret,
};

use super::{
    incarnations,
    world::{START, Spool, World},
};
use crate::{
    domain::api_key,
    ledger::retention::step,
    store::{
        api_keys,
        ledger_partitions::{Month, Partitioning, arrange},
        settings,
        usage_queries::RecordFilter,
        usage_sums,
    },
};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn settle(world: &World, now: Millis) {
    let clock = Clock::manual(now);
    for _ in 0..60 {
        if !step(&world.store, &clock).await.unwrap() {
            return;
        }
    }
    panic!("retention finds no end");
}

/// Removes everything in the end: the last case.
pub(super) async fn old_requests_go_and_newer_ones_stay(world: &World) {
    settle(world, START).await;
    let client = world.client(Ppm::ONE).await;
    let spool = Spool::new();
    let (old, new) = (client.opens(DAY * 2), client.opens(DAY * 45));
    world.clock.advance(DAY * 50);
    let closes = [&old, &new].map(|open| spool.close(&client.completes(open, 1, 1)));
    world.take(&spool, closes.into()).await;
    settle(world, START.plus(DAY * 50)).await;
    assert_eq!(world.records_of(&client).await.len(), 2);

    let mut tx = world.store.begin().await.unwrap();
    let (now_set, revision) = settings::load(&mut tx).await.unwrap();
    let short = settings::Settings { ledger_retention_days: Some(20), ..now_set };
    settings::save(&mut tx, &short, revision, START).await.unwrap();
    tx.commit().await.unwrap();
    settle(world, START.plus(DAY * 50)).await;
    assert_eq!(world.only_record_of(&client).await.request_id, new.request_id);

    whose_a_key_was_is_known_as_long_as_what_it_was_used_for(world).await;
    retention_cuts_at_the_day(world).await;
    what_is_not_charged_yet_outlives_its_time(world).await;

    let sums = world.everything().await.1;
    assert!(!sums.counts.is_empty(), "sums outlive what they were made of");
    let total = async || {
        let mut tx = world.store.read().await.unwrap();
        let end = START.plus(DAY * 4_000);
        usage_sums::sums(&mut tx, &usage_sums::Scope::Total, Millis(0), end).await.unwrap()
    };
    let before = total().await;
    assert!(before.requests > 0);
    settle(world, START.plus(DAY * 4_000)).await;
    let (rows, sums) = world.everything().await;
    assert!(rows.iter().all(|row| row.outcome == "open"), "{rows:#?}");
    assert_eq!(sums, crate::store::rollup_additions::Additions::default());
    assert_eq!(total().await, before, "totals stay exact");
}

/// Operators keep 20 days by now: see above.
async fn whose_a_key_was_is_known_as_long_as_what_it_was_used_for(world: &World) {
    let user = world.client(Ppm::ONE).await.user;
    let mut keys = Vec::new();
    let mut tx = world.store.begin().await.unwrap();
    for days in [29, 30] {
        let secret = Secret::new(format!("sk-deleted-after-{days}"));
        let key = api_key::key(user, "former".to_owned(), &secret, START);
        api_keys::insert(&mut tx, &key).await.unwrap();
        api_keys::delete(&mut tx, key.id, START.plus(DAY * days)).await.unwrap();
        keys.push(key.id);
    }
    tx.commit().await.unwrap();
    settle(world, START.plus(DAY * 50)).await;
    let mut tx = world.store.read().await.unwrap();
    assert_eq!(api_keys::owner(&mut tx, keys[0]).await.unwrap(), None);
    assert_eq!(api_keys::owner(&mut tx, keys[1]).await.unwrap(), Some(user));
    tx.rollback().await.unwrap();
}

/// A run that nobody has closed, and one that was closed by a person: its node comes back with the truth too late.
async fn what_is_not_charged_yet_outlives_its_time(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let reserved = contract::Reserved { real_cost: 700, rated_cost: 700, ..contract::Reserved::default() };
    let mut open = client.opens(DAY * 81);
    open.reserved = Some(reserved);
    world.clock.advance(DAY * 81);
    world.take(&spool, vec![spool.open(&open)]).await;
    let much_later = START.plus(DAY * 150);
    settle(world, much_later).await;
    let sum = async || {
        let mut tx = world.store.read().await.unwrap();
        let scope = usage_sums::Scope::Key(client.key);
        let sums = usage_sums::sums(&mut tx, &scope, Millis(0), START.plus(DAY * 4_000)).await.unwrap();
        (sums.requests, sums.real_cost)
    };
    assert_eq!((world.records_of(&client).await.len(), sum().await), (1, (0, 0)), "it is still open");
    incarnations::close(world, spool.id, world.clock.now().plus(DAY)).await;
    assert_eq!(sum().await, (1, 700));
    settle(world, much_later).await;
    assert_eq!(world.records_of(&client).await.len(), 0);
    world.take(&spool, vec![spool.close(&client.completes(&open, 1_000, 100))]).await;
    assert_eq!(sum().await, (1, 700), "it counts once");
}

/// MySQL alone: months are split off ahead, once, and dropped whole.
pub(super) async fn months_are_split_off_and_dropped(world: &World) {
    let november = Month::of(START).unwrap();
    let months = [november, november.next(), november.next().next()];
    let made = arrange(&world.store, &months, Millis(0)).await.unwrap();
    let names = ["p202611", "p202612", "p202701"].map(str::to_owned).to_vec();
    assert_eq!(made, Partitioning::Arranged { split: names, dropped: Vec::new() });
    let nothing = Partitioning::Arranged { split: Vec::new(), dropped: Vec::new() };
    // One after the other, they are not in each other's way.
    for _ in 0..20 {
        assert_eq!(arrange(&world.store, &months, Millis(0)).await.unwrap(), nothing);
    }

    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    // 10 November, 9 December, 19 October.
    let opens = [client.opens(DAY), client.opens(DAY * 29), client.opens(DAY * 80)];
    world.clock.advance(DAY * 80);
    let closes = opens.iter().map(|open| spool.close(&client.completes(open, 1, 1)));
    world.take(&spool, closes.collect()).await;
    let first_of_december = START.plus(DAY * 21);
    let dropped = arrange(&world.store, &months, first_of_december).await.unwrap();
    let names = vec!["p202611".to_owned()];
    assert_eq!(dropped, Partitioning::Arranged { split: Vec::new(), dropped: names });
    let left: Vec<_> = world.records_of(&client).await.into_iter().map(|row| row.request_id).collect();
    assert_eq!(left, [opens[2].request_id.clone(), opens[1].request_id.clone()]);
}

/// To the day on both databases, whatever the partitions are: what began a moment before the first day that is kept
/// goes, what began with it stays.
async fn retention_cuts_at_the_day(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let now = START.plus(DAY * 80);
    // Operators keep 20 days by now: see above.
    let days = DAY * 60;
    let (old, new) = (client.opens(days - Duration::from_millis(1)), client.opens(days));
    world.clock.advance(DAY * 80);
    let failed = contract::Outcome::UpstreamError.into();
    let records = [&old, &new]
        .map(|open| spool.close(&contract::CloseRecord { outcome: failed, ..client.completes(open, 1, 1) }));
    world.take(&spool, records.into()).await;
    settle(world, now).await;
    assert_eq!(world.only_record_of(&client).await.request_id, new.request_id);
    let failed = RecordFilter { failed: Some(true), user_id: Some(client.user), ..RecordFilter::default() };
    assert_eq!(world.records(&failed).await.len(), 1);
}
