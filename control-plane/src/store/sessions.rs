//! Logins. Each has one refresh token that counts; using it puts another in its place.

use shared::{
    clock::Millis,
    id::{SessionId, UserId},
};

use super::{
    StoreError, Tx,
    db::{execute, fetch_optional},
};

/// Logins that one person may have; the least recently used go first.
pub const MAX_SESSIONS: i64 = 50;

/// One login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    /// SHA-256 of the refresh token that counts.
    pub refresh_hash: [u8; 32],
    pub created_at: Millis,
    pub last_used_at: Millis,
    pub expires_at: Millis,
}

type Row = (Vec<u8>, Vec<u8>, Vec<u8>, i64, i64, i64);

fn session((id, user, hash, created_at, last_used_at, expires_at): Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId::try_from(id.as_slice()).map_err(StoreError::corrupt)?,
        user: UserId::try_from(user.as_slice()).map_err(StoreError::corrupt)?,
        refresh_hash: hash
            .try_into()
            .map_err(|_| StoreError::corrupt("a refresh token's hash has not 32 bytes"))?,
        created_at: Millis(created_at),
        last_used_at: Millis(last_used_at),
        expires_at: Millis(expires_at),
    })
}

/// Adds a login, and drops the person's oldest beyond [`MAX_SESSIONS`].
///
/// # Errors
/// What the database says.
pub async fn insert(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    execute!(
        tx,
        "INSERT INTO sessions (id, user_id, refresh_hash, created_at, last_used_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?)",
        session.id.to_bytes().to_vec(),
        session.user.to_bytes().to_vec(),
        session.refresh_hash.to_vec(),
        session.created_at.0,
        session.last_used_at.0,
        session.expires_at.0,
    )?;
    let user = session.user.to_bytes().to_vec();
    let oldest_kept = fetch_optional!(
        tx,
        (i64,),
        "SELECT last_used_at FROM sessions WHERE user_id = ? ORDER BY last_used_at DESC LIMIT 1 OFFSET ?",
        user.clone(),
        MAX_SESSIONS - 1,
    )?;
    if let Some((oldest_kept,)) = oldest_kept {
        execute!(tx, "DELETE FROM sessions WHERE user_id = ? AND last_used_at < ?", user, oldest_kept)?;
    }
    Ok(())
}

/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx, id: SessionId) -> Result<Option<Session>, StoreError> {
    let row = fetch_optional!(
        tx,
        Row,
        "SELECT id, user_id, refresh_hash, created_at, last_used_at, expires_at FROM sessions WHERE id = ?",
        id.to_bytes().to_vec(),
    )?;
    row.map(session).transpose()
}

/// Puts a new refresh token in the place of `old`. False where `old` is not the one that counts, or not any more.
///
/// # Errors
/// What the database says.
pub async fn rotate(
    tx: &mut Tx,
    id: SessionId,
    old: [u8; 32],
    new: [u8; 32],
    now: Millis,
    expires_at: Millis,
) -> Result<bool, StoreError> {
    let matched = execute!(
        tx,
        "UPDATE sessions SET refresh_hash = ?, last_used_at = ?, expires_at = ?
         WHERE id = ? AND refresh_hash = ? AND expires_at > ?",
        new.to_vec(),
        now.0,
        expires_at.0,
        id.to_bytes().to_vec(),
        old.to_vec(),
        now.0,
    )?;
    Ok(matched == 1)
}

/// Ends a login; no matter if there is none.
///
/// # Errors
/// What the database says.
pub async fn delete(tx: &mut Tx, id: SessionId) -> Result<(), StoreError> {
    execute!(tx, "DELETE FROM sessions WHERE id = ?", id.to_bytes().to_vec())?;
    Ok(())
}

/// Ends all logins of a person, save one.
///
/// # Errors
/// What the database says.
pub async fn delete_of_user(tx: &mut Tx, user: UserId, except: Option<SessionId>) -> Result<(), StoreError> {
    let except = except.map_or_else(Vec::new, |id| id.to_bytes().to_vec());
    execute!(tx, "DELETE FROM sessions WHERE user_id = ? AND id <> ?", user.to_bytes().to_vec(), except)?;
    Ok(())
}

/// Drops logins that can't be refreshed any more, at most `limit`. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_expired(tx: &mut Tx, now: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
    );
    execute!(tx, sql, now.0, limit)
}
