//! GET /api/admin/accounts/types: what each account type needs.

use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    domain::account::{AccountTypes, descriptors},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(types))
}

/// The ten account types, each with the fields of its form.
#[utoipa::path(get, path = "/api/admin/accounts/types", tag = "accounts", responses((status = OK, body = AccountTypes)))]
async fn types() -> Json<AccountTypes> {
    Json(descriptors())
}
