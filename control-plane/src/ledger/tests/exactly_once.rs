//! Whatever is sent again, out of order, at once or half understood: each request counts once.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use proto::v1 as contract;
use shared::money::{Nanos, Ppm};

use super::world::{self, Client, Spool, Spooled, World};
use crate::{
    ledger::{attempts, entry::UNKNOWN_MODEL, ingest::Ingest},
    store::{
        Store,
        rollup_additions::Additions,
        rollups::{Counts, Dimension},
    },
    words::outcome::Outcome,
};

const AT: Duration = Duration::ZERO;

pub(super) async fn open_then_close_is_one_row(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let open = client.opens(AT);
    assert_eq!(world.take(&spool, vec![spool.open(&open)]).await, 1);
    let row = world.only_record_of(&client).await;
    assert_eq!((row.outcome.as_str(), row.model.as_str(), row.total_ms), ("open", super::world::MODEL, None));
    assert_eq!(world.take(&spool, vec![spool.close(&client.completes(&open, 1_000, 100))]).await, 2);
    let row = world.only_record_of(&client).await;
    // 1 000 × $3 and 100 × $15 per million.
    assert_eq!((row.outcome.as_str(), row.status, row.real_cost), ("completed", 200, 4_500_000));
    assert_eq!((row.input_tokens, row.output_tokens, row.total_ms), (1_000, 100, Some(1_700)));
    assert_eq!(row.model_served, "claude-sonnet-4-5-20250929");
    assert_eq!(row.trace_id, Some(vec![7; 16]));
}

pub(super) async fn close_without_open_counts(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let open = contract::OpenRecord { trace_id: Vec::new(), ..client.opens(AT) };
    world.take(&spool, vec![spool.close(&client.completes(&open, 10, 1))]).await;
    let row = world.only_record_of(&client).await;
    assert_eq!((row.outcome.as_str(), row.trace_id), ("completed", None));
}

pub(super) async fn an_open_record_after_the_close_changes_nothing(world: &World) {
    let (client, first, second) = (world.client(Ppm::ONE).await, Spool::new(), Spool::new());
    let open = client.opens(AT);
    world.take(&first, vec![first.close(&client.completes(&open, 10, 1))]).await;
    let before = world.everything().await;
    assert_eq!(world.take(&second, vec![second.open(&open)]).await, 1);
    assert_eq!(world.everything().await, before);
}

pub(super) async fn two_spools_that_close_one_request_count_once(world: &World) {
    let (client, first, second) = (world.client(Ppm::ONE).await, Spool::new(), Spool::new());
    let open = client.opens(AT);
    let close = client.completes(&open, 10, 1);
    world.take(&first, vec![first.open(&open), first.close(&close)]).await;
    let before = world.everything().await;
    let cut_off = contract::CloseRecord { outcome: contract::Outcome::CutOff.into(), ..close.clone() };
    assert_eq!(world.take(&second, vec![second.close(&cut_off), second.close(&close)]).await, 2);
    assert_eq!(world.everything().await, before);
}

pub(super) async fn what_is_not_understood_does_not_stop_the_spool(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let (good, bad) = (client.opens(AT), client.opens(AT));
    let absurd = contract::Usage { input: u64::MAX, ..contract::Usage::default() };
    let mut close = client.completes(&good, 10, 1);
    close.attempts[0].usage = Some(absurd);
    let records = vec![
        spool.next(b"".as_slice()),
        spool.open(&contract::OpenRecord { request_id: vec![1], ..bad.clone() }),
        spool.close(&contract::CloseRecord { open: None, ..client.completes(&bad, 1, 1) }),
        spool.open(&good),
        spool.next(b"\xff no record".as_slice()),
        spool.close(&close),
    ];
    assert_eq!(world.take(&spool, records).await, 6);
    let row = world.only_record_of(&client).await;
    assert_eq!((row.outcome.as_str(), row.input_tokens), ("completed", 0));
    assert!(row.conditions.contains("absurd_usage"), "{}", row.conditions);
    let reasons = ["no_content", "bad_request_id", "no_request", "no_content", "absurd_usage"];
    let expected: Vec<_> = [1, 2, 3, 5, 6].into_iter().zip(reasons.map(str::to_owned)).collect();
    assert_eq!(world.rejected(&spool).await, expected);
}

