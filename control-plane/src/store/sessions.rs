//! Logins. Each has one refresh token that counts; using it puts another in its place.

use std::net::IpAddr;

use shared::{
    clock::Millis,
    id::{SessionId, UserId},
};

use super::{
    StoreError, Tx,
    db::{execute, fetch_all, fetch_optional},
};

/// Logins that one person may have; the least recently used go first.
pub const MAX_SESSIONS: i64 = 50;

/// One login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    /// SHA-256 of the refresh token that counts.
    pub refresh_hash: [u8; 32],
    /// `None`: it is the first one.
    pub previous: Option<Previous>,
    pub created_at: Millis,
    pub last_used_at: Millis,
    pub expires_at: Millis,
    /// Where it was begun from. `None`: it is not known.
    pub address: Option<IpAddr>,
    /// What it was begun with, as that called itself.
    pub agent: Option<String>,
}

/// The refresh token before the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// When it was used.
    pub rotated_at: Millis,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Vec<u8>,
    user_id: Vec<u8>,
    refresh_hash: Vec<u8>,
    previous_hash: Option<Vec<u8>>,
    rotated_at: Option<i64>,
    created_at: i64,
    last_used_at: i64,
    expires_at: i64,
    address: Option<String>,
    agent: Option<String>,
}

impl TryFrom<Row> for Session {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let previous = match (row.previous_hash, row.rotated_at) {
            (Some(hash), Some(at)) => Some(Previous { hash: hash_of(hash)?, rotated_at: Millis(at) }),
            _ => None,
        };
        Ok(Self {
            id: SessionId::try_from(row.id.as_slice()).map_err(StoreError::corrupt)?,
            user: UserId::try_from(row.user_id.as_slice()).map_err(StoreError::corrupt)?,
            refresh_hash: hash_of(row.refresh_hash)?,
            previous,
            created_at: Millis(row.created_at),
            last_used_at: Millis(row.last_used_at),
            expires_at: Millis(row.expires_at),
            address: row.address.map(|text| text.parse()).transpose().map_err(StoreError::corrupt)?,
            agent: row.agent,
        })
    }
}

fn hash_of(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::corrupt("a refresh token's hash has not 32 bytes"))
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, user_id, refresh_hash, previous_hash, rotated_at, created_at, last_used_at, expires_at, ",
            "address, agent FROM sessions ",
            $tail
        )
    };
}

/// Adds a login with its first refresh token, and drops the person's oldest beyond [`MAX_SESSIONS`].
///
/// # Errors
/// What the database says.
pub async fn insert(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    execute!(
        tx,
        "INSERT INTO sessions (id, user_id, refresh_hash, created_at, last_used_at, expires_at, address, agent)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        session.id.to_bytes().to_vec(),
        session.user.to_bytes().to_vec(),
        session.refresh_hash.to_vec(),
        session.created_at.0,
        session.last_used_at.0,
        session.expires_at.0,
        session.address.map(|address| address.to_string()),
        session.agent.as_deref(),
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
    let row = fetch_optional!(tx, Row, select!("WHERE id = ?"), id.to_bytes().to_vec())?;
    row.map(Session::try_from).transpose()
}

/// [`get`] as committed last, for a transaction that decides by it.
///
/// # Errors
/// What the database says.
pub async fn get_latest(tx: &mut Tx, id: SessionId) -> Result<Option<Session>, StoreError> {
    let sql = tx.sql(select!("WHERE id = ? FOR UPDATE"), select!("WHERE id = ?"));
    let row = fetch_optional!(tx, Row, sql, id.to_bytes().to_vec())?;
    row.map(Session::try_from).transpose()
}

/// Those of a person that have not expired, the one used last first.
///
/// # Errors
/// What the database says.
pub async fn list_of_user(tx: &mut Tx, user: UserId, now: Millis) -> Result<Vec<Session>, StoreError> {
    let rows = fetch_all!(
        tx,
        Row,
        select!("WHERE user_id = ? AND expires_at > ? ORDER BY last_used_at DESC, id DESC"),
        user.to_bytes().to_vec(),
        now.0,
    )?;
    rows.into_iter().map(Session::try_from).collect()
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
        "UPDATE sessions SET refresh_hash = ?, previous_hash = ?, rotated_at = ?, last_used_at = ?, expires_at = ?
         WHERE id = ? AND refresh_hash = ? AND expires_at > ?",
        new.to_vec(),
        old.to_vec(),
        now.0,
        now.0,
        expires_at.0,
        id.to_bytes().to_vec(),
        old.to_vec(),
        now.0,
    )?;
    Ok(matched == 1)
}

/// Ends a login. False: there was none.
///
/// # Errors
/// What the database says.
pub async fn delete(tx: &mut Tx, id: SessionId) -> Result<bool, StoreError> {
    Ok(execute!(tx, "DELETE FROM sessions WHERE id = ?", id.to_bytes().to_vec())? > 0)
}

/// Ends all logins of a person, save one. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_of_user(tx: &mut Tx, user: UserId, except: Option<SessionId>) -> Result<u64, StoreError> {
    let except = except.map_or_else(Vec::new, |id| id.to_bytes().to_vec());
    execute!(tx, "DELETE FROM sessions WHERE user_id = ? AND id <> ?", user.to_bytes().to_vec(), except)
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
