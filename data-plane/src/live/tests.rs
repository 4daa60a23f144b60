//! What both backends keep, and what Redis being away changes. Redis is a private server on a free port.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use servers::Redis;
use shared::{clock::Millis, secret::Secret};

use super::*;

const ACCOUNT: AccountId = AccountId::from_bytes([1; 16]);
const OTHER: AccountId = AccountId::from_bytes([2; 16]);

/// Settings that find out quickly how Redis is.
fn settings(redis: &Redis) -> RedisSettings {
    RedisSettings {
        command_timeout: Duration::from_millis(200),
        watchdog: Duration::from_millis(50),
        ..RedisSettings::new(Secret::new(redis.url()))
    }
}

/// Nodes that share their live state; with `Memory`, one.
struct Nodes {
    clock: Clock,
    tasks: Tasks,
    lives: Vec<Arc<Live>>,
}

impl Nodes {
    fn alone(clock: Clock) -> Self {
        Self { lives: vec![Arc::new(Live::memory(clock.clone()))], clock, tasks: Tasks::new() }
    }

    /// Their clock is far from Redis's own: marks must not depend on nodes having its time.
    fn sharing(settings: &RedisSettings, count: usize) -> Self {
        Self::with_clock(settings, count, Clock::manual(Millis(1_000_000)))
    }

    fn with_clock(settings: &RedisSettings, count: usize, clock: Clock) -> Self {
        let tasks = Tasks::new();
        let lives =
            (0..count).map(|_| Arc::new(Live::redis(settings, clock.clone(), &tasks).unwrap())).collect();
        let nodes = Self { clock, tasks, lives };
        for live in &nodes.lives {
            // As their configuration would.
            _ = (live.states().of(ACCOUNT), live.states().of(OTHER));
        }
        nodes
    }

    fn mark(&self, kind: MarkKind, seconds: u64, family: Option<&str>) -> Mark {
        Mark {
            kind,
            until: self.clock.now().plus(Duration::from_secs(seconds)),
            reason: "status_429 or so".into(),
            model_family: family.map(Into::into),
            guessed: false,
        }
    }

    /// Kinds and families of the marks that the last node sees.
    fn seen(&self, account: AccountId) -> Vec<(MarkKind, Option<String>)> {
        let state = self.lives.last().unwrap().states().of(account);
        let mut marks: Vec<_> =
            state.marks(self.clock.now()).into_iter().map(|mark| (mark.kind, mark.model_family)).collect();
        marks.sort();
        marks
    }

    async fn until_seen(&self, account: AccountId, expected: &[(MarkKind, Option<&str>)]) {
        let expected: Vec<_> =
            expected.iter().map(|(kind, family)| (*kind, family.map(ToOwned::to_owned))).collect();
        until(&format!("{expected:?} are seen"), || self.seen(account) == expected).await;
    }

    async fn until_degraded(&self, degraded: bool) {
        until("all nodes know how Redis is", || self.lives.iter().all(|live| live.degraded() == degraded))
            .await;
    }

