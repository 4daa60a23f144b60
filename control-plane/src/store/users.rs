//! People. Nodes hold their names and whether they are enabled.

use proto::v1::ResourceKind;
use shared::{clock::Millis, id::UserId, money::Ppm, secret::Secret};

use super::{
    StoreError, Tx, api_keys, changes,
    db::{execute, fetch_all, fetch_in, fetch_one, fetch_optional},
    sessions,
    statement::Statement,
};
use crate::words::role::Role;

/// One person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// Unique; case matters.
    pub name: String,
    /// Argon2id, in the PHC form.
    pub password_hash: Secret,
    pub role: Role,
    pub enabled: bool,
    /// What costs are multiplied with. Only admins see it.
    pub price_rate: Ppm,
    /// A language tag. `None`: as the browser has it.
    pub language: Option<String>,
    pub created_at: Millis,
    pub updated_at: Millis,
    /// Rises with each update; what the store was given is ignored there.
    pub revision: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Vec<u8>,
    name: String,
    password_hash: String,
    role: String,
    enabled: bool,
    price_rate: i64,
    language: Option<String>,
    created_at: i64,
    updated_at: i64,
    revision: i64,
}

impl TryFrom<Row> for User {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: UserId::try_from(row.id.as_slice()).map_err(StoreError::corrupt)?,
            name: row.name,
            password_hash: Secret::new(row.password_hash),
            role: row.role.parse().map_err(StoreError::corrupt)?,
            enabled: row.enabled,
            price_rate: u32::try_from(row.price_rate).map(Ppm).map_err(StoreError::corrupt)?,
            language: row.language,
            created_at: Millis(row.created_at),
            updated_at: Millis(row.updated_at),
            revision: row.revision,
        })
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, password_hash, role, enabled, price_rate, language, created_at, updated_at, revision ",
            "FROM users ",
            $tail
        )
    };
}

/// Adds a person, in revision 1.
///
/// # Errors
/// `Conflict` where the name is taken.
pub async fn insert(tx: &mut Tx, user: &User) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::User, user.id.to_bytes(), false).await?;
    execute!(
        tx,
        "INSERT INTO users
         (id, name, password_hash, role, enabled, price_rate, language, created_at, updated_at, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
        user.id.to_bytes().to_vec(),
        &user.name,
        user.password_hash.expose(),
        user.role.as_str(),
        user.enabled,
        i64::from(user.price_rate.0),
        user.language.as_deref(),
        user.created_at.0,
        user.updated_at.0,
    )
    .map_err(|error| error.about("the name"))?;
    Ok(())
}

/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx, id: UserId) -> Result<Option<User>, StoreError> {
    let row = fetch_optional!(tx, Row, select!("WHERE id = ?"), id.to_bytes().to_vec())?;
    row.map(User::try_from).transpose()
}

/// [`get`] as committed last, for a transaction that decides by it.
///
/// # Errors
/// What the database says.
pub async fn get_latest(tx: &mut Tx, id: UserId) -> Result<Option<User>, StoreError> {
    let sql = tx.sql(select!("WHERE id = ? FOR UPDATE"), select!("WHERE id = ?"));
    let row = fetch_optional!(tx, Row, sql, id.to_bytes().to_vec())?;
    row.map(User::try_from).transpose()
}

/// # Errors
/// What the database says.
pub async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<User>, StoreError> {
    let row = fetch_optional!(tx, Row, select!("WHERE name = ?"), name)?;
    // MySQL takes blanks at the end for nothing; attempts are counted by the name as it was given.
    row.filter(|row| row.name == name).map(User::try_from).transpose()
}

/// Whom to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    pub role: Option<Role>,
    pub enabled: Option<bool>,
    /// Part of the name, in any case.
    pub search: Option<String>,
}

/// By rising id; those after `after` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    filter: &UserFilter,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    let rows: Vec<Row> = Statement::new(select!(""))
        .after("id > ?", after.map(UserId::to_bytes))
        .given("role = ?", filter.role.map(Role::as_str))
        .given("enabled = ?", filter.enabled)
        .containing(&["name"], filter.search.as_deref())
        .first("id", limit)
        .fetch(tx)
        .await?;
    rows.into_iter().map(User::try_from).collect()
}

/// For the snapshot.
///
/// # Errors
/// What the database says.
pub async fn all(tx: &mut Tx) -> Result<Vec<User>, StoreError> {
    fetch_all!(tx, Row, select!("ORDER BY id"))?.into_iter().map(User::try_from).collect()
}

/// For the snapshot; those that do not exist are left out, and the order is any.
///
/// # Errors
/// What the database says.
pub async fn by_ids(tx: &mut Tx, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
    let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let rows = fetch_in!(tx, Row, select!("WHERE id IN "), "", ids)?;
    rows.into_iter().map(User::try_from).collect()
}

/// Writes all fields save id and creation. Returns the new revision.
///
/// # Errors
/// `NotFound`; `Stale` where the revision is no longer `expected`; `Conflict` where the name is taken.
pub async fn update(tx: &mut Tx, user: &User, expected: i64) -> Result<i64, StoreError> {
    changes::record(tx, ResourceKind::User, user.id.to_bytes(), false).await?;
    let matched = execute!(
        tx,
        "UPDATE users SET name = ?, password_hash = ?, role = ?, enabled = ?, price_rate = ?, language = ?,
         updated_at = ?, revision = revision + 1 WHERE id = ? AND revision = ?",
        &user.name,
        user.password_hash.expose(),
        user.role.as_str(),
        user.enabled,
        i64::from(user.price_rate.0),
        user.language.as_deref(),
        user.updated_at.0,
        user.id.to_bytes().to_vec(),
        expected,
    )
    .map_err(|error| error.about("the name"))?;
    if matched == 1 {
        return Ok(expected + 1);
    }
    match get_latest(tx, user.id).await? {
        Some(_) => Err(StoreError::Stale),
        None => Err(StoreError::NotFound),
    }
}

/// Deletes the person with their keys and logins.
///
/// # Errors
/// `NotFound`.
pub async fn delete(tx: &mut Tx, id: UserId) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::User, id.to_bytes(), true).await?;
    api_keys::delete_of_user(tx, id).await?;
    sessions::delete_of_user(tx, id, None).await?;
    match execute!(tx, "DELETE FROM users WHERE id = ?", id.to_bytes().to_vec())? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

/// Whether there is anyone; as committed last, once the transaction holds the lock of [`changes::lock`].
///
/// # Errors
/// What the database says.
pub async fn any(tx: &mut Tx) -> Result<bool, StoreError> {
    let sql = tx.sql("SELECT id FROM users LIMIT 1 FOR UPDATE", "SELECT id FROM users LIMIT 1");
    Ok(fetch_optional!(tx, (Vec<u8>,), sql)?.is_some())
}

/// How many enabled admins there are beside this one; as committed last, once the transaction holds the lock of
/// [`changes::lock`].
///
/// # Errors
/// What the database says.
pub async fn other_admins(tx: &mut Tx, id: UserId) -> Result<i64, StoreError> {
    let sql = tx.sql(
        "SELECT COUNT(*) FROM users WHERE role = 'admin' AND enabled = 1 AND id <> ? FOR UPDATE",
        "SELECT COUNT(*) FROM users WHERE role = 'admin' AND enabled = 1 AND id <> ?",
    );
    Ok(fetch_one!(tx, (i64,), sql, id.to_bytes().to_vec())?.0)
}
