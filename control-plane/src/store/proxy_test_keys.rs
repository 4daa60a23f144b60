//! API keys of proxy tests: nodes hold them as any other, people never see them, and they do not last.

use shared::{
    clock::Millis,
    id::{KeyId, UserId},
};

use super::{
    StoreError, Tx,
    api_keys::{self, ApiKey},
    db::{execute, fetch_all, fetch_one},
};

/// Adds the key of a proxy test.
///
/// # Errors
/// `Corrupt` for a key that does not expire, or what the database says.
pub async fn insert(tx: &mut Tx, key: &ApiKey) -> Result<(), StoreError> {
    let expires_at =
        key.expires_at.ok_or_else(|| StoreError::corrupt("a key of a proxy test must expire"))?;
    api_keys::insert(tx, key).await?;
    execute!(
        tx,
        "INSERT INTO proxy_test_keys (key_id, user_id, expires_at) VALUES (?, ?, ?)",
        key.id.to_bytes().to_vec(),
        key.user.to_bytes().to_vec(),
        expires_at.0,
    )?;
    Ok(())
}

/// How many such keys of a person have not expired; as committed last, once the transaction holds the lock of
/// [`super::changes::lock`].
///
/// # Errors
/// What the database says.
pub async fn count_unexpired(tx: &mut Tx, user: UserId, now: Millis) -> Result<i64, StoreError> {
    let sql = tx.sql(
        "SELECT COUNT(*) FROM proxy_test_keys WHERE user_id = ? AND expires_at > ? FOR UPDATE",
        "SELECT COUNT(*) FROM proxy_test_keys WHERE user_id = ? AND expires_at > ?",
    );
    Ok(fetch_one!(tx, (i64,), sql, user.to_bytes().to_vec(), now.0)?.0)
}

/// Deletes such keys that have expired, `limit` at most, each with its change, in a transaction that holds the lock of
/// [`super::changes::lock`]. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_expired(tx: &mut Tx, now: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "SELECT key_id FROM proxy_test_keys WHERE expires_at <= ? ORDER BY expires_at LIMIT ? FOR UPDATE",
        "SELECT key_id FROM proxy_test_keys WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
    );
    let ids = fetch_all!(tx, (Vec<u8>,), sql, now.0, limit)?;
    let mut deleted = 0;
    for (id,) in ids {
        let id = KeyId::try_from(id.as_slice()).map_err(StoreError::corrupt)?;
        match api_keys::delete(tx, id, now).await {
            Ok(()) | Err(StoreError::NotFound) => deleted += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}
