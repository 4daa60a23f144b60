//! The server under test, its client, and what it left in its journal.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost::Message as _;
use proto::v1::{CloseRecord, OpenRecord, Purpose, Record, record};
use shared::{
    account::AccountType,
    clock::{Clock, Millis},
    id::{AccountId, IncarnationId, KeyId, UserId},
    model::ModelPattern,
    secret::{KeyHash, Secret},
    tasks::Tasks,
    wire::Platform,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

use crate::{
    budget::Budget,
    compute::Compute,
    control::StatusWrites,
    ingress::{Hand, ServerSettings, accept, serve},
    live::Live,
    metrics::{Load, Metrics},
    proxy::{Common, Lifecycle, Proxy},
    refusals::Refusals,
    snapshot::{
        Account, ApiKey, ClientGone, Credential, Model, Options, Policy, Ready, Revision, Snapshot,
        SnapshotHandle, Upstream,
    },
    tester::Tester,
    upstream::{OutboundSettings, UpstreamClient},
    usage::{FolderLock, Journal, Run, SpoolSettings, spool::BatchSize},
};

/// Nothing here takes longer, unless it never comes.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any limit, for tests under paused time.
const AGES: Duration = Duration::from_secs(48 * 3600);
pub(crate) const KEY: &str = "sk-test";

/// An account, and how it differs from the usual one.
pub(crate) struct Given {
    pub(super) kind: AccountType,
    pub(super) url: String,
    pub(super) change: fn(&mut Account),
}

pub(crate) fn claude(url: String) -> Given {
    Given { kind: AccountType::ClaudeConsole, url, change: |_| {} }
}

pub(crate) fn openai(url: String) -> Given {
    Given { kind: AccountType::Openai, url, change: |_| {} }
}

impl Given {
    pub(super) fn but(self, change: fn(&mut Account)) -> Self {
        Self { change, ..self }
    }
}

pub(super) struct Gateway {
    pub(super) proxy: Arc<Proxy>,
    pub(super) tasks: Tasks,
    pub(super) base: String,
    pub(super) server: Option<JoinHandle<()>>,
    pub(super) snapshot: SnapshotHandle,
    pub(super) status_writes: StatusWrites,
    journal: Journal,
    client: Client<HttpConnector, Full<Bytes>>,
    pub(super) folder: TempDir,
}

/// What a node's workers share, with nothing configured.
pub(crate) struct Unconfigured {
    pub(crate) common: Common,
    pub(crate) upstream: UpstreamClient,
    status_writes: StatusWrites,
    pub(crate) folder: TempDir,
}

impl Unconfigured {
    /// With a place for a worker for each of `loads`.
    pub(crate) fn new(
        loads: impl IntoIterator<Item = Arc<Load>>,
        allow_private: bool,
        tasks: &Tasks,
    ) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::System);
        // As in a node, what keeps the records outlives the requests.
        let beside = Tasks::new();
        let (loads, incarnation) = (Vec::from_iter(loads), IncarnationId::new(clock.now()));
        let run = Run { node_id: "node", incarnation, workers: loads.len() };
        let spool = SpoolSettings { probe_every: Duration::from_millis(20), ..SpoolSettings::default() };
        let lock = FolderLock::take(folder.path()).unwrap();
        let journal = Journal::create(lock, run, spool, &clock, &beside).unwrap();
        let (snapshot, status_writes) = (SnapshotHandle::new(Policy::default()), StatusWrites::default());
        let outbound = OutboundSettings { allow_private, ..OutboundSettings::default() };
        let upstream = UpstreamClient::new(outbound).unwrap();
        let for_tests = Arc::new(upstream.for_another_runtime());
        let tester = Tester::new(
            for_tests,
            snapshot.clone(),
            status_writes.clone(),
            clock.clone(),
            tasks.clone(),
            journal.clone(),
        );
        let common = Common {
            snapshot,
            live: Arc::new(Live::memory(clock.clone())),
            journal,
            tester,
            metrics: Arc::new(Metrics::new(loads)),
            compute: Compute::start(1).unwrap().0,
            requests: Budget::of(64 << 20),
            answers: Budget::of(64 << 20),
            refusals: Refusals::new(100, incarnation),
            started_at: clock.now(),
            clock,
            lifecycle: Arc::new(Lifecycle::default()),
            drains: Common::permits(),
        };
        Self { common, upstream, status_writes, folder }
    }
}

