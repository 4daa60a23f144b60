//! Account groups, with the accounts in them.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::id::{AccountId, GroupId};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth_layer::Caller,
    cursor::{Page, PageParams},
    error::{ApiResult, Problem},
    etag::{IfMatch, Tagged},
    extract::{JsonBody, ListParams, PathId},
    search::SearchQuery,
};
use crate::{
    app::App,
    domain::{fault::Faults, name::Name, patch::Patch},
    store::{
        StoreError, Tx,
        audit::{self, AuditEntry},
        groups::{self, GroupRow},
    },
};

const MAX_MEMBERS: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// A group to make, or what to change of one. In a change a field that is absent keeps its value, and null sets the
/// default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupInput {
    /// Required; unique.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
    /// All of its members.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    account_ids: Patch<Vec<AccountId>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct GroupView {
    #[schema(value_type = String)]
    id: GroupId,
    name: String,
    description: String,
    #[schema(value_type = Vec<String>)]
    account_ids: Vec<AccountId>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct GroupList {
    account_groups: Vec<GroupView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

/// Groups, the oldest first.
#[utoipa::path(get, path = "/api/admin/account-groups", tag = "account groups", params(SearchQuery, PageParams), responses((status = OK, body = GroupList)))]
async fn list(
    State(app): State<App>,
    ListParams(query): ListParams<SearchQuery>,
    page: Page,
) -> ApiResult<Json<GroupList>> {
    let after = page.after::<16>()?.map(GroupId::from_bytes);
    let mut tx = app.store.read().await?;
    let mut rows = groups::list(&mut tx, query.search.text(), after, page.fetch()).await?;
    let next_cursor = page.cut(&mut rows, |row| row.id.to_bytes());
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let members = groups::members_of(&mut tx, &ids).await?;
    tx.commit().await?;
    let mut by_group: BTreeMap<GroupId, Vec<AccountId>> = BTreeMap::new();
    for (group, account) in members {
        by_group.entry(group).or_default().push(account);
    }
    let views = rows.into_iter().map(|row| {
        let members = by_group.remove(&row.id).unwrap_or_default();
        view(row, members)
    });
    Ok(Json(GroupList { account_groups: views.collect(), next_cursor }))
}

/// A new group.
#[utoipa::path(post, path = "/api/admin/account-groups", tag = "account groups", request_body = GroupInput, responses((status = CREATED, body = GroupView)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    JsonBody(input): JsonBody<GroupInput>,
) -> ApiResult<(StatusCode, Tagged<GroupView>)> {
    let now = app.clock.now();
    let row = GroupRow {
        id: GroupId::new(now),
        name: String::new(),
        description: String::new(),
        created_at: now.0,
        updated_at: now.0,
        revision: 1,
    };
    let mut faults = Faults::default();
    if input.name.is_keep() {
        faults.push("name", "is required");
    }
    let (row, members) = apply(input, row, faults)?;
    let mut tx = app.store.begin().await?;
    groups::insert(&mut tx, &row).await?;
    groups::set_members(&mut tx, row.id, &members.unwrap_or_default(), now).await.map_err(refused)?;
    log(&mut tx, &app, &caller, "account_group.create", row.id, json!({"name": row.name})).await?;
    let made = read(&mut tx, row.id).await?;
    tx.commit().await?;
    app.changed();
    Ok((StatusCode::CREATED, made))
}

/// One group.
#[utoipa::path(get, path = "/api/admin/account-groups/{id}", tag = "account groups", params(("id" = String, Path)), responses((status = OK, body = GroupView)))]
async fn get(State(app): State<App>, PathId(id): PathId<GroupId>) -> ApiResult<Tagged<GroupView>> {
    let mut tx = app.store.read().await?;
    let group = read(&mut tx, id).await?;
    tx.commit().await?;
    Ok(group)
}

