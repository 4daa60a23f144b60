//! Every list page and every summary, asked again and again.

use std::time::{Duration, Instant};

use control_plane::{
    store::{
        Store, StoreError,
        latency::{self, Metric},
        rollups::ALL_MODELS,
        usage_queries::{self, RecordFilter},
        usage_sums::{self, Period, Scope},
    },
    words::{outcome::Outcome, purpose::Purpose},
};
use shared::{clock::Millis, id::RequestId};

use super::{AnyError, NOW, records::Source, tell};

/// How often each is asked.
const TIMES: usize = 40;
/// A page, with the row that tells whether there is more.
const PAGE: u32 = 51;
const DAY_MS: i64 = 86_400_000;
/// The most that the 95th percentile of a page may be, and of a summary.
const LIMITS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(100)];

/// False: something takes too long.
pub(super) async fn all(store: &Store, sources: &[Source], database: &str) -> Result<bool, AnyError> {
    let Some(source) = sources.first() else { return Ok(true) };
    let mut pages = Worst::default();
    for (name, filter) in filters(source) {
        let (p95, rows) = timed(async |turn| {
            let before =
                (turn % 2 == 1).then_some(Millis(NOW.0 - 7 * DAY_MS)).map(usage_queries::first_id_of);
            page(store, &RecordFilter { before, ..filter.clone() }).await
        })
        .await?;
        tell(&format!("{database}: page {name}: {rows} rows, p95 {p95:.2?}"))?;
        pages.note(p95);
    }
    let mut sums = Worst::default();
    for (name, scope) in scopes(source) {
        for days in [1, 30, 1_000] {
            let from = Millis(NOW.0 - days * DAY_MS + 900_000);
            let (p95, rows) = timed(async |_| summary(store, &scope, from).await).await?;
            tell(&format!("{database}: summary {name}, {days} days: {rows} requests, p95 {p95:.2?}"))?;
            sums.note(p95);
        }
    }
    let mut kept = true;
    for (what, worst, limit) in [("page", pages.0, LIMITS[0]), ("summary", sums.0, LIMITS[1])] {
        let judged = if worst <= limit { "ok  " } else { "FAIL" };
        tell(&format!(
            "{judged} {database}: the slowest {what} takes {worst:.2?} at p95, at most {limit:.0?}"
        ))?;
        kept &= worst <= limit;
    }
    Ok(kept)
}

#[derive(Debug, Default)]
struct Worst(Duration);

impl Worst {
    fn note(&mut self, p95: Duration) {
        self.0 = self.0.max(p95);
    }
}

/// The 95th percentile of the times, and what the last one answered.
async fn timed<T>(ask: impl AsyncFn(usize) -> Result<T, StoreError>) -> Result<(Duration, T), AnyError> {
    let mut answer = ask(0).await?;
    let mut times = Vec::with_capacity(TIMES);
    for turn in 1..=TIMES {
        let begun = Instant::now();
        answer = ask(turn).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok((times.get(TIMES * 95 / 100 - 1).copied().unwrap_or_default(), answer))
}

async fn page(store: &Store, filter: &RecordFilter) -> Result<usize, StoreError> {
    let mut tx = store.read().await?;
    let rows = usage_queries::records(&mut tx, filter, PAGE).await?;
    tx.commit().await?;
    Ok(rows.len())
}

/// All that a summary's page asks for.
async fn summary(store: &Store, scope: &Scope, from: Millis) -> Result<i64, StoreError> {
    let to = Millis(NOW.0 + 900_000);
    let mut tx = store.read().await?;
    let sum = usage_sums::sums(&mut tx, scope, from, to).await?;
    usage_sums::by_period(&mut tx, scope, Period::Day, from, to).await?;
    if *scope == Scope::Total {
        latency::of(&mut tx, ALL_MODELS, Metric::FirstToken, from, to).await?;
        latency::of(&mut tx, ALL_MODELS, Metric::Total, from, to).await?;
    }
    tx.commit().await?;
    Ok(sum.requests)
}

fn filters(source: &Source) -> Vec<(&'static str, RecordFilter)> {
    let (key, user) = source.keys.first().copied().unzip();
    let account = source.accounts.first().map(|(account, _)| *account);
    let all = RecordFilter::default;
    let model = || Some("gpt-5".to_owned());
    let failed = |filter: RecordFilter| RecordFilter { failed: Some(true), ..filter };
    let rare = |filter: RecordFilter| RecordFilter { outcome: Some(Outcome::Refused), ..filter };
    let of_key = || RecordFilter { key_id: key, ..all() };
    let of_user = || RecordFilter { user_id: user, ..all() };
    let of_account = || RecordFilter { account_id: account, ..all() };
    let of_model = || RecordFilter { model: model(), ..all() };
    vec![
        ("all", all()),
        ("key", of_key()),
        ("user", of_user()),
        ("account", of_account()),
        ("model", of_model()),
        ("unknown model", RecordFilter { model: Some("unknown".into()), ..all() }),
        ("wire", RecordFilter { wire: Some("chat".into()), ..all() }),
        ("rare wire", RecordFilter { wire: Some("gemini".into()), ..all() }),
        ("user and model", RecordFilter { model: model(), ..of_user() }),
        ("completed", RecordFilter { outcome: Some(Outcome::Completed), ..all() }),
        ("open", RecordFilter { outcome: Some(Outcome::Open), ..all() }),
        ("not failed", RecordFilter { failed: Some(false), ..all() }),
        ("failed", failed(all())),
        ("failed, key", failed(of_key())),
        ("failed, user", failed(of_user())),
        ("failed, account", failed(of_account())),
        ("failed, model", failed(of_model())),
        ("rare outcome", rare(all())),
        ("rare outcome, key", rare(of_key())),
        ("rare outcome, user", rare(of_user())),
        ("rare outcome, account", rare(of_account())),
        ("rare outcome, model", rare(of_model())),
        ("cut off, user", RecordFilter { outcome: Some(Outcome::CutOff), ..of_user() }),
        ("tests of accounts", RecordFilter { purpose: Some(Purpose::AccountTest), ..all() }),
        ("a week", RecordFilter { from: Some(Millis(NOW.0 - 7 * DAY_MS)), ..all() }),
        ("one", RecordFilter { request_id: Some(RequestId::new(NOW)), ..all() }),
    ]
}

fn scopes(source: &Source) -> Vec<(&'static str, Scope)> {
    let mut scopes = vec![
        ("total", Scope::Total),
        ("model", Scope::Model("gpt-5".into())),
        ("wire", Scope::Wire("chat".into())),
        ("tag", Scope::Tag("team-a".into())),
    ];
    if let Some((key, user)) = source.keys.first() {
        scopes.extend([
            ("key", Scope::Key(*key)),
            ("user", Scope::User(*user)),
            ("key and family", Scope::KeyFamily(*key, "gpt".into())),
        ]);
    }
    if let Some((account, group)) = source.accounts.first() {
        scopes.extend([("account", Scope::Account(*account)), ("group", Scope::Group(*group))]);
    }
    scopes
}
