//! API keys: what people may write into them.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::{
    clock::Millis,
    id::{KeyId, UserId},
    secret::{KeyHash, Secret},
};
use utoipa::ToSchema;

use super::{
    fault::Faults,
    labels::{Metadata, Tags},
    name::Name,
    patch::Patch,
};
use crate::store::api_keys::ApiKey;

/// The latest time that there is: the end of the year 9999.
pub const MAX_TIME: Millis = Millis(253_402_300_799_999);
/// Of a key, people are shown so many characters.
const PREFIX_CHARACTERS: usize = 12;

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    #[schema(value_type = String)]
    name: Name,
    /// Milliseconds since 1970. Left out or null: does not expire.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Millis>,
    /// Left out: true.
    enabled: Option<bool>,
    /// What its usage is counted under: at most 16, of 1–64 characters each. Left out: none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    tags: Tags,
    /// Goes into the records of its requests as it is: at most 16 pairs. Left out: none.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Metadata,
    /// The owner, where an admin makes a key for someone else. Left out: the caller.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
}

/// What is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    enabled: Option<bool>,
    /// Milliseconds since 1970; a time in the past ends the key. Null: does not expire.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    expires_at: Patch<Millis>,
    /// All of them: at most 16, of 1–64 characters each.
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<Tags>,
    /// All of it: at most 16 pairs.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyToggle {
    enabled: bool,
}

impl NewKey {
    /// Whose it is to be. `None`: the caller's own.
    #[must_use]
    pub fn owner(&self) -> Option<UserId> {
        self.user_id
    }

    /// `secret`: what the key is presented as, of which its hash and its beginning are kept.
    ///
    /// # Errors
    /// What is not valid.
    pub fn create(self, owner: UserId, secret: &Secret, now: Millis) -> Result<ApiKey, Faults> {
        let mut faults = Faults::default();
        if self.expires_at.is_some_and(|at| at <= now || at > MAX_TIME) {
            faults.push("expires_at", "must be a time to come, in milliseconds since 1970");
        }
        faults.none()?;
        Ok(ApiKey {
            enabled: self.enabled.unwrap_or(true),
            expires_at: self.expires_at,
            tags: self.tags.into_vec(),
            metadata: self.metadata.into_map(),
            ..key(owner, self.name.into_string(), secret, now)
        })
    }
}

/// A key that does not expire, without tags and metadata.
#[must_use]
pub fn key(owner: UserId, name: String, secret: &Secret, now: Millis) -> ApiKey {
    ApiKey {
        id: KeyId::new(now),
        user: owner,
        name,
        hash: KeyHash::of(secret.expose().as_bytes()),
        prefix: secret.expose().chars().take(PREFIX_CHARACTERS).collect(),
        enabled: true,
        expires_at: None,
        tags: Vec::new(),
        metadata: BTreeMap::new(),
        created_at: now,
        updated_at: now,
        revision: 1,
    }
}

impl KeyChange {
    /// # Errors
    /// What is not valid.
    pub fn update(self, present: &ApiKey, now: Millis) -> Result<ApiKey, Faults> {
        let mut faults = Faults::default();
        if matches!(self.expires_at, Patch::Set(at) if at.0 < 0 || at > MAX_TIME) {
            faults.push("expires_at", "must be milliseconds since 1970");
        }
        faults.none()?;
        let present = present.clone();
        Ok(ApiKey {
            name: self.name.map_or(present.name, Name::into_string),
            enabled: self.enabled.unwrap_or(present.enabled),
            expires_at: self.expires_at.over_optional(present.expires_at),
            tags: self.tags.map_or(present.tags, Tags::into_vec),
            metadata: self.metadata.map_or(present.metadata, Metadata::into_map),
            updated_at: now,
            ..present
        })
    }
}

impl KeyToggle {
    /// To what it says, or to the other where nothing is said.
    #[must_use]
    pub fn update(toggle: Option<Self>, present: &ApiKey, now: Millis) -> ApiKey {
        let enabled = toggle.map_or(!present.enabled, |toggle| toggle.enabled);
        ApiKey { enabled, updated_at: now, ..present.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000);

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let new: NewKey =
            serde_json::from_str(r#"{"name": "a", "expires_at": 2000, "tags": ["t"]}"#).unwrap();
        let key = new.create(UserId::new(NOW), &Secret::new("sk-0123456789abcdef"), NOW).unwrap();
        assert_eq!((key.prefix.as_str(), key.enabled), ("sk-012345678", true));
        let change = |json: &str| serde_json::from_str::<KeyChange>(json).unwrap().update(&key, Millis(2));
        let renamed = change(r#"{"name": "b"}"#).unwrap();
        assert_eq!(renamed, ApiKey { name: "b".into(), updated_at: Millis(2), ..key.clone() });
        assert_eq!(change(r#"{"expires_at": null}"#).unwrap().expires_at, None);
        for wrong in ["-1", "253402300800000"] {
            assert!(change(&format!(r#"{{"expires_at": {wrong}}}"#)).is_err(), "{wrong}");
        }
        let toggled = KeyToggle::update(None, &key, Millis(2));
        assert!(!toggled.enabled);
        assert!(!KeyToggle::update(Some(KeyToggle { enabled: false }), &toggled, Millis(3)).enabled);
    }
}
