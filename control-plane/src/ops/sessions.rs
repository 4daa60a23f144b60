//! Logins: signing in, going on and signing out, and who a token speaks for.
//!
//! A login gives a short access token and a refresh token. The refresh token counts once: a refresh puts another in
//! its place, see [`crate::domain::refresh`], and one that comes again later ends the login, for then two have it.

use std::{net::IpAddr, time::Duration};

use serde_json::{Value, json};
use shared::{
    clock::Millis,
    id::{SessionId, UserId},
    secret::Secret,
};

use super::{Audited, Caller, Change, Done, Entry, Refusal, users};
pub use crate::store::sessions::Session;
use crate::{
    app::App,
    domain::{
        known_browser::{self, BrowserId},
        refresh::{RefreshToken, Refreshed},
        tokens::{AccessToken, TokenError},
    },
    store::{
        StoreError, sessions,
        users::{self as user_rows, User},
    },
};

mod sign_in;

pub use sign_in::{Client, sign_in};

const INVALID: Refusal = Refusal::Unauthorized { code: "refresh_invalid", detail: "sign in again" };
const ENDED: Refusal = Refusal::Unauthorized { code: "session_ended", detail: "sign in again" };
const REUSED: Refusal = Refusal::Unauthorized {
    code: "refresh_reused",
    detail: "this refresh token was used before, so the login was ended; sign in again",
};

/// What a login or a refresh gives.
#[derive(Debug)]
pub struct SignedIn {
    pub user: User,
    pub access: Kept,
    pub refresh: Kept,
    /// What the browser is known again by; only of a login.
    pub browser: Option<Kept>,
}

/// A secret for the one who signed in, and how long it is of use.
#[derive(Debug)]
pub struct Kept {
    pub secret: Secret,
    pub lifetime: Duration,
}

impl Audited for Session {
    const KIND: &'static str = "session";

    fn audit_id(&self) -> String {
        self.id.to_string()
    }

    fn audit_name(&self) -> Option<&str> {
        None
    }

    fn record(&self) -> Value {
        json!({
            "user": self.user, "created_at": self.created_at, "last_used_at": self.last_used_at,
            "address": self.address, "agent": self.agent,
        })
    }
}

/// Who speaks by this access token.
///
/// # Errors
/// `Unauthorized`: it has expired, is none of ours, or its login or user is no more.
pub async fn authenticate(app: &App, access: &str, address: Option<IpAddr>) -> Done<Caller> {
    let now = app.clock.now();
    let token = app.tokens.check(access, now).map_err(|error| match error {
        TokenError::Expired => {
            Refusal::Unauthorized { code: "token_expired", detail: "refresh the access token" }
        }
        TokenError::Invalid | TokenError::Signing => {
            Refusal::Unauthorized { code: "token_invalid", detail: "sign in again" }
        }
    })?;
    let mut tx = app.store.read().await?;
    let session = sessions::get(&mut tx, token.session).await?;
    let user = user_rows::get(&mut tx, token.user).await?;
    tx.commit().await?;
    let session = session
        .filter(|session| session.user == token.user && app.refresh_tokens.end(session) > now)
        .ok_or(ENDED)?;
    let user = user.filter(|user| user.enabled).ok_or(ENDED)?;
    Ok(Caller { user: user.id, role: user.role, session: session.id, address })
}

/// # Errors
/// `Unauthorized`; where the token had been used before, its login was ended.
pub async fn refresh(app: &App, address: Option<IpAddr>, token: Option<&Secret>) -> Done<SignedIn> {
    let token = token.and_then(RefreshToken::parse).ok_or(INVALID)?;
    let mut change = Change::begin_unsigned(app, address).await?;
    let now = change.now;
    let session = sessions::get(&mut change.tx, token.session).await?;
    let session = session.filter(|session| app.refresh_tokens.end(session) > now).ok_or(INVALID)?;
    let user = user_rows::get(&mut change.tx, session.user).await?;
    let user = user.filter(|user| user.enabled).ok_or(INVALID)?;
    match app.refresh_tokens.refresh(&mut change.tx, &token, session.created_at, now).await? {
        Refreshed::Successor(token) => {
            change.commit_unlogged().await?;
            signed_in(app, user, &token, session.created_at, now)
        }
        Refreshed::Unknown => Err(INVALID),
        Refreshed::Reused => {
            sessions::delete(&mut change.tx, session.id).await?;
            change.by(Caller { user: user.id, role: user.role, session: session.id, address });
            let entry = Entry::done("auth.revoke", "user", user.id).with("reason", "refresh_reused");
            change.commit(entry).await?;
            Err(REUSED)
        }
    }
}

