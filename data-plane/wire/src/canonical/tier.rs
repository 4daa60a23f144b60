//! Tiers of service: at what price and how soon a provider serves a request. Every wire's answers have words of their own.

use shared::wire::Wire;

/// The wire's word for the tier that an answer says it was served in; none if it has none.
pub(crate) fn word(wire: Wire, tier: &str) -> Option<&'static str> {
    let words: &[&str] = match wire {
        Wire::Chat | Wire::Responses => {
            if tier == "standard" {
                return Some("default");
            }
            &["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"]
        }
        Wire::Messages => {
            if tier == "default" {
                return Some("standard");
            }
            &["standard", "priority", "batch"]
        }
        Wire::Gemini => &[],
    };
    words.iter().copied().find(|word| *word == tier)
}

/// Whether an answer that names no tier says the same.
pub(crate) fn goes_without_saying(tier: &str) -> bool {
    matches!(tier, "auto" | "default" | "standard")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wire_has_its_own_words() {
        let words =
            |tier| [Wire::Chat, Wire::Responses, Wire::Messages, Wire::Gemini].map(|wire| word(wire, tier));
        assert_eq!(words("default"), [Some("default"), Some("default"), Some("standard"), None]);
        assert_eq!(words("standard"), words("default"));
        assert_eq!(words("priority"), [Some("priority"), Some("priority"), Some("priority"), None]);
        assert_eq!(words("flex"), [Some("flex"), Some("flex"), None, None]);
        assert_eq!(words("batch"), [None, None, Some("batch"), None]);
    }
}
