//! GET /api/gateway: what everyone who is signed in needs to know of the data plane.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::ApiResult,
    nodes::{account_types, wires},
};
use crate::{
    app::App,
    ops::nodes::live_since,
    store::{
        StoreError, Tx,
        models::{self, PricedModel},
        nodes::{self, NodeRow},
        settings,
    },
};

/// Models that are shown at most.
const MODELS: u32 = 1000;

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
    let mut tx = app.store.read().await?;
    let (set, _) = settings::load(&mut tx).await?;
    let nodes = taking_requests(&app, &mut tx).await?;
    let models = models::priced(&mut tx, app.clock.now(), MODELS).await?;
    tx.commit().await?;
    let reports: Vec<_> = nodes.iter().map(|node| &node.report).collect();
    Ok(Json(Gateway {
        public_api_url: app.settings.data_plane.public_url(set.public_api_url.as_deref()).map(Into::into),
        wires: wires(&reports),
        account_types: account_types(&reports),
        models: models.into_iter().map(Into::into).collect(),
        live_nodes: nodes.len(),
    }))
}

/// Nodes that were heard of lately and are not shutting down.
///
/// # Errors
/// What the database says.
pub(super) async fn taking_requests(app: &App, tx: &mut Tx) -> Result<Vec<NodeRow>, StoreError> {
    let mut live = nodes::live(tx, live_since(app)).await?;
    live.retain(|node| node.ready);
    Ok(live)
}
