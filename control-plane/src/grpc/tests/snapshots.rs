//! The configuration on its way to nodes.

use std::collections::BTreeMap;

use proto::v1::{ResourceKind, Revision, watch_request::Message};
use shared::{
    account::Credential,
    digest::Digest,
    id::{AccountId, GroupId},
    secret::Secret,
};
use tokio::task::JoinSet;

use super::{
    databases::{Database, both},
    node::Node,
    replica::{NOW, PATIENCE, Replica, account_named, add, add_account},
};
use crate::{
    app::App,
    domain::account,
    secrets::Sealer,
    store::{
        StoreError, accounts, changes,
        groups::{self, GroupRow},
    },
};

both! {
    replicas_that_commit_at_once_publish_the_same,
    a_node_that_was_away_gets_the_difference_and_tombstones,
    deltas_lead_where_the_full_state_does,
    a_node_may_move_between_replicas,
    a_slow_node_skips_revisions,
    a_node_that_asks_gets_everything_again,
    a_node_follows_an_adopted_epoch,
    a_node_ahead_of_a_restored_database_is_sent_what_there_is,
    a_credential_that_cannot_be_opened_stops_nothing_else,
    refresh_tokens_never_leave,
    a_large_state_comes_in_chunks,
    the_stream_ends_with_its_connections_age,
}

async fn add_group(app: &App, name: &str) -> Result<(), StoreError> {
    let row = GroupRow {
        id: GroupId::new(NOW),
        name: name.to_owned(),
        description: String::new(),
        created_at: NOW.0,
        updated_at: NOW.0,
        revision: 1,
    };
    let mut tx = app.store.begin().await?;
    groups::insert(&mut tx, &row).await?;
    tx.commit().await?;
    app.changed();
    Ok(())
}

async fn delete_account(app: &App, id: AccountId) {
    let mut tx = app.store.begin().await.unwrap();
    accounts::delete(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
    app.changed();
}

/// Adds, disables and deletes accounts and groups.
async fn write_much(app: App, writer: u32) {
    for round in 0..12 {
        let (id, _) = add_account(&app, &format!("account-{writer}-{round}")).await;
        add_group(&app, &format!("group-{writer}-{round}")).await.unwrap();
        match round % 3 {
            0 => delete_account(&app, id).await,
            1 => {
                let mut tx = app.store.begin().await.unwrap();
                let mut row = accounts::get(&mut tx, id).await.unwrap().unwrap();
                row.enabled = false;
                accounts::update(&mut tx, &row, 1).await.unwrap();
                tx.commit().await.unwrap();
                app.changed();
            }
            _ => {}
        }
    }
}

/// Every head that the replica publishes, as fast as they are seen.
async fn heads_until(
    replica_app: App,
    publisher: crate::snapshot::publisher::Publisher,
    last: u64,
) -> BTreeMap<u64, Digest> {
    let mut seen = BTreeMap::new();
    while seen.last_key_value().is_none_or(|(version, _)| *version < last) {
        publisher.refresh(&replica_app).await.unwrap();
        let head = publisher.head().unwrap();
        seen.insert(head.revision.version, head.digest);
    }
    seen
}

async fn replicas_that_commit_at_once_publish_the_same(database: Database) {
    const WRITERS: u32 = 4;
    // A round is an addition of each, and two of three rounds change one more thing.
    const VERSIONS: u64 = 4 * (12 * 2 + 8);
    let apps = [database.app().await, database.app().await, database.app().await];
    let mut heads = JoinSet::new();
    for app in &apps {
        let publisher = crate::snapshot::publisher::Publisher::new(1024);
        heads.spawn(heads_until(app.clone(), publisher, VERSIONS));
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write_much(apps[writer as usize % 2].clone(), writer));
    }
    writers.join_all().await;
    let seen = tokio::time::timeout(PATIENCE, heads.join_all()).await.expect("all is published in time");
    let mut agreed = 0;
    for (version, digest) in &seen[0] {
        for other in &seen[1..] {
            if let Some(theirs) = other.get(version) {
                assert_eq!(theirs, digest, "at version {version}");
                agreed += 1;
            }
        }
    }
    assert!(agreed >= 2, "at least the last version was seen by all: {seen:?}");
    assert_eq!(*seen[0].last_key_value().unwrap().0, VERSIONS);
}

