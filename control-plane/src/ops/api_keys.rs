//! API keys: what clients present to the data plane. Everyone has their own; whoever may read all sees those of others
//! too, and admins change them.

use serde_json::{Value, json};
use shared::{
    clock::Millis,
    id::KeyId,
    secret::{self, Secret},
};

use super::{Audited, Caller, Change, Done, Entry, Refusal, names::names};
use crate::{
    app::App,
    domain::{
        api_key::{KeyChange, KeyToggle, NewKey},
        fault::Faults,
    },
    store::{
        StoreError, Tx,
        api_keys::{self, ApiKey},
        usage_queries::Named,
        users,
    },
};

pub use crate::store::api_keys::KeyFilter;

/// Keys that one person may have.
const MAX_KEYS: i64 = 1000;

/// A key, without what it is presented as.
#[derive(Debug, Clone)]
pub struct Key {
    pub row: ApiKey,
    /// `None`: the owner has just been deleted.
    pub owner_name: Option<String>,
}

impl Audited for ApiKey {
    const KIND: &'static str = "api_key";

    fn audit_id(&self) -> String {
        self.id.to_string()
    }

    fn audit_name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn record(&self) -> Value {
        json!({
            "name": self.name,
            "user_id": self.user,
            "prefix": self.prefix,
            "enabled": self.enabled,
            "expires_at": self.expires_at,
            "tags": self.tags,
            "metadata": self.metadata,
        })
    }
}

/// In the order of their creation, after the one named; of those that `filter` asks for, the ones that the caller may
/// see.
///
/// # Errors
/// `Forbidden` where those of someone else are asked for.
pub async fn list(
    app: &App,
    caller: &Caller,
    mut filter: KeyFilter,
    after: Option<KeyId>,
    limit: u32,
) -> Done<Vec<Key>> {
    if !caller.role.reads_all() {
        match filter.user {
            Some(other) if other != caller.user => return Err(Refusal::Forbidden),
            _ => filter.user = Some(caller.user),
        }
    }
    let mut tx = app.store.read().await?;
    let rows = api_keys::list(&mut tx, &filter, after, limit).await?;
    let keys = with_names(&mut tx, rows).await?;
    tx.commit().await?;
    Ok(keys)
}

/// # Errors
/// `NotFound`, also for a key that is not the caller's to see.
pub async fn get(app: &App, caller: &Caller, id: KeyId) -> Done<Key> {
    let mut tx = app.store.read().await?;
    let row = api_keys::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    caller.demand_seeing(row.user)?;
    let key = with_name(&mut tx, row).await?;
    tx.commit().await?;
    Ok(key)
}

/// The key, and what it is presented as, which is not kept.
///
/// # Errors
/// The input is not valid, it is for someone else, or its owner has too many.
pub async fn create(app: &App, caller: &Caller, input: NewKey) -> Done<(Key, Secret)> {
    let owner = input.owner().unwrap_or(caller.user);
    if owner != caller.user && !caller.role.manages_users() {
        return Err(Refusal::Forbidden);
    }
    let secret = secret::new_api_key().map_err(|_| StoreError::Random)?;
    let row = input.create(owner, &secret, app.clock.now())?;
    let mut change = Change::begin_locked(app, caller).await?;
    if users::get_latest(&mut change.tx, owner).await?.is_none() {
        return Err(Refusal::invalid("user_id", "there is no such user"));
    }
    if api_keys::count_of_user(&mut change.tx, owner).await? >= MAX_KEYS {
        let detail = format!("a person may have {MAX_KEYS} keys; delete some first");
        return Err(Refusal::conflict("too_many_keys", detail));
    }
    api_keys::insert(&mut change.tx, &row).await?;
    let entry = Entry::made("api_key.create", &row);
    let key = with_name(&mut change.tx, row).await?;
    change.publish(entry).await?;
    Ok((key, secret))
}

/// `revision`: the one that the caller has seen.
///
/// # Errors
/// The input is not valid, the key is not the caller's to change, or it was changed meanwhile.
pub async fn update(app: &App, caller: &Caller, id: KeyId, revision: i64, input: KeyChange) -> Done<Key> {
    write(app, caller, id, revision, |present, now| input.update(present, now)).await
}

/// To what `toggle` says, or to the other where it says nothing.
///
/// # Errors
/// As [`update`].
pub async fn toggle(
    app: &App,
    caller: &Caller,
    id: KeyId,
    revision: i64,
    toggle: Option<KeyToggle>,
) -> Done<Key> {
    write(app, caller, id, revision, |present, now| Ok(KeyToggle::update(toggle, present, now))).await
}

async fn write(
    app: &App,
    caller: &Caller,
    id: KeyId,
    revision: i64,
    apply: impl FnOnce(&ApiKey, Millis) -> Result<ApiKey, Faults>,
) -> Done<Key> {
    let mut change = Change::begin(app, caller).await?;
    let before = writable(&mut change.tx, caller, id).await?;
    if before.revision != revision {
        return Err(StoreError::Stale.into());
    }
    let mut after = apply(&before, change.now)?;
    after.revision = api_keys::update(&mut change.tx, &after, revision).await?;
    let entry = Entry::changed("api_key.update", &before, &after);
    let key = with_name(&mut change.tx, after).await?;
    change.publish(entry).await?;
    Ok(key)
}

/// What it used stays in the ledger.
///
/// # Errors
/// `NotFound`, or the key is not the caller's to delete.
pub async fn delete(app: &App, caller: &Caller, id: KeyId) -> Done<()> {
    let mut change = Change::begin(app, caller).await?;
    let key = writable(&mut change.tx, caller, id).await?;
    let now = change.now;
    api_keys::delete(&mut change.tx, id, now).await?;
    change.publish(Entry::removed("api_key.delete", &key)).await
}

async fn writable(tx: &mut Tx, caller: &Caller, id: KeyId) -> Done<ApiKey> {
    let key = api_keys::get(tx, id).await?.ok_or(StoreError::NotFound)?;
    caller.demand_changing(key.user)?;
    Ok(key)
}

async fn with_name(tx: &mut Tx, row: ApiKey) -> Result<Key, StoreError> {
    let owner = row.user.to_bytes();
    let owner_name = names(tx, Named::Users, [owner]).await?.remove(owner.as_slice());
    Ok(Key { row, owner_name })
}

async fn with_names(tx: &mut Tx, rows: Vec<ApiKey>) -> Result<Vec<Key>, StoreError> {
    let names = names(tx, Named::Users, rows.iter().map(|row| row.user.to_bytes())).await?;
    let key = |row: ApiKey| Key { owner_name: names.get(row.user.to_bytes().as_slice()).cloned(), row };
    Ok(rows.into_iter().map(key).collect())
}
