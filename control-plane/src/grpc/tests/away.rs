//! Nodes and replicas that were away for longer than the database remembers what was deleted.

use proto::v1::ResourceKind;
use shared::{
    id::{KeyId, UserId},
    secret::Secret,
};

use super::{
    databases::{Database, both},
    node::Node,
    replica::{NOW, add_account},
};
use crate::{
    app::App,
    domain::api_key,
    snapshot::{delta::Held, publisher::Publisher},
    store::{api_keys, changes, db::execute},
};

both! {
    a_node_that_was_away_too_long_gets_everything,
    a_replica_that_was_away_too_long_begins_anew,
    old_deletions_go_in_pieces_and_nothing_else_does,
}

async fn add_key(app: &App, name: &str) -> KeyId {
    let key =
        api_key::key(UserId::new(NOW), name.to_owned(), &Secret::new(format!("sk-of-the-key-{name}")), NOW);
    let mut tx = app.store.begin().await.unwrap();
    api_keys::insert(&mut tx, &key).await.unwrap();
    tx.commit().await.unwrap();
    app.changed();
    key.id
}

async fn revoke(app: &App, id: KeyId) -> u64 {
    let mut tx = app.store.begin().await.unwrap();
    api_keys::delete(&mut tx, id, NOW).await.unwrap();
    let (revision, _) = changes::revision(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    app.changed();
    revision.version
}

/// As if so many changes had been made of which nothing is left.
async fn pass(app: &App, versions: u64) {
    let mut tx = app.store.begin().await.unwrap();
    let (revision, _) = changes::revision(&mut tx).await.unwrap();
    let version = i64::try_from(revision.version + versions).unwrap();
    execute!(&mut tx, "UPDATE configuration_revision SET version = ?", version).unwrap();
    execute!(&mut tx, "INSERT INTO revisions (version, stamp) VALUES (?, ?)", version, vec![7; 16]).unwrap();
    tx.commit().await.unwrap();
}

async fn forget(app: &App, limit: i64) -> u64 {
    let mut tx = app.store.begin().await.unwrap();
    let forgotten = changes::delete_old_deletions(&mut tx, limit).await.unwrap();
    tx.commit().await.unwrap();
    forgotten
}

fn holds(node: &Node, key: KeyId) -> bool {
    node.held.contains_key(&(i32::from(ResourceKind::ApiKey), key.to_bytes().to_vec()))
}

async fn a_node_that_was_away_too_long_gets_everything(database: Database) {
    let replica = database.replica().await;
    let (gone, stays) = (add_key(&replica.app, "gone").await, add_key(&replica.app, "stays").await);
    let (_, version) = add_account(&replica.app, "a").await;
    let (mut early, mut late) = (Node::new(), Node::new());
    for node in [&mut early, &mut late] {
        let mut watch = node.watch(replica.channel().await).await;
        node.take_until(&mut watch, version).await;
        assert!(holds(node, gone) && holds(node, stays));
    }
    let revoked = revoke(&replica.app, gone).await;
    // The last version from which the database can still tell.
    pass(&replica.app, changes::DELETIONS_KEPT - 1).await;
    assert_eq!(forget(&replica.app, 10).await, 0, "a node at {version} has to hear of {revoked}");
    replica.stop().await;
    let replica = database.replica().await;
    early.take(&mut early.watch(replica.channel().await).await).await;
    assert_eq!((*early.forms.last().unwrap(), holds(&early, gone)), ("delta", false));
    assert!(holds(&early, stays));

    pass(&replica.app, 1).await;
    assert_eq!(forget(&replica.app, 10).await, 1);
    replica.stop().await;
    let replica = database.replica().await;
    late.take(&mut late.watch(replica.channel().await).await).await;
    assert_eq!((*late.forms.last().unwrap(), holds(&late, gone)), ("full", false));
    assert!(holds(&late, stays));
    assert_eq!(late.version(), revoked + changes::DELETIONS_KEPT);
    replica.stop().await;
}

/// What a replica publishes must not keep what it was never told is gone.
async fn a_replica_that_was_away_too_long_begins_anew(database: Database) {
    let app = database.app().await;
    let (gone, _) = (add_key(&app, "gone").await, add_key(&app, "stays").await);
    let publisher = Publisher::new(1 << 20);
    publisher.refresh(&app).await.unwrap();
    let held: Held = publisher.head().unwrap().into();
    revoke(&app, gone).await;
    pass(&app, changes::DELETIONS_KEPT).await;
    assert_eq!(forget(&app, 10).await, 1);

    assert!(publisher.refresh(&app).await.unwrap());
    let fresh = Publisher::new(1 << 20);
    fresh.refresh(&app).await.unwrap();
    assert_eq!(publisher.head(), fresh.head());
    for publisher in [publisher, fresh] {
        let chunks = publisher.plan(&held).unwrap();
        assert_eq!(chunks.form(), "full");
        let ids: Vec<_> = chunks.flat_map(|chunk| chunk.resources).map(|resource| resource.id).collect();
        assert_eq!(ids.len(), 1);
        assert!(!ids.contains(&gone.to_bytes().to_vec()));
    }
}

async fn old_deletions_go_in_pieces_and_nothing_else_does(database: Database) {
    let app = database.app().await;
    let stays = add_key(&app, "stays").await;
    for name in ["a", "b", "c"] {
        let id = add_key(&app, name).await;
        revoke(&app, id).await;
    }
    pass(&app, changes::DELETIONS_KEPT).await;
    let young = add_key(&app, "young").await;
    revoke(&app, young).await;
    assert_eq!(forget(&app, 2).await, 2);
    let left = async || {
        let mut tx = app.store.read().await.unwrap();
        let changes = changes::since(&mut tx, 0).await.unwrap();
        changes.into_iter().map(|change| (change.id, change.deleted)).collect::<Vec<_>>()
    };
    assert_eq!(left().await.len(), 3, "the oldest first");
    assert_eq!(forget(&app, 2).await, 1);
    assert_eq!(left().await, [(stays.to_bytes(), false), (young.to_bytes(), true)]);
    assert_eq!(forget(&app, 2).await, 0);
}
