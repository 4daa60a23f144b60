//! A database that was restored from a backup, and nodes that knew better.

use proto::v1::{HeartbeatRequest, HeartbeatResponse, Revision, node_service_client::NodeServiceClient};

use super::{
    databases::{Database, both},
    node::{Node, Watch},
    replica::{PATIENCE, Replica, add_account},
};
use crate::{
    app::App,
    domain::proof::Proven,
    snapshot::published::STAMPS,
    store::{
        audit::{self, AuditFilter},
        changes::{self, Contradiction, Withheld},
        db::execute,
    },
};

both! {
    a_hello_that_proves_a_higher_version_withholds_all_from_every_replica,
    a_heartbeat_that_proves_another_history_withholds_all,
    a_heartbeat_that_proves_a_later_epoch_withholds_all,
    what_this_process_published_withholds_too,
    a_lie_withholds_nothing,
    a_replica_that_is_a_moment_behind_withholds_nothing,
    streams_end_when_all_is_withheld_and_come_back_with_the_right_database,
    the_first_update_tells_the_stamp_of_the_hello_s_version,
    old_stamps_go_but_those_that_nodes_hold,
}

/// What a backup of `version` would leave, in place.
async fn restore(app: &App, version: u64) {
    let version = i64::try_from(version).unwrap();
    let mut tx = app.store.begin().await.unwrap();
    execute!(&mut tx, "UPDATE configuration_revision SET version = ?", version).unwrap();
    execute!(&mut tx, "DELETE FROM revisions WHERE version > ?", version).unwrap();
    execute!(&mut tx, "DELETE FROM accounts WHERE id IN (SELECT id FROM changes WHERE version > ?)", version)
        .unwrap();
    execute!(&mut tx, "DELETE FROM changes WHERE version > ?", version).unwrap();
    tx.commit().await.unwrap();
}

/// A node that holds version 3 of a database that is at version 1 again.
async fn node_that_knows_better(database: &Database) -> Node {
    let replica = database.replica().await;
    for name in ["kept", "lost", "lost too"] {
        add_account(&replica.app, name).await;
    }
    let mut node = Node::new();
    node.take_until(&mut node.watch(replica.channel().await).await, 3).await;
    restore(&replica.app, 1).await;
    replica.stop().await;
    node
}

async fn beat(replica: &Replica, revision: Option<Revision>) -> HeartbeatResponse {
    let heartbeat =
        HeartbeatRequest { node_id: "node-1".into(), ready: true, revision, ..HeartbeatRequest::default() };
    NodeServiceClient::new(replica.channel().await).heartbeat(heartbeat).await.unwrap().into_inner()
}

