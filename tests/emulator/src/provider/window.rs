//! How long a prompt may be for a model.
//!
//! A model whose name holds `-window-` and a number reads so many tokens at most, whatever its maker says of it, so that
//! a test can go beyond the end of a window with a short prompt: `claude-sonnet-5-window-200`.

use crate::turn::{Prompt, tokens};

const MARK: &str = "-window-";

/// A prompt that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow {
    pub tokens: u64,
    pub most: u64,
}

/// `most` is what the model reads where its name does not say.
pub(crate) fn overflow(model: &str, most: u64, prompt: &Prompt) -> Option<Overflow> {
    let most = named(model).unwrap_or(most);
    let tokens = length(prompt);
    (tokens > most).then_some(Overflow { tokens, most })
}

/// All tokens of a prompt, whatever the cache makes of them.
pub(crate) fn length(prompt: &Prompt) -> u64 {
    prompt.input_tokens() + tokens(prompt.bytes.cached_5m) + tokens(prompt.bytes.cached_1h)
}

/// The window that a name asks for.
pub(crate) fn named(model: &str) -> Option<u64> {
    let (_, rest) = model.split_once(MARK)?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_say_its_window() {
        for (name, window) in [
            ("claude-sonnet-5-window-200", Some(200)),
            ("anthropic.claude-sonnet-5-window-7-v1:0", Some(7)),
            ("gpt-5.1-window-", None),
            ("gpt-5.1", None),
        ] {
            assert_eq!(named(name), window, "{name}");
        }
    }
}
