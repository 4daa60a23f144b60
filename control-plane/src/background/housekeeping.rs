//! Drops what is over: logins, throttle counters, keys of proxy tests, commands, nodes that were not heard of for a
//! month, stamps of old versions and deletions in them, entries of the audit log that are older than operators want, and
//! refusals that are old or too many.

use std::time::Duration;

use shared::clock::{Clock, Millis};

use super::Progress;
use crate::{
    refusals,
    store::{
        Store, StoreError, audit, changes, commands, nodes, proxy_test_keys, sessions, settings, throttle,
    },
};

/// Rows that one statement removes.
const ROWS_AT_ONCE: i64 = 500;
/// How long a command stays after it expired, for whoever still waits for its answer.
const COMMAND_AFTERLIFE: Duration = Duration::from_secs(3600);
/// How long a silent node is shown.
const NODE_MEMORY: Duration = Duration::from_secs(30 * DAY_SECONDS);
/// How far the audit log goes back where operators set nothing.
const AUDIT_DAYS: u64 = 400;
const DAY_SECONDS: u64 = 24 * 3600;

pub(super) async fn step(store: &Store, clock: &Clock) -> Result<Progress, StoreError> {
    let now = clock.now();
    // A transaction for each: a deletion locks more than it removes, and who signs in needs two of these tables, in
    // another order.
    let mut tx = store.begin().await?;
    let logins = sessions::delete_expired(&mut tx, now, ROWS_AT_ONCE).await?;
    tx.commit().await?;
    let mut tx = store.begin().await?;
    let counters = throttle::delete_stale(&mut tx, now, ROWS_AT_ONCE).await?;
    tx.commit().await?;
    // Mostly each is gone with its test; what is left here is of processes that were killed.
    let mut tx = store.begin().await?;
    changes::lock(&mut tx).await?;
    let keys = proxy_test_keys::delete_expired(&mut tx, now, ROWS_AT_ONCE).await?;
    tx.commit().await?;
    let mut tx = store.begin().await?;
    commands::delete_expired(&mut tx, before(now, COMMAND_AFTERLIFE)).await?;
    tx.commit().await?;
    let mut tx = store.begin().await?;
    nodes::delete_silent(&mut tx, before(now, NODE_MEMORY)).await?;
    tx.commit().await?;
    let mut tx = store.begin().await?;
    let stamps = changes::delete_old_stamps(&mut tx, ROWS_AT_ONCE).await?;
    tx.commit().await?;
    let mut tx = store.begin().await?;
    let deletions = changes::delete_old_deletions(&mut tx, ROWS_AT_ONCE).await?;
    tx.commit().await?;
    let audited = audit_log(store, now).await?;
    let more_refusals = refusals::retention::step(store, clock, ROWS_AT_ONCE).await?;
    let removed = [logins, counters, keys, stamps, deletions, audited];
    let full = removed.into_iter().any(|removed| removed >= ROWS_AT_ONCE.unsigned_abs());
    Ok(if full || more_refusals { Progress::More } else { Progress::Done })
}

async fn audit_log(store: &Store, now: Millis) -> Result<u64, StoreError> {
    let mut tx = store.read().await?;
    let (settings, _) = settings::load(&mut tx).await?;
    tx.commit().await?;
    let days = settings.audit_retention_days.unwrap_or(AUDIT_DAYS);
    let keep_from = before(now, Duration::from_secs(days.saturating_mul(DAY_SECONDS)));
    let mut tx = store.begin().await?;
    let removed = audit::delete_before(&mut tx, keep_from, ROWS_AT_ONCE).await?;
    tx.commit().await?;
    Ok(removed)
}

