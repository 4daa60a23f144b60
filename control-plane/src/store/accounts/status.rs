//! Whether an account's credential works, as nodes and people say.

use proto::v1::ResourceKind;
use shared::{clock::Millis, id::AccountId};

use super::exists;
use crate::store::{StoreError, Tx, changes, db::execute};

/// Writes down that the account's credential does not work. False, and nothing is written, where the account has
/// changed since `account_version`, is gone, or is known to be invalid for this reason.
///
/// # Errors
/// What the database says.
pub async fn mark_invalid(
    tx: &mut Tx,
    id: AccountId,
    account_version: u64,
    reason: &str,
    detail: &str,
    at: Millis,
) -> Result<bool, StoreError> {
    const MAX_REASON: usize = 64;
    const MAX_DETAIL: usize = 1000;
    changes::lock(tx).await?;
    let latest = changes::latest_version_of(tx, ResourceKind::Account, id.to_bytes()).await?;
    if latest != Some(account_version) {
        return Ok(false);
    }
    let reason = cut(reason, MAX_REASON);
    let matched = execute!(
        tx,
        "UPDATE accounts SET invalid_reason = ?, invalid_detail = ?, invalid_at = ?, updated_at = ?,
            revision = revision + 1
         WHERE id = ? AND (invalid_reason IS NULL OR invalid_reason <> ?)",
        reason.as_str(),
        cut(detail, MAX_DETAIL),
        at.0,
        at.0,
        id.to_bytes().to_vec(),
        reason.as_str(),
    )?;
    if matched > 0 {
        changes::record(tx, ResourceKind::Account, id.to_bytes(), false).await?;
    }
    Ok(matched > 0)
}

/// Writes down that the account may be used again. False where it may be already.
///
/// # Errors
/// `NotFound`.
pub async fn mark_valid(tx: &mut Tx, id: AccountId, at: Millis) -> Result<bool, StoreError> {
    changes::lock(tx).await?;
    let matched = execute!(
        tx,
        "UPDATE accounts SET invalid_reason = NULL, invalid_detail = NULL, invalid_at = NULL, updated_at = ?,
            revision = revision + 1
         WHERE id = ? AND invalid_reason IS NOT NULL",
        at.0,
        id.to_bytes().to_vec(),
    )?;
    if matched > 0 {
        changes::record(tx, ResourceKind::Account, id.to_bytes(), false).await?;
        return Ok(true);
    }
    if exists(tx, id).await? { Ok(false) } else { Err(StoreError::NotFound) }
}

/// Not longer than `most` characters.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}
