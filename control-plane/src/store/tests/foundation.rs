//! Transactions, migrations, the change log, the audit log.

use proto::v1::ResourceKind;
use serde_json::json;
use shared::{
    clock::Millis,
    id::{AccountId, UserId},
};

use super::samples::{self, NOW};
use crate::store::{
    Store, StoreError, StoreOptions, accounts,
    audit::{self, AuditEntry, AuditFilter},
    changes::{self, Revision},
    db::execute,
    groups,
    test_support::Database,
};

pub(super) async fn revision(store: &Store) -> Revision {
    let mut tx = store.read().await.unwrap();
    changes::revision(&mut tx).await.unwrap().0
}

pub(super) async fn a_second_migration_changes_nothing(database: &Database) {
    let before = revision(&database.store).await;
    database.store.migrate().await.unwrap();
    assert_eq!(revision(&database.store).await, before, "the epoch stays");
}

pub(super) async fn migrations_run_once_however_many_start_them(database: &Database) {
    let url = database.empty_neighbour("racing");
    let mut starts = Vec::new();
    for _ in 0..6 {
        let url = url.clone();
        starts.push(async move {
            let store = Store::connect(&url, &StoreOptions::default()).await.unwrap();
            store.migrate().await.unwrap();
            let seen = revision(&store).await;
            store.close().await;
            seen
        });
    }
    let seen = futures_util::future::join_all(starts).await;
    assert!(seen.iter().all(|revision| *revision == seen[0]), "{seen:?}");
    assert_eq!(seen[0].version, 0);
}

/// Where each statement commits by itself: all of a migration is done but the note that it is.
pub(super) async fn a_migration_that_broke_off_is_made_again(database: &Database) {
    let mut tx = database.store.begin().await.unwrap();
    assert!(execute!(&mut tx, "DELETE FROM migrations").unwrap() > 1);
    tx.commit().await.unwrap();
    database.store.migrate().await.unwrap();
    assert!(database.store.pending_migrations().await.unwrap().is_empty());
}

pub(super) async fn what_is_pending_is_told(database: &Database) {
    assert!(database.store.pending_migrations().await.unwrap().is_empty());
    let url = database.empty_neighbour("pending");
    let store = Store::connect(&url, &StoreOptions::default()).await.unwrap();
    assert_eq!(store.pending_migrations().await.unwrap().first(), Some(&"0001_core"));
    store.close().await;
}

pub(super) async fn another_program_s_database_is_left_alone(database: &Database) {
    for (name, table) in [
        ("foreign", "CREATE TABLE customers (id BIGINT)"),
        ("foreign_migrations", "CREATE TABLE migrations (id BIGINT)"),
    ] {
        let url = database.empty_neighbour(name);
        let store = Store::connect(&url, &StoreOptions::default()).await.unwrap();
        assert!(matches!(store.demand_tables().await, Err(StoreError::Empty)));
        let mut tx = store.begin().await.unwrap();
        execute!(&mut tx, table).unwrap();
        tx.commit().await.unwrap();
        for refused in [store.migrate().await, store.demand_tables().await] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
        }
        let mut tx = store.begin().await.unwrap();
        execute!(&mut tx, "CREATE TABLE revisions (id BIGINT)").expect("nothing was made");
        tx.commit().await.unwrap();
        store.close().await;
    }
    database.store.demand_tables().await.unwrap();
}

pub(super) async fn a_transaction_that_is_dropped_leaves_nothing(database: &Database) {
    let before = revision(&database.store).await;
    let row = samples::account("dropped");
    let mut tx = database.store.begin().await.unwrap();
    accounts::insert(&mut tx, &row).await.unwrap();
    drop(tx);
    let mut tx = database.store.begin().await.unwrap();
    assert_eq!(accounts::get(&mut tx, row.id).await.unwrap(), None);
    tx.rollback().await.unwrap();
    assert_eq!(revision(&database.store).await, before);
}

