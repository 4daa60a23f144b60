//! What operators set for the whole installation while it runs. A setting without a row has its default.

use proto::v1::ResourceKind;
use serde::{Deserialize, Serialize};
use shared::clock::Millis;

use super::{
    StoreError, Tx, changes,
    db::{execute, fetch_all},
};

/// One row for each field that differs from its default. Times are milliseconds, sizes bytes; `None` leaves a choice to each node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// People may make themselves a user.
    pub registration_enabled: bool,
    /// Where clients reach the data plane; shown in snippets.
    pub public_api_url: Option<String>,
    pub first_byte_timeout_ms: Option<u64>,
    pub idle_timeout_ms: Option<u64>,
    pub deadline_ms: Option<u64>,
    pub max_stream_ms: Option<u64>,
    pub commit_hold_ms: Option<u64>,
    pub max_body_bytes: Option<u64>,
    pub drain_timeout_ms: Option<u64>,
    pub plain_deadline_ms: Option<u64>,
    pub plain_attempt_timeout_ms: Option<u64>,
    pub plain_drain_timeout_ms: Option<u64>,
    pub max_answer_bytes: Option<u64>,
    pub max_frame_bytes: Option<u64>,
    /// Streams that run with a revoked key or account are cut.
    pub cut_revoked_streams: Option<bool>,
    /// How many days requests stay in the ledger. `None`: 400.
    pub ledger_retention_days: Option<u64>,
    /// How many days refused requests stay, and their counts. `None`: 90.
    pub refusal_retention_days: Option<u64>,
    /// Refused requests that stay in full, the latest ones. `None`: 100,000.
    pub refusals_kept: Option<u64>,
    /// How many days the audit log goes back. `None`: 400.
    pub audit_retention_days: Option<u64>,
}

/// The settings, and their revision: 0 where they were never changed.
///
/// # Errors
/// `Corrupt` where a value can't be read. Rows of a later release are passed over.
pub async fn load(tx: &mut Tx) -> Result<(Settings, i64), StoreError> {
    let rows = fetch_all!(tx, (String, String), "SELECT name, value FROM settings")?;
    let version = changes::version_of(tx, ResourceKind::Settings, changes::SETTINGS_ID).await?;
    let mut values = serde_json::Map::new();
    for (name, value) in rows {
        values.insert(name, serde_json::from_str(&value).map_err(StoreError::corrupt)?);
    }
    let settings = serde_json::from_value(serde_json::Value::Object(values)).map_err(StoreError::corrupt)?;
    Ok((settings, revision(version)))
}

/// Replaces all settings; returns the new revision.
///
/// # Errors
/// `Stale` where they are at another revision.
pub async fn save(
    tx: &mut Tx,
    settings: &Settings,
    expected_revision: i64,
    at: Millis,
) -> Result<i64, StoreError> {
    changes::lock(tx).await?;
    let latest = changes::latest_version_of(tx, ResourceKind::Settings, changes::SETTINGS_ID).await?;
    if revision(latest) != expected_revision {
        return Err(StoreError::Stale);
    }
    let version = changes::record(tx, ResourceKind::Settings, changes::SETTINGS_ID, false).await?;
    let (values, defaults) = (fields(settings)?, fields(&Settings::default())?);
    for (name, value) in values {
        execute!(tx, "DELETE FROM settings WHERE name = ?", name.as_str())?;
        if defaults.get(&name) != Some(&value) {
            let text = value.to_string();
            execute!(
                tx,
                "INSERT INTO settings (name, value, updated_at) VALUES (?, ?, ?)",
                name.as_str(),
                text.as_str(),
                at.0
            )?;
        }
    }
    Ok(revision(Some(version)))
}

fn fields(settings: &Settings) -> Result<serde_json::Map<String, serde_json::Value>, StoreError> {
    match serde_json::to_value(settings).map_err(StoreError::corrupt)? {
        serde_json::Value::Object(fields) => Ok(fields),
        _ => Err(StoreError::corrupt("the settings are no object")),
    }
}

fn revision(version: Option<u64>) -> i64 {
    version.and_then(|version| i64::try_from(version).ok()).unwrap_or(0)
}
