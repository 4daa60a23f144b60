//! Upstream accounts. Credentials go in and never come out.

mod view;

use std::collections::HashMap;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{
    account::AccountType,
    clock::Millis,
    id::{AccountId, GroupId},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::view::{AccountView, Seen, Status, tagged, view};
use super::{
    cursor::{Page, PageParams},
    error::{ApiResult, Problem},
    etag::{IfMatch, Tagged},
    extract::{JsonBody, ListParams, PathId},
    nodes::account_live,
    search::Search,
};
use crate::{
    app::App,
    domain::account::{Account, AccountError, AccountInput, AllowedUpstreams, Rules},
    ops::Caller,
    store::{
        StoreError, Tx, account_errors,
        accounts::{self, AccountFilter},
        audit::{self, AuditEntry},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

#[derive(Debug, Serialize, ToSchema)]
struct AccountList {
    accounts: Vec<AccountView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountQuery {
    #[serde(rename = "type")]
    #[param(value_type = Option<String>)]
    kind: Option<AccountType>,
    status: Option<Status>,
    /// Id of a group: only its members.
    #[param(value_type = Option<String>)]
    group: Option<GroupId>,
    enabled: Option<bool>,
    /// Part of the name or the description, in any case.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    search: Search,
}

/// Accounts, the oldest first.
#[utoipa::path(get, path = "/api/admin/accounts", tag = "accounts", params(AccountQuery, PageParams), responses((status = OK, body = AccountList)))]
async fn list(
    State(app): State<App>,
    ListParams(query): ListParams<AccountQuery>,
    page: Page,
) -> ApiResult<axum::Json<AccountList>> {
    let filter = AccountFilter {
        account_type: query.kind.map(|kind| kind.as_str().to_owned()),
        valid: query.status.map(|status| status == Status::Valid),
        group: query.group,
        enabled: query.enabled,
        search: query.search.into_text(),
    };
    let after = page.after::<16>()?.map(AccountId::from_bytes);
    let mut tx = app.store.read().await?;
    let mut rows = accounts::list(&mut tx, &filter, after, page.fetch()).await?;
    let next_cursor = page.cut(&mut rows, |row| row.id.to_bytes());
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut seen = seen(&app, &mut tx, &ids).await?;
    tx.commit().await?;
    let now = app.clock.now();
    let views = rows.iter().filter_map(|row| match Account::from_row(row) {
        Ok(account) => Some(view(account, seen.remove(&row.id).unwrap_or_default(), now)),
        // A row of a later release must not hide the others.
        Err(error) => {
            tracing::error!(%error, "an account can't be read");
            None
        }
    });
    Ok(axum::Json(AccountList { accounts: views.collect(), next_cursor }))
}

/// A new account.
#[utoipa::path(post, path = "/api/admin/accounts", tag = "accounts", request_body = AccountInput, responses((status = CREATED, body = AccountView)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    JsonBody(input): JsonBody<AccountInput>,
) -> ApiResult<(StatusCode, Tagged<AccountView>)> {
    let now = app.clock.now();
    let account = input.create(AccountId::new(now), rules(&app, now))?;
    let mut tx = app.store.begin().await?;
    accounts::insert(&mut tx, &account.to_row()?).await.map_err(refused)?;
    let detail = json!({"name": account.name, "type": account.kind});
    log(&mut tx, &app, &caller, "account.create", account.id, detail).await?;
    tx.commit().await?;
    app.changed();
    Ok((StatusCode::CREATED, tagged(account, Seen::default(), now)))
}

/// One account.
#[utoipa::path(get, path = "/api/admin/accounts/{id}", tag = "accounts", params(("id" = String, Path)), responses((status = OK, body = AccountView)))]
async fn get(State(app): State<App>, PathId(id): PathId<AccountId>) -> ApiResult<Tagged<AccountView>> {
    let mut tx = app.store.read().await?;
    let account = read(&mut tx, id).await?;
    let seen = seen(&app, &mut tx, &[id]).await?.remove(&id).unwrap_or_default();
    tx.commit().await?;
    Ok(tagged(account, seen, app.clock.now()))
}

/// Changes an account: absent fields keep their values, credentials among them. These have to be given again where
/// `base_url` leads to another host, scheme or port.
#[utoipa::path(put, path = "/api/admin/accounts/{id}", tag = "accounts", params(("id" = String, Path), ("If-Match" = String, Header)), request_body = AccountInput, responses((status = OK, body = AccountView)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
    IfMatch(revision): IfMatch,
    JsonBody(input): JsonBody<AccountInput>,
) -> ApiResult<Tagged<AccountView>> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let present = read(&mut tx, id).await?;
    let mut account = input.update(&present, rules(&app, now))?;
    if present.revision != revision {
        return Err(StoreError::Stale.into());
    }
    let seen = seen(&app, &mut tx, &[id]).await?.remove(&id).unwrap_or_default();
    let fields = account.changed_fields(&present);
    if fields.is_empty() {
        tx.rollback().await?;
        return Ok(tagged(present, seen, now));
    }
    account.revision = accounts::update(&mut tx, &account.to_row()?, revision).await.map_err(refused)?;
    log(&mut tx, &app, &caller, "account.update", id, json!({"name": account.name, "fields": fields}))
        .await?;
    tx.commit().await?;
    app.changed();
    Ok(tagged(account, seen, now))
}

/// Deletes an account. Its records stay.
#[utoipa::path(delete, path = "/api/admin/accounts/{id}", tag = "accounts", params(("id" = String, Path)), responses((status = NO_CONTENT)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
) -> ApiResult<StatusCode> {
    let mut tx = app.store.begin().await?;
    let row = accounts::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    accounts::delete(&mut tx, id).await?;
    log(&mut tx, &app, &caller, "account.delete", id, json!({"name": row.name, "type": row.account_type}))
        .await?;
    tx.commit().await?;
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}

