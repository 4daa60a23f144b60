//! What nodes report counts once, and stays in bounds, on both databases.

use std::time::Duration;

use shared::{
    clock::QUARTER_MS,
    id::{KeyId, UserId},
};

use super::*;
use crate::store::{
    refusals::{CountFilter, RefusalFilter},
    settings, test_support,
};

/// On a quarter-hour of 2026.
const START: Millis = Millis(1_994_000 * QUARTER_MS);
const NODE: &str = "node-1";

/// A key, its owner and a run of a node, new for each case.
struct World {
    store: Store,
    clock: Clock,
    user: UserId,
    key: KeyId,
    incarnation: IncarnationId,
}

impl World {
    fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            clock: Clock::manual(START),
            user: UserId::new(START),
            key: KeyId::new(START),
            incarnation: IncarnationId::new(START),
        }
    }

    fn count(&self, code: &str, model: &str, requests: u64) -> RefusalCount {
        RefusalCount {
            quarter_start_ms: START.0,
            code: code.into(),
            key_id: self.key.to_bytes().to_vec(),
            user_id: self.user.to_bytes().to_vec(),
            model: model.into(),
            others: false,
            requests,
        }
    }

    fn refused(&self, at: Millis, code: &str, model: &str) -> RefusedRequest {
        RefusedRequest {
            request_id: RequestId::new(at).to_bytes().to_vec(),
            refused_at_ms: at.0,
            code: code.into(),
            status: 503,
            wire: proto::v1::Wire::Messages.into(),
            key_id: self.key.to_bytes().to_vec(),
            user_id: self.user.to_bytes().to_vec(),
            model: model.into(),
            message: "no account can serve this request now (1 disabled)".into(),
            explanation: "first: disabled".into(),
        }
    }

    fn report(
        &self,
        sequence: u64,
        counts: Vec<RefusalCount>,
        requests: Vec<RefusedRequest>,
    ) -> RefusalReport {
        let incarnation_id = self.incarnation.to_bytes().to_vec();
        RefusalReport { node_id: NODE.into(), incarnation_id, sequence, counts, requests }
    }

    async fn take(&self, report: RefusalReport) -> u64 {
        take(&self.store, &self.clock, self.incarnation, report).await.unwrap()
    }

    async fn sums(&self, filter: &CountFilter) -> Vec<(String, i64)> {
        let mut tx = self.store.read().await.unwrap();
        let (from, to) = (Millis(0), Millis(START.0 * 2));
        rows::by_code(&mut tx, filter, from, to, 100).await.unwrap()
    }

    async fn own_sums(&self) -> Vec<(String, i64)> {
        self.sums(&CountFilter { user_id: Some(self.user), ..CountFilter::default() }).await
    }

    async fn list(&self, filter: RefusalFilter) -> Vec<RefusalRow> {
        let mut tx = self.store.read().await.unwrap();
        rows::list(&mut tx, &filter, 1_000).await.unwrap()
    }

    async fn own_list(&self) -> Vec<RefusalRow> {
        self.list(RefusalFilter { user_id: Some(self.user), ..RefusalFilter::default() }).await
    }

    async fn settle(&self) {
        for _ in 0..50 {
            if !retention::step(&self.store, &self.clock, 4).await.unwrap() {
                return;
            }
        }
        panic!("retention finds no end");
    }

    async fn set(&self, change: impl FnOnce(&mut settings::Settings)) {
        let mut tx = self.store.begin().await.unwrap();
        let (mut settings, revision) = settings::load(&mut tx).await.unwrap();
        change(&mut settings);
        settings::save(&mut tx, &settings, revision, START).await.unwrap();
        tx.commit().await.unwrap();
    }
}

fn sums<const N: usize>(of: [(&str, i64); N]) -> Vec<(String, i64)> {
    of.into_iter().map(|(code, requests)| (code.to_owned(), requests)).collect()
}

