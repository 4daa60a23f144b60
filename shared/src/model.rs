//! Names of models: patterns, the platform that a name speaks of, and the account type in front of it.

use crate::{account::AccountType, wire::Platform};

/// An exact name, or a pattern in which each `*` stands for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelPattern(Box<str>);

/// The text is no pattern: empty, longer than [`ModelPattern::MAX_BYTES`], or with blanks or control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a model name or pattern has 1 to 200 characters, none of them blank")]
pub struct InvalidPattern;

impl ModelPattern {
    pub const MAX_BYTES: usize = 200;

    /// # Errors
    /// See [`InvalidPattern`].
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        let fits = !text.is_empty() && text.len() <= Self::MAX_BYTES;
        if !fits || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(InvalidPattern);
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        // split yields at least one part.
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

/// The platform that a model's name speaks of, by its prefix; `None` for a name of no known family.
#[must_use]
pub fn platform_of(model: &str) -> Option<Platform> {
    const PREFIXES: [(&str, Platform); 7] = [
        ("claude-", Platform::Claude),
        ("gpt-", Platform::OpenAi),
        ("chatgpt-", Platform::OpenAi),
        ("codex-", Platform::OpenAi),
        ("text-embedding-", Platform::OpenAi),
        ("gemini-", Platform::Gemini),
        ("models/gemini-", Platform::Gemini),
    ];
    let by_prefix =
        PREFIXES.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, platform)| *platform);
    by_prefix.or_else(|| is_o_series(model).then_some(Platform::OpenAi))
}

/// `o1`, `o3-mini`, `o4-mini-2025-04-16` …: an `o` and a digit.
fn is_o_series(model: &str) -> bool {
    matches!(model.as_bytes(), [b'o', digit, ..] if digit.is_ascii_digit())
}

/// Splits `type,model` into the account type and the model; a name without a known type in front comes back whole.
#[must_use]
pub fn split_account_type(model: &str) -> (Option<AccountType>, &str) {
    match model.split_once(',') {
        Some((kind, rest)) if !rest.is_empty() => match kind.trim().parse() {
            Ok(kind) => (Some(kind), rest.trim_start()),
            Err(_) => (None, model),
        },
        _ => (None, model),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        ModelPattern::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn patterns() {
        assert!(matches("claude-sonnet-5", "claude-sonnet-5"));
        assert!(!matches("claude-sonnet-5", "claude-sonnet-5-1"));
        assert!(matches("claude-*", "claude-"));
        assert!(matches("*", "x"));
        assert!(matches("*opus*", "claude-opus-5"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("ab*ba", "aba"), "the two ends must not overlap");
        assert_eq!(ModelPattern::new(""), Err(InvalidPattern));
        assert_eq!(ModelPattern::new("a b"), Err(InvalidPattern));
    }

    #[test]
    fn platforms_by_prefix() {
        assert_eq!(platform_of("claude-opus-5"), Some(Platform::Claude));
        assert_eq!(platform_of("o3-mini"), Some(Platform::OpenAi));
        assert_eq!(platform_of("opus"), None);
        assert_eq!(platform_of("gemini-3-pro"), Some(Platform::Gemini));
        assert_eq!(platform_of("llama-4"), None);
    }

    #[test]
    fn account_type_in_front() {
        assert_eq!(split_account_type("ccr,claude-opus-5"), (Some(AccountType::Ccr), "claude-opus-5"));
        assert_eq!(split_account_type("openrouter,some/model"), (None, "openrouter,some/model"));
        assert_eq!(split_account_type("ccr,"), (None, "ccr,"));
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_it_was_made_from(parts in proptest::collection::vec("[a-c]{0,3}", 1..4), fill in "[a-c]{0,3}") {
            let pattern = parts.join("*");
            prop_assume!(!pattern.is_empty());
            prop_assert!(matches(&pattern, &parts.join(&fill)));
        }
    }
}
