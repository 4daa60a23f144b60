use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proto::v1::{
    self as message, ClearStatus, CloseRecord, Command, OpenRecord, Resource, ResourceKind, StatusWrite,
    TestAccount, Update, command, command_result, record, watch_request::Message,
};
use shared::{
    clock::Millis,
    digest::{self, Digest, Hashed},
    id::AccountId,
    secret::{KeyHash, Secret},
};

use super::{fake::FakeControlPlane, *};
use crate::{
    live::{Mark, MarkKind},
    snapshot::{ConfigurationParts, Limits, Revision, SealKey},
    usage::{SpoolSettings, drain},
};

const EPOCH: u8 = 1;
const ACCOUNT: u8 = 42;

/// What serves clients, without clients.
struct NoClients;

impl Serving for NoClients {
    fn statistics(&self) -> NodeStatistics {
        NodeStatistics {
            requests: 7,
            ..NodeStatistics::default()
        }
    }

    fn wires(&self) -> Vec<Wire> {
        vec![Wire::Chat]
    }

    fn account_types(&self) -> Vec<AccountType> {
        vec![AccountType::Ccr]
    }

    fn test(&self, account: Arc<Account>, model: Option<String>) -> BoxFuture<'static, TestAccountResult> {
        let model = model.unwrap_or_default();
        Box::pin(async move {
            TestAccountResult {
                ok: true,
                detail: account.name.clone(),
                model,
                ..Default::default()
            }
        })
    }
}

/// A node without clients, on a folder that outlives it.
struct TestNode {
    link: Link,
}

impl TestNode {
    fn start(folder: &Path, fake: &FakeControlPlane) -> Self {
        let (tasks, clock) = (Tasks::new(), Clock::manual(Millis(1_000)));
        let live = Arc::new(Live::memory(clock.clone()));
        let journal = Journal::create(folder, "node-a", SpoolSettings::default(), &clock, &tasks).unwrap();
        let configuration = Configuration::restore(ConfigurationParts {
            folder,
            seal_key: Some(SealKey::parse(&Secret::new(STANDARD.encode([5; 32]))).unwrap()),
            live: Arc::clone(&live),
            limits: Limits::default(),
            clock: clock.clone(),
        });
        let link = Link {
            control_plane: fake.transport(),
            node_id: "node-a".into(),
            configuration,
            live,
            journal,
            status_writes: StatusWrites::default(),
            serving: Arc::new(NoClients),
            state: Arc::default(),
            clock,
            tasks,
        };
        link.start();
        Self { link }
    }

    fn version(&self) -> Option<u64> {
        self.link
            .configuration
            .handle()
            .revision()
            .map(|revision| revision.version)
    }

    fn has_key(&self) -> bool {
        self.link
            .configuration
            .handle()
            .load()
            .keys
            .contains_key(&KeyHash([9; 32]))
    }

