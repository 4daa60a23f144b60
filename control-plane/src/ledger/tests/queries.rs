//! Lists page over their indexes, sums come from roll-ups and agree with the rows.

use std::time::Duration;

use proto::v1 as contract;
use shared::{
    clock::Millis,
    id::{KeyId, RequestId},
    money::Ppm,
};

use super::world::{self, Client, MODEL, START, Spool, World};
use crate::{
    store::{
        latency::{self, Metric, bucket_of},
        rollups::{ALL_MODELS, Counts, Dimension},
        usage_queries::{self, RecordFilter},
        usage_sums::{self, Period, Scope},
    },
    words::outcome::Outcome,
};

const MINUTE: Duration = Duration::from_secs(60);

async fn requests(world: &World, client: &Client, times: impl Iterator<Item = Duration>) {
    let spool = Spool::new();
    let mut records = Vec::new();
    for at in times {
        let open = client.opens(at);
        records.push(spool.open(&open));
        records.push(spool.close(&client.completes(&open, 100, 10)));
    }
    world.take(&spool, records).await;
}

pub(super) async fn pages_follow_each_other_to_the_end(world: &World) {
    let client = world.client(Ppm::ONE).await;
    requests(world, &client, (0..25).map(|n| MINUTE * n)).await;
    let mut filter = RecordFilter { key_id: Some(client.key), ..RecordFilter::default() };
    let mut seen = Vec::new();
    loop {
        let mut tx = world.store.read().await.unwrap();
        let rows = usage_queries::records(&mut tx, &filter, 10).await.unwrap();
        let Some(last) = rows.last() else { break };
        filter.before = Some(RequestId::try_from(last.request_id.as_slice()).unwrap());
        seen.extend(rows.into_iter().map(|row| row.started_at));
    }
    let newest_first: Vec<i64> = (0..25).rev().map(|n| START.plus(MINUTE * n).0).collect();
    assert_eq!(seen, newest_first);
    let hour = RecordFilter {
        from: Some(START.plus(MINUTE * 5)),
        to: Some(START.plus(MINUTE * 10)),
        before: None,
        ..filter.clone()
    };
    assert_eq!(world.records(&hour).await.len(), 5);
    for (other, expected) in [
        (RecordFilter { account_id: Some(client.account), ..RecordFilter::default() }, 25),
        (
            RecordFilter {
                model: Some(MODEL.into()),
                wire: Some("messages".into()),
                before: None,
                ..filter.clone()
            },
            25,
        ),
        (RecordFilter { outcome: Some(Outcome::Open), before: None, ..filter.clone() }, 0),
        (RecordFilter { wire: Some("chat".into()), before: None, ..filter.clone() }, 0),
        (RecordFilter { key_id: Some(KeyId::new(START)), ..RecordFilter::default() }, 0),
    ] {
        assert_eq!(world.records(&other).await.len(), expected, "{other:?}");
    }
}

pub(super) async fn sums_agree_with_the_rows(world: &World) {
    let (rows, all) = world.everything().await;
    let mut of_rows = Counts::default();
    for row in rows.iter().filter(|row| row.outcome != "open") {
        of_rows.add(&Counts {
            requests: 1,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            real_cost: row.real_cost,
            rated_cost: row.rated_cost,
            ..Counts::default()
        });
    }
    for dimension in [
        Dimension::Total,
        Dimension::User,
        Dimension::Key,
        Dimension::Model,
        Dimension::Wire,
        Dimension::KeyFamily,
        Dimension::UserFamily,
        Dimension::OpenKey,
        Dimension::OpenUser,
    ] {
        let mut sum = Counts::default();
        world::of(&all, dimension).for_each(|(_, _, counts)| sum.add(counts));
        sum.errors = 0;
        assert_eq!(sum, of_rows, "{dimension:?}");
    }
    let mut accounts = Counts::default();
    world::of(&all, Dimension::Account).for_each(|(_, _, counts)| accounts.add(counts));
    assert_eq!((accounts.real_cost, accounts.input_tokens), (of_rows.real_cost, of_rows.input_tokens));

    let client = world.client(Ppm::ONE).await;
    requests(world, &client, (0..4).map(|n| MINUTE * 20 * n)).await;
    let mut tx = world.store.read().await.unwrap();
    let hour = (START, START.plus(MINUTE * 60));
    for scope in [Scope::User(client.user), Scope::Key(client.key), Scope::Account(client.account)] {
        let sums = usage_sums::sums(&mut tx, &scope, hour.0, hour.1).await.unwrap();
        assert_eq!((sums.requests, sums.input_tokens, sums.rated_cost), (3, 300, 3 * 450_000), "{scope:?}");
        let none = usage_sums::sums(&mut tx, &scope, Millis(0), START).await.unwrap();
        assert_eq!(none, Counts::default());
    }
    let model = usage_sums::sums(&mut tx, &Scope::Model(MODEL.into()), hour.0, hour.1).await.unwrap();
    let total = usage_sums::sums(&mut tx, &Scope::Total, hour.0, hour.1).await.unwrap();
    assert!(total.requests >= model.requests && model.requests >= 3);
    for model in [ALL_MODELS, MODEL] {
        let times = latency::of(&mut tx, model, Metric::Total, hour.0, hour.1).await.unwrap();
        assert!(
            times.iter().any(|(bucket, requests)| *bucket == bucket_of(1_700) && *requests >= 3),
            "{times:?}"
        );
    }
}