/// The replica has come to know it by itself.
async fn withholds(replica: &Replica) -> Withheld {
    let mut heads = replica.publisher.subscribe();
    let known = async {
        while replica.publisher.withheld().is_none() {
            tokio::select! {
                changed = heads.changed() => changed.unwrap(),
                () = tokio::time::sleep(std::time::Duration::from_millis(5)) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("known in time");
    assert_eq!(replica.publisher.head(), None);
    assert_eq!(replica.app.metrics.snapshot_withheld.get(), 1);
    replica.publisher.withheld().unwrap()
}

async fn is_not_withheld(replica: &Replica) {
    let mut tx = replica.app.store.read().await.unwrap();
    assert_eq!(changes::state(&mut tx).await.unwrap().withheld, None);
    tx.rollback().await.unwrap();
}

async fn adopt(app: &App) {
    let mut tx = app.store.begin().await.unwrap();
    changes::adopt_epoch(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_hello_that_proves_a_higher_version_withholds_all_from_every_replica(database: Database) {
    let node = node_that_knows_better(&database).await;
    let (one, two) = (database.replica().await, database.replica().await);
    one.settled().await;
    two.settled().await;
    let _watch = node.watch(one.channel().await).await;
    let withheld = withholds(&one).await;
    assert_eq!((withheld.reason, withheld.version), (Contradiction::HigherVersion, 3));
    assert_eq!(withheld.node_id.as_deref(), Some("node-1"));
    assert_eq!(withholds(&two).await, withheld);
    assert!(beat(&two, None).await.withheld);

    // What changes meanwhile reaches nobody, nor does a replica that starts meanwhile forget.
    add_account(&one.app, "meanwhile").await;
    let three = database.replica().await;
    assert_eq!(withholds(&three).await, withheld);
    let mut fresh = Node::new();
    let mut watches: [Watch; 3] = [
        fresh.watch(one.channel().await).await,
        fresh.watch(two.channel().await).await,
        fresh.watch(three.channel().await).await,
    ];
    assert!(beat(&three, node.revision.clone()).await.withheld);
    assert!(fresh.held.is_empty());
    let filter = AuditFilter { action: Some("configuration.withhold".into()), ..AuditFilter::default() };
    let mut tx = one.app.store.read().await.unwrap();
    assert_eq!(audit::list(&mut tx, &filter, None, 10).await.unwrap().len(), 1, "it is said once");
    tx.rollback().await.unwrap();

    adopt(&two.app).await;
    for watch in &mut watches {
        fresh = Node::new();
        fresh.take(watch).await;
        assert!(fresh.adopted);
        assert_eq!(fresh.held.len(), 2, "{:?}", fresh.held);
    }
    for replica in [&one, &two, &three] {
        assert!(!beat(replica, fresh.revision.clone()).await.withheld);
        assert_eq!(replica.app.metrics.snapshot_withheld.get(), 0);
    }
    for replica in [one, two, three] {
        replica.stop().await;
    }
}

async fn a_heartbeat_that_proves_another_history_withholds_all(database: Database) {
    let node = node_that_knows_better(&database).await;
    let replica = database.replica().await;
    for name in ["another", "yet another", "further than before"] {
        add_account(&replica.app, name).await;
    }
    replica.settled().await;
    assert!(beat(&replica, node.revision.clone()).await.withheld);
    let withheld = withholds(&replica).await;
    assert_eq!((withheld.reason, withheld.version), (Contradiction::OtherHistory, 3));
    replica.stop().await;
}

async fn a_heartbeat_that_proves_a_later_epoch_withholds_all(database: Database) {
    let replica = database.replica().await;
    add_account(&replica.app, "a").await;
    replica.settled().await;
    let first_of = |epoch: [u8; 16]| {
        let revision = changes::Revision { epoch, version: 0 };
        let proof = replica.app.proofs.prove(Proven { revision, stamp: changes::Stamp::default() });
        Revision { epoch: epoch.to_vec(), proof: proof.to_vec(), ..Revision::default() }
    };
    assert!(!beat(&replica, Some(first_of([0; 16]))).await.withheld, "an earlier epoch proves nothing");
    is_not_withheld(&replica).await;
    assert!(beat(&replica, Some(first_of([0xff; 16]))).await.withheld);
    let withheld = withholds(&replica).await;
    assert_eq!((withheld.reason, withheld.version), (Contradiction::HigherVersion, 0));
    replica.stop().await;
}

async fn what_this_process_published_withholds_too(database: Database) {
    let replica = database.replica().await;
    for name in ["a", "b", "c"] {
        add_account(&replica.app, name).await;
    }
    replica.settled().await;
    restore(&replica.app, 2).await;
    replica.app.changed();
    let withheld = withholds(&replica).await;
    assert_eq!(
        (withheld.reason, withheld.version, withheld.node_id),
        (Contradiction::HigherVersion, 3, None)
    );
    replica.stop().await;
}

async fn a_lie_withholds_nothing(database: Database) {
    let replica = database.replica().await;
    let (_, version) = add_account(&replica.app, "a").await;
    let mut node = Node::new();
    node.take_until(&mut node.watch(replica.channel().await).await, version).await;
    let honest = node.revision.clone().unwrap();
    for lie in [
        Revision { version: version + 7, ..honest.clone() },
        Revision { stamp: vec![1; 16], ..honest.clone() },
        Revision { version: version + 7, proof: Vec::new(), ..honest.clone() },
    ] {
        assert!(!beat(&replica, Some(lie.clone())).await.withheld, "{lie:?}");
        node.revision = Some(lie);
        let mut watch = node.watch(replica.channel().await).await;
        assert!(watch.message().await.unwrap().is_some());
    }
    is_not_withheld(&replica).await;
    replica.stop().await;
}

async fn a_replica_that_is_a_moment_behind_withholds_nothing(database: Database) {
    let one = database.replica().await;
    // It looks once, and then no more.
    let app = database.app().await;
    let behind = crate::snapshot::publisher::Publisher::new(1024);
    behind.refresh(&app).await.unwrap();
    let mut node = Node::new();
    let mut watch = node.watch(one.channel().await).await;
    for name in ["a", "b", "c"] {
        let (_, version) = add_account(&one.app, name).await;
        node.take_until(&mut watch, version).await;
        let proven = app.proofs.proven(node.revision.as_ref()).unwrap();
        assert_eq!(behind.stamp_of(proven.revision), None);
        crate::snapshot::witness::hear(&app, &behind, Some("node-1"), proven).await.unwrap();
    }
    assert_eq!(behind.withheld(), None);
    is_not_withheld(&one).await;
    one.stop().await;
}

async fn streams_end_when_all_is_withheld_and_come_back_with_the_right_database(database: Database) {
    let better = node_that_knows_better(&database).await;
    let replica = database.replica().await;
    let mut node = Node::new();
    let mut watch = node.watch(replica.channel().await).await;
    node.take(&mut watch).await;
    assert!(beat(&replica, better.revision.clone()).await.withheld);
    assert_eq!(watch.message().await.unwrap(), None, "what it brought is no ground for what comes later");
    let mut watch = node.watch(replica.channel().await).await;
    // The right database takes the place of the old copy.
    let mut tx = replica.app.store.begin().await.unwrap();
    execute!(&mut tx, "UPDATE configuration_revision SET version = 3, withheld_reason = NULL").unwrap();
    for version in [2_i64, 3] {
        let stamp = if version == 3 { better.revision.clone().unwrap().stamp } else { vec![2; 16] };
        execute!(&mut tx, "INSERT INTO revisions (version, stamp) VALUES (?, ?)", version, stamp).unwrap();
    }
    tx.commit().await.unwrap();
    node.take_until(&mut watch, 3).await;
    assert!(!beat(&replica, better.revision).await.withheld);
    replica.stop().await;
}

async fn the_first_update_tells_the_stamp_of_the_hello_s_version(database: Database) {
    let replica = database.replica().await;
    let (_, version) = add_account(&replica.app, "a").await;
    let mut node = Node::new();
    let mut watch = node.watch(replica.channel().await).await;
    node.take_until(&mut watch, version).await;
    let held = node.revision.clone().unwrap();
    assert_eq!((held.stamp.len(), held.proof.len()), (16, 32));
    // Further on than what is at hand, so that the database is asked.
    let mut tx = replica.app.store.begin().await.unwrap();
    let latest = i64::from(STAMPS) + 10;
    execute!(&mut tx, "DELETE FROM revisions WHERE version > 1").unwrap();
    for version in [latest - 1, latest] {
        execute!(&mut tx, "INSERT INTO revisions (version, stamp) VALUES (?, ?)", version, vec![7; 16])
            .unwrap();
    }
    execute!(&mut tx, "UPDATE configuration_revision SET version = ?", latest).unwrap();
    tx.commit().await.unwrap();
    let later = database.replica().await;
    later.settled().await;
    for replica in [&replica, &later] {
        replica.app.changed();
        let mut watch = node.watch(replica.channel().await).await;
        assert_eq!(watch.message().await.unwrap().unwrap().known_stamp, held.stamp);
        add_account(&replica.app, &format!("on {:p}", replica)).await;
        let next = watch.message().await.unwrap().unwrap();
        assert!(next.known_stamp.is_empty(), "only the first answers the hello");
    }
    let stranger = Node { revision: Some(Revision { epoch: vec![1; 16], ..held }), ..Node::new() };
    let mut watch = stranger.watch(later.channel().await).await;
    assert!(watch.message().await.unwrap().unwrap().known_stamp.is_empty());
    replica.stop().await;
    later.stop().await;
}

async fn old_stamps_go_but_those_that_nodes_hold(database: Database) {
    let replica = database.replica().await;
    for name in ["a", "b", "c", "d"] {
        add_account(&replica.app, name).await;
    }
    let mut tx = replica.app.store.read().await.unwrap();
    let (latest, _) = changes::revision(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();
    // Without a watch, whose acknowledgements would come in between.
    let at_2 = Revision { epoch: latest.epoch.to_vec(), version: 2, ..Revision::default() };
    beat(&replica, Some(at_2)).await;
    let mut tx = replica.app.store.begin().await.unwrap();
    let latest = i64::try_from(changes::STAMPS_KEPT).unwrap() + 4;
    execute!(&mut tx, "UPDATE configuration_revision SET version = ?", latest).unwrap();
    execute!(&mut tx, "INSERT INTO revisions (version, stamp) VALUES (?, ?)", latest, vec![7; 16]).unwrap();
    assert_eq!(changes::delete_old_stamps(&mut tx, 1).await.unwrap(), 1, "the oldest first");
    assert_eq!(changes::stamp_of(&mut tx, 1).await.unwrap(), None);
    assert_eq!(changes::delete_old_stamps(&mut tx, 10).await.unwrap(), 1);
    let left: Vec<_> = changes::stamps_since(&mut tx, 0, 10).await.unwrap();
    let left: Vec<_> = left.into_iter().map(|(version, _)| version).collect();
    assert_eq!(left, [changes::STAMPS_KEPT + 4, 4, 2]);
    tx.rollback().await.unwrap();
    replica.stop().await;
}