    async fn stop(self) {
        self.link.configuration.write_copy(&self.link.tasks).await;
        assert!(self.link.tasks.shutdown(Duration::from_secs(10)).await);
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn resource(
    kind: ResourceKind,
    id: u8,
    version: u64,
    enabled: bool,
    payload: &impl prost::Message,
) -> Resource {
    let payload = payload.encode_to_vec().into();
    Resource {
        kind: kind.into(),
        id: vec![id; 16],
        version,
        enabled,
        deleted: false,
        payload,
    }
}

fn user() -> Resource {
    resource(
        ResourceKind::User,
        8,
        1,
        true,
        &message::User { name: "ada".into() },
    )
}

fn key(version: u64, enabled: bool) -> Resource {
    let key = message::ApiKey {
        hash: vec![9; 32],
        user_id: vec![8; 16],
        ..Default::default()
    };
    resource(ResourceKind::ApiKey, 7, version, enabled, &key)
}

fn account() -> Resource {
    let account = message::Account {
        name: "console".into(),
        r#type: AccountType::ClaudeConsole.into(),
        priority: 50,
        weight: 1,
        upstream: Some(message::Upstream::default()),
        ..Default::default()
    };
    resource(ResourceKind::Account, ACCOUNT, 1, true, &account)
}

fn revision(epoch: u8, version: u64) -> Revision {
    Revision {
        epoch: [epoch; 16],
        version,
    }
}

fn digest_of(resources: &[Resource]) -> Vec<u8> {
    let mut digest = Digest::default();
    for resource in resources {
        let Resource {
            kind,
            id,
            version,
            enabled,
            payload,
            ..
        } = resource;
        digest.add(digest::hash(Hashed {
            kind: *kind,
            id,
            version: *version,
            enabled: *enabled,
            payload,
        }));
    }
    digest.to_bytes().to_vec()
}

fn full(epoch: u8, version: u64, resources: &[Resource]) -> Update {
    Update {
        revision: Some(revision(epoch, version).to_message()),
        resources: resources.to_vec(),
        last: true,
        digest: digest_of(resources),
        ..Update::default()
    }
}

/// `changed` leads from version `from` to `all`.
fn delta(from: u64, version: u64, changed: &[Resource], all: &[Resource]) -> Update {
    Update {
        from_version: Some(from),
        resources: changed.to_vec(),
        ..full(EPOCH, version, all)
    }
}

fn acknowledged(fake: &FakeControlPlane, version: u64) -> bool {
    fake.heard(|heard| {
        heard.answers.iter().any(
            |answer| matches!(answer, Message::Ack(ack) if ack.revision.as_ref().unwrap().version == version),
        )
    })
}

fn last_heartbeat(fake: &FakeControlPlane) -> Option<message::HeartbeatRequest> {
    fake.heard(|heard| heard.heartbeats.last().cloned())
}

struct Setting {
    folder: tempfile::TempDir,
    tasks: Tasks,
    fake: FakeControlPlane,
}

impl Setting {
    fn new() -> Self {
        let tasks = Tasks::new();
        let fake = FakeControlPlane::new(&tasks);
        fake.ask_for_heartbeats_every(50);
        Self {
            folder: tempfile::tempdir().unwrap(),
            tasks,
            fake,
        }
    }

    fn node(&self) -> TestNode {
        TestNode::start(self.folder.path(), &self.fake)
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("snapshot.sealed")
    }

    async fn end(self) {
        self.fake.go_down().await;
        self.tasks.stop();
    }
}

#[tokio::test]
async fn a_node_follows_and_goes_on_from_its_copy_while_the_control_plane_is_away() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 3, &[user(), key(3, true)])]);
    let node = setting.node();
    until("the first configuration is acknowledged", || {
        acknowledged(fake, 3)
    })
    .await;
    assert!(node.has_key());
    fake.publish(delta(3, 4, &[key(4, false)], &[user(), key(4, false)]))
        .await;
    until("the revocation is in force", || !node.has_key()).await;
    let copy = setting.copy();
    until("a copy is written", || copy.exists()).await;
    node.stop().await;

    fake.go_down().await;
    let node = setting.node();
    assert_eq!(
        (node.version(), node.has_key()),
        (Some(4), false),
        "the copy knows the revocation"
    );

    fake.greet_with(vec![delta(4, 5, &[key(5, true)], &[user(), key(5, true)])]);
    fake.come_up();
    until("the node has resumed", || node.has_key()).await;
    let hello = fake.heard(|heard| heard.hellos.last().cloned()).unwrap();
    assert_eq!(hello.known, Some(revision(EPOCH, 4).to_message()));
    assert_eq!(hello.digest, digest_of(&[user(), key(4, false)]));
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_copy_that_can_not_be_read_is_thrown_away_and_the_node_asks_for_everything() {
    let setting = Setting::new();
    fs::write(
        setting.copy(),
        b"SWYCOPY\x01 and then rubbish, of some length at least",
    )
    .unwrap();
    let node = setting.node();
    assert!(!node.link.configuration.handle().has_config());
    assert!(!setting.copy().exists());
    setting.fake.greet_with(vec![full(EPOCH, 0, &[])]);
    until("an empty configuration is one", || {
        node.link.configuration.handle().has_config()
    })
    .await;
    assert_eq!(setting.fake.heard(|heard| heard.hellos[0].known.clone()), None);
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_large_state_comes_in_chunks_and_applies_at_once() {
    let setting = Setting::new();
    let resources = [user(), key(3, true)];
    let first = Update {
        last: false,
        digest: Vec::new(),
        ..full(EPOCH, 3, &resources[..1])
    };
    let second = Update {
        digest: digest_of(&resources),
        ..full(EPOCH, 3, &resources[1..])
    };
    setting.fake.greet_with(vec![first]);
    let node = setting.node();
    until("the node watches", || {
        setting.fake.heard(|heard| !heard.hellos.is_empty())
    })
    .await;
    assert_eq!(node.version(), None);
    setting.fake.publish(second).await;
    until("both chunks are in force", || node.has_key()).await;
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_gap_is_answered_with_a_resync() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 3, &[user()])]);
    let node = setting.node();
    until("the first configuration is in force", || acknowledged(fake, 3)).await;
    fake.publish(delta(5, 6, &[key(6, true)], &[user(), key(6, true)]))
        .await;
    until("the node asks for everything", || {
        fake.heard(|heard| {
            heard
                .answers
                .iter()
                .any(|answer| matches!(answer, Message::Resync(_)))
        })
    })
    .await;
    assert_eq!(node.version(), Some(3));
    fake.publish(full(EPOCH, 6, &[user(), key(6, true)])).await;
    until("it follows again", || node.has_key()).await;
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_database_that_was_emptied_or_restored_is_not_followed_until_it_is_adopted() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 9, &[user(), key(9, true)])]);
    let node = setting.node();
    until("the first configuration is acknowledged", || {
        acknowledged(fake, 9)
    })
    .await;

    let refused = |reason: &'static str| {
        move || {
            last_heartbeat(fake)
                .and_then(|heartbeat| heartbeat.refused)
                .is_some_and(|refused| refused.reason == reason)
        }
    };
    fake.publish(full(EPOCH, 2, &[user()])).await;
    until("a lower version is shown", refused("lower_version")).await;
    fake.publish(full(EPOCH + 1, 20, &[])).await;
    until("an unknown epoch is shown", refused("unknown_epoch")).await;
    assert_eq!(
        (node.version(), node.has_key()),
        (Some(9), true),
        "the node serves on"
    );

    fake.publish(Update {
        adopted: true,
        ..full(EPOCH + 1, 21, &[user()])
    })
    .await;
    until("the adopted epoch is followed", || acknowledged(fake, 21)).await;
    assert!(!node.has_key());
    until("nothing is refused any more", || {
        last_heartbeat(fake).is_some_and(|heartbeat| heartbeat.refused.is_none())
    })
    .await;

    node.stop().await;
    let node = setting.node();
    fake.greet_with(Vec::new());
    until("the node is back", || fake.heard(|heard| heard.hellos.len() > 1)).await;
    fake.publish(Update {
        adopted: true,
        ..full(EPOCH, 99, &[key(9, true), user()])
    })
    .await;
    until("an epoch that was left stays left", refused("unknown_epoch")).await;
    assert_eq!(node.version(), Some(21));
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_refused_payload_is_told_at_once_and_with_heartbeats_through_resync_and_restart() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 3, &[user(), key(3, true)])]);
    let node = setting.node();
    until("the first configuration is acknowledged", || {
        acknowledged(fake, 3)
    })
    .await;
    let poisoned = Resource {
        payload: Bytes::from_static(&[0x0f]),
        version: 4,
        ..key(4, true)
    };
    fake.publish(delta(
        3,
        4,
        std::slice::from_ref(&poisoned),
        &[user(), poisoned.clone()],
    ))
    .await;
    until("the revision is acknowledged all the same", || {
        acknowledged(fake, 4)
    })
    .await;
    let nacks = || {
        fake.heard(|heard| {
            heard
                .answers
                .iter()
                .filter(|answer| matches!(answer, Message::Nack(_)))
                .count()
        })
    };
    assert_eq!(nacks(), 1);
    assert!(node.has_key(), "the last good payload serves");
    let shown = || last_heartbeat(fake).is_some_and(|heartbeat| heartbeat.refused_payloads.len() == 1);
    until("heartbeats show it", shown).await;
    fake.publish(full(EPOCH, 4, &[user(), poisoned.clone()])).await;
    until("a resync is answered with the same", || nacks() == 2).await;
    node.stop().await;

    fake.greet_with(Vec::new());
    fake.heard(|heard| heard.heartbeats.clear());
    let node = setting.node();
    assert!(node.has_key(), "a restart keeps the last good payload");
    until("heartbeats of the new process show it", shown).await;
    fake.publish(delta(4, 5, &[key(5, false)], &[user(), key(5, false)]))
        .await;
    until("a good payload ends it", || {
        last_heartbeat(fake).is_some_and(|heartbeat| heartbeat.refused_payloads.is_empty())
    })
    .await;
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn status_writes_go_out_at_once_and_again_until_they_are_taken() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.ask_for_heartbeats_every(60_000);
    let node = setting.node();
    until("the first heartbeat is there", || last_heartbeat(fake).is_some()).await;
    let first = last_heartbeat(fake).unwrap();
    assert_eq!((first.ready, first.spool_depth, first.revision), (true, 0, None));
    assert_eq!(first.statistics.unwrap().live_backend, "memory");

    fake.heard(|heard| heard.refuse_heartbeats = true);
    let write = StatusWrite {
        account_id: vec![ACCOUNT; 16],
        reason: "billing".into(),
        ..StatusWrite::default()
    };
    node.link.status_writes.push(write.clone());
    let tries = || {
        fake.heard(|heard| {
            heard
                .heartbeats
                .iter()
                .filter(|heartbeat| heartbeat.status_writes == [write.clone()])
                .count()
        })
    };
    until("it is tried again", || tries() >= 2).await;
    fake.heard(|heard| heard.refuse_heartbeats = false);
    until("it is taken", || node.link.status_writes.waiting().is_empty()).await;
    until("the count of nodes is known", || {
        node.link.state.live_nodes() == 3
    })
    .await;

    node.link.state.leave();
    until("leaving is told", || {
        last_heartbeat(fake).is_some_and(|heartbeat| !heartbeat.ready)
    })
    .await;
    assert!(last_heartbeat(fake).unwrap().status_writes.is_empty());
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn commands_are_carried_out_and_answered_by_their_id() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 1, &[account()])]);
    let node = setting.node();
    until("the node takes commands", || {
        fake.takes_commands() && node.version().is_some()
    })
    .await;
    let id = AccountId::from_bytes([ACCOUNT; 16]);
    let mark = Mark {
        kind: MarkKind::Overloaded,
        until: Millis(100_000),
        reason: "status_529".into(),
        model_family: None,
    };
    node.link.live.mark(id, mark).await;
    until("heartbeats carry the mark", || {
        last_heartbeat(fake)
            .is_some_and(|heartbeat| heartbeat.accounts.iter().any(|account| account.marks.len() == 1))
    })
    .await;

    let clear = |id: u8| ClearStatus {
        account_id: vec![id; 16],
    };
    let test = |id: u8| TestAccount {
        account_id: vec![id; 16],
        model: Some("m".into()),
    };
    for (id, command) in [
        command::Command::ClearStatus(clear(ACCOUNT)),
        command::Command::TestAccount(test(ACCOUNT)),
        command::Command::TestAccount(test(1)),
    ]
    .into_iter()
    .enumerate()
    {
        let id = vec![u8::try_from(id).unwrap(); 16];
        fake.command(Command {
            id,
            command: Some(command),
        })
        .await;
    }
    fake.command(Command {
        id: vec![3; 16],
        command: None,
    })
    .await;
    until("all are answered", || {
        fake.heard(|heard| heard.results.len() == 5)
    })
    .await;
    let mut results = fake.heard(|heard| heard.results.clone());
    assert_eq!(
        (results[0].node_id.as_str(), results[0].id.as_slice()),
        ("node-a", [].as_slice())
    );
    results.sort_by(|one, other| one.id.cmp(&other.id));
    let mut results = results.into_iter().skip(1).map(|result| result.result.unwrap());
    assert!(matches!(
        results.next(),
        Some(command_result::Result::ClearStatus(_))
    ));
    assert_eq!(node.link.live.states().of(id).marks(Millis(0)), []);
    let Some(command_result::Result::TestAccount(tested)) = results.next() else {
        panic!("not tested")
    };
    assert_eq!(
        (tested.ok, tested.detail.as_str(), tested.model.as_str()),
        (true, "console", "m")
    );
    assert!(
        matches!(results.next(), Some(command_result::Result::Error(_))),
        "no such account"
    );
    assert!(
        matches!(results.next(), Some(command_result::Result::Error(_))),
        "no such command"
    );
    node.stop().await;
    setting.end().await;
}

