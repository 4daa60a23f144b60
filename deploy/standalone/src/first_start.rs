//! What a first start does with provider keys that it finds in the environment: an account of each, and one API key.

use serde_json::json;
use shared::secret::Secret;

use crate::admin_client::{AdminClient, AdminError};

/// Variables that providers' own tools use, and the account type that each makes.
const PROVIDER_KEYS: [(&str, &str, &str); 3] = [
    ("ANTHROPIC_API_KEY", "claude-console", "Anthropic"),
    ("OPENAI_API_KEY", "openai", "OpenAI"),
    ("GEMINI_API_KEY", "gemini-api", "Gemini"),
];

/// A provider's key, and the account to make of it.
#[derive(Debug)]
pub struct FoundKey {
    pub variable: &'static str,
    pub account_type: &'static str,
    pub account_name: &'static str,
    pub api_key: Secret,
}

/// The keys that `variable` (the environment) has.
pub fn found_keys(variable: impl Fn(&str) -> Option<String>) -> Vec<FoundKey> {
    let found = PROVIDER_KEYS.into_iter().filter_map(|(name, account_type, account_name)| {
        let api_key = Secret::new(variable(name).filter(|key| !key.trim().is_empty())?.trim());
        Some(FoundKey { variable: name, account_type, account_name, api_key })
    });
    found.collect()
}

/// Makes the accounts and a key; the lines say what was done.
///
/// # Errors
/// See [`AdminError`].
pub async fn set_up(
    admin: &AdminClient,
    keys: &[FoundKey],
    base_url: &str,
) -> Result<Vec<String>, AdminError> {
    let mut done = Vec::new();
    for key in keys {
        let account = json!({
            "name": key.account_name,
            "type": key.account_type,
            "credentials": { "api_key": key.api_key.expose() },
        });
        admin.create_account(&account).await?;
        done.push(format!(
            "{} found: made the {} account \"{}\"",
            key.variable, key.account_type, key.account_name
        ));
    }
    if !keys.is_empty() {
        let key = admin.create_key("first key").await?;
        done.push(format!("API key, shown this once: {}", key.expose()));
        done.push(format!(
            "Point a client at it: ANTHROPIC_BASE_URL={base_url} or OPENAI_BASE_URL={base_url}/v1"
        ));
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_variables_make_no_account() {
        let keys = found_keys(|name| match name {
            "ANTHROPIC_API_KEY" => Some(" sk-ant-x\n".into()),
            "OPENAI_API_KEY" => Some(" ".into()),
            _ => None,
        });
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].account_type, keys[0].api_key.expose()), ("claude-console", "sk-ant-x"));
    }
}
