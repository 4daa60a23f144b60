//! Whose the API keys were that people knew and that are deleted: what they used stays to be seen by that person.

use shared::{
    clock::Millis,
    id::{KeyId, UserId},
};

use super::{StoreError, Tx, db::execute};

/// Keeps whose a key is that is about to be deleted.
///
/// # Errors
/// What the database says.
pub async fn keep(tx: &mut Tx, id: KeyId, deleted_at: Millis) -> Result<(), StoreError> {
    execute!(
        tx,
        "INSERT INTO former_keys (key_id, user_id, deleted_at) SELECT id, user_id, ? FROM api_keys WHERE id = ?",
        deleted_at.0,
        id.to_bytes().to_vec(),
    )?;
    Ok(())
}

/// Forgets those of a person.
///
/// # Errors
/// What the database says.
pub async fn delete_of_user(tx: &mut Tx, user: UserId) -> Result<(), StoreError> {
    execute!(tx, "DELETE FROM former_keys WHERE user_id = ?", user.to_bytes().to_vec())?;
    Ok(())
}

/// Forgets those that were deleted before `end`, at most `limit`. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_before(tx: &mut Tx, end: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM former_keys WHERE deleted_at < ? ORDER BY deleted_at LIMIT ?",
        "DELETE FROM former_keys WHERE key_id IN
            (SELECT key_id FROM former_keys WHERE deleted_at < ? ORDER BY deleted_at LIMIT ?)",
    );
    execute!(tx, sql, end.0, limit)
}

/// Has those count as deleted `now` of which an earlier release did not say when, at most `limit`. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn date(tx: &mut Tx, now: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "UPDATE former_keys SET deleted_at = ? WHERE deleted_at IS NULL LIMIT ?",
        "UPDATE former_keys SET deleted_at = ? WHERE key_id IN
            (SELECT key_id FROM former_keys WHERE deleted_at IS NULL LIMIT ?)",
    );
    execute!(tx, sql, now.0, limit)
}
