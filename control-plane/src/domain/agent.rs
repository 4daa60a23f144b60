//! What a browser or a program calls itself.

const MAX_CHARACTERS: usize = 200;

/// As it is kept and shown: without control characters, and not too long. `None`: there is nothing to show.
#[must_use]
pub fn shown(header: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(header);
    let shown: String = text.trim().chars().filter(|c| !c.is_control()).take(MAX_CHARACTERS).collect();
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_and_without_control_characters() {
        assert_eq!(shown(b" Mozilla/5.0 (X11) ").as_deref(), Some("Mozilla/5.0 (X11)"));
        assert_eq!(shown("a\tb\u{7f}c\u{85}d".as_bytes()).as_deref(), Some("abcd"));
        assert_eq!(shown("é".repeat(300).as_bytes()).map(|text| text.chars().count()), Some(200));
        assert_eq!(shown(b"\xff").as_deref(), Some("\u{fffd}"));
        for nothing in ["", "  ", "\t"] {
            assert_eq!(shown(nothing.as_bytes()), None);
        }
    }
}
