//! `?search=` and `?platform=` of lists.

use serde::Deserialize;
use shared::wire::Platform;
use utoipa::IntoParams;

/// Longer than any name.
const MAX_CHARACTERS: usize = 200;

/// What is looked for, without the blanks around it. Nothing: all is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Search(Option<String>);

/// The text is too long for a [`Search`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most {MAX_CHARACTERS} characters are looked for")]
pub(super) struct LongSearch;

impl Search {
    #[must_use]
    pub(super) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    #[must_use]
    pub(super) fn into_text(self) -> Option<String> {
        self.0
    }
}

impl TryFrom<String> for Search {
    type Error = LongSearch;

    fn try_from(text: String) -> Result<Self, LongSearch> {
        let text = text.trim();
        if text.chars().count() > MAX_CHARACTERS {
            return Err(LongSearch);
        }
        Ok(Self((!text.is_empty()).then(|| text.to_owned())))
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// Part of the name, in any case; of a mapping, part of either model.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    pub(super) search: Search,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PlatformQuery {
    /// Part of a route's pattern or of a model's name, in any case.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    pub(super) search: Search,
    /// claude, openai, gemini or other.
    #[param(value_type = Option<String>)]
    pub(super) platform: Option<Platform>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_it_are_not_looked_for() {
        let search = |text: &str| Search::try_from(text.to_owned());
        assert_eq!(search(" a b\t").unwrap().text(), Some("a b"));
        assert_eq!(search("  ").unwrap().text(), None);
        assert!(search(&"字".repeat(200)).is_ok());
        assert_eq!(search(&"字".repeat(201)), Err(LongSearch));
    }
}
