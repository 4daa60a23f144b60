//! The latest failed attempt at each account, kept by ingestion. Nodes hold nothing of it.

use std::collections::HashMap;

use shared::{
    clock::Millis,
    id::{AccountId, RequestId},
};

use super::{
    StoreError, Tx,
    db::{execute, fetch_in},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    pub at: Millis,
    /// Short code, as the ledger holds it.
    pub reason: String,
    /// Of the upstream. `None`: no answer came.
    pub http_status: Option<u16>,
    pub request_id: RequestId,
}

/// Keeps it where the account exists and no later one is known.
///
/// # Errors
/// What the database says.
pub async fn note(tx: &mut Tx, account: AccountId, error: &LastError) -> Result<(), StoreError> {
    // Assignments take effect one after the other: `at` decides, so it comes last.
    const MYSQL: &str = "INSERT INTO account_last_errors (account_id, at, reason, http_status, request_id)
        SELECT id, ?, ?, ?, ? FROM accounts WHERE id = ?
        ON DUPLICATE KEY UPDATE
            reason = IF(VALUES(at) > account_last_errors.at, VALUES(reason), account_last_errors.reason),
            http_status = IF(VALUES(at) > account_last_errors.at, VALUES(http_status), account_last_errors.http_status),
            request_id = IF(VALUES(at) > account_last_errors.at, VALUES(request_id), account_last_errors.request_id),
            at = GREATEST(VALUES(at), account_last_errors.at)";
    const SQLITE: &str = "INSERT INTO account_last_errors (account_id, at, reason, http_status, request_id)
        SELECT id, ?, ?, ?, ? FROM accounts WHERE id = ?
        ON CONFLICT (account_id) DO UPDATE SET at = excluded.at, reason = excluded.reason,
            http_status = excluded.http_status, request_id = excluded.request_id
        WHERE excluded.at > account_last_errors.at";
    let sql = tx.sql(MYSQL, SQLITE);
    execute!(
        tx,
        sql,
        error.at.0,
        error.reason.as_str(),
        i64::from(error.http_status.unwrap_or(0)),
        error.request_id.to_bytes().to_vec(),
        account.to_bytes().to_vec(),
    )?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(try_from = "Vec<u8>")]
    account_id: AccountId,
    at: i64,
    reason: String,
    http_status: i64,
    #[sqlx(try_from = "Vec<u8>")]
    request_id: RequestId,
}

/// Those of these accounts that are known.
///
/// # Errors
/// What the database says.
pub async fn of(tx: &mut Tx, accounts: &[AccountId]) -> Result<HashMap<AccountId, LastError>, StoreError> {
    const HEAD: &str = "SELECT account_id, at, reason, http_status, request_id FROM account_last_errors WHERE account_id IN ";
    let keys: Vec<Vec<u8>> = accounts.iter().map(|id| id.to_bytes().to_vec()).collect();
    let rows = fetch_in!(tx, Row, HEAD, "", keys)?;
    let known = rows.into_iter().map(|row| {
        let error = LastError {
            at: Millis(row.at),
            reason: row.reason,
            http_status: u16::try_from(row.http_status).ok().filter(|status| *status > 0),
            request_id: row.request_id,
        };
        (row.account_id, error)
    });
    Ok(known.collect())
}

/// Behind the account itself, as a row of its own locks in that order.
pub(super) async fn delete(tx: &mut Tx, account: AccountId) -> Result<(), StoreError> {
    execute!(tx, "DELETE FROM account_last_errors WHERE account_id = ?", account.to_bytes().to_vec())?;
    Ok(())
}
