//! What is revoked stops being used on every node within a second; streams that run finish, unless a setting cuts them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::time::{Duration, Instant};

use emulator::{Behaviour, Condition, Position};
use futures_util::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use tests::{Caller, Split, chat_body, eventually, messages_body, read};

const CLAUDE: &str = "sk-ant-revocation";
const OPENAI: &str = "sk-revocation";
const PATIENCE: Duration = Duration::from_secs(20);
/// What operators are promised.
const PROMISE: Duration = Duration::from_secs(1);
const ROUNDS: usize = 3;

/// Something that can be revoked and given back.
struct Revocable {
    path: String,
    /// Where `enabled` is written.
    switch: String,
    /// What clients are told meanwhile.
    refusal: u16,
}

impl Revocable {
    fn key(id: &str) -> Self {
        let path = format!("/api/api-keys/{id}");
        Self { switch: format!("{path}/toggle"), path, refusal: 401 }
    }

    fn user(id: &str) -> Self {
        let path = format!("/api/admin/users/{id}");
        Self { switch: path.clone(), path, refusal: 401 }
    }

    fn account(id: &str) -> Self {
        let path = format!("/api/admin/accounts/{id}");
        Self { switch: path.clone(), path, refusal: 503 }
    }

    async fn set(&self, split: &Split, enabled: bool) {
        let change = json!({ "enabled": enabled });
        split.admin.put(&self.switch, &self.path, change).await.ok();
    }

    async fn delete(&self, split: &Split) {
        let deleted = split.admin.delete(&self.path).await;
        assert!(deleted.status.is_success(), "{deleted:?}");
    }
}

/// Two nodes, an account of each platform.
struct World {
    split: Split,
    claude: String,
}

impl World {
    async fn start() -> Self {
        let split = Split::start(2).await;
        let claude = split.account("claude-console", CLAUDE).await;
        split.account("openai", OPENAI).await;
        Self { split, claude }
    }

    /// A key of the person's (null: of the admin's), with its id, and a caller at each node that is served.
    async fn key(&self, user: Value) -> (String, Vec<Caller>) {
        let new = json!({ "name": "test", "user_id": user });
        let made = self.split.admin.post("/api/api-keys", new).await.ok();
        let callers: Vec<_> = self
            .split
            .nodes
            .iter()
            .map(|node| Caller::new(&node.url, made["key"].as_str().unwrap()))
            .collect();
        for caller in &callers {
            caller.offered("claude-sonnet-5").await;
            caller.offered("gpt-4o").await;
        }
        (made["id"].as_str().unwrap().to_owned(), callers)
    }

    /// A stream at each caller that the provider holds after two pieces.
    async fn held_streams(&self, callers: &[Caller]) -> Vec<Response> {
        let credential = self.split.emulator.credential(CLAUDE);
        let already = credential.counters().held;
        let mut streams = Vec::new();
        for caller in callers {
            let held = Behaviour::chunked(8).with_hold(Position::Content(2));
            credential.next(held).unwrap();
            let body = messages_body("one two three four five six seven eight", true);
            streams.push(caller.post("/v1/messages", serde_json::to_vec(&body).unwrap()).await);
        }
        let all = Condition::held(already + callers.len() as u64);
        credential.wait_for(all, PATIENCE).await.unwrap();
        streams
    }

    /// Lets the held streams go on, and expects them to end as if nothing had happened.
    async fn finish(&self, streams: Vec<Response>) {
        self.split.emulator.credential(CLAUDE).release();
        for stream in streams {
            let reply = read(stream).await;
            let ended = reply.text().ends_with("data: {\"type\":\"message_stop\"}\n\n");
            assert!(reply.whole && ended, "{}", reply.text());
        }
    }
}

/// How long after `answered` each caller is refused; from then on all of them are.
async fn refused_within_the_promise(callers: &[Caller], answered: Instant, refusal: u16, what: &str) {
    let waits = callers.iter().map(async |caller| {
        eventually(what, async || {
            let reply = caller.messages(&messages_body("x", false)).await;
            (reply.status != 200).then(|| (answered.elapsed(), reply.status.as_u16()))
        })
        .await
    });
    for (wait, status) in join_all(waits).await {
        assert_eq!(status, refusal, "{what}");
        assert!(wait <= PROMISE, "{what}: refused after {wait:?}");
    }
    for caller in callers {
        assert_eq!(caller.messages(&messages_body("x", false)).await.status, refusal, "{what}");
    }
}

