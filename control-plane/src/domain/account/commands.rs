//! What people send to have something done to an account on the nodes.
//!
//! An account that is set to valid may be used again, and every node forgets its limits, overload and failures. One that
//! is set to invalid is not used until a person says otherwise, or changes how it is reached.

use serde::{Deserialize, Serialize};
use shared::model::ModelPattern;
use utoipa::ToSchema;

use crate::domain::fault::Faults;

/// The reason that an account gets which a person set to invalid without giving one.
const SET_BY_PERSON: &str = "set_by_person";
/// Characters of a reason at most.
const REASON_MAX: usize = 64;

/// What is known for good; limits and overload pass, and are among the marks of `live`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Valid,
    Invalid,
}

impl Status {
    /// As in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusChange {
    pub status: Status,
    /// With `invalid`: a short code, 1–64 letters, digits or `_`. Absent: `set_by_person`.
    pub reason: Option<String>,
}

impl StatusChange {
    /// Why the account is invalid; `None`: it is valid.
    ///
    /// # Errors
    /// The reason is no code, or belongs to no `invalid`.
    pub fn into_reason(self) -> Result<Option<String>, Faults> {
        let is_code = |text: &str| {
            (1..=REASON_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let fault = match (self.status, self.reason) {
            (Status::Valid, None) => return Ok(None),
            (Status::Invalid, None) => return Ok(Some(SET_BY_PERSON.to_owned())),
            (Status::Invalid, Some(text)) if is_code(&text) => return Ok(Some(text)),
            (Status::Valid, Some(_)) => "only `invalid` has a reason",
            (Status::Invalid, Some(_)) => "1 to 64 letters, digits or _",
        };
        let mut faults = Faults::default();
        faults.push("reason", fault);
        Err(faults)
    }
}

#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestRequest {
    /// Absent: the account's first allowed model, else one of its platform.
    pub model: Option<String>,
}

impl TestRequest {
    /// # Errors
    /// It can't be a model's name.
    pub fn into_model(self) -> Result<Option<String>, Faults> {
        let mut faults = Faults::default();
        if let Some(model) = &self.model {
            faults.take("model", ModelPattern::new(model));
        }
        faults.none().map(|()| self.model)
    }
}
