//! What batches add counts the same before it is folded into the roll-ups and after, and once, whoever folds.

use std::time::Duration;

use futures_util::future::join_all;
use shared::{
    clock::Millis,
    id::{IncarnationId, KeyId},
    money::Ppm,
};

use super::world::{Client, MODEL, START, Spool, World};
use crate::store::{
    Store, StoreError, db,
    latency::{self, Metric},
    rollup_additions,
    rollups::{ALL_MODELS, Counts},
    usage_sums::{self, Period, PeriodCounts, Scope},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

async fn batch(world: &World, client: &Client, spool: &Spool, at: Duration) {
    let open = client.opens(at);
    let records = vec![spool.open(&open), spool.close(&client.completes(&open, 100, 10))];
    world.take(spool, records).await;
}

/// All that readers of sums are told.
type Told = (Counts, Vec<(IncarnationId, Counts)>, [Vec<PeriodCounts>; 2], Vec<Vec<(i64, i64)>>);

async fn told(world: &World, scope: &Scope, from: Millis, to: Millis) -> Told {
    let mut tx = world.store.read().await.unwrap();
    let sums = usage_sums::sums(&mut tx, scope, from, to).await.unwrap();
    let open = usage_sums::open_sums(&mut tx, scope, from, to).await.unwrap();
    let days = usage_sums::by_period(&mut tx, scope, Period::Day, from, to).await.unwrap();
    let hours = usage_sums::by_period(&mut tx, scope, Period::Hour, from, to).await.unwrap();
    let mut times = Vec::new();
    for (model, metric) in [(ALL_MODELS, Metric::Total), (MODEL, Metric::Total), (MODEL, Metric::FirstToken)]
    {
        times.push(latency::of(&mut tx, model, metric, from, to).await.unwrap());
    }
    (sums, open, [days, hours], times)
}

pub(super) async fn sums_are_the_same_before_folding_and_after(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    world.clock.advance(DAY * 2);
    for at in [Duration::ZERO, MINUTE * 20, DAY, DAY + MINUTE * 90] {
        batch(world, &client, &spool, at).await;
    }
    let spans = [(Duration::ZERO, DAY * 2), (MINUTE * 15, DAY + MINUTE * 15)]
        .map(|(from, to)| (START.plus(from), START.plus(to)));
    let scopes = [
        Scope::Total,
        Scope::User(client.user),
        Scope::Key(client.key),
        Scope::Account(client.account),
        Scope::Model(MODEL.into()),
        Scope::KeyFamily(client.key, "claude-sonnet".into()),
        Scope::Wire("messages".into()),
        Scope::Key(KeyId::new(START)),
    ];
    let all = async || {
        let mut all = Vec::new();
        for (scope, (from, to)) in scopes.iter().flat_map(|scope| spans.map(|span| (scope, span))) {
            all.push(told(world, scope, from, to).await);
        }
        all
    };
    let before = all().await;
    while rollup_additions::fold(&world.store).await.unwrap() {}
    assert_eq!(all().await, before);
    // Of the key: all four, then two of them.
    assert_eq!([before[4].0.requests, before[5].0.requests], [4, 2]);
    assert_eq!(before[4].1, [(spool.id, before[4].0)]);
    assert_eq!((before[4].2[0].len(), before[4].2[1].len()), (2, 3));
}

/// While two replicas fold, further batches come.
pub(super) async fn whoever_folds_nothing_counts_twice(world: &World, replica: &Store) {
    const BATCHES: i64 = 40;
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let coming = async {
        for _ in 0..BATCHES {
            batch(world, &client, &spool, MINUTE).await;
        }
    };
    let folding = [&world.store, replica, &world.store, replica].map(async |store| {
        for _ in 0..10 {
            match rollup_additions::fold(store).await {
                Ok(_) | Err(StoreError::Busy(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    futures_util::future::join(coming, join_all(folding)).await;
    let scope = Scope::Key(client.key);
    let sum = async || told(world, &scope, START, START.plus(DAY)).await.0.requests;
    assert_eq!(sum().await, BATCHES);
    while rollup_additions::fold(replica).await.unwrap() {}
    assert_eq!(sum().await, BATCHES);
}

/// A later release ran for a while, and sums by something else as well.
pub(super) async fn what_a_later_release_sums_is_carried_along(world: &World) {
    // Quarter 1, dimension 99, subject "x", eleven times 1; see `StoredSums`.
    let mut sum = vec![0x08, 1, 0x10, 99, 0x1a, 1, b'x', 0x22, 11];
    sum.extend([2; 11]);
    let mut sums = vec![0x0a, u8::try_from(sum.len()).unwrap()];
    sums.extend(sum);
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let mut tx = world.store.begin().await.unwrap();
    db::execute!(&mut tx, "INSERT INTO rollup_additions (sums, times) VALUES (?, ?)", sums, vec![0_u8; 0])
        .unwrap();
    tx.commit().await.unwrap();
    batch(world, &client, &spool, MINUTE).await;
    let sum = async || told(world, &Scope::Key(client.key), START, START.plus(DAY)).await.0.requests;
    assert_eq!(sum().await, 1);
    while rollup_additions::fold(&world.store).await.unwrap() {}
    assert_eq!(sum().await, 1);
    let mut tx = world.store.begin().await.unwrap();
    let sql = "SELECT requests FROM rollup_quarters WHERE dimension = 99";
    assert_eq!(db::fetch_all!(&mut tx, (i64,), sql).unwrap(), [(1,)]);
    for sql in
        ["DELETE FROM rollup_quarters WHERE dimension = 99", "DELETE FROM rollup_days WHERE dimension = 99"]
    {
        db::execute!(&mut tx, sql).unwrap();
    }
    tx.commit().await.unwrap();
}
