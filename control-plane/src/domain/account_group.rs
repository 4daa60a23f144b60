//! Account groups: what people may write into them.

use serde::Deserialize;
use shared::{
    clock::Millis,
    id::{AccountId, GroupId},
};
use utoipa::ToSchema;

use super::{fault::Faults, name::Name, patch::Patch};
use crate::store::groups::GroupRow;

const MAX_MEMBERS: usize = 10_000;

/// A group to make, or what to change of one. In a change a field that is absent keeps its value, and null sets the
/// default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupInput {
    /// Required; unique.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
    /// All of its members.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    account_ids: Patch<Vec<AccountId>>,
}

/// A group as the input has it.
#[derive(Debug)]
pub struct Written {
    pub row: GroupRow,
    /// All of its members. `None`: as they are.
    pub members: Option<Vec<AccountId>>,
}

impl GroupInput {
    /// # Errors
    /// What is not valid.
    pub fn create(self, id: GroupId, now: Millis) -> Result<Written, Faults> {
        let mut faults = Faults::default();
        if self.name.is_keep() {
            faults.push("name", "is required");
        }
        let row = GroupRow {
            id,
            name: String::new(),
            description: String::new(),
            created_at: now.0,
            updated_at: now.0,
            revision: 1,
        };
        self.apply(row, faults)
    }

    /// # Errors
    /// What is not valid.
    pub fn update(self, present: &GroupRow, now: Millis) -> Result<Written, Faults> {
        self.apply(GroupRow { updated_at: now.0, ..present.clone() }, Faults::default())
    }

    fn apply(self, mut row: GroupRow, mut faults: Faults) -> Result<Written, Faults> {
        match self.name {
            Patch::Keep => {}
            Patch::Clear => faults.push("name", "is required"),
            Patch::Set(name) => {
                let name = faults.take("name", Name::try_from(name));
                row.name = name.map(Name::into_string).unwrap_or_default();
            }
        }
        match self.description {
            Patch::Keep => {}
            Patch::Clear => row.description = String::new(),
            Patch::Set(text) => row.description = faults.description(text),
        }
        let members = match self.account_ids {
            Patch::Keep => None,
            Patch::Clear => Some(Vec::new()),
            Patch::Set(ids) => Some(ids),
        };
        if members.as_ref().is_some_and(|members| members.len() > MAX_MEMBERS) {
            faults.push("account_ids", format!("at most {MAX_MEMBERS}"));
        }
        faults.none().map(|()| Written { row, members })
    }
}
