//! Drops what is over: logins, throttle counters, keys of proxy tests, commands, nodes that were not heard of for a
//! month, stamps of old versions, and refusals that are old or too many.

use std::time::Duration;

use shared::clock::{Clock, Millis};

use super::Progress;
use crate::{
    refusals,
    store::{Store, StoreError, changes, commands, nodes, proxy_test_keys, sessions, throttle},
};

/// Rows that one statement removes.
const ROWS_AT_ONCE: i64 = 500;
/// How long a command stays after it expired, for whoever still waits for its answer.
const COMMAND_AFTERLIFE: Duration = Duration::from_secs(3600);
/// How long a silent node is shown.
const NODE_MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);

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
    let more_refusals = refusals::retention::step(store, clock, ROWS_AT_ONCE).await?;
    let full =
        [logins, counters, keys, stamps].into_iter().any(|removed| removed >= ROWS_AT_ONCE.unsigned_abs());
    Ok(if full || more_refusals { Progress::More } else { Progress::Done })
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
        let told = changes::since(&mut tx, 0).await.unwrap();
        assert!(
            told.iter().any(|change| change.id == keys[0].to_bytes() && change.deleted),
            "nodes hear of it"
        );
    }
}
