//! Pages of accounts.

use shared::id::{AccountId, GroupId};

use super::{AccountRow, with_groups};
use crate::store::{StoreError, Tx, statement::Statement};

/// Which accounts to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    pub account_type: Option<String>,
    /// Valid or not.
    pub valid: Option<bool>,
    pub enabled: Option<bool>,
    pub group: Option<GroupId>,
    /// Part of the name or the description, see [`Statement::containing`].
    pub search: Option<String>,
}

/// By rising id, those after `after` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    filter: &AccountFilter,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<AccountRow>, StoreError> {
    let mut rows = statement(filter, after, limit).fetch(tx).await?;
    with_groups(tx, &mut rows).await?;
    Ok(rows)
}

fn statement(filter: &AccountFilter, after: Option<AccountId>, limit: u32) -> Statement {
    const OF_GROUP: &str = "id IN (SELECT account_id FROM account_group_members WHERE group_id = ?)";
    let valid = |valid| if valid { "invalid_reason IS NULL" } else { "invalid_reason IS NOT NULL" };
    Statement::new(select!(""))
        .after("id > ?", after.map(AccountId::to_bytes))
        .given("account_type = ?", filter.account_type.as_deref())
        .holding(filter.valid.map(valid))
        .given("enabled = ?", filter.enabled)
        .given(OF_GROUP, filter.group.map(GroupId::to_bytes))
        .containing(&["name", "description"], filter.search.as_deref())
        .first("id", limit)
}

/// How the database would find a page.
///
/// # Errors
/// What the database says.
#[cfg(test)]
pub(crate) async fn plan(tx: &mut Tx, filter: &AccountFilter) -> Result<String, StoreError> {
    statement(filter, None, 50).plan(tx).await
}
