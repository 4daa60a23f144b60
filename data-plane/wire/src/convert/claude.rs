//! What Claude's models take and refuse, by their names. Anthropic's pages name the models; what is not known of a later
//! one is taken to be as with the last.

/// A model, as far as its name says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claude {
    family: Family,
    /// 0: the name says none.
    version: (u32, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos: they can't be kept from thinking.
    Fable,
    Mythos,
    Unknown,
}

impl Claude {
    /// By the first of the names that tells: what an account calls a model may say nothing.
    pub(super) fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let known = names.into_iter().map(Self::named).find(|claude| claude.version.0 > 0);
        known.unwrap_or(Self::UNKNOWN)
    }

    const UNKNOWN: Self = Self { family: Family::Unknown, version: (0, 0) };

    fn named(name: &str) -> Self {
        // Ahead of it may stand regions and accounts, which have numbers too.
        let (_, name) = name.rsplit_once("claude").unwrap_or(("", name));
        let families = [
            ("opus", Family::Opus),
            ("sonnet", Family::Sonnet),
            ("haiku", Family::Haiku),
            ("fable", Family::Fable),
            ("mythos", Family::Mythos),
        ];
        let family = families.into_iter().find(|(word, _)| name.contains(word));
        // Dates have more digits.
        let mut numbers = name
            .split(|c: char| !c.is_ascii_digit())
            .filter(|part| matches!(part.len(), 1 | 2))
            .filter_map(|part| part.parse().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        match family {
            Some((_, family)) => Self { family, version },
            None => Self::UNKNOWN,
        }
    }

    /// Whether a name says that it is one.
    pub(super) fn is_known(self) -> bool {
        self.family != Family::Unknown
    }

    /// It decides itself how long to think; a budget is deprecated there, and refused from 4.7 on. It also takes a forced
    /// choice of a tool while it thinks, and goes on in a loop of tools whose thoughts are gone.
    pub(super) fn thinks_adaptively(self) -> bool {
        self.version >= (4, 6)
    }

    /// `thinking: disabled` is refused.
    pub(super) fn always_thinks(self) -> bool {
        match self.family {
            Family::Fable | Family::Mythos => true,
            Family::Opus => self.version >= (5, 5),
            _ => false,
        }
    }

    /// It does not think hard with thinking off.
    pub(super) fn clamps_effort_when_off(self) -> bool {
        self.version >= (5, 0)
    }

    pub(super) fn takes_effort(self) -> bool {
        self.thinks_adaptively() || (self.family == Family::Opus && self.version >= (4, 5))
    }

    pub(super) fn takes_highest_efforts(self) -> bool {
        self.version >= (5, 0) || (self.family == Family::Opus && self.version >= (4, 7))
    }

    /// `temperature`, `top_p` and `top_k` are refused, whatever they say.
    pub(super) fn samples_by_itself(self) -> bool {
        self.version >= (5, 0) || (self.family == Family::Opus && self.version >= (4, 7))
    }

    /// A conversation that ends with the beginning of the answer.
    pub(super) fn takes_prefill(self) -> bool {
        self.version < (4, 6)
    }

    /// `role: system` in mid-conversation, on Anthropic's own API.
    pub(super) fn takes_system_turns(self) -> bool {
        match self.family {
            Family::Opus => self.version >= (4, 8),
            Family::Fable => true,
            Family::Mythos => self.version >= (5, 1),
            Family::Sonnet | Family::Haiku | Family::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claude(name: &str) -> Claude {
        Claude::of([name])
    }

    #[test]
    fn models_by_how_they_think() {
        for model in [
            "claude-opus-4-6",
            "claude-sonnet-5",
            "claude-opus-5-1-20261001",
            "us.anthropic.claude-opus-4-7-v1",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-7-v1:0",
            "claude-fable-5",
        ] {
            assert!(claude(model).thinks_adaptively(), "{model}");
        }
        for model in [
            "claude-3-7-sonnet-latest",
            "claude-sonnet-4-5-20250929",
            "claude-opus-4-20250514",
            "claude-haiku-4-5",
            "router",
        ] {
            assert!(!claude(model).thinks_adaptively(), "{model}");
        }
    }

    #[test]
    fn models_by_what_they_refuse() {
        let words = |model: &str| {
            let claude = claude(model);
            [
                (claude.samples_by_itself(), "sampling"),
                (!claude.takes_prefill(), "prefill"),
                (!claude.takes_system_turns(), "system"),
                (!claude.takes_effort(), "effort"),
                (claude.always_thinks(), "off"),
            ]
            .into_iter()
            .filter_map(|(refuses, word)| refuses.then_some(word))
            .collect::<Vec<_>>()
            .join(" ")
        };
        for (model, refused) in [
            ("claude-haiku-4-5-20251001", "system effort"),
            ("claude-opus-4-5-20251101", "system"),
            ("claude-sonnet-4-6", "prefill system"),
            ("us.anthropic.claude-opus-4-7-v1:0", "sampling prefill system"),
            ("claude-opus-4-8", "sampling prefill"),
            ("claude-sonnet-5", "sampling prefill system"),
            ("claude-opus-5", "sampling prefill"),
            ("claude-opus-5-5", "sampling prefill off"),
            ("claude-fable-5-1", "sampling prefill off"),
            ("claude-mythos-5-1", "sampling prefill off"),
            ("router", "system effort"),
        ] {
            assert_eq!(words(model), refused, "{model}");
        }
    }

    #[test]
    fn the_name_that_was_asked_for_tells_where_the_accounts_does_not() {
        let profile = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3d4e5f6";
        assert!(Claude::of([profile, "claude-opus-4-8"]).takes_system_turns());
        assert!(!Claude::of(["claude-opus-4-5", "claude-opus-4-8"]).takes_system_turns());
    }
}
