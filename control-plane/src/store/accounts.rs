//! Upstream accounts, with the groups they are in.

use std::collections::BTreeSet;

use proto::v1::ResourceKind;
use shared::id::{AccountId, GroupId};

use super::{
    StoreError, Tx, account_errors, changes,
    db::{execute, fetch_all, fetch_in, fetch_optional},
    groups,
};

#[cfg(test)]
pub(crate) use self::{list::plan as plan_of_list, standings::plan as plan_of_count};
pub use self::{
    list::{AccountFilter, list},
    standings::{count_standings, standings},
    status::{mark_invalid, mark_valid},
};

/// A sealed credential; shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl From<Vec<u8>> for Sealed {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

/// A row as it is stored; [`crate::domain::account::Account`] is what it means.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AccountRow {
    #[sqlx(try_from = "Vec<u8>")]
    pub id: AccountId,
    pub name: String,
    pub description: String,
    pub account_type: String,
    pub base_url: Option<String>,
    pub credential_kind: String,
    pub credential_hint: Option<String>,
    #[sqlx(try_from = "Vec<u8>")]
    pub credential: Sealed,
    /// JSON by account type.
    pub options: String,
    pub enabled: bool,
    pub schedulable: bool,
    pub priority: i32,
    pub weight: i32,
    pub concurrency: Option<i64>,
    /// JSON: `[[from, to], …]`, the first match wins.
    pub model_mapping: String,
    /// JSON: `[pattern, …]`.
    pub allowed_models: String,
    /// JSON: `[text, …]`.
    pub tags: String,
    pub client_gone: String,
    /// Milliseconds since 1970, as all times here.
    pub expires_at: Option<i64>,
    /// `None`: valid.
    pub invalid_reason: Option<String>,
    pub invalid_detail: Option<String>,
    pub invalid_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
    pub revision: i64,
    /// By rising id.
    #[sqlx(skip)]
    pub group_ids: Vec<GroupId>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, description, account_type, base_url, credential_kind, credential_hint, credential, options, ",
            "enabled, schedulable, priority, weight, concurrency, model_mapping, allowed_models, tags, client_gone, ",
            "expires_at, invalid_reason, invalid_detail, invalid_at, created_at, updated_at, revision FROM accounts ",
            $rest
        )
    };
}

mod list;
mod standings;
mod status;

/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
    let row = fetch_optional!(tx, AccountRow, select!("WHERE id = ?"), id.to_bytes().to_vec())?;
    let Some(mut row) = row else { return Ok(None) };
    let members = fetch_all!(
        tx,
        Member,
        "SELECT account_id, group_id FROM account_group_members WHERE account_id = ?",
        id.to_bytes().to_vec()
    )?;
    assign(std::slice::from_mut(&mut row), &members);
    Ok(Some(row))
}

/// By rising id.
///
/// # Errors
/// What the database says.
pub async fn all(tx: &mut Tx) -> Result<Vec<AccountRow>, StoreError> {
    let mut rows = fetch_all!(tx, AccountRow, select!("ORDER BY id"))?;
    let members = fetch_all!(tx, Member, "SELECT account_id, group_id FROM account_group_members")?;
    assign(&mut rows, &members);
    Ok(rows)
}

/// Those that exist, by rising id.
///
/// # Errors
/// What the database says.
pub async fn by_ids(tx: &mut Tx, ids: &[AccountId]) -> Result<Vec<AccountRow>, StoreError> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let mut rows = fetch_in!(tx, AccountRow, select!("WHERE id IN "), "", keys)?;
    rows.sort_by_key(|row| row.id);
    with_groups(tx, &mut rows).await?;
    Ok(rows)
}

