//! Named sets of accounts.

use std::collections::BTreeSet;

use proto::v1::ResourceKind;
use shared::{
    clock::Millis,
    id::{AccountId, GroupId},
};

use super::{
    StoreError, Tx, changes,
    db::{execute, fetch_all, fetch_in, fetch_optional},
    statement::Statement,
};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct GroupRow {
    #[sqlx(try_from = "Vec<u8>")]
    pub id: GroupId,
    pub name: String,
    pub description: String,
    /// Milliseconds since 1970, as all times here.
    pub created_at: i64,
    pub updated_at: i64,
    pub revision: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, description, created_at, updated_at, revision FROM account_groups ", $rest)
    };
}

/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx, id: GroupId) -> Result<Option<GroupRow>, StoreError> {
    fetch_optional!(tx, GroupRow, select!("WHERE id = ?"), id.to_bytes().to_vec())
}

/// By rising id.
///
/// # Errors
/// What the database says.
pub async fn all(tx: &mut Tx) -> Result<Vec<GroupRow>, StoreError> {
    fetch_all!(tx, GroupRow, select!("ORDER BY id"))
}

/// Those that exist, in no order.
///
/// # Errors
/// What the database says.
pub async fn by_ids(tx: &mut Tx, ids: &[GroupId]) -> Result<Vec<GroupRow>, StoreError> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    fetch_in!(tx, GroupRow, select!("WHERE id IN "), "", keys)
}

/// By rising id, those after `after` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    search: Option<&str>,
    after: Option<GroupId>,
    limit: u32,
) -> Result<Vec<GroupRow>, StoreError> {
    Statement::new(select!(""))
        .after("id > ?", after.map(GroupId::to_bytes))
        .containing(&["name"], search)
        .first("id", limit)
        .fetch(tx)
        .await
}

/// The accounts in a group, by rising id.
///
/// # Errors
/// What the database says.
pub async fn members(tx: &mut Tx, id: GroupId) -> Result<Vec<AccountId>, StoreError> {
    members_by(tx, "SELECT account_id FROM account_group_members WHERE group_id = ? ORDER BY account_id", id)
        .await
}

/// Who is in these groups, in no order.
///
/// # Errors
/// What the database says.
pub async fn members_of(tx: &mut Tx, ids: &[GroupId]) -> Result<Vec<(GroupId, AccountId)>, StoreError> {
    const HEAD: &str = "SELECT group_id, account_id FROM account_group_members WHERE group_id IN ";
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let rows = fetch_in!(tx, (Vec<u8>, Vec<u8>), HEAD, "", keys)?;
    let pair = |(group, account)| Ok((GroupId::try_from(group)?, AccountId::try_from(account)?));
    rows.into_iter().map(pair).collect::<Result<_, shared::id::InvalidId>>().map_err(StoreError::corrupt)
}

/// Returns the version of the change.
///
/// # Errors
/// `Conflict` where the name is taken.
pub async fn insert(tx: &mut Tx, row: &GroupRow) -> Result<u64, StoreError> {
    let version = changes::record(tx, ResourceKind::AccountGroup, row.id.to_bytes(), false).await?;
    execute!(
        tx,
        "INSERT INTO account_groups (id, name, description, created_at, updated_at, revision) VALUES (?, ?, ?, ?, ?, ?)",
        row.id.to_bytes().to_vec(),
        row.name.as_str(),
        row.description.as_str(),
        row.created_at,
        row.updated_at,
        row.revision,
    )
    .map_err(|error| error.about("the group's name"))?;
    Ok(version)
}