pub(super) async fn a_gap_is_not_skipped(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let records: Vec<_> = (0..4).map(|_| spool.open(&client.opens(AT))).collect();
    assert_eq!(world.take(&spool, records[2..].to_vec()).await, 0);
    assert_eq!(world.take(&spool, vec![records[0].clone()]).await, 1);
    assert_eq!(world.take(&spool, vec![records[3].clone()]).await, 1);
    assert_eq!(world.records_of(&client).await.len(), 1);
    assert_eq!(world.take(&spool, records).await, 4);
    assert_eq!(world.records_of(&client).await.len(), 4);
    assert_eq!(world.take(&spool, Vec::new()).await, 4);
}

pub(super) async fn the_same_batch_from_many_streams_counts_once(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let mut records = Vec::new();
    for second in 0..20 {
        let open = client.opens(Duration::from_secs(second));
        records.push(spool.open(&open));
        records.push(spool.close(&client.completes(&open, 10, 1)));
    }
    let streams = (0..8).map(|_| world.take(&spool, records.clone()));
    assert_eq!(futures_util::future::join_all(streams).await, [40; 8]);
    assert_eq!(world.records_of(&client).await.len(), 20);
    let (_, sums) = world.everything().await;
    let requests: i64 = of_user(&sums, &client).map(|counts| counts.requests).sum();
    assert_eq!(requests, 20);
}

pub(super) async fn spools_of_many_nodes_do_not_disturb_each_other(world: &World, replica: &Store) {
    let client = world.client(Ppm::ONE).await;
    let spools: Vec<_> = (0..6).map(|_| Spool::new()).collect();
    let deliveries = spools.iter().enumerate().map(|(number, spool)| async move {
        let store = if number % 2 == 0 { &world.store } else { replica };
        let ledger = Ingest::new(store.clone(), world.clock.clone());
        for tenth in 0..4 {
            let mut records = Vec::new();
            for second in 0..15 {
                let open = client.opens(Duration::from_secs(tenth * 600 + second));
                records.push(spool.open(&open));
                records.push(spool.close(&client.completes(&open, 10, 1)));
            }
            world::deliver(&ledger, spool, &records).await;
        }
        world::deliver(&ledger, spool, &[]).await
    });
    assert_eq!(futures_util::future::join_all(deliveries).await, [120; 6]);
    let (rows, sums) = sums_of(world, &client).await;
    assert_eq!(rows.len(), 360);
    assert_eq!(sums, expected(&rows));
}

