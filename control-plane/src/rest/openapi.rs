//! GET /api/openapi.json, made from the handlers; a stored copy shows in a review what a change does to it.

mod refusals;

use std::sync::OnceLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::error::{FieldError, ProblemBody};
use crate::app::App;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Switchyard control plane",
        description = "Users, accounts, API keys, models, usage. Sign in at /api/auth/login and send the access token \
            as a bearer token. Lists page by `limit` and `cursor`; a thing's GET carries an ETag, its PUT takes it as \
            If-Match. Errors are application/problem+json with a stable `code`. Times are milliseconds since 1970; \
            money is a decimal string in US dollars; ids are ULIDs.",
    ),
    components(schemas(ProblemBody, FieldError)),
    modifiers(&Bearer),
    security(("bearer" = [])),
)]
struct Head;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

pub(super) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// The document.
///
/// # Errors
/// It does not serialise, which a test rules out.
pub fn document() -> Result<String, serde_json::Error> {
    let mut document = super::api().split_for_parts().1;
    refusals::document(&mut document);
    name_operations(&mut document);
    document.to_pretty_json().map(|json| json + "\n")
}

/// Gives each operation a name of its own, such as `account_groups_list`: handlers are named within their file.
fn name_operations(document: &mut utoipa::openapi::OpenApi) {
    let items = document.paths.paths.values_mut();
    let operations = items.flat_map(|item| [&mut item.get, &mut item.put, &mut item.post, &mut item.delete]);
    for operation in operations.flatten() {
        let tag = operation.tags.iter().flatten().next();
        if let (Some(tag), Some(handler)) = (tag, &operation.operation_id) {
            operation.operation_id = Some(format!("{}_{handler}", tag.replace([' ', '-'], "_")));
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get))
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "openapi", security(()), responses((status = OK, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn get() -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| document().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], document.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    #[test]
    fn the_stored_openapi_document_is_the_one_that_is_served() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        let document = super::document().unwrap();
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            fs::write(&path, &document).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == document,
            "control-plane/openapi.json has drifted: run UPDATE_OPENAPI=1 cargo nextest run -p control-plane openapi, and commit it"
        );
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document: serde_json::Value = serde_json::from_str(&super::document().unwrap()).unwrap();
        let items = document["paths"].as_object().unwrap().values();
        let names: Vec<_> = items
            .flat_map(|item| item.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }
}