fn open_record(number: u64) -> OpenRecord {
    OpenRecord {
        request_id: u128::from(number).to_be_bytes().to_vec(),
        ..OpenRecord::default()
    }
}

fn close_record(number: u64) -> CloseRecord {
    CloseRecord {
        open: Some(open_record(number)),
        ..CloseRecord::default()
    }
}

/// Per spool: sequences as they arrived, and requests closed as cut off.
fn ledger(fake: &FakeControlPlane) -> Vec<(Vec<u64>, usize)> {
    fake.heard(|heard| {
        heard
            .ledger
            .values()
            .map(|records| {
                let cut_off = records.iter().filter(|record| {
                    matches!(&record.record, Some(record::Record::Close(close)) if close.outcome() == message::Outcome::CutOff)
                });
                (records.iter().map(|record| record.sequence).collect(), cut_off.count())
            })
            .collect()
    })
}

#[tokio::test]
async fn every_record_is_delivered_once_though_streams_break_and_the_control_plane_goes_away() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.break_reports_after(7);
    let node = setting.node();
    let journal = node.link.journal.clone();
    for number in 1..=20 {
        journal.open(&open_record(number)).unwrap();
    }
    until("some is delivered", || journal.depth() < 20).await;
    fake.go_down().await;
    for number in 1..=20 {
        journal.close(&close_record(number)).unwrap();
    }
    assert!(journal.depth() >= 20);
    fake.come_up();
    until("all is delivered", || journal.depth() == 0).await;
    assert_eq!(ledger(fake), [((1..=40).collect(), 0)]);
    assert!(fake.heard(|heard| heard.report_streams) > 4);
    journal.delivered().await;
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn what_a_dead_process_left_is_delivered_by_the_next_one() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let node = setting.node();
    for number in 1..=3 {
        node.link.journal.open(&open_record(number)).unwrap();
    }
    node.link.journal.close(&close_record(2)).unwrap();
    node.stop().await;

    fake.come_up();
    let node = setting.node();
    node.link.journal.open(&open_record(4)).unwrap();
    until("both spools are delivered", || node.link.journal.depth() == 0).await;
    let mut delivered = ledger(fake);
    delivered.sort();
    assert_eq!(delivered, [(vec![1], 0), ((1..=6).collect(), 2)]);
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn an_orphaned_spool_is_drained_and_gone() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let node = setting.node();
    node.link.journal.open(&open_record(1)).unwrap();
    let tasks = Tasks::new();
    let busy = drain::drain(setting.folder.path(), &fake.transport(), &tasks).await;
    assert!(busy.unwrap_err().to_string().contains("another process"));
    node.stop().await;

    fake.come_up();
    fake.break_reports_after(1);
    let drained = drain::drain(setting.folder.path(), &fake.transport(), &tasks)
        .await
        .unwrap();
    assert_eq!(
        drained,
        drain::Drained {
            spools: 1,
            complete: true
        }
    );
    assert_eq!(ledger(fake), [(vec![1, 2], 1)]);
    let again = drain::drain(setting.folder.path(), &fake.transport(), &tasks)
        .await
        .unwrap();
    assert_eq!(again.spools, 0);
    setting.end().await;
}
