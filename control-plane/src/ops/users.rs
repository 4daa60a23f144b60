//! People, their roles and price rates.

use std::net::IpAddr;

use serde_json::{Value, json};
use shared::id::UserId;

use super::{Audited, Caller, Change, Done, Entry, Refusal, attempts, demand_seen};
pub use crate::store::users::{User, UserFilter};
use crate::{
    app::App,
    domain::user::{NewUser, RegisterRequest, UserChange, own_password},
    store::{
        StoreError, Tx, sessions, settings,
        throttle::{Attempt, Purpose},
        users,
    },
    words::role::Role,
};

impl Audited for User {
    const KIND: &'static str = "user";

    fn audit_id(&self) -> String {
        self.id.to_string()
    }

    fn audit_name(&self) -> Option<&str> {
        Some(&self.name)
    }

    /// Without the price rate: only admins see it, and the log is for viewers too.
    fn record(&self) -> Value {
        json!({ "name": self.name, "role": self.role, "enabled": self.enabled, "language": self.language })
    }
}

/// In the order of their creation, after the one named.
///
/// # Errors
/// What the database says.
pub async fn list(app: &App, filter: &UserFilter, after: Option<UserId>, limit: u32) -> Done<Vec<User>> {
    let mut tx = app.store.read().await?;
    let users = users::list(&mut tx, filter, after, limit).await?;
    tx.commit().await?;
    Ok(users)
}

/// # Errors
/// `NotFound`.
pub async fn get(app: &App, id: UserId) -> Done<User> {
    let mut tx = app.store.read().await?;
    let user = users::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    tx.commit().await?;
    Ok(user)
}

/// # Errors
/// The name is taken, or the password as good as it.
pub async fn create(app: &App, caller: &Caller, input: NewUser) -> Done<User> {
    let password_hash = app.passwords.hash(input.password()?).await?;
    let mut change = Change::begin(app, caller).await?;
    let user = input.into_user(password_hash, change.now);
    users::insert(&mut change.tx, &user).await?;
    change.publish(Entry::made("user.create", &user)).await?;
    Ok(user)
}

/// Makes an own user with the role `user`, where the setting `registration_enabled` allows it.
///
/// # Errors
/// `Disabled` where it does not, `TooMany`, or the name is taken, or the password as good as it.
pub async fn register(app: &App, address: Option<IpAddr>, input: RegisterRequest) -> Done<User> {
    let mut tx = app.store.read().await?;
    let (settings, _) = settings::load(&mut tx).await?;
    tx.commit().await?;
    if !settings.registration_enabled {
        let detail = "an admin makes users here; registration is off";
        return Err(Refusal::Disabled { code: "registration_disabled", detail });
    }
    let password = input.password()?;
    let attempt = Attempt { purpose: Purpose::Registration, name: "", address, browser: None };
    attempts::admit(app, &attempt).await?;
    let password_hash = app.passwords.hash(password).await?;
    let mut change = Change::begin_unsigned(app, address).await?;
    let user = input.into_user(password_hash, change.now);
    users::insert(&mut change.tx, &user).await?;
    change.publish(Entry::made("user.register", &user)).await?;
    Ok(user)
}

/// Nobody changes their own role, password or enabling here, and the last admin stays one. A new password, or a person
/// who is disabled, ends all of their logins. `revision`: the one that the caller has seen.
///
/// # Errors
/// `NotFound`, `Conflict`, the password is as good as the name, or the person was changed meanwhile.
pub async fn update(app: &App, caller: &Caller, id: UserId, revision: i64, input: UserChange) -> Done<User> {
    let password_hash = match &input.password {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    let mut change = Change::begin_locked(app, caller).await?;
    let before = users::get_latest(&mut change.tx, id).await?.ok_or(StoreError::NotFound)?;
    demand_seen(revision, before.revision)?;
    if let Some(password) = &input.password {
        own_password("password", password, input.name(&before.name))?;
    }
    let mut after = input.apply(before.clone(), password_hash, change.now);
    forbid_own(caller, &before, &after)?;
    if is_acting_admin(&before) && !is_acting_admin(&after) {
        keep_an_admin(&mut change.tx, id).await?;
    }
    after.revision = users::update(&mut change.tx, &after, revision).await?;
    let has_new_password = after.password_hash != before.password_hash;
    if has_new_password || !after.enabled {
        sessions::delete_of_user(&mut change.tx, id, None).await?;
    }
    let mut entry = Entry::changed("user.update", &before, &after);
    for (field, is_another) in
        [("password", has_new_password), ("price_rate", after.price_rate != before.price_rate)]
    {
        entry = if is_another { entry.with_replaced(field) } else { entry };
    }
    change.publish(entry).await?;
    Ok(after)
}

/// Their keys and logins go along; what they used stays in the ledger.
///
/// # Errors
/// `NotFound` or `Conflict`.
pub async fn delete(app: &App, caller: &Caller, id: UserId) -> Done<()> {
    if id == caller.user {
        return Err(Refusal::conflict("own_user", "you can't delete yourself"));
    }
    let mut change = Change::begin_locked(app, caller).await?;
    let user = users::get_latest(&mut change.tx, id).await?.ok_or(StoreError::NotFound)?;
    if is_acting_admin(&user) {
        keep_an_admin(&mut change.tx, id).await?;
    }
    users::delete(&mut change.tx, id).await?;
    change.publish(Entry::removed("user.delete", &user)).await
}

fn forbid_own(caller: &Caller, before: &User, after: &User) -> Done<()> {
    let grave = before.role != after.role
        || before.enabled != after.enabled
        || before.password_hash != after.password_hash;
    if before.id == caller.user && grave {
        let detail = "you can't change your own role or enabling; your password is changed in your profile";
        return Err(Refusal::conflict("own_user", detail));
    }
    Ok(())
}

fn is_acting_admin(user: &User) -> bool {
    user.enabled && user.role == Role::Admin
}

async fn keep_an_admin(tx: &mut Tx, leaving: UserId) -> Done<()> {
    match users::other_admins(tx, leaving).await? {
        0 => Err(Refusal::conflict("last_admin", "nobody else is an enabled admin")),
        _ => Ok(()),
    }
}
