mod delivering;
mod following;
mod refusing;
mod telling;

use std::{
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
    id::{AccountId, IncarnationId},
    secret::{KeyHash, Secret},
};

use super::{fake::FakeControlPlane, *};
use crate::{
    live::{Mark, MarkKind},
    snapshot::{ConfigurationParts, Policy, Revision, SealKey},
    usage::{FolderLock, Run, SpoolSettings, drain},
};

const EPOCH: u8 = 1;
const ACCOUNT: u8 = 42;

/// What serves clients, without clients.
struct NoClients;

impl Serving for NoClients {
    fn statistics(&self) -> NodeStatistics {
        NodeStatistics { requests: 7, ..NodeStatistics::default() }
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
            TestAccountResult { ok: true, detail: account.name.clone(), model, ..Default::default() }
        })
    }
}

/// A node without clients, on a folder that outlives it.
struct TestNode {
    link: Link,
}

impl TestNode {
    fn start(folder: &Path, fake: &FakeControlPlane) -> Self {
        Self::with(folder, fake, 0, SpoolSettings::default())
    }

    fn with(folder: &Path, fake: &FakeControlPlane, workers: usize, settings: SpoolSettings) -> Self {
        let (tasks, clock) = (Tasks::new(), Clock::manual(Millis(1_000)));
        let live = Arc::new(Live::memory(clock.clone()));
        let incarnation = IncarnationId::new(clock.now());
        let run = Run { node_id: "node-a", incarnation, workers };
        let journal =
            Journal::create(FolderLock::take(folder).unwrap(), run, settings, &clock, &tasks).unwrap();
        let configuration = Configuration::restore(ConfigurationParts {
            folder,
            seal_key: Some(SealKey::parse(&Secret::new(STANDARD.encode([5; 32]))).unwrap()),
            live: Arc::clone(&live),
            policy: Policy::default(),
            clock: clock.clone(),
        });
        let link = Link {
            control_plane: fake.transport(),
            node_id: "node-a".into(),
            configuration,
            live,
            journal,
            refusals: Refusals::new(10, incarnation),
            status_writes: StatusWrites::default(),
            serving: Arc::new(NoClients),
            state: Arc::default(),
            clock,
            tasks,
        };
        link.start();
        crate::usage::reporter::start(&link.control_plane, &link.journal, &link.tasks);
        Self { link }
    }

    fn version(&self) -> Option<u64> {
        self.link.configuration.handle().revision().map(|revision| revision.version)
    }

    fn has_key(&self) -> bool {
        self.link.configuration.handle().load().keys.contains_key(&KeyHash([9; 32]))
    }

    async fn stop(self) {
        self.link.configuration.write_copy(&self.link.tasks).await;
        assert!(self.link.tasks.shutdown(Duration::from_secs(10)).await);
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
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
    Resource { kind: kind.into(), id: vec![id; 16], version, enabled, deleted: false, payload }
}

fn user() -> Resource {
    resource(ResourceKind::User, 8, 1, true, &message::User { name: "ada".into(), price_rate_ppm: None })
}

fn key(version: u64, enabled: bool) -> Resource {
    let key = message::ApiKey { hash: vec![9; 32], user_id: vec![8; 16], ..Default::default() };
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
    Revision { epoch: [epoch; 16], version }
}

fn digest_of(resources: &[Resource]) -> Vec<u8> {
    let mut digest = Digest::default();
    for resource in resources {
        let Resource { kind, id, version, enabled, payload, .. } = resource;
        digest.add(digest::hash(Hashed { kind: *kind, id, version: *version, enabled: *enabled, payload }));
    }
    digest.to_bytes().to_vec()
}

fn full(epoch: u8, version: u64, resources: &[Resource]) -> Update {
    Update {
        revision: Some(revision(epoch, version).into()),
        resources: resources.to_vec(),
        last: true,
        digest: digest_of(resources),
        ..Update::default()
    }
}

/// `changed` leads from version `from` to `all`.
fn delta(from: u64, version: u64, changed: &[Resource], all: &[Resource]) -> Update {
    Update { from_version: Some(from), resources: changed.to_vec(), ..full(EPOCH, version, all) }
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
        Self { folder: tempfile::tempdir().unwrap(), tasks, fake }
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
