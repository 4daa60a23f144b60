//! What everyone who is signed in needs to know of the data plane.

use proto::v1::HeartbeatRequest;
use shared::{account::AccountType, wire::Wire};

use super::{
    Done,
    nodes::{self as heard, live_since},
};
pub use crate::store::models::PricedModel;
use crate::{
    app::App,
    store::{
        StoreError, Tx, models,
        nodes::{self, NodeRow},
        settings,
    },
};

/// Models that are shown at most.
const MODELS: u32 = 1000;

/// What clients can ask of the data plane, and where.
#[derive(Debug)]
pub struct Gateway {
    /// Where clients reach it. `None`: nobody said yet.
    pub public_api_url: Option<String>,
    /// The wires that nodes take from clients now.
    pub wires: Vec<Wire>,
    /// The account types that nodes can reach now.
    pub account_types: Vec<AccountType>,
    /// Models that have a price, by name; the first 1000.
    pub models: Vec<PricedModel>,
    /// Nodes that take requests now.
    pub live_nodes: usize,
}

/// # Errors
/// What the database says.
pub async fn get(app: &App) -> Done<Gateway> {
    let mut tx = app.store.read().await?;
    let (set, _) = settings::load(&mut tx).await?;
    let nodes = taking_requests(app, &mut tx).await?;
    let models = models::priced(&mut tx, app.clock.now(), MODELS).await?;
    tx.commit().await?;
    let reports: Vec<&HeartbeatRequest> = nodes.iter().map(|node| &node.report).collect();
    Ok(Gateway {
        public_api_url: app.settings.data_plane.public_url(set.public_api_url.as_deref()).map(Into::into),
        wires: heard::wires(&reports),
        account_types: heard::account_types(&reports),
        models,
        live_nodes: nodes.len(),
    })
}

/// Nodes that were heard of lately and are not shutting down.
///
/// # Errors
/// What the database says.
pub async fn taking_requests(app: &App, tx: &mut Tx) -> Result<Vec<NodeRow>, StoreError> {
    let mut live = nodes::live(tx, live_since(app)).await?;
    live.retain(|node| node.ready);
    Ok(live)
}
