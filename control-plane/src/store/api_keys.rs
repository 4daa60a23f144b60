//! API keys: what clients present to nodes. Only their hashes are kept. Those of proxy tests are among them, and people
//! neither see nor count them: see [`super::proxy_test_keys`].

use std::collections::{BTreeMap, HashMap};

use proto::v1::ResourceKind;
use serde::Serialize;
use shared::{
    clock::Millis,
    id::{KeyId, UserId},
    secret::KeyHash,
};

use super::{
    StoreError, Tx, changes,
    db::{execute, fetch_all, fetch_in, fetch_one, fetch_optional},
    former_keys,
    statement::Statement,
};
use crate::words::key_status::KeyStatus;

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: KeyId,
    pub user: UserId,
    pub name: String,
    pub hash: KeyHash,
    /// The first 12 characters of the key.
    pub prefix: String,
    pub enabled: bool,
    /// `None`: does not expire.
    pub expires_at: Option<Millis>,
    /// What its usage is counted under.
    pub tags: Vec<String>,
    /// Goes into the records of its requests as it is.
    pub metadata: BTreeMap<String, String>,
    pub created_at: Millis,
    pub updated_at: Millis,
    /// Rises with each update; what the store was given is ignored there.
    pub revision: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Vec<u8>,
    user_id: Vec<u8>,
    name: String,
    hash: Vec<u8>,
    prefix: String,
    enabled: bool,
    expires_at: Option<i64>,
    tags: String,
    metadata: String,
    created_at: i64,
    updated_at: i64,
    revision: i64,
}

impl TryFrom<Row> for ApiKey {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let hash = row.hash.try_into().map_err(|_| StoreError::corrupt("a key's hash has not 32 bytes"))?;
        Ok(Self {
            id: KeyId::try_from(row.id.as_slice()).map_err(StoreError::corrupt)?,
            user: UserId::try_from(row.user_id.as_slice()).map_err(StoreError::corrupt)?,
            name: row.name,
            hash: KeyHash(hash),
            prefix: row.prefix,
            enabled: row.enabled,
            expires_at: row.expires_at.map(Millis),
            tags: serde_json::from_str(&row.tags).map_err(StoreError::corrupt)?,
            metadata: serde_json::from_str(&row.metadata).map_err(StoreError::corrupt)?,
            created_at: Millis(row.created_at),
            updated_at: Millis(row.updated_at),
            revision: row.revision,
        })
    }
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::corrupt)
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, user_id, name, hash, prefix, enabled, expires_at, tags, metadata, created_at, updated_at, ",
            "revision FROM api_keys ",
            $tail
        )
    };
}

/// Holds for keys that people know.
macro_rules! known {
    () => {
        "id NOT IN (SELECT key_id FROM proxy_test_keys)"
    };
}

/// Adds a key, in revision 1.
///
/// # Errors
/// `Conflict` where there is such a key already.
pub async fn insert(tx: &mut Tx, key: &ApiKey) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::ApiKey, key.id.to_bytes(), false).await?;
    execute!(
        tx,
        "INSERT INTO api_keys
         (id, user_id, name, hash, prefix, enabled, expires_at, tags, metadata, created_at, updated_at, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
        key.id.to_bytes().to_vec(),
        key.user.to_bytes().to_vec(),
        &key.name,
        key.hash.0.to_vec(),
        &key.prefix,
        key.enabled,
        key.expires_at.map(|at| at.0),
        json(&key.tags)?,
        json(&key.metadata)?,
        key.created_at.0,
        key.updated_at.0,
    )
    .map_err(|error| error.about("the key"))?;
    Ok(())
}

/// A key that people know.
///
/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
    let row =
        fetch_optional!(tx, Row, concat!(select!("WHERE id = ? AND "), known!()), id.to_bytes().to_vec())?;
    row.map(ApiKey::try_from).transpose()
}

/// Whose a key is that people know, or was until it was deleted. `None`: there was none, its owner is gone too, or it was
/// deleted longer ago than requests are kept.
///
/// # Errors
/// What the database says.
pub async fn owner(tx: &mut Tx, id: KeyId) -> Result<Option<UserId>, StoreError> {
    const SQL: &str = concat!(
        "SELECT user_id FROM api_keys WHERE id = ? AND ",
        known!(),
        " UNION ALL SELECT user_id FROM former_keys WHERE key_id = ?"
    );
    let id = id.to_bytes().to_vec();
    let row = fetch_optional!(tx, (Vec<u8>,), SQL, id.as_slice(), id.as_slice())?;
    row.map(|(user,)| UserId::try_from(user).map_err(StoreError::corrupt)).transpose()
}

/// Whose these keys are or were, where that is known; also of those that nobody is shown.
///
/// # Errors
/// What the database says.
pub async fn owners(tx: &mut Tx, ids: &[KeyId]) -> Result<HashMap<KeyId, UserId>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let mut owners = HashMap::new();
    for head in [
        "SELECT id, user_id FROM api_keys WHERE id IN ",
        "SELECT key_id, user_id FROM former_keys WHERE key_id IN ",
    ] {
        for (key, user) in fetch_in!(tx, (Vec<u8>, Vec<u8>), head, "", ids)? {
            let key = KeyId::try_from(key.as_slice()).map_err(StoreError::corrupt)?;
            owners.insert(key, UserId::try_from(user).map_err(StoreError::corrupt)?);
        }
    }
    Ok(owners)
}

/// [`get`] as committed last, for a transaction that decides by it.
///
/// # Errors
/// What the database says.
pub async fn get_latest(tx: &mut Tx, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
    let sql = tx.sql(select!("WHERE id = ? FOR UPDATE"), select!("WHERE id = ?"));
    let row = fetch_optional!(tx, Row, sql, id.to_bytes().to_vec())?;
    row.map(ApiKey::try_from).transpose()
}