pub(super) async fn a_consistent_read_sees_one_version(database: &Database) {
    let (one, two) = (samples::account("consistent one"), samples::account("consistent two"));
    let mut reader = database.store.read().await.unwrap();
    let (seen, _) = changes::revision(&mut reader).await.unwrap();

    let mut writer = database.store.begin().await.unwrap();
    accounts::insert(&mut writer, &one).await.unwrap();
    accounts::insert(&mut writer, &two).await.unwrap();
    writer.commit().await.unwrap();

    assert_eq!(accounts::get(&mut reader, one.id).await.unwrap(), None);
    assert!(changes::since(&mut reader, seen.version).await.unwrap().is_empty());
    assert_eq!(changes::revision(&mut reader).await.unwrap().0, seen);
    reader.commit().await.unwrap();

    let mut reader = database.store.read().await.unwrap();
    assert_eq!(changes::revision(&mut reader).await.unwrap().0.version, seen.version + 2);
    assert_eq!(accounts::by_ids(&mut reader, &[one.id, two.id]).await.unwrap().len(), 2);
}

pub(super) async fn the_latest_change_of_each_resource_is_told_in_order(database: &Database) {
    let before = revision(&database.store).await.version;
    let (first, second) = (samples::account("told first"), samples::account("told second"));
    let mut tx = database.store.begin().await.unwrap();
    accounts::insert(&mut tx, &first).await.unwrap();
    accounts::insert(&mut tx, &second).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.store.begin().await.unwrap();
    accounts::update(&mut tx, &first, 1).await.unwrap();
    accounts::delete(&mut tx, second.id).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = database.store.read().await.unwrap();
    let told: Vec<_> = changes::since(&mut tx, before).await.unwrap();
    let told: Vec<_> =
        told.iter().map(|change| (change.id, change.version - before, change.deleted)).collect();
    assert_eq!(told, [(first.id.to_bytes(), 3, false), (second.id.to_bytes(), 4, true)]);
    let version = changes::version_of(&mut tx, ResourceKind::Account, first.id.to_bytes()).await.unwrap();
    assert_eq!(version, Some(before + 3));
    let never = AccountId::new(NOW).to_bytes();
    assert_eq!(changes::version_of(&mut tx, ResourceKind::Account, never).await.unwrap(), None);
}

pub(super) async fn audit_rows_page_from_the_latest(database: &Database) {
    let actor = UserId::new(NOW);
    let mut tx = database.store.begin().await.unwrap();
    for (offset, action) in ["a.create", "a.update", "a.delete"].into_iter().enumerate() {
        let entry = AuditEntry {
            actor: Some(actor),
            action,
            target_kind: "a",
            target_id: Some("x".to_owned()),
            detail: json!({"name": "名"}),
            at: Millis(NOW.0 + i64::try_from(offset).unwrap()),
            address: Some("2001:db8::1".parse().unwrap()),
        };
        audit::write(&mut tx, &entry).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = database.store.read().await.unwrap();
    let filter = AuditFilter { actor: Some(actor), ..AuditFilter::default() };
    let page = audit::list(&mut tx, &filter, None, 2).await.unwrap();
    let actions: Vec<_> = page.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["a.delete", "a.update"]);
    assert_eq!(
        (page[0].detail.as_str(), page[0].address.as_deref()),
        (r#"{"name":"名"}"#, Some("2001:db8::1"))
    );
    let rest = audit::list(&mut tx, &filter, Some(page[1].id), 2).await.unwrap();
    assert_eq!(rest.len(), 1);
    let other = AuditFilter { action: Some("b.create".to_owned()), ..filter };
    assert!(audit::list(&mut tx, &other, None, 2).await.unwrap().is_empty());
}

pub(super) async fn an_adopted_epoch_is_new_and_says_so(database: &Database) {
    let before = revision(&database.store).await;
    let mut tx = database.store.begin().await.unwrap();
    let adopted = changes::adopt_epoch(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_ne!(adopted.epoch, before.epoch);
    assert_eq!(adopted.version, before.version + 1);
    let mut tx = database.store.read().await.unwrap();
    assert_eq!(changes::revision(&mut tx).await.unwrap(), (adopted, true));
    tx.commit().await.unwrap();

    // A later migration makes no epoch of its own.
    database.store.migrate().await.unwrap();
    assert_eq!(revision(&database.store).await, adopted);
    let mut tx = database.store.begin().await.unwrap();
    let missing = groups::delete(&mut tx, shared::id::GroupId::new(NOW), NOW).await;
    assert!(matches!(missing, Err(StoreError::NotFound)));
}
