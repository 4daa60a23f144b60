//! How requests end.

use std::str::FromStr;

use proto::v1 as contract;
use serde::{Deserialize, Serialize};

/// How a request or an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not over, as far as is known.
    Open,
    /// The client got the whole answer.
    Completed,
    /// No account gave an answer, or the answer broke off upstream.
    UpstreamError,
    /// The client left first.
    ClientGone,
    /// The node was stopped or killed in between.
    CutOff,
    /// The provider answered 4xx that no switch could help.
    Refused,
    /// A newer node's word that this build doesn't know.
    Unknown,
}

/// The text names no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an outcome")]
pub struct UnknownOutcome;

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Completed,
        Self::UpstreamError,
        Self::ClientGone,
        Self::CutOff,
        Self::Refused,
        Self::Unknown,
    ];

    /// As in JSON and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Completed => "completed",
            Self::UpstreamError => "upstream_error",
            Self::ClientGone => "client_gone",
            Self::CutOff => "cut_off",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// Counts among the errors of the statistics: all ends but the two that are nobody's fault.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::Open | Self::Completed | Self::ClientGone)
    }
}

impl FromStr for Outcome {
    type Err = UnknownOutcome;
    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or(UnknownOutcome)
    }
}

impl From<contract::Outcome> for Outcome {
    fn from(outcome: contract::Outcome) -> Self {
        match outcome {
            contract::Outcome::Completed => Self::Completed,
            contract::Outcome::UpstreamError => Self::UpstreamError,
            contract::Outcome::ClientGone => Self::ClientGone,
            contract::Outcome::CutOff => Self::CutOff,
            contract::Outcome::Refused => Self::Refused,
            contract::Outcome::Unspecified => Self::Unknown,
        }
    }
}