async fn a_node_that_was_away_gets_the_difference_and_tombstones(database: Database) {
    let replica = database.replica().await;
    let (gone, _) = add_account(&replica.app, "gone").await;
    let (_, version) = add_account(&replica.app, "stays").await;
    let mut node = Node::new();
    let mut watch = node.watch(replica.channel().await).await;
    node.take_until(&mut watch, version).await;
    assert_eq!(node.held.len(), 2);
    drop(watch);
    delete_account(&replica.app, gone).await;
    let (_, version) = add_account(&replica.app, "new").await;
    replica.settled().await;
    let mut watch = node.watch(replica.channel().await).await;
    node.take(&mut watch).await;
    assert_eq!((node.version(), node.held.len()), (version, 2));
    assert_eq!(*node.forms.last().unwrap(), "delta");
    assert!(!node.held.contains_key(&(i32::from(ResourceKind::Account), gone.to_bytes().to_vec())));
    replica.stop().await;
}

async fn deltas_lead_where_the_full_state_does(database: Database) {
    let replica = database.replica().await;
    let mut early = Node::new();
    let mut watch = early.watch(replica.channel().await).await;
    early.take(&mut watch).await;
    write_much(replica.app.clone(), 0).await;
    replica.settled().await;
    let last = replica.publisher.head().unwrap().revision.version;
    early.take_until(&mut watch, last).await;
    let mut late = Node::new();
    late.take(&mut late.watch(replica.channel().await).await).await;
    assert_eq!(early.forms.iter().filter(|form| **form == "full").count(), 1);
    assert_eq!(early.held, late.held);
    assert_eq!(early.revision, late.revision);
    replica.stop().await;
}

async fn a_node_may_move_between_replicas(database: Database) {
    let (one, two) = (database.replica().await, database.replica().await);
    let (_, version) = add_account(&one.app, "a").await;
    let mut node = Node::new();
    let mut watch = node.watch(one.channel().await).await;
    node.take_until(&mut watch, version).await;
    // The other replica may not have looked since; the node must not be sent a step back.
    let mut watch = node.watch(two.channel().await).await;
    node.take(&mut watch).await;
    assert_eq!((node.version(), *node.forms.last().unwrap()), (version, "delta"));
    let (_, version) = add_account(&one.app, "b").await;
    node.take_until(&mut watch, version).await;
    assert_eq!(node.held.len(), 2);
    one.stop().await;
    two.stop().await;
}

async fn a_slow_node_skips_revisions(database: Database) {
    const ROUNDS: usize = 30;
    let replica = database.replica().await;
    let mut node = Node::new();
    let mut watch = node.watch(replica.channel().await).await;
    node.take(&mut watch).await;
    let mut last = 0;
    for round in 0..ROUNDS {
        let mut account = account_named(&replica.app, &format!("large-{round}"));
        account.allowed_models = vec!["m".repeat(200); 1000];
        last = add(&replica.app, account).await.1;
        replica.settled().await;
    }
    node.take_until(&mut watch, last).await;
    let updates = node.forms.len() - 1;
    assert!(updates <= 5, "{ROUNDS} revisions came as {updates} updates");
    assert_eq!(node.held.len(), ROUNDS);
    replica.stop().await;
}

async fn a_node_that_asks_gets_everything_again(database: Database) {
    let replica = database.replica().await;
    let (_, version) = add_account(&replica.app, "a").await;
    let mut node = Node::new();
    let mut watch = node.watch(replica.channel().await).await;
    node.take_until(&mut watch, version).await;
    Node::ask_for_everything(&watch).await;
    node.take(&mut watch).await;
    assert_eq!((node.version(), *node.forms.last().unwrap(), node.held.len()), (version, "full", 1));
    replica.stop().await;
}

