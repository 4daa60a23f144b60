//! Why something was not done.

use std::time::Duration;

use crate::{
    domain::{account::AccountError, fault::Faults, password::PasswordError},
    store::StoreError,
};

/// Codes are stable words for programs, details are for people and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing, or the caller may not know of it.
    #[error("not found")]
    NotFound,
    /// The caller may see it, and not do this.
    #[error("not allowed")]
    Forbidden,
    /// Nobody who may do this by what was sent.
    #[error("{detail}")]
    Unauthorized { code: &'static str, detail: &'static str },
    /// Switched off, by a setting or for this person.
    #[error("{detail}")]
    Disabled { code: &'static str, detail: &'static str },
    /// The input is not valid.
    #[error("{0:?}")]
    Invalid(Faults),
    /// Well-formed, and the present state forbids it.
    #[error("{detail}")]
    Conflict { code: &'static str, detail: String },
    /// Again after a while.
    #[error("{detail}")]
    TooMany { code: &'static str, detail: String, wait: Duration },
    /// Again in a moment.
    #[error("{detail}")]
    Unavailable { code: &'static str, detail: String },
    /// A node that was to do it could not.
    #[error("{0}")]
    NodeRefused(String),
    /// A node that was to do it did not answer.
    #[error("the node {0} did not answer in time")]
    NodeSilent(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// For the log.
    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    /// One field at fault.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut faults = Faults::default();
        faults.push(field, message);
        Self::Invalid(faults)
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    pub fn internal(context: impl std::fmt::Display) -> Self {
        Self::Internal(context.to_string())
    }

    /// What is referred to by a field does not exist.
    pub fn of_reference(field: &'static str, message: &'static str) -> impl Fn(StoreError) -> Self {
        move |error| match error {
            StoreError::Missing { .. } => Self::invalid(field, message),
            other => other.into(),
        }
    }
}

impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults)
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Invalid(faults) => Self::Invalid(faults),
            AccountError::Seal(cause) => Self::internal(cause),
        }
    }
}

impl From<PasswordError> for Refusal {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Unavailable {
                code: "busy",
                detail: "too many people sign in at the moment; try again".to_owned(),
            },
            PasswordError::Failed(context) => Self::internal(context),
        }
    }
}
