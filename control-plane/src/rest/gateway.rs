//! GET /api/gateway: what everyone who is signed in needs to know of the data plane.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::{account::AccountType, wire::Wire};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::error::ApiResult;
use crate::{
    app::App,
    ops::gateway::{self as ops, PricedModel},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get))
}

#[derive(Serialize, ToSchema)]
struct Gateway {
    /// Where clients reach the data plane. Null: nobody said yet.
    public_api_url: Option<String>,
    /// The wires that nodes take from clients now: `chat`, `responses`, `messages`, `gemini`.
    wires: Vec<&'static str>,
    /// The account types that nodes can reach now.
    account_types: Vec<&'static str>,
    /// Models that have a price, by name; the first 1000.
    models: Vec<GatewayModel>,
    /// Nodes that take requests now.
    live_nodes: usize,
}

#[derive(Serialize, ToSchema)]
struct GatewayModel {
    name: String,
    /// `claude`, `openai`, `gemini` or `other`.
    platform: String,
    display_name: Option<String>,
}

impl From<PricedModel> for GatewayModel {
    fn from(model: PricedModel) -> Self {
        Self { name: model.name, platform: model.platform, display_name: model.display_name }
    }
}

/// What clients can ask of the data plane, and where.
#[utoipa::path(get, path = "/api/gateway", tag = "gateway", responses((status = OK, body = Gateway)))]
async fn get(State(app): State<App>) -> ApiResult<Json<Gateway>> {
    let gateway = ops::get(&app).await?;
    Ok(Json(Gateway {
        public_api_url: gateway.public_api_url,
        wires: gateway.wires.into_iter().map(Wire::as_str).collect(),
        account_types: gateway.account_types.into_iter().map(AccountType::as_str).collect(),
        models: gateway.models.into_iter().map(Into::into).collect(),
        live_nodes: gateway.live_nodes,
    }))
}
