//! /api/admin/audit: who changed what.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use shared::{
    clock::Millis,
    id::{AuditId, UserId},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::ApiResult,
    extract::ListParams,
};
use crate::{
    app::App,
    store::{
        StoreError,
        audit::{self, AuditFilter, AuditRow},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditParams {
    /// Only what this person did.
    #[param(value_type = Option<String>)]
    actor: Option<UserId>,
    /// Only this action, such as `account.create`.
    action: Option<String>,
    /// Only what was done to things of this kind, such as `account`.
    target_kind: Option<String>,
    /// Only what was done to this thing.
    target_id: Option<String>,
}

/// One change.
#[derive(Serialize, ToSchema)]
struct AuditBody {
    #[schema(value_type = String)]
    id: AuditId,
    #[schema(value_type = i64)]
    at: Millis,
    /// Null: the program itself, or someone who was not signed in.
    #[schema(value_type = Option<String>)]
    actor: Option<UserId>,
    action: String,
    target_kind: String,
    target_id: Option<String>,
    /// Names of changed fields and the like.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    /// Where the request came from.
    address: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct AuditList {
    entries: Vec<AuditBody>,
    /// Null: this was the last page.
    next_cursor: Option<String>,
}

/// Changes, the latest first.
#[utoipa::path(get, path = "/api/admin/audit", tag = "audit", params(AuditParams, PageParams), responses((status = OK, body = AuditList)))]
async fn list(
    State(app): State<App>,
    ListParams(params): ListParams<AuditParams>,
    page: Page,
) -> ApiResult<Json<AuditList>> {
    let filter = AuditFilter {
        actor: params.actor,
        action: params.action,
        target_kind: params.target_kind,
        target_id: params.target_id,
    };
    let before = page.after()?.map(AuditId::from_bytes);
    let mut tx = app.store.read().await?;
    let mut rows = audit::list(&mut tx, &filter, before, page.fetch()).await?;
    tx.commit().await?;
    let next_cursor = page.cut(&mut rows, |row| row.id.to_bytes());
    let entries = rows.into_iter().map(body).collect::<Result<_, StoreError>>()?;
    Ok(Json(AuditList { entries, next_cursor }))
}

fn body(row: AuditRow) -> Result<AuditBody, StoreError> {
    Ok(AuditBody {
        id: row.id,
        at: Millis(row.at),
        actor: row.actor.as_deref().map(UserId::try_from).transpose().map_err(StoreError::corrupt)?,
        action: row.action,
        target_kind: row.target_kind,
        target_id: row.target_id,
        detail: serde_json::from_str(&row.detail).map_err(StoreError::corrupt)?,
        address: row.address,
    })
}
