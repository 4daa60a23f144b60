//! One control-plane replica without its REST end.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use shared::{
    account::{AccountType, Credential},
    clock::{Clock, Millis},
    id::AccountId,
    secret::Secret,
    tasks::Tasks,
};
use tonic::transport::{Channel, Endpoint};

use crate::{
    app::App,
    domain::account::{self, Account, ClientGone, Options},
    grpc::{
        commands::{self, Connected},
        server::{self, InProcess, Listener, Ways},
    },
    listen::places::Places,
    settings::{KeySettings, Settings},
    snapshot::publisher::{self, Publisher},
    store::{Store, accounts},
};

/// What tests start the clock at.
pub(super) const NOW: Millis = Millis(1_800_000_000_000);
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Replica {
    pub(super) app: App,
    pub(super) publisher: Publisher,
    pub(super) connector: InProcess,
    edge: Tasks,
}

impl Replica {
    pub(super) async fn start(store: Store) -> Self {
        Self::start_with(store, |_| {}).await
    }

    pub(super) async fn start_with(store: Store, adjust: impl FnOnce(&mut Settings)) -> Self {
        let app = app(store, adjust);
        let publisher = Publisher::new(usize::try_from(app.settings.planes.snapshot_chunk).unwrap());
        let connected = Connected::default();
        let edge = Tasks::new();
        let routes = server::routes(&app, &publisher, &connected, &edge).await;
        let (connector, listener) = Listener::in_process();
        let ways = Ways {
            places: Places::new(100, 100, Vec::new()),
            shared_certificates: false,
            age: app.settings.planes.grpc_connection_age,
        };
        edge.spawn(server::serve(listener, routes, edge.clone(), ways));
        app.tasks.spawn(publisher::run(app.clone(), publisher.clone()));
        app.tasks.spawn(commands::dispatch(app.clone(), connected));
        Self { app, publisher, connector, edge }
    }

    pub(super) async fn channel(&self) -> Channel {
        let connector = self.connector.clone();
        let connect = tower::service_fn(move |_: http::Uri| {
            let connector = connector.clone();
            async move { connector.connect().await.map(TokioIo::new) }
        });
        // The least there is, so that a node which does not read is felt soon.
        let endpoint = Endpoint::from_static("http://in-process").initial_stream_window_size(65_535);
        endpoint.connect_with_connector(connect).await.unwrap()
    }

    pub(super) async fn stop(self) {
        assert!(self.edge.shutdown(PATIENCE).await, "streams must end at shutdown");
        assert!(self.app.tasks.shutdown(PATIENCE).await, "tasks must end at shutdown");
    }

    /// The publisher has caught up with what is committed.
    pub(super) async fn settled(&self) {
        let mut tx = self.app.store.read().await.unwrap();
        let (revision, _) = crate::store::changes::revision(&mut tx).await.unwrap();
        tx.rollback().await.unwrap();
        let mut heads = self.publisher.subscribe();
        let reached = heads.wait_for(|head| head.is_some_and(|head| head.revision == revision));
        tokio::time::timeout(PATIENCE, reached).await.expect("published in time").unwrap();
    }
}

/// An app of its own on the store.
pub(super) fn app(store: Store, adjust: impl FnOnce(&mut Settings)) -> App {
    let key = |byte: u8| {
        Secret::new(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [byte; 32]))
    };
    let keys = KeySettings { master_key: Some(key(1)), master_key_file: None, old_master_keys: Vec::new() };
    let mut settings = Settings::embedded("sqlite:unused", keys).unwrap();
    adjust(&mut settings);
    App::new(settings, store, Clock::manual(NOW), Tasks::new()).unwrap()
}

/// Adds an account and commits it. Returns its version.
pub(super) async fn add_account(app: &App, name: &str) -> (AccountId, u64) {
    add(app, account_named(app, name)).await
}

pub(super) async fn add(app: &App, account: Account) -> (AccountId, u64) {
    let mut tx = app.store.begin().await.unwrap();
    let version = accounts::insert(&mut tx, &account.to_row().unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    app.changed();
    (account.id, version)
}

pub(super) fn account_named(app: &App, name: &str) -> Account {
    let id = AccountId::new(app.clock.now());
    let credential = Credential::ApiKey { api_key: Secret::new(format!("key-of-{name}")) };
    Account {
        id,
        name: name.to_owned(),
        description: String::new(),
        kind: AccountType::ClaudeConsole,
        base_url: None,
        credential: account::seal(&app.sealer, id, &credential).unwrap(),
        options: Options::None,
        enabled: true,
        schedulable: true,
        priority: 50,
        weight: 100,
        concurrency: None,
        model_mapping: Vec::new(),
        allowed_models: Vec::new(),
        group_ids: Vec::new(),
        tags: Vec::new(),
        client_gone: ClientGone::Drain,
        expires_at: None,
        invalid: None,
        created_at: NOW,
        updated_at: NOW,
        revision: 1,
    }
}
