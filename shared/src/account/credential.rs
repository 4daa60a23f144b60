//! What an account signs its requests with.

use serde::{Deserialize, Serialize};

use crate::{clock::Millis, secret::Secret};

/// The form of a credential, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A key sent as it is; for Bedrock, a bearer token.
    ApiKey,
    /// An access token with what renews it.
    Oauth,
    /// An access key pair that signs each request (SigV4).
    AwsKeys,
}

/// A credential as the control plane seals it. JSON: the fields of the form, told apart by `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    ApiKey {
        api_key: Secret,
    },
    Oauth {
        access_token: Secret,
        /// Never leaves the control plane.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refresh_token: Option<Secret>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at_ms: Option<Millis>,
    },
    AwsKeys {
        access_key_id: Secret,
        secret_access_key: Secret,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_token: Option<Secret>,
    },
}

impl Credential {
    #[must_use]
    pub const fn kind(&self) -> CredentialKind {
        match self {
            Self::ApiKey { .. } => CredentialKind::ApiKey,
            Self::Oauth { .. } => CredentialKind::Oauth,
            Self::AwsKeys { .. } => CredentialKind::AwsKeys,
        }
    }
}
