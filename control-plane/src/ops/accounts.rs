//! Upstream accounts, with what nodes and the ledger know of them. Their credentials go in and never come out.

use std::collections::HashMap;

use serde_json::{Value, json};
use shared::{clock::Millis, id::AccountId};

use super::{
    Audited, Caller, Change, Done, Entry, Refusal,
    nodes::{self, AccountLive},
};
pub use crate::store::account_errors::LastError;
use crate::{
    app::App,
    domain::account::{Account, AccountInput, AllowedUpstreams, Rules},
    store::{
        StoreError, Tx, account_errors,
        accounts::{self, AccountRow},
    },
    words::account_state::{AccountState, Marked, StateCounts},
};

pub use crate::store::accounts::AccountFilter;

/// An account with what is known of it beside its configuration.
#[derive(Debug)]
pub struct Known {
    pub account: Account,
    /// What the live nodes last said.
    pub live: AccountLive,
    /// The latest attempt at the account that failed.
    pub last_error: Option<LastError>,
    /// What comes of all of this and of the time.
    pub state: AccountState,
}

/// An account's place in a list.
#[derive(Debug)]
pub struct Listed {
    pub id: AccountId,
    /// `None`: it can't be read, as one that a later release wrote. It does not hide the others.
    pub known: Option<Known>,
}

impl Audited for AccountRow {
    const KIND: &'static str = "account";

    fn audit_id(&self) -> String {
        self.id.to_string()
    }

    fn audit_name(&self) -> Option<&str> {
        Some(&self.name)
    }

    /// Of the row, not of what it means: also one that can't be read is deleted.
    fn record(&self) -> Value {
        json!({
            "name": self.name,
            "description": self.description,
            "type": self.account_type,
            "base_url": self.base_url,
            "credential_kind": self.credential_kind,
            "options": stored_json(&self.options),
            "enabled": self.enabled,
            "schedulable": self.schedulable,
            "priority": self.priority,
            "weight": self.weight,
            "concurrency": self.concurrency,
            "model_mapping": stored_json(&self.model_mapping),
            "allowed_models": stored_json(&self.allowed_models),
            "group_ids": self.group_ids,
            "tags": stored_json(&self.tags),
            "client_gone": self.client_gone,
            "expires_at": self.expires_at,
            "invalid_reason": self.invalid_reason,
        })
    }
}

fn stored_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The oldest first, after the one named.
///
/// # Errors
/// What the database says.
pub async fn list(
    app: &App,
    filter: &AccountFilter,
    after: Option<AccountId>,
    limit: u32,
) -> Done<Vec<Listed>> {
    let mut tx = app.store.read().await?;
    let rows = accounts::list(&mut tx, filter, after, limit).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut seen = Seen::read(app, &mut tx, &ids).await?;
    tx.commit().await?;
    let listed = rows.iter().map(|row| {
        let account = Account::from_row(row);
        let account = account.inspect_err(|error| tracing::error!(%error, "an account can't be read"));
        Listed { id: row.id, known: account.ok().map(|account| seen.with(account)) }
    });
    Ok(listed.collect())
}

/// # Errors
/// `NotFound`.
pub async fn get(app: &App, id: AccountId) -> Done<Known> {
    let mut tx = app.store.read().await?;
    let row = accounts::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    let account = Account::from_row(&row)?;
    let mut seen = Seen::read(app, &mut tx, &[id]).await?;
    tx.commit().await?;
    Ok(seen.with(account))
}

/// How many accounts are in each state, each counted once.
///
/// # Errors
/// What the database says.
pub async fn counts(app: &App) -> Done<StateCounts> {
    let now = app.clock.now();
    let mut tx = app.store.read().await?;
    let standings = accounts::count_standings(&mut tx, now).await?;
    let mut marked = nodes::all_account_live(app, &mut tx).await?;
    marked.retain(|_, live| live.marked() != Marked::default());
    let ids: Vec<_> = marked.keys().copied().collect();
    let of_marked = accounts::standings(&mut tx, &ids, now).await?;
    tx.commit().await?;
    let of_marked =
        of_marked.into_iter().filter_map(|(id, standing)| Some((standing, marked.get(&id)?.marked())));
    Ok(StateCounts::of(&standings, of_marked))
}

