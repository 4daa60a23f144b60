//! Model routes and mappings, as people send them.

use serde::Deserialize;
use shared::{
    account::AccountType,
    clock::Millis,
    id::{MappingId, RouteId},
    model::ModelPattern,
    wire::Platform,
};
use utoipa::ToSchema;

use super::{fault::Faults, patch::Patch};
use crate::store::{mappings::MappingRow, routes::RouteRow};

const DEFAULT_POSITION: u32 = 100;

/// A route to make, or what to change of one. In a change a field that is absent keeps its value, and null sets the
/// default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteInput {
    /// A model name, or a pattern with `*`. Required; unique.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub pattern: Patch<String>,
    /// `claude`, `openai`, `gemini` or `other`. Required, unless `account_type` says it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub platform: Patch<Platform>,
    /// Null: any type of the platform.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub account_type: Patch<AccountType>,
    /// Routes are tried by rising position. Default: 100.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub position: Patch<u32>,
    /// Default: true.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub enabled: Patch<bool>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Patch<String>,
}

impl RouteInput {
    /// # Errors
    /// All faults of the input.
    pub fn create(mut self, id: RouteId, now: Millis) -> Result<RouteRow, Faults> {
        if let (Patch::Keep | Patch::Clear, Patch::Set(account_type)) = (&self.platform, &self.account_type) {
            self.platform = Patch::Set(account_type.platform());
        }
        let mut faults = Faults::default();
        if self.pattern.is_keep() {
            faults.push("pattern", "is required");
        }
        if self.platform.is_keep() {
            faults.push("platform", "is required");
        }
        let blank = RouteRow {
            id,
            pattern: String::new(),
            platform: String::new(),
            account_type: None,
            position: DEFAULT_POSITION.into(),
            enabled: true,
            description: String::new(),
            created_at: now.0,
            updated_at: now.0,
            revision: 1,
        };
        self.apply(blank, faults)
    }

    /// # Errors
    /// All faults of the input.
    pub fn update(self, present: &RouteRow, now: Millis) -> Result<RouteRow, Faults> {
        let mut row = self.apply(present.clone(), Faults::default())?;
        row.updated_at = now.0;
        Ok(row)
    }

    fn apply(self, mut row: RouteRow, mut faults: Faults) -> Result<RouteRow, Faults> {
        row.pattern = match self.pattern {
            Patch::Keep => row.pattern,
            Patch::Clear => required("pattern", &mut faults),
            Patch::Set(text) => {
                faults.take("pattern", ModelPattern::new(&text));
                text
            }
        };
        row.platform = match self.platform {
            Patch::Keep => row.platform,
            Patch::Clear => required("platform", &mut faults),
            Patch::Set(platform) => platform.as_str().to_owned(),
        };
        row.account_type = match self.account_type {
            Patch::Keep => row.account_type,
            Patch::Clear => None,
            Patch::Set(kind) => Some(kind.as_str().to_owned()),
        };
        let kind = row.account_type.as_deref().and_then(|kind| kind.parse::<AccountType>().ok());
        if kind.is_some_and(|kind| kind.platform().as_str() != row.platform && !row.platform.is_empty()) {
            faults.push("account_type", "is of another platform");
        }
        row.position = match self.position {
            Patch::Keep => row.position,
            Patch::Clear => DEFAULT_POSITION.into(),
            Patch::Set(position) => position.into(),
        };
        row.enabled = self.enabled.over(row.enabled, true);
        row.description = described(self.description, row.description, &mut faults);
        faults.none().map(|()| row)
    }
}

/// A mapping to make, or what to change of one. In a change a field that is absent keeps its value, and null sets the
/// default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingInput {
    /// The name that clients ask for. Required; unique.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub from: Patch<String>,
    /// The name that is meant. Required.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub to: Patch<String>,
    /// Default: true.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub enabled: Patch<bool>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Patch<String>,
}