/// Changes a group: absent fields keep their values.
#[utoipa::path(put, path = "/api/admin/account-groups/{id}", tag = "account groups", params(("id" = String, Path), ("If-Match" = String, Header)), request_body = GroupInput, responses((status = OK, body = GroupView)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
    IfMatch(revision): IfMatch,
    JsonBody(input): JsonBody<GroupInput>,
) -> ApiResult<Tagged<GroupView>> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let present = groups::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    let (mut row, members) = apply(input, present.clone(), Faults::default())?;
    let differs = [
        ("name", row.name != present.name),
        ("description", row.description != present.description),
        ("account_ids", members.is_some()),
    ];
    let fields: Vec<_> =
        differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect();
    row.updated_at = now.0;
    groups::update(&mut tx, &row, revision).await?;
    if let Some(members) = members {
        groups::set_members(&mut tx, id, &members, now).await.map_err(refused)?;
    }
    log(&mut tx, &app, &caller, "account_group.update", id, json!({"name": row.name, "fields": fields}))
        .await?;
    let changed = read(&mut tx, id).await?;
    tx.commit().await?;
    app.changed();
    Ok(changed)
}

/// Deletes a group; its accounts stay.
#[utoipa::path(delete, path = "/api/admin/account-groups/{id}", tag = "account groups", params(("id" = String, Path)), responses((status = NO_CONTENT)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
) -> ApiResult<StatusCode> {
    let mut tx = app.store.begin().await?;
    let row = groups::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    groups::delete(&mut tx, id, app.clock.now()).await?;
    log(&mut tx, &app, &caller, "account_group.delete", id, json!({"name": row.name})).await?;
    tx.commit().await?;
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}

/// The row with what the input changes, and its members where the input names them.
fn apply(
    input: GroupInput,
    mut row: GroupRow,
    mut faults: Faults,
) -> Result<(GroupRow, Option<Vec<AccountId>>), Faults> {
    match input.name {
        Patch::Keep => {}
        Patch::Clear => faults.push("name", "is required"),
        Patch::Set(name) => {
            let name = faults.take("name", Name::try_from(name));
            row.name = name.map(Name::into_string).unwrap_or_default();
        }
    }
    match input.description {
        Patch::Keep => {}
        Patch::Clear => row.description = String::new(),
        Patch::Set(text) => row.description = faults.description(text),
    }
    let members = match input.account_ids {
        Patch::Keep => None,
        Patch::Clear => Some(Vec::new()),
        Patch::Set(ids) => Some(ids),
    };
    if members.as_ref().is_some_and(|members| members.len() > MAX_MEMBERS) {
        faults.push("account_ids", format!("at most {MAX_MEMBERS}"));
    }
    faults.none().map(|()| (row, members))
}

async fn read(tx: &mut Tx, id: GroupId) -> ApiResult<Tagged<GroupView>> {
    let row = groups::get(tx, id).await?.ok_or(StoreError::NotFound)?;
    let members = groups::members(tx, id).await?;
    Ok(Tagged { revision: row.revision, body: view(row, members) })
}

fn view(row: GroupRow, mut members: Vec<AccountId>) -> GroupView {
    members.sort_unstable();
    GroupView {
        id: row.id,
        name: row.name,
        description: row.description,
        account_ids: members,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

async fn log(
    tx: &mut Tx,
    app: &App,
    caller: &Caller,
    action: &str,
    id: GroupId,
    detail: serde_json::Value,
) -> ApiResult<()> {
    let entry = AuditEntry {
        actor: Some(caller.user),
        action,
        target_kind: "account_group",
        target_id: Some(id.to_string()),
        detail,
        at: app.clock.now(),
        address: caller.address,
    };
    Ok(audit::write(tx, &entry).await?)
}

fn refused(error: StoreError) -> Problem {
    match error {
        StoreError::Missing { .. } => Problem::invalid("account_ids", "one of these accounts does not exist"),
        other => other.into(),
    }
}