/// # Errors
/// The input is not valid, or the name is taken.
pub async fn create(app: &App, caller: &Caller, input: AccountInput) -> Done<Known> {
    let now = app.clock.now();
    let account = input.create(AccountId::new(now), rules(app, now))?;
    let row = account.to_row()?;
    let mut change = Change::begin(app, caller).await?;
    accounts::insert(&mut change.tx, &row).await.map_err(missing_group())?;
    change.publish(Entry::made("account.create", &row)).await?;
    Ok(Seen::nothing(now).with(account))
}

/// `revision`: the one that the caller has seen. Where the input changes nothing, nothing is written.
///
/// # Errors
/// The input is not valid, the name is taken, or the account was changed meanwhile.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: AccountId,
    revision: i64,
    input: AccountInput,
) -> Done<Known> {
    let mut change = Change::begin(app, caller).await?;
    let before = accounts::get(&mut change.tx, id).await?.ok_or(StoreError::NotFound)?;
    let present = Account::from_row(&before)?;
    let mut account = input.update(&present, rules(app, change.now))?;
    if before.revision != revision {
        return Err(StoreError::Stale.into());
    }
    let mut seen = Seen::read(app, &mut change.tx, &[id]).await?;
    if account == present {
        change.abandon().await?;
        return Ok(seen.with(present));
    }
    let after = account.to_row()?;
    account.revision = accounts::update(&mut change.tx, &after, revision).await.map_err(missing_group())?;
    let mut entry = Entry::changed("account.update", &before, &after);
    if after.credential != before.credential {
        entry = entry.with_replaced("credentials");
    }
    change.publish(entry).await?;
    Ok(seen.with(account))
}

/// Its records stay.
///
/// # Errors
/// `NotFound`.
pub async fn delete(app: &App, caller: &Caller, id: AccountId) -> Done<()> {
    let mut change = Change::begin_locked(app, caller).await?;
    let row = accounts::get(&mut change.tx, id).await?.ok_or(StoreError::NotFound)?;
    accounts::delete(&mut change.tx, id).await?;
    change.publish(Entry::removed("account.delete", &row)).await
}

fn missing_group() -> impl Fn(StoreError) -> Refusal {
    Refusal::of_reference("group_ids", "one of these groups does not exist")
}

fn rules(app: &App, now: Millis) -> Rules<'_> {
    let allowed = AllowedUpstreams {
        private: app.settings.allow_private_upstreams,
        plaintext: app.settings.policy.allow_plaintext_upstreams,
    };
    Rules { sealer: &app.sealer, allowed, now }
}

/// What live nodes and the ledger know of some accounts.
#[derive(Debug)]
struct Seen {
    live: HashMap<AccountId, AccountLive>,
    errors: HashMap<AccountId, LastError>,
    now: Millis,
}

impl Seen {
    fn nothing(now: Millis) -> Self {
        Self { live: HashMap::new(), errors: HashMap::new(), now }
    }

    async fn read(app: &App, tx: &mut Tx, ids: &[AccountId]) -> Result<Self, StoreError> {
        let live = nodes::account_live(app, tx, ids).await?;
        let errors = account_errors::of(tx, ids).await?;
        Ok(Self { live, errors, now: app.clock.now() })
    }

    fn with(&mut self, account: Account) -> Known {
        let live = self.live.remove(&account.id).unwrap_or_default();
        let last_error = self.errors.remove(&account.id);
        let state = AccountState::of(account.standing(self.now), live.marked());
        Known { account, live, last_error, state }
    }
}