/// All that the two databases have in common. The cases share one, each with ids of its own; the last removes all.
async fn cases(store: &Store, replica: &Store) {
    a_report_that_comes_twice_counts_once(store, replica).await;
    the_same_report_from_many_streams_counts_once(store, replica).await;
    each_run_of_each_node_has_reports_of_its_own(store).await;
    what_a_node_does_not_know_is_counted_apart(store).await;
    what_can_t_be_is_taken_as_it_can_be(store).await;
    lists_are_filtered_and_page_from_the_newest(store).await;
    each_filter_has_its_index(store).await;
    what_is_old_or_too_much_goes(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    let database = test_support::sqlite().await;
    cases(&database.store, &database.another_store().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mariadb() {
    let database = test_support::mariadb().await;
    cases(&database.store, &database.another_store().await).await;
}

async fn a_report_that_comes_twice_counts_once(store: &Store, replica: &Store) {
    let world = World::new(store);
    let refused = world.refused(START, "no_account", "claude-sonnet-5");
    let first = world.report(1, vec![world.count("no_account", "claude-sonnet-5", 3)], vec![refused]);
    assert_eq!(world.take(first.clone()).await, 1);
    // Its answer was lost, and the node comes to another replica with it.
    assert_eq!(take(replica, &world.clock, world.incarnation, first.clone()).await.unwrap(), 1);
    assert_eq!(world.own_sums().await, sums([("no_account", 3)]));
    assert_eq!(world.own_list().await.len(), 1);

    let more = vec![world.count("no_account", "claude-sonnet-5", 2), world.count("unknown_id", "gpt-5", 1)];
    assert_eq!(world.take(world.report(2, more, Vec::new())).await, 2);
    assert_eq!(world.take(first).await, 2, "long taken");
    assert_eq!(world.own_sums().await, sums([("no_account", 5), ("unknown_id", 1)]));
    let row = world.own_list().await.remove(0);
    assert_eq!((row.status, row.wire.as_str(), row.node_id.as_str()), (503, "messages", NODE));
    assert_eq!((row.explanation.as_str(), row.model.as_str()), ("first: disabled", "claude-sonnet-5"));
}

async fn the_same_report_from_many_streams_counts_once(store: &Store, replica: &Store) {
    let world = World::new(store);
    let report = world.report(
        1,
        vec![world.count("no_account", "a", 7)],
        vec![world.refused(START, "no_account", "a")],
    );
    let many = (0..8).map(|number| {
        let (store, report) = (if number % 2 == 0 { store } else { replica }, report.clone());
        let clock = &world.clock;
        async move {
            // As a node does: what was in the way is tried again.
            loop {
                match take(store, clock, world.incarnation, report.clone()).await {
                    Err(StoreError::Busy(_)) => {}
                    done => return done.unwrap(),
                }
            }
        }
    });
    assert_eq!(futures_util::future::join_all(many).await, [1; 8]);
    assert_eq!((world.own_sums().await, world.own_list().await.len()), (sums([("no_account", 7)]), 1));
}

async fn each_run_of_each_node_has_reports_of_its_own(store: &Store) {
    let mut world = World::new(store);
    let count = vec![world.count("no_account", "a", 1)];
    world.take(world.report(1, count.clone(), Vec::new())).await;
    let other = RefusalReport { node_id: "node-2".into(), ..world.report(1, count.clone(), Vec::new()) };
    world.take(other).await;
    world.incarnation = IncarnationId::new(START);
    world.take(world.report(1, count, Vec::new())).await;
    assert_eq!(world.own_sums().await, sums([("no_account", 3)]));
}

async fn what_a_node_does_not_know_is_counted_apart(store: &Store) {
    let world = World::new(store);
    let code = format!("code-of-{}", world.key).to_lowercase();
    let nobody = RefusalCount { key_id: Vec::new(), user_id: Vec::new(), ..world.count(&code, "", 5) };
    let others = RefusalCount { others: true, ..nobody.clone() };
    let of_key = RefusalCount { others: true, ..world.count(&code, "", 2) };
    let all = vec![nobody, others, of_key, world.count(&code, "a", 1)];
    world.take(world.report(1, all.clone(), Vec::new())).await;
    world.take(world.report(2, all, Vec::new())).await;
    let mut tx = store.read().await.unwrap();
    let filter = CountFilter { code: Some(code.clone()), ..CountFilter::default() };
    let found = rows::by_all(&mut tx, &filter, Millis(0), Millis(START.0 * 2), 10).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|sum| (sum.key_id != NOBODY, sum.model.as_str(), sum.others, sum.requests))
        .collect();
    assert_eq!(
        found,
        [(false, "", false, 10), (false, "", true, 10), (true, "", true, 4), (true, "a", false, 2)]
    );
    assert_eq!(world.own_sums().await, sums([(code.as_str(), 6)]));
}

async fn what_can_t_be_is_taken_as_it_can_be(store: &Store) {
    let world = World::new(store);
    let far = START.plus(Duration::from_secs(10 * 86_400));
    let counts = vec![
        RefusalCount { quarter_start_ms: i64::MIN, ..world.count("", "a", 1) },
        RefusalCount { quarter_start_ms: far.0, ..world.count("", "a", 1) },
        RefusalCount {
            quarter_start_ms: START.0 + 1,
            model: "é".repeat(500),
            ..world.count("x", "", u64::MAX)
        },
        RefusalCount { user_id: vec![1], ..world.count(&"c".repeat(500), "a", 1) },
    ];
    let mut named = world.refused(START, "no_account", "a");
    named.explanation = "é".repeat(1 << 20);
    named.wire = 99;
    let nameless = RefusedRequest { request_id: vec![1, 2], ..named.clone() };
    let unborn = RefusedRequest { request_id: RequestId::new(far).to_bytes().to_vec(), ..named.clone() };
    assert_eq!(world.take(world.report(1, counts, vec![nameless, unborn, named])).await, 1);
    assert_eq!(world.own_sums().await, sums([("x", 1 << 40), ("unknown", 2)]));
    let kept = world.own_list().await;
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].wire.as_str(), kept[0].explanation.len()), ("unknown", MAX_TEXT_BYTES));
}

