//! How OpenAI's models think, by their names.

use crate::canonical::Effort;

/// A model, as far as its name says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenAi(String);

impl OpenAi {
    /// By the first of the names that tells: a deployment's name may say nothing.
    pub(super) fn of<'n>(names: [&'n str; 2]) -> Self {
        // Some servers put the maker in front.
        let bare = names.map(|name| name.rsplit('/').next().unwrap_or(name));
        let is_known = |name: &&&'n str| {
            is_o_series(name) || ["gpt-", "chatgpt-", "codex-"].iter().any(|prefix| name.starts_with(prefix))
        };
        let [first, _] = bare;
        Self((*bare.iter().find(is_known).unwrap_or(&first)).to_owned())
    }

    /// Those before the ones that think.
    pub(super) fn never_thinks(&self) -> bool {
        ["gpt-3", "gpt-4", "chatgpt-", "gpt-5-chat"].iter().any(|prefix| self.0.starts_with(prefix))
    }

    /// `o1`, `o3-mini` …, and the first of the fifth: there is no way to have them not think.
    pub(super) fn always_thinks(&self) -> bool {
        is_o_series(&self.0) || (self.is_fifth() && self.minor().is_none() && !self.never_thinks())
    }

    /// It thinks if nothing is said of it.
    pub(super) fn thinks_by_itself(&self) -> bool {
        self.always_thinks() || self.minor().is_some_and(|minor| minor >= 5)
    }

    pub(super) fn is_fifth(&self) -> bool {
        self.0.starts_with("gpt-5")
    }

    /// In chat, functions and thoughts don't go together.
    pub(super) fn thinks_in_responses_only(&self) -> bool {
        self.minor().is_some_and(|minor| minor >= 4)
    }

    /// The least and the most effort that it takes, beside none at all.
    pub(super) fn efforts(&self) -> (Effort, Effort) {
        match self.minor() {
            _ if is_o_series(&self.0) => (Effort::Low, Effort::High),
            Some(_) => (Effort::Low, Effort::XHigh),
            None if self.always_thinks() => (Effort::Minimal, Effort::High),
            None => (Effort::Minimal, Effort::XHigh),
        }
    }

    /// The 2 of `gpt-5.2`.
    fn minor(&self) -> Option<u32> {
        let rest = self.0.strip_prefix("gpt-5.")?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    }
}

fn is_o_series(name: &str) -> bool {
    matches!(name.as_bytes(), [b'o', digit, ..] if digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_by_how_they_think() {
        let words = |target, asked| {
            let model = OpenAi::of([target, asked]);
            [
                (model.never_thinks(), "never"),
                (model.always_thinks(), "always"),
                (model.thinks_by_itself() && !model.always_thinks(), "by itself"),
                (model.thinks_in_responses_only(), "in responses only"),
            ]
            .into_iter()
            .filter_map(|(does, word)| does.then_some(word))
            .collect::<Vec<_>>()
            .join(", ")
        };
        for (target, asked, expected) in [
            ("gpt-4.1", "", "never"),
            ("gpt-5-chat-latest", "", "never"),
            ("o4-mini", "", "always"),
            ("gpt-5", "", "always"),
            ("gpt-5-mini-2025-08-07", "", "always"),
            ("openai/o3", "", "always"),
            ("gpt-5.2", "", ""),
            ("gpt-5.4-mini", "", "in responses only"),
            ("gpt-5.6-terra", "", "by itself, in responses only"),
            ("our-deployment", "o3", "always"),
            ("our-deployment", "gpt-5-codex", "always"),
            ("our-deployment", "claude-opus-5", ""),
            ("gpt-4o", "o3", "never"),
        ] {
            assert_eq!(words(target, asked), expected, "{target} {asked}");
        }
    }
}
