//! What operators set for the whole installation.

use serde_json::Value;

use super::{Audited, Caller, Change, Done, Entry};
use crate::{
    app::App,
    domain::{public_url::PublicUrl, settings_input::SettingsChange},
    store::{StoreError, settings},
};

pub use crate::store::settings::Settings;

impl Audited for Settings {
    const KIND: &'static str = "settings";

    fn audit_id(&self) -> String {
        "settings".to_owned()
    }

    fn audit_name(&self) -> Option<&str> {
        None
    }

    fn record(&self) -> Value {
        // Plain fields: it can't fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The settings, and their revision: 0 where they were never changed.
///
/// # Errors
/// What the database says.
pub async fn get(app: &App) -> Done<(Settings, i64)> {
    let mut tx = app.store.read().await?;
    let loaded = settings::load(&mut tx).await?;
    tx.commit().await?;
    Ok(loaded)
}

/// `revision`: the one that the caller has seen. Gives the new one with the settings; nodes follow at once.
///
/// # Errors
/// The input is not valid, or the settings were changed meanwhile.
pub async fn update(
    app: &App,
    caller: &Caller,
    revision: i64,
    input: SettingsChange,
) -> Done<(Settings, i64)> {
    let mut change = Change::begin(app, caller).await?;
    let (before, present) = settings::load(&mut change.tx).await?;
    if present != revision {
        return Err(StoreError::Stale.into());
    }
    let started_with = app.settings.data_plane.public_api_url.as_ref().map(PublicUrl::as_str);
    let after = input.update(&before, started_with)?;
    let now = change.now;
    let revision = settings::save(&mut change.tx, &after, revision, now).await?;
    change.publish(Entry::changed("settings.update", &before, &after)).await?;
    Ok((after, revision))
}
