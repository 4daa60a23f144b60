//! Nodes, as they were last heard of.

use shared::clock::Millis;

use crate::app::App;

/// Nodes heard of at this time or later count as live.
#[must_use]
pub fn live_since(app: &App) -> Millis {
    let patience = i64::try_from(app.settings.planes.node_patience().as_millis()).unwrap_or(i64::MAX);
    Millis(app.clock.now().0.saturating_sub(patience))
}