/// Ends the login of the refresh token, and that of the access token where it is good. A token that is neither a login's
/// present one nor was it a moment ago changes nothing.
///
/// # Errors
/// What the database says.
pub async fn sign_out(
    app: &App,
    address: Option<IpAddr>,
    access: Option<&str>,
    refresh: Option<&Secret>,
) -> Done<()> {
    if let Some(caller) = holder(app, address, refresh).await? {
        end_by(app, &caller).await?;
    }
    let Some(access) = access else { return Ok(()) };
    match authenticate(app, access, address).await {
        Ok(caller) => end_by(app, &caller).await,
        Err(Refusal::Unauthorized { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Who has this refresh token.
async fn holder(app: &App, address: Option<IpAddr>, refresh: Option<&Secret>) -> Done<Option<Caller>> {
    let Some(token) = refresh.and_then(RefreshToken::parse) else { return Ok(None) };
    let mut tx = app.store.read().await?;
    let session = sessions::get(&mut tx, token.session).await?;
    let now = app.clock.now();
    let Some(session) = session.filter(|session| app.refresh_tokens.is_of(&token, session, now)) else {
        return Ok(None);
    };
    let user = user_rows::get(&mut tx, session.user).await?;
    tx.commit().await?;
    Ok(user.map(|user| Caller { user: user.id, role: user.role, session: session.id, address }))
}

async fn end_by(app: &App, caller: &Caller) -> Done<()> {
    let mut change = Change::begin(app, caller).await?;
    if !sessions::delete(&mut change.tx, caller.session).await? {
        return change.abandon().await;
    }
    change.commit(Entry::done("auth.logout", "user", caller.user)).await
}

/// The caller's own, the one used last first. `expires_at` is when each ends unless it is used.
///
/// # Errors
/// What the database says.
pub async fn list(app: &App, caller: &Caller) -> Done<Vec<Session>> {
    let now = app.clock.now();
    let mut tx = app.store.read().await?;
    let mut all = sessions::list_of_user(&mut tx, caller.user, now).await?;
    tx.commit().await?;
    for session in &mut all {
        session.expires_at = app.refresh_tokens.end(session);
    }
    all.retain(|session| session.expires_at > now);
    Ok(all)
}

/// Ends one of the caller's own.
///
/// # Errors
/// `NotFound`, also where it is somebody else's.
pub async fn end(app: &App, caller: &Caller, id: SessionId) -> Done<()> {
    let mut change = Change::begin(app, caller).await?;
    let session = sessions::get_latest(&mut change.tx, id).await?;
    let session = session.filter(|session| session.user == caller.user).ok_or(StoreError::NotFound)?;
    sessions::delete(&mut change.tx, id).await?;
    change.commit(Entry::removed("session.delete", &session)).await
}

/// Ends all of the caller's own, this one too.
///
/// # Errors
/// What the database says.
pub async fn end_all(app: &App, caller: &Caller) -> Done<()> {
    end_all_of(app, caller, &users::get(app, caller.user).await?).await
}

/// Ends all of a person's.
///
/// # Errors
/// `NotFound`.
pub async fn end_all_of_user(app: &App, caller: &Caller, user: UserId) -> Done<()> {
    end_all_of(app, caller, &users::get(app, user).await?).await
}

async fn end_all_of(app: &App, caller: &Caller, user: &User) -> Done<()> {
    let mut change = Change::begin(app, caller).await?;
    let ended = sessions::delete_of_user(&mut change.tx, user.id, None).await?;
    let entry = Entry::done("session.delete_all", "user", user.id);
    change.commit(entry.with("name", user.name.as_str()).with("sessions", ended)).await
}

fn signed_in(
    app: &App,
    user: User,
    refresh: &RefreshToken,
    signed_in_at: Millis,
    now: Millis,
) -> Done<SignedIn> {
    let access = AccessToken { user: user.id, session: refresh.session };
    let secret = app.tokens.issue(access, now).map_err(Refusal::internal)?;
    let access = Kept { secret, lifetime: app.tokens.lifetime() };
    let lifetime = app.refresh_tokens.expiry(signed_in_at, now).since(now);
    let refresh = Kept { secret: refresh.text.clone(), lifetime };
    Ok(SignedIn { user, access, refresh, browser: None })
}

fn mark(app: &App, known: Option<BrowserId>, user: &User, now: Millis) -> Done<Kept> {
    let secret = app.browsers.mark(known, user, now)?;
    Ok(Kept { secret, lifetime: known_browser::LIFETIME })
}
