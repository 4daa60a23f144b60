//! Why a provider does not serve an account, whatever it is asked: each provider says it in its own way.

use serde::{Deserialize, Serialize};

/// What is wrong with the account. Its provider answers with the status, the headers and the body that it documents for
/// that, or is known to send; where two come to the same there, the same is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The credit is used up, or nobody pays any more.
    NoCredit,
    /// The account may not use the model that is asked for.
    ModelForbidden,
    /// The provider has no such model, for this account at least.
    ModelUnknown,
    KeyInvalid,
    CredentialExpired,
    /// The account was shut, or is blocked.
    AccountDisabled,
    /// The place that the call comes from is not served.
    RegionUnsupported,
}

impl Refusal {
    pub const ALL: [Self; 7] = [
        Self::NoCredit,
        Self::ModelForbidden,
        Self::ModelUnknown,
        Self::KeyInvalid,
        Self::CredentialExpired,
        Self::AccountDisabled,
        Self::RegionUnsupported,
    ];
}

/// The call that is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub refusal: Refusal,
    pub path: &'a str,
    pub model: &'a str,
}
