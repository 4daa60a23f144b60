//! Names that people give to things: free text that looks like what it is.

use serde::Deserialize;

const MAX_CHARACTERS: usize = 100;

/// 1–100 characters of any script, on one line, without blanks at the ends and without invisible characters that
/// reorder or hide text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("must have 1 to {MAX_CHARACTERS} characters")]
    Length,
    #[error("must not begin or end with a blank")]
    Blank,
    #[error("must be one line of visible characters")]
    Invisible,
}

impl Name {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let characters = text.chars().count();
        if characters == 0 || characters > MAX_CHARACTERS {
            return Err(InvalidName::Length);
        }
        if text.trim() != text {
            return Err(InvalidName::Blank);
        }
        if text.chars().any(is_invisible) { Err(InvalidName::Invisible) } else { Ok(Self(text)) }
    }
}

/// Controls, line separators, and format characters save the two joiners, which scripts and emoji need.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<Name, InvalidName> {
        Name::try_from(text.to_owned())
    }

    #[test]
    fn any_script_and_any_markup_is_text() {
        for text in [
            "laptop",
            "笔记本电脑",
            "<script>alert(1)</script>",
            "👩\u{200d}💻 work",
            "'; DROP TABLE users; --",
            "é",
        ] {
            assert_eq!(name(text).unwrap().as_str(), text);
        }
        assert!(name(&"字".repeat(100)).is_ok());
    }

    #[test]
    fn what_misleads_the_eye_is_refused() {
        assert_eq!(name(""), Err(InvalidName::Length));
        assert_eq!(name(&"字".repeat(101)), Err(InvalidName::Length));
        assert_eq!(name(" a"), Err(InvalidName::Blank));
        assert_eq!(name("a\u{3000}"), Err(InvalidName::Blank));
        for text in
            ["a\nb", "a\u{0}b", "\u{202e}gnp.exe", "ad\u{200b}min", "a\u{2028}b", "a\u{feff}b", "\u{3164}"]
        {
            assert_eq!(name(text), Err(InvalidName::Invisible), "{text:?}");
        }
    }
}