fn before(now: Millis, span: Duration) -> Millis {
    Millis(now.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use proto::v1::{Command, CommandResult};
    use shared::{
        id::{CommandId, KeyId, SessionId, UserId},
        secret::KeyHash,
    };

    use super::*;
    use crate::store::{
        Tx,
        api_keys::{self, ApiKey},
        commands::{answer, answers, insert},
        db::execute,
        sessions::Session,
        test_support,
    };

    const NOW: Millis = Millis(1_800_000_000_000);

    async fn login(tx: &mut Tx, expires_at: Millis) -> SessionId {
        let (id, user) = (SessionId::new(NOW), UserId::new(NOW));
        let session = Session {
            id,
            user,
            refresh_hash: [0; 32],
            previous: None,
            created_at: Millis(0),
            last_used_at: Millis(0),
            expires_at,
            address: None,
            agent: None,
        };
        sessions::insert(tx, &session).await.unwrap();
        id
    }

    async fn proxy_test_key(tx: &mut Tx, expires_at: Millis) -> KeyId {
        let id = KeyId::new(NOW);
        let key = ApiKey {
            id,
            user: UserId::new(NOW),
            name: "proxy test".into(),
            hash: KeyHash::of(&id.to_bytes()),
            prefix: "sk-000000000".into(),
            enabled: true,
            expires_at: Some(expires_at),
            tags: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            created_at: NOW,
            updated_at: NOW,
            revision: 1,
        };
        proxy_test_keys::insert(tx, &key).await.unwrap();
        id
    }

    async fn answered_command(tx: &mut Tx, expires_at: Millis) -> CommandId {
        let id = CommandId::new(NOW);
        let command = Command { id: id.to_bytes().to_vec(), command: None };
        insert(tx, &commands::Letter { node_id: "node-1".into(), command, expires_at }).await.unwrap();
        commands::claim(tx, id).await.unwrap();
        let result = CommandResult { node_id: "node-1".into(), ..CommandResult::default() };
        assert!(answer(tx, id, &result).await.unwrap());
        id
    }

    #[tokio::test]
    async fn what_is_over_goes_and_what_is_not_stays() {
        let database = test_support::sqlite().await;
        let store = &database.store;
        let mut tx = store.begin().await.unwrap();
        let (ended, live) = (login(&mut tx, NOW).await, login(&mut tx, Millis(NOW.0 + 1)).await);
        let old = before(before(NOW, COMMAND_AFTERLIFE), Duration::from_millis(1));
        let commands = [answered_command(&mut tx, old).await, answered_command(&mut tx, NOW).await];
        let keys = [proxy_test_key(&mut tx, NOW).await, proxy_test_key(&mut tx, Millis(NOW.0 + 1)).await];
        tx.commit().await.unwrap();

        assert_eq!(step(store, &Clock::manual(NOW)).await.unwrap(), Progress::Done);

        let mut tx = store.read().await.unwrap();
        assert_eq!(sessions::get(&mut tx, ended).await.unwrap(), None);
        assert!(sessions::get(&mut tx, live).await.unwrap().is_some());
        let left: Vec<_> = answers(&mut tx, &commands).await.unwrap().into_iter().map(|(id, _)| id).collect();
        assert_eq!(left, [commands[1]]);
        let left: Vec<_> =
            api_keys::by_ids(&mut tx, &keys).await.unwrap().into_iter().map(|key| key.id).collect();
        assert_eq!(left, [keys[1]]);
        let is_told = async |tx: &mut Tx| {
            let told = changes::since(tx, 0).await.unwrap();
            told.iter().any(|change| change.id == keys[0].to_bytes() && change.deleted)
        };
        assert!(is_told(&mut tx).await, "nodes hear of it");
        tx.rollback().await.unwrap();

        let mut tx = store.begin().await.unwrap();
        let later = i64::try_from(2 * changes::DELETIONS_KEPT).unwrap();
        execute!(&mut tx, "UPDATE configuration_revision SET version = ?", later).unwrap();
        tx.commit().await.unwrap();
        assert_eq!(step(store, &Clock::manual(NOW)).await.unwrap(), Progress::Done);
        assert!(!is_told(&mut store.read().await.unwrap()).await, "and not for ever");
    }

    async fn audited(tx: &mut Tx, at: Millis) {
        let entry = audit::AuditEntry {
            actor: None,
            action: "thing.update",
            target_kind: "thing",
            target_id: None,
            detail: serde_json::json!({}),
            at,
            address: None,
        };
        audit::write(tx, &entry).await.unwrap();
    }

    async fn audit_times(store: &Store) -> Vec<i64> {
        let mut tx = store.read().await.unwrap();
        let rows = audit::list(&mut tx, &audit::AuditFilter::default(), None, 1_000).await.unwrap();
        rows.into_iter().map(|row| row.at).collect()
    }

    #[tokio::test]
    async fn the_audit_log_goes_back_as_far_as_operators_want_on_both_databases() {
        let ago = |days: u64| before(NOW, Duration::from_secs(days * DAY_SECONDS));
        for database in [test_support::sqlite().await, test_support::mariadb().await] {
            let (store, clock) = (&database.store, Clock::manual(NOW));
            let mut tx = store.begin().await.unwrap();
            for at in [Millis(ago(400).0 - 1), ago(400), ago(7), NOW] {
                audited(&mut tx, at).await;
            }
            tx.commit().await.unwrap();
            assert_eq!(step(store, &clock).await.unwrap(), Progress::Done);
            assert_eq!(audit_times(store).await, [NOW.0, ago(7).0, ago(400).0]);

            let mut tx = store.begin().await.unwrap();
            let seven = settings::Settings { audit_retention_days: Some(7), ..Default::default() };
            settings::save(&mut tx, &seven, 0, NOW).await.unwrap();
            for _ in 0..ROWS_AT_ONCE {
                audited(&mut tx, ago(8)).await;
            }
            tx.commit().await.unwrap();
            assert_eq!(step(store, &clock).await.unwrap(), Progress::More, "a piece at a time");
            assert_eq!(audit_times(store).await.len(), 3, "the oldest first");
            assert_eq!(step(store, &clock).await.unwrap(), Progress::Done);
            assert_eq!(audit_times(store).await, [NOW.0, ago(7).0]);
        }
    }
}