/// Returns the version of the change. `revision` of the row is stored as it is.
///
/// # Errors
/// `Conflict` where the name is taken, `Missing` where a group does not exist.
pub async fn insert(tx: &mut Tx, row: &AccountRow) -> Result<u64, StoreError> {
    let version = changes::record(tx, ResourceKind::Account, row.id.to_bytes(), false).await?;
    execute!(
        tx,
        "INSERT INTO accounts (id, name, description, account_type, base_url, credential_kind, credential_hint,
            credential, options, enabled, schedulable, priority, weight, concurrency, model_mapping, allowed_models,
            tags, client_gone, expires_at, invalid_reason, invalid_detail, invalid_at, created_at, updated_at, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row.id.to_bytes().to_vec(),
        row.name.as_str(),
        row.description.as_str(),
        row.account_type.as_str(),
        row.base_url.as_deref(),
        row.credential_kind.as_str(),
        row.credential_hint.as_deref(),
        row.credential.0.as_slice(),
        row.options.as_str(),
        row.enabled,
        row.schedulable,
        row.priority,
        row.weight,
        row.concurrency,
        row.model_mapping.as_str(),
        row.allowed_models.as_str(),
        row.tags.as_str(),
        row.client_gone.as_str(),
        row.expires_at,
        row.invalid_reason.as_deref(),
        row.invalid_detail.as_deref(),
        row.invalid_at,
        row.created_at,
        row.updated_at,
        row.revision,
    )
    .map_err(|error| error.about("the account's name"))?;
    join(tx, row.id, &row.group_ids).await?;
    Ok(version)
}

/// Writes all but `id`, `created_at` and `revision`; returns the new revision.
///
/// # Errors
/// `NotFound`; `Stale` where the row is at another revision; `Conflict` and `Missing` as [`insert`].
pub async fn update(tx: &mut Tx, row: &AccountRow, expected_revision: i64) -> Result<i64, StoreError> {
    changes::record(tx, ResourceKind::Account, row.id.to_bytes(), false).await?;
    let matched = execute!(
        tx,
        "UPDATE accounts SET name = ?, description = ?, account_type = ?, base_url = ?, credential_kind = ?,
            credential_hint = ?, credential = ?, options = ?, enabled = ?, schedulable = ?, priority = ?, weight = ?,
            concurrency = ?, model_mapping = ?, allowed_models = ?, tags = ?, client_gone = ?, expires_at = ?,
            invalid_reason = ?, invalid_detail = ?, invalid_at = ?, updated_at = ?, revision = revision + 1
         WHERE id = ? AND revision = ?",
        row.name.as_str(),
        row.description.as_str(),
        row.account_type.as_str(),
        row.base_url.as_deref(),
        row.credential_kind.as_str(),
        row.credential_hint.as_deref(),
        row.credential.0.as_slice(),
        row.options.as_str(),
        row.enabled,
        row.schedulable,
        row.priority,
        row.weight,
        row.concurrency,
        row.model_mapping.as_str(),
        row.allowed_models.as_str(),
        row.tags.as_str(),
        row.client_gone.as_str(),
        row.expires_at,
        row.invalid_reason.as_deref(),
        row.invalid_detail.as_deref(),
        row.invalid_at,
        row.updated_at,
        row.id.to_bytes().to_vec(),
        expected_revision,
    )
    .map_err(|error| error.about("the account's name"))?;
    if matched == 0 {
        return Err(missing_or_stale(tx, row.id).await);
    }
    join(tx, row.id, &row.group_ids).await?;
    Ok(expected_revision + 1)
}

/// # Errors
/// `NotFound`.
pub async fn delete(tx: &mut Tx, id: AccountId) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::Account, id.to_bytes(), true).await?;
    join(tx, id, &[]).await?;
    if execute!(tx, "DELETE FROM accounts WHERE id = ?", id.to_bytes().to_vec())? == 0 {
        return Err(StoreError::NotFound);
    }
    account_errors::delete(tx, id).await
}

