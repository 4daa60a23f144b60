//! Writers at the same time, each with a pool of its own, as replicas have.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{
    foundation::revision,
    samples::{self, NOW},
};
use crate::store::{StoreError, accounts, changes, groups, test_support::Database};

pub(super) async fn versions_are_distinct_gap_free_and_in_commit_order(database: &Database) {
    const WRITERS: usize = 6;
    const CHANGES: usize = 10;
    let before = revision(&database.store).await.version;
    let watched = watch(database, before, before + u64::try_from(WRITERS * CHANGES).unwrap());
    let writers = (0..WRITERS).map(|writer| async move {
        let store = database.another_store().await;
        let mut versions = Vec::new();
        for change in 0..CHANGES {
            let mut tx = store.begin().await.unwrap();
            // A read before the write fixes MySQL's snapshot: the version must be the latest all the same.
            changes::revision(&mut tx).await.unwrap();
            let row = samples::account(&format!("writer {writer}, change {change}"));
            versions.push(accounts::insert(&mut tx, &row).await.unwrap());
            tx.commit().await.unwrap();
        }
        store.close().await;
        versions
    });
    let (written, ()) = tokio::join!(join_all(writers), watched);

    assert!(
        written.iter().all(|versions| versions.is_sorted()),
        "each writer's own changes are in its order"
    );
    let mut all: Vec<_> = written.concat();
    all.sort_unstable();
    let expected: Vec<_> = (before + 1..=before + u64::try_from(WRITERS * CHANGES).unwrap()).collect();
    assert_eq!(all, expected);
}

/// Whoever sees version n sees all changes up to n, at every moment.
async fn watch(database: &Database, before: u64, last: u64) {
    let store = database.another_store().await;
    loop {
        let mut tx = store.read().await.unwrap();
        let seen = changes::revision(&mut tx).await.unwrap().0.version;
        let told = changes::since(&mut tx, before).await.unwrap();
        tx.commit().await.unwrap();
        let versions: Vec<_> = told.iter().map(|change| change.version).collect();
        assert_eq!(versions, (before + 1..=seen).collect::<Vec<_>>());
        if seen == last {
            store.close().await;
            return;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn of_two_updates_of_one_revision_one_is_stale(database: &Database) {
    let row = samples::account("contended");
    let mut tx = database.store.begin().await.unwrap();
    accounts::insert(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    let update = || async {
        let store = database.another_store().await;
        let mut tx = store.begin().await?;
        accounts::get(&mut tx, row.id).await?;
        let revision = accounts::update(&mut tx, &row, 1).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(revision)
    };
    let outcomes = join_all([update(), update(), update()]).await;
    let won = outcomes.iter().filter(|outcome| matches!(outcome, Ok(2))).count();
    let stale = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Stale))).count();
    assert_eq!((won, stale), (1, 2), "{outcomes:?}");
}

pub(super) async fn groups_and_accounts_never_deadlock(database: &Database) {
    const ROUNDS: usize = 8;
    let store = &database.store;
    let (one, two) = (samples::group("deadlock one"), samples::group("deadlock two"));
    let rows: Vec<_> = (0..4).map(|index| samples::account(&format!("deadlock {index}"))).collect();
    let mut tx = store.begin().await.unwrap();
    groups::insert(&mut tx, &one).await.unwrap();
    groups::insert(&mut tx, &two).await.unwrap();
    for row in &rows {
        accounts::insert(&mut tx, row).await.unwrap();
    }
    tx.commit().await.unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let reversed: Vec<_> = ids.iter().rev().copied().collect();

    let by_group = |group, members: Vec<_>| async move {
        for round in 0..ROUNDS {
            let mut tx = store.begin().await.unwrap();
            let members = if round % 2 == 0 { members.as_slice() } else { &[] };
            groups::set_members(&mut tx, group, members, NOW).await.unwrap();
            tx.commit().await.unwrap();
        }
    };
    let by_account = |id| async move {
        for _ in 0..ROUNDS {
            let mut tx = store.begin().await.unwrap();
            let row = accounts::get(&mut tx, id).await.unwrap().unwrap();
            // Others change the same rows: losing is fair, a deadlock or a broken membership is not.
            match accounts::update(&mut tx, &row, row.revision).await {
                Ok(_) => tx.commit().await.unwrap(),
                Err(StoreError::Stale) => tx.rollback().await.unwrap(),
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let (one_id, two_id) = (one.id, two.id);
    tokio::join!(
        by_group(one_id, ids.clone()),
        by_group(two_id, reversed),
        by_account(ids[0]),
        by_account(ids[3]),
    );
    let mut tx = store.read().await.unwrap();
    let members = groups::members_of(&mut tx, &[one_id, two_id]).await.unwrap();
    let mut of_groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (group, account) in members {
        of_groups.entry(account).or_default().push(group);
    }
    for row in accounts::by_ids(&mut tx, &ids).await.unwrap() {
        let mut groups = of_groups.remove(&row.id).unwrap_or_default();
        groups.sort_unstable();
        assert_eq!(row.group_ids, groups);
    }
}