impl MappingInput {
    /// # Errors
    /// All faults of the input.
    pub fn create(self, id: MappingId, now: Millis) -> Result<MappingRow, Faults> {
        let mut faults = Faults::default();
        for (field, value) in [("from", &self.from), ("to", &self.to)] {
            if value.is_keep() {
                faults.push(field, "is required");
            }
        }
        let blank = MappingRow {
            id,
            from_model: String::new(),
            to_model: String::new(),
            enabled: true,
            description: String::new(),
            created_at: now.0,
            updated_at: now.0,
            revision: 1,
        };
        self.apply(blank, faults)
    }

    /// # Errors
    /// All faults of the input.
    pub fn update(self, present: &MappingRow, now: Millis) -> Result<MappingRow, Faults> {
        let mut row = self.apply(present.clone(), Faults::default())?;
        row.updated_at = now.0;
        Ok(row)
    }

    fn apply(self, mut row: MappingRow, mut faults: Faults) -> Result<MappingRow, Faults> {
        row.from_model = model("from", self.from, row.from_model, &mut faults);
        row.to_model = model("to", self.to, row.to_model, &mut faults);
        if row.from_model == row.to_model && !row.to_model.is_empty() {
            faults.push("to", "must differ from `from`");
        }
        row.enabled = self.enabled.over(row.enabled, true);
        row.description = described(self.description, row.description, &mut faults);
        faults.none().map(|()| row)
    }
}

fn required(field: &str, faults: &mut Faults) -> String {
    faults.push(field, "is required");
    String::new()
}

/// A name without `*`.
fn model(field: &str, input: Patch<String>, present: String, faults: &mut Faults) -> String {
    let text = match input {
        Patch::Keep => return present,
        Patch::Clear => return required(field, faults),
        Patch::Set(text) => text,
    };
    faults.take(field, ModelPattern::new(&text));
    if text.contains('*') {
        faults.push(field, "must be a name, not a pattern");
    }
    text
}

fn described(input: Patch<String>, present: String, faults: &mut Faults) -> String {
    match input {
        Patch::Keep => present,
        Patch::Clear => String::new(),
        Patch::Set(text) => faults.description(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000);

    fn route(json: serde_json::Value) -> Result<RouteRow, Vec<String>> {
        let input: RouteInput = serde_json::from_value(json).unwrap();
        input.create(RouteId::new(NOW), NOW).map_err(fields)
    }

    fn fields(faults: Faults) -> Vec<String> {
        faults.0.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn an_account_type_says_its_platform() {
        let row = route(serde_json::json!({"pattern": "opus", "account_type": "bedrock"})).unwrap();
        assert_eq!((row.platform.as_str(), row.position, row.enabled), ("claude", 100, true));
        let other = serde_json::json!({"pattern": "opus", "account_type": "bedrock", "platform": "openai"});
        assert_eq!(route(other).unwrap_err(), ["account_type"]);
    }

    #[test]
    fn what_a_route_needs_is_named() {
        assert_eq!(route(serde_json::json!({})).unwrap_err(), ["pattern", "platform"]);
        assert_eq!(
            route(serde_json::json!({"pattern": "a b", "platform": "claude"})).unwrap_err(),
            ["pattern"]
        );
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let row = route(serde_json::json!({"pattern": "opus", "platform": "claude", "position": 7})).unwrap();
        let input: RouteInput = serde_json::from_value(serde_json::json!({"enabled": false})).unwrap();
        let changed = input.update(&row, Millis(2_000)).unwrap();
        assert_eq!(changed, RouteRow { enabled: false, updated_at: 2_000, ..row });
    }

    #[test]
    fn a_mapping_is_between_two_names() {
        let mapping = |json| {
            let input: MappingInput = serde_json::from_value(json).unwrap();
            input.create(MappingId::new(NOW), NOW).map_err(fields)
        };
        assert!(mapping(serde_json::json!({"from": "opus", "to": "claude-opus-5"})).is_ok());
        assert_eq!(mapping(serde_json::json!({"from": "claude-*"})).unwrap_err(), ["to", "from"]);
        assert_eq!(mapping(serde_json::json!({"from": "a", "to": "a"})).unwrap_err(), ["to"]);
    }
}