/// What the client got.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// It came to its end in order.
    pub(super) whole: bool,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Gateway {
    /// Accounts are tried in the order given.
    pub(super) async fn start(accounts: Vec<Given>) -> Self {
        Self::with(accounts, |_| {}, Duration::from_secs(60), true).await
    }

    pub(super) async fn limited(accounts: Vec<Given>, limits: impl FnOnce(&mut Policy)) -> Self {
        Self::with(accounts, limits, Duration::from_secs(60), true).await
    }

    pub(super) async fn with(
        accounts: Vec<Given>,
        limits: impl FnOnce(&mut Policy),
        grace: Duration,
        allow_private: bool,
    ) -> Self {
        Self::built(accounts, limits, grace, allow_private, ServerSettings::default()).await
    }

    /// What is not of the usual kind about clients' connections.
    pub(super) async fn serving(accounts: Vec<Given>, settings: ServerSettings) -> Self {
        Self::built(accounts, |_| {}, Duration::from_secs(60), true, settings).await
    }

    async fn built(
        accounts: Vec<Given>,
        limits: impl FnOnce(&mut Policy),
        grace: Duration,
        allow_private: bool,
        settings: ServerSettings,
    ) -> Self {
        let (tasks, load) = (Tasks::new(), Arc::new(Load::default()));
        let Unconfigured { common, upstream, status_writes, folder } =
            Unconfigured::new([Arc::clone(&load)], allow_private, &tasks);
        let (snapshot, journal) = (common.snapshot.clone(), common.journal.clone());
        let proxy = Proxy::new(common, 0, upstream, tasks.clone()).unwrap();
        let mut configured = snapshot_of(&proxy.live, accounts);
        limits(&mut configured.policy);
        snapshot.publish(configured, Revision { epoch: [1; 16], version: 1 });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (connections, handed) = mpsc::unbounded_channel();
        let hands = vec![Hand { connections, load }];
        tasks.spawn(accept(listener, hands, usize::MAX, tasks.stopping()));
        let server = tasks.spawn(serve(Arc::clone(&proxy), settings, handed, grace));
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { proxy, tasks, base, server: Some(server), snapshot, status_writes, journal, client, folder }
    }

    pub(super) async fn open(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        tokio::time::timeout(PATIENCE, self.client.request(request)).await.expect("no answer").unwrap()
    }

    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (parts, body) = self.open(request).await.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("no end").unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body, whole: true }
    }

    pub(super) fn request(&self, path: &str, body: &str) -> Request<Full<Bytes>> {
        Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(self.request(path, body)).await
    }

    pub(super) async fn get(&self, path: &str, headers: &[(&'static str, &'static str)]) -> Answer {
        let mut request = Request::builder().uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// The close records, once there are `count`; and that there are no more of them than open records.
    pub(super) async fn records(&self, count: usize) -> Vec<CloseRecord> {
        let waiting = async {
            loop {
                let (opened, closed) = self.journal_now();
                if closed.len() >= count {
                    assert_eq!(opened, closed.len(), "every request has one open and one close record");
                    return closed;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{:#?}", self.journal_now()))
    }

    /// Sends with all patience there is, and reads to the end, however the answer ends.
    pub(super) async fn send_and_wait(&self, request: Request<Full<Bytes>>) -> Answer {
        let sending = async {
            let (parts, body) = self.client.request(request).await.unwrap().into_parts();
            (parts, read(body).await)
        };
        let (parts, (body, whole)) = tokio::time::timeout(AGES, sending).await.expect("it hangs");
        Answer { status: parts.status, headers: parts.headers, body, whole }
    }

    /// How many open records of clients' requests there are, and the close records.
    pub(super) fn journal_now(&self) -> (usize, Vec<CloseRecord>) {
        let (opened, closed) = self.journal_of(Purpose::Client);
        (opened.len(), closed)
    }

    /// The open records of requests with this purpose, as they are on disk.
    pub(super) fn opened(&self, purpose: Purpose) -> Vec<OpenRecord> {
        self.journal_of(purpose).0
    }

    /// The close records of tests of accounts.
    pub(super) fn tests(&self) -> Vec<CloseRecord> {
        self.journal_of(Purpose::AccountTest).1
    }

    fn journal_of(&self, purpose: Purpose) -> (Vec<OpenRecord>, Vec<CloseRecord>) {
        assert!(self.journal.sync());
        let outbox = self.journal.outboxes().pop().unwrap();
        let size = BatchSize { records: 10_000, bytes: usize::MAX };
        let (mut opened, mut closed) = (Vec::new(), Vec::new());
        let read =
            |spool| outbox.reader(spool, 0).unwrap().batch(outbox.durable(spool), size).unwrap().records;
        for bytes in outbox.spools().flat_map(read) {
            match Record::decode(bytes).unwrap().record {
                Some(record::Record::Open(open)) if open.purpose() == purpose => opened.push(open),
                Some(record::Record::Close(close)) if close.open.as_ref().unwrap().purpose() == purpose => {
                    closed.push(close);
                }
                Some(_) | None => {}
            }
        }
        (opened, closed)
    }
}

/// What comes of a body, and whether it comes to its end in order.
pub(super) async fn read(mut body: Incoming) -> (Bytes, bool) {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => return (read.into(), false),
        }
    }
    (read.into(), true)
}

pub(crate) fn snapshot_of(live: &Live, accounts: Vec<Given>) -> Snapshot {
    let key = ApiKey {
        id: KeyId::new(Millis(1)),
        user_id: UserId::new(Millis(1)),
        name: "key".into(),
        expires_at: None,
        tags: Vec::new(),
        metadata: std::collections::HashMap::new(),
    };
    let model = |name: &str, platform| Model {
        name: name.into(),
        platform,
        display_name: None,
        context_window: None,
        max_output: None,
        released_at: Some(Millis(1_700_000_000_000)),
        prices: Vec::new(),
    };
    let accounts =
        accounts.into_iter().zip(1_u8..).map(|(given, priority)| account(live, given, priority)).collect();
    Snapshot {
        keys: [(KeyHash::of(KEY.as_bytes()), Arc::new(key))].into(),
        accounts,
        models: vec![model("claude-opus-5", Platform::Claude), model("gpt-5", Platform::OpenAi)],
        ..Snapshot::default()
    }
}

fn account(live: &Live, given: Given, priority: u8) -> Arc<Account> {
    let id = AccountId::new(Millis(i64::from(priority)));
    let mut account = Account {
        id,
        version: 1,
        name: format!("account-{priority}"),
        enabled: true,
        schedulable: true,
        kind: Some(given.kind),
        priority,
        weight: 1,
        concurrency: None,
        expires_at: None,
        invalid_reason: None,
        model_mapping: Vec::new(),
        allowed_models: Vec::new(),
        groups: Vec::new(),
        client_gone: ClientGone::Drain,
        upstream: Upstream {
            base_url: Some(given.url.parse().unwrap()),
            credential: Credential::ApiKey(Secret::new(format!("sk-ant-upstream-{priority}"))),
            options: Options::None,
            ready: Ready::default(),
        },
        state: live.states().of(id),
    };
    (given.change)(&mut account);
    Arc::new(account)
}

pub(super) fn pattern(text: &str) -> ModelPattern {
    ModelPattern::new(text).unwrap()
}

/// Waits until `condition` holds.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} did not come true"));
}
