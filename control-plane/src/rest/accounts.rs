//! Upstream accounts. Credentials go in and never come out.

use std::collections::BTreeMap;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{
    account::{AccountType, CredentialKind},
    clock::Millis,
    id::{AccountId, GroupId},
    wire::Platform,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth_layer::Caller,
    cursor::{Page, PageParams},
    error::{ApiResult, FieldError, Problem},
    etag::{IfMatch, Tagged},
    extract::{JsonBody, Params, PathId},
};
use crate::{
    app::App,
    domain::{
        account::{Account, AccountError, AccountInput, ClientGone, OptionFields, Rules},
        fault::Faults,
    },
    store::{
        StoreError, Tx,
        accounts::{self, AccountFilter},
        audit::{self, AuditEntry},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// An account as people read it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountView {
    #[schema(value_type = String)]
    id: AccountId,
    name: String,
    description: String,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: AccountType,
    #[schema(value_type = String)]
    platform: Platform,
    /// Null: the type's own.
    base_url: Option<String>,
    credential: CredentialView,
    options: OptionFields,
    enabled: bool,
    schedulable: bool,
    /// 1–100, smaller first.
    priority: u8,
    /// 1–1000.
    weight: u16,
    /// Null: no limit. 0: none.
    concurrency: Option<u32>,
    model_mapping: BTreeMap<String, String>,
    allowed_models: Vec<String>,
    #[schema(value_type = Vec<String>)]
    group_ids: Vec<GroupId>,
    tags: Vec<String>,
    client_gone: ClientGone,
    /// Milliseconds since 1970. Null: does not expire.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Millis>,
    status: Status,
    /// Short code. Null where the account is valid.
    invalid_reason: Option<String>,
    invalid_detail: Option<String>,
    #[schema(value_type = Option<i64>)]
    invalid_at: Option<Millis>,
    #[schema(value_type = i64)]
    created_at: Millis,
    #[schema(value_type = i64)]
    updated_at: Millis,
}

/// What may be known of a credential.
#[derive(Debug, Serialize, ToSchema)]
struct CredentialView {
    #[schema(value_type = String)]
    kind: CredentialKind,
    set: bool,
    /// The last characters of a long key. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// What is known for good; limits and overload pass, and are the nodes' to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Valid,
    Invalid,
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
    /// Part of the name or the description, in any case.
    search: Option<String>,
}

/// Accounts, the oldest first.
#[utoipa::path(get, path = "/api/admin/accounts", tag = "accounts", params(AccountQuery, PageParams), responses((status = OK, body = AccountList)))]
async fn list(
    State(app): State<App>,
    Params(query): Params<AccountQuery>,
    page: Page,
) -> ApiResult<axum::Json<AccountList>> {
    let filter = AccountFilter {
        account_type: query.kind.map(|kind| kind.as_str().to_owned()),
        valid: query.status.map(|status| status == Status::Valid),
        group: query.group,
        search: query.search.filter(|search| !search.is_empty()),
    };
    let after = page.after::<16>()?.map(AccountId::from_bytes);
    let mut tx = app.store.read().await?;
    let mut rows = accounts::list(&mut tx, &filter, after, page.fetch()).await?;
    tx.commit().await?;
    let next_cursor = page.cut(&mut rows, |row| row.id.to_bytes());
    // A row of a later release must not hide the others.
    let readable = rows.iter().filter_map(|row| {
        Account::from_row(row).inspect_err(|error| tracing::error!(%error, "an account can't be read")).ok()
    });
    Ok(axum::Json(AccountList { accounts: readable.map(AccountView::from).collect(), next_cursor }))
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
    Ok((StatusCode::CREATED, tagged(account)))
}

/// One account.
#[utoipa::path(get, path = "/api/admin/accounts/{id}", tag = "accounts", params(("id" = String, Path)), responses((status = OK, body = AccountView)))]
async fn get(State(app): State<App>, PathId(id): PathId<AccountId>) -> ApiResult<Tagged<AccountView>> {
    let mut tx = app.store.read().await?;
    let account = read(&mut tx, id).await?;
    tx.commit().await?;
    Ok(tagged(account))
}

/// Changes an account: absent fields keep their values, credentials among them.
#[utoipa::path(put, path = "/api/admin/accounts/{id}", tag = "accounts", params(("id" = String, Path), ("If-Match" = String, Header)), request_body = AccountInput, responses((status = OK, body = AccountView)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
    IfMatch(revision): IfMatch,
    JsonBody(input): JsonBody<AccountInput>,
) -> ApiResult<Tagged<AccountView>> {
    let mut tx = app.store.begin().await?;
    let present = read(&mut tx, id).await?;
    let mut account = input.update(&present, rules(&app, app.clock.now()))?;
    if present.revision != revision {
        return Err(StoreError::Stale.into());
    }
    let fields = account.changed_fields(&present);
    if fields.is_empty() {
        tx.rollback().await?;
        return Ok(tagged(present));
    }
    account.revision = accounts::update(&mut tx, &account.to_row()?, revision).await.map_err(refused)?;
    log(&mut tx, &app, &caller, "account.update", id, json!({"name": account.name, "fields": fields})).await?;
    tx.commit().await?;
    app.changed();
    Ok(tagged(account))
}

/// Deletes an account. Its records stay.
#[utoipa::path(delete, path = "/api/admin/accounts/{id}", tag = "accounts", params(("id" = String, Path)), responses((status = NO_CONTENT)))]
async fn delete(State(app): State<App>, caller: Caller, PathId(id): PathId<AccountId>) -> ApiResult<StatusCode> {
    let mut tx = app.store.begin().await?;
    let row = accounts::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    accounts::delete(&mut tx, id).await?;
    log(&mut tx, &app, &caller, "account.delete", id, json!({"name": row.name, "type": row.account_type})).await?;
    tx.commit().await?;
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}

async fn read(tx: &mut Tx, id: AccountId) -> ApiResult<Account> {
    let row = accounts::get(tx, id).await?.ok_or(StoreError::NotFound)?;
    Ok(Account::from_row(&row)?)
}

fn rules(app: &App, now: Millis) -> Rules<'_> {
    let allow_private_upstreams = app.settings.policy.allow_private_upstreams;
    Rules { sealer: &app.sealer, allow_private_upstreams, now }
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

fn tagged(account: Account) -> Tagged<AccountView> {
    Tagged { revision: account.revision, body: account.into() }
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        let (invalid_reason, invalid_detail, invalid_at) = match account.invalid {
            Some(invalid) => (Some(invalid.reason), Some(invalid.detail), Some(invalid.at)),
            None => (None, None, None),
        };
        Self {
            id: account.id,
            name: account.name,
            description: account.description,
            kind: account.kind,
            platform: account.kind.platform(),
            base_url: account.base_url,
            credential: CredentialView { kind: account.credential.kind, set: true, hint: account.credential.hint },
            options: account.options.fields(),
            enabled: account.enabled,
            schedulable: account.schedulable,
            priority: account.priority,
            weight: account.weight,
            concurrency: account.concurrency,
            model_mapping: account.model_mapping.into_iter().collect(),
            allowed_models: account.allowed_models,
            group_ids: account.group_ids,
            tags: account.tags,
            client_gone: account.client_gone,
            expires_at: account.expires_at,
            status: if invalid_reason.is_some() { Status::Invalid } else { Status::Valid },
            invalid_reason,
            invalid_detail,
            invalid_at,
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let errors = faults.0.into_iter().map(|fault| FieldError { field: fault.field, message: fault.message });
        Self::invalid_fields(errors.collect())
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