async fn lists_are_filtered_and_page_from_the_newest(store: &Store) {
    let world = World::new(store);
    let minute = |minute: u64| START.plus(Duration::from_secs(60 * minute));
    let requests: Vec<_> = (0..6)
        .map(|n| world.refused(minute(n), if n % 2 == 0 { "no_account" } else { "unknown_id" }, "a"))
        .collect();
    let ids: Vec<_> = requests.iter().rev().map(|refused| refused.request_id.clone()).collect();
    world.take(world.report(1, Vec::new(), requests)).await;
    let own = || RefusalFilter { key_id: Some(world.key), ..RefusalFilter::default() };
    let found = async |filter: RefusalFilter| {
        world.list(filter).await.into_iter().map(|row| row.request_id).collect::<Vec<_>>()
    };
    assert_eq!(found(own()).await, ids);
    let second = RequestId::try_from(ids[1].as_slice()).unwrap();
    assert_eq!(found(RefusalFilter { before: Some(second), ..own() }).await, ids[2..]);
    let bounds = RefusalFilter { from: Some(minute(1)), to: Some(minute(3)), ..own() };
    assert_eq!(found(bounds).await, ids[3..5]);
    assert_eq!(
        found(RefusalFilter { request_id: Some(second), ..RefusalFilter::default() }).await,
        ids[1..2]
    );
    let code = RefusalFilter { code: Some("unknown_id".into()), model: Some("a".into()), ..own() };
    assert_eq!(found(code).await.len(), 3);
    assert_eq!(found(RefusalFilter { model: Some("A".into()), ..own() }).await.len(), 0);
    let other = RefusalFilter { user_id: Some(UserId::new(START)), ..own() };
    assert_eq!(found(other).await.len(), 0);
}

/// No filter walks a table: each has an index, which gives pages their order too.
async fn each_filter_has_its_index(store: &Store) {
    let world = World::new(store);
    let (page, sum) = (RefusalFilter::default, CountFilter::default);
    let (user, key) = (Some(world.user), Some(world.key));
    let cases = [
        ("PRIMARY", page(), sum()),
        (
            "PRIMARY",
            RefusalFilter { from: Some(START), ..page() },
            CountFilter { code: Some("x".into()), ..sum() },
        ),
        ("by_user", RefusalFilter { user_id: user, ..page() }, CountFilter { user_id: user, ..sum() }),
        ("by_key", RefusalFilter { key_id: key, ..page() }, CountFilter { key_id: key, ..sum() }),
        ("by_code", RefusalFilter { code: Some("x".into()), ..page() }, sum()),
        ("by_model", RefusalFilter { model: Some("a".into()), ..page() }, sum()),
    ];
    for (index, page, sums) in cases {
        let mut tx = store.read().await.unwrap();
        let [of_page, of_sums] = rows::plans(&mut tx, &page, &sums).await.unwrap();
        assert!(of_page.contains(index) || index == "PRIMARY", "{page:?}: {of_page}");
        for bad in ["TEMP B-TREE", "filesort", "ALL"] {
            assert!(!of_page.contains(bad), "{page:?}: {of_page}");
        }
        assert!(["SEARCH", "range", "ref"].iter().any(|good| of_sums.contains(good)), "{sums:?}: {of_sums}");
    }
}

/// Removes everything in the end: the last case.
async fn what_is_old_or_too_much_goes(store: &Store) {
    let world = World::new(store);
    world.set(|settings| settings.refusals_kept = Some(0)).await;
    world.settle().await;
    assert_eq!(world.list(RefusalFilter::default()).await.len(), 0);
    assert!(!world.sums(&CountFilter::default()).await.is_empty(), "they are still counted");

    let day = |day: u64| START.plus(Duration::from_secs(86_400 * day));
    let of_day =
        |number: u64| RefusalCount { quarter_start_ms: day(number).0, ..world.count("no_account", "a", 1) };
    world.clock.advance(Duration::from_secs(86_400 * 20));
    let requests = (0..20).map(|number| world.refused(day(number), "no_account", "a")).collect();
    world.take(world.report(1, (0..20).map(of_day).collect(), requests)).await;
    world.set(|settings| settings.refusals_kept = Some(15)).await;
    world.settle().await;
    let left: Vec<_> = world.own_list().await.iter().map(|row| row.refused_at).collect();
    assert_eq!(left, (5..20).rev().map(|number| day(number).0).collect::<Vec<_>>(), "the latest stay");

    world.set(|settings| settings.refusal_retention_days = Some(7)).await;
    world.settle().await;
    assert_eq!(world.own_list().await.len(), 7);
    assert_eq!(world.own_sums().await, sums([("no_account", 7)]));
    assert_eq!(world.take(world.report(1, vec![of_day(19)], Vec::new())).await, 1, "its cursor is there");

    world.clock.advance(Duration::from_secs(86_400 * 40));
    world.settle().await;
    assert_eq!((world.own_list().await.len(), world.sums(&CountFilter::default()).await.len()), (0, 0));
    let mut tx = store.read().await.unwrap();
    let cursors = "SELECT COUNT(*) FROM refusal_cursors";
    let (cursors,) = crate::store::db::fetch_one!(&mut tx, (i64,), cursors).unwrap();
    assert_eq!(cursors, 0, "runs that are long over are forgotten");
}