/// Which keys to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    pub user: Option<UserId>,
    /// As it is at this time.
    pub status: Option<(KeyStatus, Millis)>,
    /// Part of the name or of the prefix, in any case.
    pub search: Option<String>,
}

/// Keys that people know, by rising id; those after `after` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    filter: &KeyFilter,
    after: Option<KeyId>,
    limit: u32,
) -> Result<Vec<ApiKey>, StoreError> {
    let rows: Vec<Row> = statement(filter, after, limit).fetch(tx).await?;
    rows.into_iter().map(ApiKey::try_from).collect()
}

fn statement(filter: &KeyFilter, after: Option<KeyId>, limit: u32) -> Statement {
    let statement = Statement::new(select!(""))
        .holding(Some(known!()))
        .given("user_id = ?", filter.user.map(UserId::to_bytes))
        .after("id > ?", after.map(KeyId::to_bytes))
        .containing(&["name", "prefix"], filter.search.as_deref());
    // What `KeyStatus::of` says of a row.
    let statement = match filter.status {
        None => statement,
        Some((KeyStatus::Disabled, _)) => statement.given("enabled = ?", Some(false)),
        Some((KeyStatus::Expired, now)) => {
            statement.given("enabled = ?", Some(true)).given("expires_at <= ?", Some(now.0))
        }
        Some((KeyStatus::Active, now)) => statement
            .given("enabled = ?", Some(true))
            .given("(expires_at IS NULL OR expires_at > ?)", Some(now.0)),
    };
    statement.first("id", limit)
}

/// How the database would find a page.
///
/// # Errors
/// What the database says.
#[cfg(test)]
pub(crate) async fn plan(tx: &mut Tx, filter: &KeyFilter) -> Result<String, StoreError> {
    statement(filter, None, 50).plan(tx).await
}

/// For the snapshot.
///
/// # Errors
/// What the database says.
pub async fn all(tx: &mut Tx) -> Result<Vec<ApiKey>, StoreError> {
    fetch_all!(tx, Row, select!("ORDER BY id"))?.into_iter().map(ApiKey::try_from).collect()
}

/// For the snapshot; those that do not exist are left out, and the order is any.
///
/// # Errors
/// What the database says.
pub async fn by_ids(tx: &mut Tx, ids: &[KeyId]) -> Result<Vec<ApiKey>, StoreError> {
    let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let rows = fetch_in!(tx, Row, select!("WHERE id IN "), "", ids)?;
    rows.into_iter().map(ApiKey::try_from).collect()
}

/// How many keys the person has and knows; as committed last, once the transaction holds the lock of [`changes::lock`].
///
/// # Errors
/// What the database says.
pub async fn count_of_user(tx: &mut Tx, user: UserId) -> Result<i64, StoreError> {
    let sql = tx.sql(
        concat!("SELECT COUNT(*) FROM api_keys WHERE user_id = ? AND ", known!(), " FOR UPDATE"),
        concat!("SELECT COUNT(*) FROM api_keys WHERE user_id = ? AND ", known!()),
    );
    Ok(fetch_one!(tx, (i64,), sql, user.to_bytes().to_vec())?.0)
}

/// Writes name, enabled, expiry, tags and metadata. Returns the new revision.
///
/// # Errors
/// `NotFound`; `Stale` where the revision is no longer `expected`.
pub async fn update(tx: &mut Tx, key: &ApiKey, expected: i64) -> Result<i64, StoreError> {
    changes::record(tx, ResourceKind::ApiKey, key.id.to_bytes(), false).await?;
    let matched = execute!(
        tx,
        "UPDATE api_keys SET name = ?, enabled = ?, expires_at = ?, tags = ?, metadata = ?, updated_at = ?,
         revision = revision + 1 WHERE id = ? AND revision = ?",
        &key.name,
        key.enabled,
        key.expires_at.map(|at| at.0),
        json(&key.tags)?,
        json(&key.metadata)?,
        key.updated_at.0,
        key.id.to_bytes().to_vec(),
        expected,
    )?;
    if matched == 1 {
        return Ok(expected + 1);
    }
    match get_latest(tx, key.id).await? {
        Some(_) => Err(StoreError::Stale),
        None => Err(StoreError::NotFound),
    }
}

/// Deletes a key at that time; whose it was is kept, if people knew it.
///
/// # Errors
/// `NotFound`.
pub async fn delete(tx: &mut Tx, id: KeyId, at: Millis) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::ApiKey, id.to_bytes(), true).await?;
    if execute!(tx, "DELETE FROM proxy_test_keys WHERE key_id = ?", id.to_bytes().to_vec())? == 0 {
        former_keys::keep(tx, id, at).await?;
    }
    match execute!(tx, "DELETE FROM api_keys WHERE id = ?", id.to_bytes().to_vec())? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

/// Deletes all keys of a person, each with its change, and forgets those that they had, in a transaction that holds the lock of [`changes::lock`].
///
/// # Errors
/// What the database says.
pub async fn delete_of_user(tx: &mut Tx, user: UserId) -> Result<(), StoreError> {
    let sql = tx.sql(
        "SELECT id FROM api_keys WHERE user_id = ? FOR UPDATE",
        "SELECT id FROM api_keys WHERE user_id = ?",
    );
    let ids = fetch_all!(tx, (Vec<u8>,), sql, user.to_bytes().to_vec())?;
    for (id,) in ids {
        let id = KeyId::try_from(id.as_slice()).map_err(StoreError::corrupt)?;
        // Whatever the time: it is forgotten with the others.
        delete(tx, id, Millis(0)).await?;
    }
    former_keys::delete_of_user(tx, user).await
}
