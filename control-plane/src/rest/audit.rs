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
    ops::audit::{self as ops, AuditFilter, Logged},
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
    /// Of a change the fields that differ, `before` and `after`; of what was made or removed all fields. Secrets are not
    /// among them.
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
    let mut entries = ops::list(&app, &filter, before, page.fetch()).await?;
    let next_cursor = page.cut(&mut entries, |entry| entry.id.to_bytes());
    Ok(Json(AuditList { entries: entries.into_iter().map(AuditBody::from).collect(), next_cursor }))
}

impl From<Logged> for AuditBody {
    fn from(entry: Logged) -> Self {
        let Logged { id, at, actor, action, target_kind, target_id, detail, address } = entry;
        Self { id, at, actor, action, target_kind, target_id, detail, address }
    }
}
