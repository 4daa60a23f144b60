//! Upstream accounts: their ten types, and what a credential can be.

mod credential;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use credential::{Credential, CredentialKind};

use crate::wire::Platform;

/// How an account's upstream is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountType {
    ClaudeOfficial,
    ClaudeConsole,
    Bedrock,
    Ccr,
    Openai,
    OpenaiResponses,
    AzureOpenai,
    Gemini,
    GeminiApi,
    Droid,
}

/// The text names no account type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such account type")]
pub struct UnknownAccountType;

impl AccountType {
    pub const ALL: [Self; 10] = [
        Self::ClaudeOfficial,
        Self::ClaudeConsole,
        Self::Bedrock,
        Self::Ccr,
        Self::Openai,
        Self::OpenaiResponses,
        Self::AzureOpenai,
        Self::Gemini,
        Self::GeminiApi,
        Self::Droid,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeOfficial => "claude-official",
            Self::ClaudeConsole => "claude-console",
            Self::Bedrock => "bedrock",
            Self::Ccr => "ccr",
            Self::Openai => "openai",
            Self::OpenaiResponses => "openai-responses",
            Self::AzureOpenai => "azure-openai",
            Self::Gemini => "gemini",
            Self::GeminiApi => "gemini-api",
            Self::Droid => "droid",
        }
    }

    #[must_use]
    pub const fn platform(self) -> Platform {
        match self {
            Self::ClaudeOfficial | Self::ClaudeConsole | Self::Bedrock | Self::Ccr => Platform::Claude,
            Self::Openai | Self::OpenaiResponses | Self::AzureOpenai => Platform::OpenAi,
            Self::Gemini | Self::GeminiApi => Platform::Gemini,
            Self::Droid => Platform::Other,
        }
    }

    /// Where requests go unless the account says otherwise; `None` where an account must say.
    #[must_use]
    pub const fn default_base_url(self) -> Option<&'static str> {
        match self {
            Self::ClaudeOfficial | Self::ClaudeConsole => Some("https://api.anthropic.com"),
            Self::Openai | Self::OpenaiResponses => Some("https://api.openai.com"),
            Self::Gemini | Self::GeminiApi => Some("https://generativelanguage.googleapis.com"),
            Self::Droid => Some("https://app.factory.ai/api/llm"),
            // Bedrock's follows from the region; the other two are the operator's own machines.
            Self::Bedrock | Self::Ccr | Self::AzureOpenai => None,
        }
    }

    /// The forms of credential that the type takes; the first is the usual one.
    #[must_use]
    pub const fn credential_kinds(self) -> &'static [CredentialKind] {
        match self {
            Self::ClaudeOfficial | Self::Gemini => &[CredentialKind::Oauth],
            Self::Bedrock => &[CredentialKind::AwsKeys, CredentialKind::ApiKey],
            Self::Openai => &[CredentialKind::ApiKey, CredentialKind::Oauth],
            Self::ClaudeConsole
            | Self::Ccr
            | Self::OpenaiResponses
            | Self::AzureOpenai
            | Self::GeminiApi
            | Self::Droid => &[CredentialKind::ApiKey],
        }
    }
}

impl fmt::Display for AccountType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AccountType {
    type Err = UnknownAccountType;
    fn from_str(text: &str) -> Result<Self, UnknownAccountType> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownAccountType)
    }
}

/// Whether it has the form of AWS's regions, such as `us-gov-west-1`: other labels under its domain are other services, whose
/// hosts customers name.
#[must_use]
pub fn is_aws_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [first, .., last] = parts.as_slice() else { return false };
    is_region(text)
        && parts.len() >= 3
        && first.len() == 2
        && first.bytes().all(|byte| byte.is_ascii_lowercase())
        && !last.is_empty()
        && last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a region or location can be one label of a host's name. What is more than that would say which host it is, and
/// credentials go there.
#[must_use]
pub fn is_region(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= 63
        && ends.iter().all(|end| end.is_some_and(is_plain))
        && text.bytes().all(|byte| is_plain(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_in_text_and_in_code_agree() {
        for kind in AccountType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }
}
