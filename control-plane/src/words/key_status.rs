//! Whether an API key can be used.

use serde::{Deserialize, Serialize};
use shared::clock::Millis;
use utoipa::ToSchema;

/// What comes of a key's enabling, its expiry and the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    Active,
    /// Also where it has expired.
    Disabled,
    Expired,
}

impl KeyStatus {
    #[must_use]
    pub fn of(enabled: bool, expires_at: Option<Millis>, now: Millis) -> Self {
        match (enabled, expires_at.is_some_and(|at| at <= now)) {
            (false, _) => Self::Disabled,
            (true, true) => Self::Expired,
            (true, false) => Self::Active,
        }
    }
}