/// Sealed credentials by rising id of their accounts, those after `after` only.
///
/// # Errors
/// What the database says.
pub async fn sealed(
    tx: &mut Tx,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<(AccountId, Sealed)>, StoreError> {
    let after = after.map(|id| id.to_bytes().to_vec());
    let rows = fetch_all!(
        tx,
        (Vec<u8>, Vec<u8>),
        "SELECT id, credential FROM accounts WHERE (? IS NULL OR id > ?) ORDER BY id LIMIT ?",
        after.clone(),
        after.clone(),
        i64::from(limit),
    )?;
    let pair = |(id, sealed)| Ok((AccountId::try_from(id).map_err(StoreError::corrupt)?, Sealed(sealed)));
    rows.into_iter().map(pair).collect()
}

/// Replaces the sealed form of a credential by another form of the same secret. No change that nodes hear of. False
/// where the credential has been replaced meanwhile.
///
/// # Errors
/// What the database says.
pub async fn reseal(tx: &mut Tx, id: AccountId, old: &Sealed, new: &Sealed) -> Result<bool, StoreError> {
    let matched = execute!(
        tx,
        "UPDATE accounts SET credential = ? WHERE id = ? AND credential = ?",
        new.0.as_slice(),
        id.to_bytes().to_vec(),
        old.0.as_slice(),
    )?;
    Ok(matched > 0)
}

/// As committed last, where the lock of the change log is held.
async fn exists(tx: &mut Tx, id: AccountId) -> Result<bool, StoreError> {
    let sql = tx.sql(
        "SELECT revision FROM accounts WHERE id = ? FOR UPDATE",
        "SELECT revision FROM accounts WHERE id = ?",
    );
    Ok(fetch_optional!(tx, (i64,), sql, id.to_bytes().to_vec())?.is_some())
}

async fn missing_or_stale(tx: &mut Tx, id: AccountId) -> StoreError {
    match exists(tx, id).await {
        Ok(true) => StoreError::Stale,
        Ok(false) => StoreError::NotFound,
        Err(error) => error,
    }
}

#[derive(Debug, sqlx::FromRow)]
struct Member {
    #[sqlx(try_from = "Vec<u8>")]
    account_id: AccountId,
    #[sqlx(try_from = "Vec<u8>")]
    group_id: GroupId,
}

/// `rows` by rising id.
fn assign(rows: &mut [AccountRow], members: &[Member]) {
    for member in members {
        if let Ok(at) = rows.binary_search_by_key(&member.account_id, |row| row.id) {
            rows[at].group_ids.push(member.group_id);
        }
    }
    for row in rows {
        row.group_ids.sort_unstable();
    }
}

/// `rows` by rising id.
async fn with_groups(tx: &mut Tx, rows: &mut [AccountRow]) -> Result<(), StoreError> {
    const HEAD: &str = "SELECT account_id, group_id FROM account_group_members WHERE account_id IN ";
    let keys: Vec<Vec<u8>> = rows.iter().map(|row| row.id.to_bytes().to_vec()).collect();
    let members = fetch_in!(tx, Member, HEAD, "", keys)?;
    assign(rows, &members);
    Ok(())
}

/// Makes these the account's groups. The lock of the change log is held, so a group that is there stays.
async fn join(tx: &mut Tx, account: AccountId, group_ids: &[GroupId]) -> Result<(), StoreError> {
    if !groups::all_exist(tx, group_ids).await? {
        return Err(StoreError::Missing { what: "a group of group_ids" });
    }
    let sql = tx.sql(
        "SELECT group_id FROM account_group_members WHERE account_id = ? FOR UPDATE",
        "SELECT group_id FROM account_group_members WHERE account_id = ?",
    );
    let rows = fetch_all!(tx, (Vec<u8>,), sql, account.to_bytes().to_vec())?;
    let before = rows.into_iter().map(|(id,)| GroupId::try_from(id));
    let before: BTreeSet<_> = before.collect::<Result<_, _>>().map_err(StoreError::corrupt)?;
    let after: BTreeSet<_> = group_ids.iter().copied().collect();
    for group in before.symmetric_difference(&after) {
        groups::set_member(tx, *group, account, after.contains(group)).await?;
    }
    Ok(())
}
