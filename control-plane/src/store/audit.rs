//! The audit log: who changed what, written in the transaction of the change.

use std::net::IpAddr;

use shared::{
    clock::Millis,
    id::{AuditId, UserId},
};

use super::{
    StoreError, Tx,
    db::{execute, fetch_all},
    usage_queries::first_id_of,
};

/// What is written of a change.
#[derive(Debug)]
pub struct AuditEntry<'a> {
    /// `None`: the program itself, or someone who is not logged in.
    pub actor: Option<UserId>,
    /// What was done, such as `account.create`.
    pub action: &'a str,
    /// What it was done to, such as `account`.
    pub target_kind: &'a str,
    pub target_id: Option<String>,
    /// What was before and after, and the like; never a secret.
    pub detail: serde_json::Value,
    pub at: Millis,
    pub address: Option<IpAddr>,
}

/// A row of the log.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AuditRow {
    #[sqlx(try_from = "Vec<u8>")]
    pub id: AuditId,
    /// Milliseconds since 1970.
    pub at: i64,
    /// A [`UserId`]'s bytes.
    pub actor: Option<Vec<u8>>,
    pub action: String,
    pub target_kind: String,
    pub target_id: Option<String>,
    /// JSON.
    pub detail: String,
    pub address: Option<String>,
}

/// Which rows to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub actor: Option<UserId>,
    pub action: Option<String>,
    pub target_kind: Option<String>,
    pub target_id: Option<String>,
}

/// # Errors
/// What the database says.
pub async fn write(tx: &mut Tx, entry: &AuditEntry<'_>) -> Result<(), StoreError> {
    execute!(
        tx,
        "INSERT INTO audit_log (id, at, actor, action, target_kind, target_id, detail, address)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        AuditId::new(entry.at).to_bytes().to_vec(),
        entry.at.0,
        entry.actor.map(|actor| actor.to_bytes().to_vec()),
        entry.action,
        entry.target_kind,
        entry.target_id.as_deref(),
        entry.detail.to_string(),
        entry.address.map(|address| address.to_string()),
    )?;
    Ok(())
}

/// The latest first; those before `before` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    filter: &AuditFilter,
    before: Option<AuditId>,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let before = before.map(|id| id.to_bytes().to_vec());
    let actor = filter.actor.map(|actor| actor.to_bytes().to_vec());
    fetch_all!(
        tx,
        AuditRow,
        "SELECT id, at, actor, action, target_kind, target_id, detail, address FROM audit_log
         WHERE (? IS NULL OR id < ?) AND (? IS NULL OR actor = ?) AND (? IS NULL OR action = ?)
           AND (? IS NULL OR target_kind = ?) AND (? IS NULL OR target_id = ?)
         ORDER BY id DESC LIMIT ?",
        before.clone(),
        before.clone(),
        actor.clone(),
        actor.clone(),
        filter.action.as_deref(),
        filter.action.as_deref(),
        filter.target_kind.as_deref(),
        filter.target_kind.as_deref(),
        filter.target_id.as_deref(),
        filter.target_id.as_deref(),
        i64::from(limit),
    )
}

/// Removes at most `limit` of the entries from before `end`, the oldest first. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_before(tx: &mut Tx, end: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM audit_log WHERE id < ? ORDER BY id LIMIT ?",
        "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE id < ? ORDER BY id LIMIT ?)",
    );
    execute!(tx, sql, first_id_of(end).to_bytes().to_vec(), limit)
}