pub(super) async fn a_model_without_a_price_costs_nothing_and_says_so(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let named = |model: &str| contract::OpenRecord { model_requested: model.into(), ..client.opens(AT) };
    let served = named("llama-4");
    let refused = named("no-such-model");
    let mut refusal = client.completes(&refused, 0, 0);
    refusal.outcome = contract::Outcome::Refused.into();
    refusal.attempts[0].outcome = contract::Outcome::Refused.into();
    world.take(&spool, vec![spool.close(&client.completes(&served, 10, 1)), spool.close(&refusal)]).await;
    let rows = world.records_of(&client).await;
    let of = |model: &str| rows.iter().find(|row| row.model_requested == model).unwrap();
    assert_eq!((of("llama-4").real_cost, of("llama-4").conditions.as_str()), (0, r#"["no_price"]"#));
    assert_eq!(of("llama-4").model, "llama-4");
    let attempts = attempts::read(of("llama-4")).unwrap();
    assert_eq!(attempts[0].price, None);
    // A name that no upstream knows is the client's invention: statistics don't take it.
    assert_eq!(
        (of("no-such-model").model.as_str(), of("no-such-model").conditions.as_str()),
        (UNKNOWN_MODEL, "[]")
    );
}

pub(super) async fn costs_are_rated_as_the_user_was_when_the_request_began(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let client = Client { rate: Ppm(1_500_000), ..client };
    let open = client.opens(AT);
    world.take(&spool, vec![spool.close(&client.completes(&open, 1_000, 100))]).await;
    let row = world.only_record_of(&client).await;
    assert_eq!((row.real_cost, row.rated_cost), (4_500_000, 6_750_000));
}

pub(super) async fn a_request_on_two_accounts_is_charged_to_each(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let second = Client { account: world.client(Ppm::ONE).await.account, ..client };
    let open = client.opens(AT);
    let mut close = second.completes(&open, 1_000, 100);
    let failed = contract::Attempt {
        outcome: contract::Outcome::UpstreamError.into(),
        reason: "cut".into(),
        ..client.attempt(&open, 1_000, 0)
    };
    close.attempts.insert(0, failed);
    world.take(&spool, vec![spool.close(&close)]).await;
    let row = world.only_record_of(&client).await;
    let attempts = attempts::read(&row).unwrap();
    assert_eq!((row.account_id, row.input_tokens), (Some(second.account.to_bytes().to_vec()), 2_000));
    assert_eq!([attempts[0].real_cost, attempts[1].real_cost], [Nanos(3_000_000), Nanos(4_500_000)]);
    assert_eq!(row.real_cost, 7_500_000);
    let (_, sums) = world.everything().await;
    let of = |client: &Client| {
        let account = client.account.to_bytes();
        *world::of(&sums, Dimension::Account).find(|(id, ..)| *id == account).unwrap().2
    };
    assert_eq!((of(&client).real_cost, of(&client).errors), (3_000_000, 1));
    assert_eq!((of(&second).real_cost, of(&second).errors), (4_500_000, 0));
}

fn of_user<'a>(sums: &'a Additions, client: &'a Client) -> impl Iterator<Item = &'a Counts> {
    let user = client.user.to_bytes();
    world::of(sums, Dimension::User).filter(move |(id, ..)| *id == user).map(|(_, _, counts)| counts)
}

/// One request's records, in one spool or in two.
#[derive(Debug, Clone)]
struct Plan {
    opened: bool,
    closed: bool,
    /// Minutes after the start.
    minute: u64,
    tokens: u64,
    outcome: contract::Outcome,
    /// The other spool closes it, too.
    closed_twice: bool,
}

/// Part of a spool, sent once: which spool, from where, how many.
type Sent = (bool, usize, usize);

fn plan() -> impl Strategy<Value = Plan> {
    let outcome = prop_oneof![
        Just(contract::Outcome::Completed),
        Just(contract::Outcome::CutOff),
        Just(contract::Outcome::Unspecified)
    ];
    let request = (any::<bool>(), any::<bool>(), 0..60_u64, 0..5_000_u64, outcome, prop::bool::weighted(0.2));
    request.prop_map(|(opened, closed, minute, tokens, outcome, closed_twice)| Plan {
        opened,
        closed,
        minute,
        tokens,
        outcome,
        closed_twice,
    })
}

fn spooled(client: &Client, plans: &[Plan]) -> (Vec<Spooled>, Vec<Spooled>) {
    let (first, second) = (Spool::new(), Spool::new());
    let mut records = (Vec::new(), Vec::new());
    for plan in plans {
        let open = client.opens(Duration::from_secs(plan.minute * 60));
        let mut close = client.completes(&open, plan.tokens, plan.tokens / 7);
        close.outcome = plan.outcome.into();
        if plan.opened {
            records.0.push(first.open(&open));
        }
        if plan.closed {
            records.0.push(first.close(&close));
        }
        if plan.closed_twice {
            records.1.push(second.close(&close));
        }
    }
    records
}

/// Sends the parts over two connections at once, then what is still missing in order, as nodes do in the end.
async fn deliver(world: &World, spools: [(&Spool, &[Spooled]); 2], parts: &[Sent]) {
    let (left, right) = parts.split_at(parts.len() / 2);
    let send = async |parts: &[Sent]| {
        for (which, from, count) in parts {
            let (spool, records) = spools[usize::from(*which)];
            let from = (*from).min(records.len());
            let to = from.saturating_add(*count).min(records.len());
            world::deliver(&world.ledger, spool, &records[from..to]).await;
        }
    };
    futures_util::future::join(send(left), send(right)).await;
    for (spool, records) in spools {
        let taken = world::deliver(&world.ledger, spool, &[]).await;
        let rest = &records[usize::try_from(taken).unwrap()..];
        let reached = world::deliver(&world.ledger, spool, rest).await;
        assert_eq!(reached, u64::try_from(records.len()).unwrap());
    }
}

/// This client's rows, and its sums by quarter-hour.
async fn sums_of(
    world: &World,
    client: &Client,
) -> (Vec<crate::store::ledger::LedgerRow>, BTreeMap<i64, Counts>) {
    let rows = world.records_of(client).await;
    let (_, sums) = world.everything().await;
    let id = client.user.to_bytes();
    let by_quarter = world::of(&sums, Dimension::User).filter(|(user, ..)| *user == id);
    (rows, by_quarter.map(|(_, at, counts)| (at, *counts)).collect())
}

/// What the roll-ups must hold, made from the rows.
fn expected(rows: &[crate::store::ledger::LedgerRow]) -> BTreeMap<i64, Counts> {
    let mut sums: BTreeMap<i64, Counts> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.outcome != "open") {
        let counts = Counts {
            requests: 1,
            errors: i64::from(row.outcome.parse::<Outcome>().unwrap().is_error()),
            input_tokens: row.input_tokens,
            cache_read_tokens: row.cache_read_tokens,
            cache_write_5m_tokens: row.cache_write_5m_tokens,
            cache_write_1h_tokens: row.cache_write_1h_tokens,
            output_tokens: row.output_tokens,
            reasoning_tokens: row.reasoning_tokens,
            real_cost: row.real_cost,
            rated_cost: row.rated_cost,
        };
        sums.entry(crate::store::rollups::quarter_of(shared::clock::Millis(row.started_at)))
            .or_default()
            .add(&counts);
    }
    sums
}

/// Any way of sending gives what one pass gives, and the roll-ups are the sums of the rows.
pub(super) fn any_delivery_gives_one_pass(world: &World, runtime: &tokio::runtime::Handle, cases: u32) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    let sent = (any::<bool>(), 0..30_usize, 0..12_usize);
    let strategy = (prop::collection::vec(plan(), 1..16), prop::collection::vec(sent, 0..10));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let done = runner.run(&strategy, |(plans, parts)| {
        runtime.block_on(async {
            let client = world.client(Ppm(1_100_000)).await;
            let (first, second) = spooled(&client, &plans);
            let spools = [Spool::new(), Spool::new()];
            deliver(world, [(&spools[0], &first), (&spools[1], &second)], &parts).await;
            let (rows, sums) = sums_of(world, &client).await;
            let requests =
                plans.iter().filter(|plan| plan.opened || plan.closed || plan.closed_twice).count();
            assert_eq!(rows.len(), requests);
            let closed = plans.iter().filter(|plan| plan.closed || plan.closed_twice).count();
            assert_eq!(rows.iter().filter(|row| row.outcome != "open").count(), closed);
            let tokens: u64 =
                plans.iter().filter(|plan| plan.closed || plan.closed_twice).map(|plan| plan.tokens).sum();
            assert_eq!(rows.iter().map(|row| row.input_tokens).sum::<i64>(), i64::try_from(tokens).unwrap());
            assert_eq!(sums, expected(&rows));
        });
        Ok(())
    });
    done.unwrap();
}
