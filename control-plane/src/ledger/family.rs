//! Families of models: what different versions of a model have in common.

/// Bytes of a family's name that are kept.
const MAX_BYTES: usize = 64;

/// The name without its versions, dates and sizes: `claude-sonnet` of `claude-sonnet-4-5` and `claude-3-5-sonnet`,
/// `gpt-mini` of `gpt-5-mini`. A name of nothing else is its own family.
#[must_use]
pub fn family_of(model: &str) -> String {
    let named = |part: &&str| !part.is_empty() && !part.starts_with(|first: char| first.is_ascii_digit());
    let mut family = model.split('-').filter(named).collect::<Vec<_>>().join("-");
    if family.is_empty() {
        family = model.to_owned();
    }
    let end = (0..=MAX_BYTES.min(family.len())).rev().find(|end| family.is_char_boundary(*end));
    family.truncate(end.unwrap_or(0));
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_left_out() {
        for (model, family) in [
            ("claude-sonnet-4-5", "claude-sonnet"),
            ("claude-3-5-sonnet-20241022", "claude-sonnet"),
            ("gpt-5-mini", "gpt-mini"),
            ("gpt-4o", "gpt"),
            ("gemini-2.5-pro", "gemini-pro"),
            ("o3-mini", "o3-mini"),
            ("unknown", "unknown"),
            ("4-5", "4-5"),
            ("", ""),
        ] {
            assert_eq!(family_of(model), family, "{model}");
        }
        assert_eq!(family_of(&"é".repeat(100)).len(), 64);
    }
}