async fn a_node_follows_an_adopted_epoch(database: Database) {
    let replica = database.replica().await;
    let (_, version) = add_account(&replica.app, "a").await;
    let mut node = Node::new();
    let mut watch = node.watch(replica.channel().await).await;
    node.take_until(&mut watch, version).await;
    assert!(!node.adopted);
    let before = node.revision.clone().unwrap();
    let mut tx = replica.app.store.begin().await.unwrap();
    changes::adopt_epoch(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    node.take(&mut watch).await;
    let after = node.revision.clone().unwrap();
    assert!(node.adopted);
    assert_ne!(before.epoch, after.epoch);
    assert_eq!((*node.forms.last().unwrap(), node.held.len()), ("full", 1));
    replica.stop().await;
}

async fn a_node_ahead_of_a_restored_database_is_sent_what_there_is(database: Database) {
    let replica = database.replica().await;
    let (_, version) = add_account(&replica.app, "a").await;
    let mut node = Node::new();
    node.take_until(&mut node.watch(replica.channel().await).await, version).await;
    node.revision = node.revision.map(|revision| Revision { version: version + 7, ..revision });
    let mut watch = node.watch(replica.channel().await).await;
    let update = watch.message().await.unwrap().unwrap();
    assert_eq!((update.from_version, update.revision.unwrap().version), (None, version));
    assert!(!update.adopted, "only the operator can make nodes go back");
    replica.stop().await;
}

async fn a_credential_that_cannot_be_opened_stops_nothing_else(database: Database) {
    let replica = database.replica().await;
    let (known, _) = add_account(&replica.app, "known").await;
    let mut node = Node::new();
    let mut watch = node.watch(replica.channel().await).await;
    node.take(&mut watch).await;
    let foreign = Sealer::new([&[9_u8; 32]]).unwrap();
    let credential = Credential::ApiKey { api_key: Secret::new("of another key") };
    let mut strange = account_named(&replica.app, "strange");
    strange.credential = account::seal(&foreign, strange.id, &credential).unwrap();
    add(&replica.app, strange).await;
    let mut tx = replica.app.store.begin().await.unwrap();
    let mut row = accounts::get(&mut tx, known).await.unwrap().unwrap();
    // Of a later release; of a disabled account the credential is not opened.
    row.account_type = "of-a-later-release".into();
    row.enabled = false;
    accounts::update(&mut tx, &row, 1).await.unwrap();
    tx.commit().await.unwrap();
    let (_, version) = add_account(&replica.app, "after").await;
    node.take_until(&mut watch, version).await;
    let key = (i32::from(ResourceKind::Account), known.to_bytes().to_vec());
    assert!(!node.held[&key].enabled, "the envelope applies without the payload");
    assert!(!node.held[&key].payload.is_empty(), "the last payload that could be made stays");
    assert_eq!(node.held.len(), 2, "what never had a payload is left out");
    assert_eq!(replica.publisher.unencodable().len(), 2);
    assert_eq!(replica.app.metrics.snapshot_unencodable.get(), 2);
    replica.stop().await;
}

async fn refresh_tokens_never_leave(database: Database) {
    let replica = database.replica().await;
    let mut official = account_named(&replica.app, "official");
    official.kind = shared::account::AccountType::ClaudeOfficial;
    let credential = Credential::Oauth {
        access_token: Secret::new("signs-requests"),
        refresh_token: Some(Secret::new("mints-credentials")),
        expires_at_ms: None,
    };
    official.credential = account::seal(&replica.app.sealer, official.id, &credential).unwrap();
    let (_, version) = add(&replica.app, official).await;
    let mut node = Node::new();
    node.take_until(&mut node.watch(replica.channel().await).await, version).await;
    let payload = &node.held.values().next().unwrap().payload;
    let contains = |text: &str| payload.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("signs-requests"));
    assert!(!contains("mints-credentials"));
    replica.stop().await;
}

async fn a_large_state_comes_in_chunks(database: Database) {
    let app = database.app().await;
    for number in 0..20 {
        add_account(&app, &format!("account-{number}")).await;
    }
    let replica = database.replica_with(|settings| settings.planes.snapshot_chunk = 1024).await;
    replica.settled().await;
    let mut watch = Node::new().watch(replica.channel().await).await;
    let (mut chunks, mut resources) = (0, 0);
    loop {
        let chunk = watch.message().await.unwrap().unwrap();
        (chunks, resources) = (chunks + 1, resources + chunk.resources.len());
        assert_eq!(chunk.digest.is_empty(), !chunk.last);
        if chunk.last {
            break;
        }
    }
    assert!(chunks > 1);
    assert_eq!(resources, 20);
    replica.stop().await;
}

async fn the_stream_ends_with_its_connections_age(database: Database) {
    let replica = database
        .replica_with(|settings| settings.planes.grpc_connection_age = std::time::Duration::from_millis(50))
        .await;
    let mut node = Node::new();
    let mut watch = node.watch(replica.channel().await).await;
    node.take(&mut watch).await;
    assert_eq!(watch.message().await.unwrap(), None, "it ends cleanly");
    let mut watch = node.watch(replica.channel().await).await;
    node.take(&mut watch).await;
    assert_eq!(*node.forms.last().unwrap(), "delta", "and goes on from what the node has");
    watch.say(Message::Hello(proto::v1::Hello::default())).await;
    assert_eq!(watch.message().await.unwrap_err().code(), tonic::Code::InvalidArgument);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_outlives_the_database() {
    let server = crate::store::test_support::mariadb().await;
    let replica = Replica::start(server.another_store().await).await;
    let (_, version) = add_account(&replica.app, "a").await;
    replica.settled().await;
    assert!(!replica.publisher.is_failing());
    drop(server);
    let failing = async {
        while !replica.publisher.is_failing() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, failing).await.expect("noticed in time");
    let mut node = Node::new();
    node.take(&mut node.watch(replica.channel().await).await).await;
    assert_eq!((node.version(), node.held.len()), (version, 1));
    replica.stop().await;
}