async fn all_served(callers: &[Caller]) {
    for caller in callers {
        eventually("the caller to be served", async || {
            (caller.messages(&messages_body("x", false)).await.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_refused_by_every_node_within_a_second_and_streams_that_run_finish() {
    let world = World::start().await;
    let person = json!({ "name": "person", "password": "a-long-enough-password", "role": "user" });
    let person = world.split.admin.post("/api/admin/users", person).await.id();
    let (key, callers) = world.key(json!(person)).await;
    let revocables = [
        ("a disabled key", Revocable::key(&key)),
        ("a disabled user", Revocable::user(&person)),
        ("a disabled account", Revocable::account(&world.claude)),
    ];
    for (what, revocable) in &revocables {
        for _ in 0..ROUNDS {
            all_served(&callers).await;
            let streams = world.held_streams(&callers).await;
            revocable.set(&world.split, false).await;
            let answered = Instant::now();
            refused_within_the_promise(&callers, answered, revocable.refusal, what).await;
            world.finish(streams).await;
            revocable.set(&world.split, true).await;
        }
    }
    all_served(&callers).await;

    let (_, others) = world.key(json!(person)).await;
    for (what, revocable, callers) in [
        ("a deleted key", Revocable::key(&key), &callers),
        // No account of its platform is left.
        ("a deleted account", Revocable { refusal: 404, ..Revocable::account(&world.claude) }, &others),
    ] {
        let streams = world.held_streams(callers).await;
        revocable.delete(&world.split).await;
        let answered = Instant::now();
        refused_within_the_promise(callers, answered, revocable.refusal, what).await;
        world.finish(streams).await;
    }
    let outcomes = world.split.admin.get("/api/admin/usage/records?outcome=cut_off").await.ok();
    assert_eq!(outcomes["records"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_setting_streams_of_what_is_revoked_are_cut() {
    let world = World::start().await;
    let split = &world.split;
    let settings = "/api/admin/settings";
    split.admin.put(settings, settings, json!({ "cut_revoked_streams": true })).await.ok();
    for (count, what) in ["key", "account"].into_iter().enumerate() {
        let (key, callers) = world.key(Value::Null).await;
        let (_, bystanders) = world.key(Value::Null).await;
        let (revocable, bystanders) = match what {
            "key" => (Revocable::key(&key), bystanders),
            _ => (Revocable::account(&world.claude), Vec::new()),
        };
        let untouched = world.held_streams(&bystanders).await;
        let streams = long_streams(&world, &callers, what).await;

        revocable.set(split, false).await;
        let answered = Instant::now();
        let replies = join_all(streams.into_iter().map(read)).await;
        assert!(answered.elapsed() <= PROMISE, "{what}: cut after {:?}", answered.elapsed());
        for reply in &replies {
            // Messages break off, and chat says so.
            let is_chat = reply.text().contains("chat.completion.chunk");
            let told = reply.text().contains("data: {\"error\":{");
            let finished = reply.text().contains("message_stop") || reply.text().contains("[DONE]");
            assert!(
                reply.status == 200 && (reply.whole, told) == (is_chat, is_chat) && !finished,
                "{what}: {}",
                reply.text()
            );
        }
        world.finish(untouched).await;
        let cut = eventually("the cut streams in the ledger", async || {
            let answer = split.admin.get("/api/admin/usage/records?outcome=cut_off").await.ok();
            let records = answer["records"].as_array().unwrap().clone();
            (records.len() >= replies.len() + 4 * count).then_some(records)
        })
        .await;
        for record in cut {
            assert_eq!((&record["status"], &record["estimated"]), (&json!(200), &json!(true)), "{record}");
            assert_eq!(record["attempts"][0]["reason"], "revoked", "{record}");
        }
    }
}

/// Streams that would run for ten seconds: of both platforms, or where the account is revoked of its platform only.
async fn long_streams(world: &World, callers: &[Caller], revoked: &str) -> Vec<Response> {
    let long = Behaviour::chunked(400).with_chunk_chars(4).with_gap(Duration::from_millis(25));
    let mut streams = Vec::new();
    for caller in callers {
        world.split.emulator.credential(CLAUDE).next(long.clone()).unwrap();
        let body = serde_json::to_vec(&messages_body("on and on", true)).unwrap();
        streams.push(caller.post("/v1/messages", body).await);
        if revoked == "key" {
            world.split.emulator.credential(OPENAI).next(long.clone()).unwrap();
            let body = serde_json::to_vec(&chat_body("on and on", true)).unwrap();
            streams.push(caller.post("/v1/chat/completions", body).await);
        }
    }
    streams
}