    async fn end(self) {
        assert!(self.tasks.shutdown(Duration::from_secs(10)).await);
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What holds for every backend: the first node acts, the last one sees.
async fn conforms(nodes: &Nodes) {
    use MarkKind::{Overloaded, RateLimited};
    let first = &nodes.lives[0];
    nodes.until_degraded(false).await;

    first.mark(ACCOUNT, nodes.mark(RateLimited, 60, None));
    assert_eq!(
        first.states().of(ACCOUNT).marked("any", nodes.clock.now(), false),
        Some(RateLimited),
        "at once"
    );
    nodes.until_seen(ACCOUNT, &[(RateLimited, None)]).await;
    first.mark(ACCOUNT, nodes.mark(RateLimited, 60, Some("opus")));
    first.mark(ACCOUNT, nodes.mark(Overloaded, 600, None));
    nodes.until_seen(ACCOUNT, &[(RateLimited, None), (RateLimited, Some("opus")), (Overloaded, None)]).await;
    assert_eq!(nodes.seen(OTHER), []);

    first.mark(OTHER, nodes.mark(Overloaded, 600, None));
    nodes.until_seen(OTHER, &[(Overloaded, None)]).await;

    first.clear(ACCOUNT);
    assert_eq!(first.states().of(ACCOUNT).marked("any", nodes.clock.now(), false), None, "at once");
    nodes.until_seen(ACCOUNT, &[]).await;
    assert_eq!(nodes.seen(OTHER).len(), 1, "others keep theirs");

    first.mark(ACCOUNT, nodes.mark(RateLimited, 5, None));
    nodes.until_seen(ACCOUNT, &[(RateLimited, None)]).await;
}

/// What holds for every backend of marks that end. Needs a clock that moves.
async fn lets_marks_end(nodes: &Nodes) {
    use MarkKind::{Overloaded, RateLimited};
    let first = &nodes.lives[0];
    let mark = |kind, millis| {
        let until = nodes.clock.now().plus(Duration::from_millis(millis));
        Mark { until, ..nodes.mark(kind, 0, None) }
    };
    first.mark(ACCOUNT, mark(Overloaded, 60_000));
    // A shorter one does not replace a longer one.
    first.mark(ACCOUNT, mark(Overloaded, 1));
    first.mark(ACCOUNT, mark(RateLimited, 3_000));
    nodes.until_seen(ACCOUNT, &[(RateLimited, None), (Overloaded, None)]).await;
    nodes.until_seen(ACCOUNT, &[(Overloaded, None)]).await;
    first.mark(ACCOUNT, mark(RateLimited, 60_000));
    nodes.until_seen(ACCOUNT, &[(RateLimited, None), (Overloaded, None)]).await;
}

#[tokio::test]
async fn memory_conforms() {
    let nodes = Nodes::alone(Clock::manual(Millis(1_000_000)));
    conforms(&nodes).await;
    nodes.end().await;
    let nodes = Nodes::alone(Clock::System);
    lets_marks_end(&nodes).await;
    nodes.end().await;
}

#[tokio::test]
async fn redis_conforms_on_one_node_and_between_two() {
    let redis = Redis::start();
    for count in [1, 2] {
        let nodes = Nodes::sharing(&settings(&redis), count);
        nodes.lives[0].clear(ACCOUNT);
        nodes.lives[0].clear(OTHER);
        nodes.until_seen(OTHER, &[]).await;
        conforms(&nodes).await;
        nodes.lives[0].clear(ACCOUNT);
        nodes.until_seen(ACCOUNT, &[]).await;
        nodes.end().await;
        let nodes = Nodes::with_clock(&settings(&redis), count, Clock::System);
        lets_marks_end(&nodes).await;
        nodes.end().await;
    }
}

#[tokio::test]
async fn a_node_that_comes_later_reads_what_is_there() {
    let redis = Redis::start();
    let nodes = Nodes::sharing(&settings(&redis), 1);
    nodes.lives[0].mark(ACCOUNT, nodes.mark(MarkKind::Overloaded, 60, None));
    let later = Nodes::sharing(&settings(&redis), 1);
    later.until_seen(ACCOUNT, &[(MarkKind::Overloaded, None)]).await;

    let new = AccountId::from_bytes([3; 16]);
    nodes.lives[0].mark(new, nodes.mark(MarkKind::RateLimited, 60, None));
    until("it is told of an account that it does not know", || !later.seen(new).is_empty()).await;
    later.end().await;
    nodes.end().await;
}

#[tokio::test]
async fn marks_stay_on_the_node_while_redis_is_dead_and_are_shared_once_it_is_back() {
    let mut redis = Redis::start();
    let nodes = Nodes::sharing(&settings(&redis), 2);
    nodes.until_degraded(false).await;
    nodes.lives[0].mark(OTHER, nodes.mark(MarkKind::Overloaded, 600, None));
    nodes.until_seen(OTHER, &[(MarkKind::Overloaded, None)]).await;

    redis.kill();
    nodes.until_degraded(true).await;
    let begun = Instant::now();
    nodes.lives[0].mark(ACCOUNT, nodes.mark(MarkKind::RateLimited, 600, None));
    assert!(begun.elapsed() < Duration::from_millis(50), "nobody waits for Redis");
    assert!(nodes.lives[0].states().of(ACCOUNT).marked("any", nodes.clock.now(), false).is_some());
    assert_eq!(nodes.seen(OTHER).len(), 1, "what was known stays known");

    redis.restart();
    nodes.until_degraded(false).await;
    nodes.until_seen(ACCOUNT, &[(MarkKind::RateLimited, None)]).await;
    nodes.until_seen(OTHER, &[(MarkKind::Overloaded, None)]).await;
    nodes.end().await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_found_and_holds_nobody_up() {
    let redis = Redis::start();
    let nodes = Nodes::sharing(&settings(&redis), 2);
    nodes.until_degraded(false).await;

    redis.pause();
    let begun = Instant::now();
    nodes.lives[0].mark(ACCOUNT, nodes.mark(MarkKind::Overloaded, 600, None));
    nodes.lives[0].mark(OTHER, nodes.mark(MarkKind::Overloaded, 600, None));
    nodes.lives[0].clear(OTHER);
    assert!(begun.elapsed() < Duration::from_millis(50), "nobody waits for Redis");
    nodes.until_degraded(true).await;

    redis.resume();
    nodes.until_degraded(false).await;
    nodes.until_seen(ACCOUNT, &[(MarkKind::Overloaded, None)]).await;
    nodes.until_seen(OTHER, &[]).await;
    nodes.end().await;
}

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_is_a_mode_and_no_error() {
    let mut redis = Redis::start();
    let settings = settings(&redis);
    redis.kill();
    let nodes = Nodes::sharing(&settings, 1);
    nodes.lives[0].mark(ACCOUNT, nodes.mark(MarkKind::Overloaded, 600, None));
    assert_eq!((nodes.seen(ACCOUNT).len(), nodes.lives[0].degraded()), (1, true));
    redis.restart();
    nodes.until_degraded(false).await;
    assert_eq!(nodes.seen(ACCOUNT).len(), 1);
    nodes.end().await;
}

#[tokio::test]
async fn a_url_that_is_none_is_an_error() {
    let settings = RedisSettings::new(Secret::new("not a url"));
    assert!(Live::redis(&settings, Clock::System, &Tasks::new()).is_err());
}
