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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// The console's translations and forms are tested against this copy.
    #[test]
    fn the_stored_account_types_are_those_that_are_served() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("account-types.json");
        let types = serde_json::to_string_pretty(&super::descriptors()).unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            fs::write(&path, &types).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == types,
            "control-plane/account-types.json has drifted: run UPDATE_OPENAPI=1 cargo nextest run -p control-plane account_types, and commit it"
        );
    }
}