/// What live nodes and the ledger know of these accounts; one without anything may be left out.
async fn seen(app: &App, tx: &mut Tx, ids: &[AccountId]) -> Result<HashMap<AccountId, Seen>, StoreError> {
    let mut live = account_live(app, tx).await?;
    let mut errors = account_errors::of(tx, ids).await?;
    let seen =
        |id: &AccountId| Seen { live: live.remove(id).unwrap_or_default(), last_error: errors.remove(id) };
    Ok(ids.iter().copied().zip(ids.iter().map(seen)).collect())
}

async fn read(tx: &mut Tx, id: AccountId) -> ApiResult<Account> {
    let row = accounts::get(tx, id).await?.ok_or(StoreError::NotFound)?;
    Ok(Account::from_row(&row)?)
}

fn rules(app: &App, now: Millis) -> Rules<'_> {
    let allowed = AllowedUpstreams {
        private: app.settings.allow_private_upstreams,
        plaintext: app.settings.policy.allow_plaintext_upstreams,
    };
    Rules { sealer: &app.sealer, allowed, now }
}

async fn log(
    tx: &mut Tx,
    app: &App,
    caller: &Caller,
    action: &str,
    id: AccountId,
    detail: serde_json::Value,
) -> ApiResult<()> {
    let entry = AuditEntry {
        actor: Some(caller.user),
        action,
        target_kind: "account",
        target_id: Some(id.to_string()),
        detail,
        at: app.clock.now(),
        address: caller.address,
    };
    Ok(audit::write(tx, &entry).await?)
}

fn refused(error: StoreError) -> Problem {
    match error {
        StoreError::Missing { .. } => Problem::invalid("group_ids", "one of these groups does not exist"),
        other => other.into(),
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Invalid(faults) => faults.into(),
            AccountError::Seal(cause) => Self::internal(cause),
        }
    }
}