pub(super) async fn days_begin_at_midnight_utc(world: &World) {
    let client = world.client(Ppm::ONE).await;
    // The start is noon.
    let hours = [11, 12, 35, 36].map(|hour| Duration::from_secs(hour * 3_600 + 3_599));
    world.clock.advance(Duration::from_secs(48 * 3600));
    requests(world, &client, hours.into_iter()).await;
    let mut tx = world.store.read().await.unwrap();
    let (from, to) = (START, START.plus(Duration::from_secs(72 * 3600)));
    let days =
        usage_sums::by_period(&mut tx, &Scope::User(client.user), Period::Day, from, to).await.unwrap();
    let midnight = START.0 - 12 * 3_600_000;
    let day = |n: i64| midnight + n * 86_400_000;
    let found: Vec<_> = days.iter().map(|day| (day.start, day.counts.requests)).collect();
    assert_eq!(found, [(day(0), 1), (day(1), 2), (day(2), 1)]);
}

pub(super) async fn hours_without_requests_are_left_out(world: &World) {
    let client = world.client(Ppm::ONE).await;
    let minutes = [0, 59, 60, 185].map(|minute| MINUTE * minute);
    requests(world, &client, minutes.into_iter()).await;
    let mut tx = world.store.read().await.unwrap();
    let hour = |n: i64| START.0 + n * 3_600_000;
    for scope in [Scope::User(client.user), Scope::Key(client.key), Scope::Account(client.account)] {
        let (from, to) = (START, Millis(hour(4)));
        let hours = usage_sums::by_period(&mut tx, &scope, Period::Hour, from, to).await.unwrap();
        let found: Vec<_> = hours.iter().map(|hour| (hour.start, hour.counts.input_tokens)).collect();
        assert_eq!(found, [(hour(0), 200), (hour(1), 100), (hour(3), 100)], "{scope:?}");
        let (from, to) = (Millis(hour(1)), Millis(hour(3)));
        let hours = usage_sums::by_period(&mut tx, &scope, Period::Hour, from, to).await.unwrap();
        assert_eq!(hours.len(), 1, "{scope:?}");
    }
}

/// Failures have several outcomes; together they page as one list.
pub(super) async fn failures_page_from_the_newest(world: &World) {
    use contract::Outcome::{ClientGone, Completed, CutOff, Refused, Unspecified, UpstreamError};
    let client = world.client(Ppm::ONE).await;
    let spool = Spool::new();
    let (mut records, mut failures, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let outcomes =
        [Completed, UpstreamError, CutOff, ClientGone, Refused, Unspecified, UpstreamError, Completed];
    // In a time of their own: the filter without a client finds everyone's.
    let from = MINUTE * 60 * 24 * 20;
    for (minute, outcome) in (0..).zip(outcomes) {
        let open = client.opens(from + MINUTE * minute);
        let close = contract::CloseRecord { outcome: outcome.into(), ..client.completes(&open, 1, 1) };
        let id = RequestId::try_from(open.request_id.as_slice()).unwrap();
        if !matches!(outcome, Completed | ClientGone) {
            failures.insert(0, id);
        }
        all.insert(0, id);
        records.push(spool.close(&close));
    }
    let still_open = client.opens(from + MINUTE * 30);
    all.insert(0, RequestId::try_from(still_open.request_id.as_slice()).unwrap());
    records.push(spool.open(&still_open));
    world.clock.advance(from + MINUTE * 31);
    world.take(&spool, records).await;

    let ids = async |filter: &RecordFilter, limit| {
        let mut tx = world.store.read().await.unwrap();
        let rows = usage_queries::records(&mut tx, filter, limit).await.unwrap();
        rows.iter().map(|row| RequestId::try_from(row.request_id.as_slice()).unwrap()).collect::<Vec<_>>()
    };
    let everyone = RecordFilter {
        from: Some(START.plus(from)),
        to: Some(START.plus(from + MINUTE * 31)),
        ..RecordFilter::default()
    };
    for filter in [everyone.clone(), RecordFilter { user_id: Some(client.user), ..everyone.clone() }] {
        let failed = RecordFilter { failed: Some(true), ..filter.clone() };
        assert_eq!(ids(&failed, 9).await, failures, "{filter:?}");
        let mut paged = ids(&failed, 2).await;
        paged.extend(ids(&RecordFilter { before: paged.last().copied(), ..failed.clone() }, 9).await);
        assert_eq!(paged, failures, "{filter:?}");
        let refused = RecordFilter { outcome: Some(Outcome::Refused), ..failed.clone() };
        assert_eq!(ids(&refused, 9).await.len(), 1);
        let completed = RecordFilter { outcome: Some(Outcome::Completed), ..failed };
        assert_eq!(ids(&completed, 9).await, []);
        let fine = RecordFilter { failed: Some(false), ..filter.clone() };
        let expected: Vec<_> = all.iter().filter(|id| !failures.contains(id)).copied().collect();
        assert_eq!(ids(&fine, 9).await, expected);
        let one = RecordFilter { request_id: Some(failures[1]), ..filter };
        assert_eq!(ids(&one, 9).await, [failures[1]]);
        assert_eq!(ids(&RecordFilter { failed: Some(true), ..one.clone() }, 9).await, [failures[1]]);
        assert_eq!(ids(&RecordFilter { failed: Some(false), ..one }, 9).await, []);
    }
}
