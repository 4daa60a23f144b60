//! Settings of the installation: what people may set them to.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{fault::Faults, patch::Patch, public_url::PublicUrl};
use crate::store::settings::Settings;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// What is left out stays as it is; null goes back to the default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    registration_enabled: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    public_api_url: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    first_byte_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    idle_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    deadline_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_stream_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    commit_hold_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_body_bytes: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    drain_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    plain_deadline_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    plain_attempt_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    plain_drain_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_answer_bytes: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_frame_bytes: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    cut_revoked_streams: Patch<bool>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    ledger_retention_days: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    refusal_retention_days: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    refusals_kept: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    audit_retention_days: Patch<u64>,
}

impl SettingsChange {
    /// What the settings are after the change. `started_with`: the public URL where none is set.
    ///
    /// # Errors
    /// What is not valid.
    pub fn update(self, present: &Settings, started_with: Option<&str>) -> Result<Settings, Faults> {
        let mut faults = Faults::default();
        let settings = self.numbers_over(present, &mut faults);
        let public_api_url = url_over(self.public_api_url, present.public_api_url.clone(), &mut faults);
        faults.none()?;
        Ok(Settings {
            registration_enabled: self.registration_enabled.unwrap_or(present.registration_enabled),
            // What was only read and is sent back is not set by that.
            public_api_url: public_api_url.filter(|url| Some(url.as_str()) != started_with),
            cut_revoked_streams: self.cut_revoked_streams.over_optional(present.cut_revoked_streams),
            ..settings
        })
    }

    fn numbers_over(&self, present: &Settings, faults: &mut Faults) -> Settings {
        let mut settings = present.clone();
        for (field, change, place, range) in [
            (
                "first_byte_timeout_ms",
                &self.first_byte_timeout_ms,
                &mut settings.first_byte_timeout_ms,
                100..=DAY_MS,
            ),
            ("idle_timeout_ms", &self.idle_timeout_ms, &mut settings.idle_timeout_ms, 100..=DAY_MS),
            ("deadline_ms", &self.deadline_ms, &mut settings.deadline_ms, 100..=DAY_MS),
            ("max_stream_ms", &self.max_stream_ms, &mut settings.max_stream_ms, 1_000..=DAY_MS),
            ("commit_hold_ms", &self.commit_hold_ms, &mut settings.commit_hold_ms, 0..=MINUTE_MS),
            ("max_body_bytes", &self.max_body_bytes, &mut settings.max_body_bytes, 1 << 10..=1 << 30),
            ("plain_deadline_ms", &self.plain_deadline_ms, &mut settings.plain_deadline_ms, 100..=DAY_MS),
            (
                "plain_attempt_timeout_ms",
                &self.plain_attempt_timeout_ms,
                &mut settings.plain_attempt_timeout_ms,
                100..=DAY_MS,
            ),
            (
                "plain_drain_timeout_ms",
                &self.plain_drain_timeout_ms,
                &mut settings.plain_drain_timeout_ms,
                0..=10 * MINUTE_MS,
            ),
            ("max_answer_bytes", &self.max_answer_bytes, &mut settings.max_answer_bytes, 1 << 10..=1 << 30),
            ("max_frame_bytes", &self.max_frame_bytes, &mut settings.max_frame_bytes, 1 << 10..=1 << 30),
            ("drain_timeout_ms", &self.drain_timeout_ms, &mut settings.drain_timeout_ms, 0..=10 * MINUTE_MS),
            (
                "ledger_retention_days",
                &self.ledger_retention_days,
                &mut settings.ledger_retention_days,
                1..=36_500,
            ),
            (
                "refusal_retention_days",
                &self.refusal_retention_days,
                &mut settings.refusal_retention_days,
                1..=36_500,
            ),
            ("refusals_kept", &self.refusals_kept, &mut settings.refusals_kept, 0..=10_000_000),
            (
                "audit_retention_days",
                &self.audit_retention_days,
                &mut settings.audit_retention_days,
                1..=36_500,
            ),
        ] {
            let value = change.clone().over_optional(*place);
            match value {
                Some(number) if !range.contains(&number) => {
                    faults.push(field, format!("must be from {} to {}", range.start(), range.end()));
                }
                _ => *place = value,
            }
        }
        settings
    }
}

fn url_over(change: Patch<String>, present: Option<String>, faults: &mut Faults) -> Option<String> {
    let given = change.over_optional(present)?;
    faults.take("public_api_url", given.parse::<PublicUrl>()).map(|url| url.to_string())
}