/// Writes name, description and `updated_at`; returns the new revision.
///
/// # Errors
/// `NotFound`; `Stale` where the row is at another revision; `Conflict` where the name is taken.
pub async fn update(tx: &mut Tx, row: &GroupRow, expected_revision: i64) -> Result<i64, StoreError> {
    changes::record(tx, ResourceKind::AccountGroup, row.id.to_bytes(), false).await?;
    let matched = execute!(
        tx,
        "UPDATE account_groups SET name = ?, description = ?, updated_at = ?, revision = revision + 1
         WHERE id = ? AND revision = ?",
        row.name.as_str(),
        row.description.as_str(),
        row.updated_at,
        row.id.to_bytes().to_vec(),
        expected_revision,
    )
    .map_err(|error| error.about("the group's name"))?;
    if matched > 0 {
        return Ok(expected_revision + 1);
    }
    let there = all_exist(tx, &[row.id]).await?;
    Err(if there { StoreError::Stale } else { StoreError::NotFound })
}

/// Makes the group consist of these accounts; each account that enters or leaves changes with it. The group's revision
/// rises with each: read it afterwards.
///
/// # Errors
/// `Missing` where an account does not exist.
pub async fn set_members(
    tx: &mut Tx,
    id: GroupId,
    accounts: &[AccountId],
    at: Millis,
) -> Result<(), StoreError> {
    changes::lock(tx).await?;
    let before: BTreeSet<_> = latest_members(tx, id).await?.into_iter().collect();
    let after: BTreeSet<_> = accounts.iter().copied().collect();
    for account in before.symmetric_difference(&after) {
        touch(tx, *account, at).await?;
        set_member(tx, id, *account, after.contains(account)).await?;
    }
    Ok(())
}

/// Deletes the group; its members leave it and change with it.
///
/// # Errors
/// `NotFound`.
pub async fn delete(tx: &mut Tx, id: GroupId, at: Millis) -> Result<(), StoreError> {
    set_members(tx, id, &[], at).await?;
    changes::record(tx, ResourceKind::AccountGroup, id.to_bytes(), true).await?;
    match execute!(tx, "DELETE FROM account_groups WHERE id = ?", id.to_bytes().to_vec())? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

/// Puts an account into a group or takes it out, where the account's own change is recorded already. The group's
/// members are part of what its ETag stands for.
pub(super) async fn set_member(
    tx: &mut Tx,
    id: GroupId,
    account: AccountId,
    inside: bool,
) -> Result<(), StoreError> {
    let sql = if inside {
        "INSERT INTO account_group_members (group_id, account_id) VALUES (?, ?)"
    } else {
        "DELETE FROM account_group_members WHERE group_id = ? AND account_id = ?"
    };
    execute!(tx, sql, id.to_bytes().to_vec(), account.to_bytes().to_vec())?;
    execute!(tx, "UPDATE account_groups SET revision = revision + 1 WHERE id = ?", id.to_bytes().to_vec())?;
    Ok(())
}

/// As committed last, where the lock of the change log is held.
pub(super) async fn all_exist(tx: &mut Tx, ids: &[GroupId]) -> Result<bool, StoreError> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let locking = tx.locking();
    let found = fetch_in!(tx, (Vec<u8>,), "SELECT id FROM account_groups WHERE id IN ", locking, keys)?;
    Ok(found.len() == ids.len())
}

async fn latest_members(tx: &mut Tx, id: GroupId) -> Result<Vec<AccountId>, StoreError> {
    let sql = tx.sql(
        "SELECT account_id FROM account_group_members WHERE group_id = ? FOR UPDATE",
        "SELECT account_id FROM account_group_members WHERE group_id = ?",
    );
    members_by(tx, sql, id).await
}

async fn members_by(tx: &mut Tx, sql: &'static str, id: GroupId) -> Result<Vec<AccountId>, StoreError> {
    let rows = fetch_all!(tx, (Vec<u8>,), sql, id.to_bytes().to_vec())?;
    rows.into_iter().map(|(id,)| AccountId::try_from(id).map_err(StoreError::corrupt)).collect()
}

async fn touch(tx: &mut Tx, account: AccountId, at: Millis) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::Account, account.to_bytes(), false).await?;
    let matched = execute!(
        tx,
        "UPDATE accounts SET updated_at = ?, revision = revision + 1 WHERE id = ?",
        at.0,
        account.to_bytes().to_vec(),
    )?;
    if matched == 0 { Err(StoreError::Missing { what: "an account of account_ids" }) } else { Ok(()) }
}
