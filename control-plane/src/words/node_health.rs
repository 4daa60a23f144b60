//! How a node is, by what was last heard of it.

use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use utoipa::ToSchema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeHealth {
    /// Heard of lately.
    Live,
    /// Heard of lately; takes no new requests.
    Stopping,
    /// Not heard of for three intervals.
    Silent,
}

impl NodeHealth {
    /// `live_since`: nodes that were last heard of before are silent.
    #[must_use]
    pub fn of(heard_at: Millis, ready: bool, live_since: Millis) -> Self {
        match (heard_at >= live_since, ready) {
            (false, _) => Self::Silent,
            (true, false) => Self::Stopping,
            (true, true) => Self::Live,
        }
    }
}
