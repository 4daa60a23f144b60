//! What each model takes, as far as its name tells it.

/// What those take that do not say.
pub(crate) const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];
/// Letters of a date such as `2026-03-05`.
const DATE: usize = 10;

/// A model as its name has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'n> {
    name: &'n str,
    /// Major and minor, for `gpt-` and a number.
    generation: Option<(u32, u32)>,
}

impl<'n> Model<'n> {
    pub(crate) fn of(name: &'n str) -> Self {
        let generation = name.strip_prefix("gpt-").and_then(|rest| {
            let number = rest.split('-').next()?;
            let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        Self { name, generation }
    }

    /// From the fifth generation on, leaving out those that only chat.
    fn since(&self, generation: (u32, u32)) -> bool {
        self.generation.is_some_and(|own| own >= generation) && !self.has("chat")
    }

    fn has(&self, word: &str) -> bool {
        self.name.split('-').any(|part| part == word)
    }

    fn is_old_thinker(&self) -> bool {
        ["o1", "o3", "o4"].iter().any(|start| self.name.starts_with(start))
    }

    /// It thinks, or can.
    pub(crate) fn thinks(&self) -> bool {
        self.is_old_thinker() || self.since((5, 0))
    }

    /// It thinks also where nothing is said of that.
    pub(crate) fn thinks_untold(&self) -> bool {
        let waits = self.since((5, 1)) && !self.since((5, 5));
        self.thinks() && (!waits || self.has("codex") || self.has("pro"))
    }

    /// It thinks at this effort, or where none is given.
    fn thinks_at(&self, effort: Option<&str>) -> bool {
        effort.map_or(self.thinks_untold(), |effort| effort != "none")
    }

    /// It calls functions in chats only while it does not think.
    pub(crate) fn refuses_chat_tools(&self, effort: Option<&str>) -> bool {
        self.since((5, 4)) && self.thinks_at(effort)
    }

    /// It does not chat at all.
    pub(crate) fn is_responses_only(&self) -> bool {
        let named = self.name.starts_with("codex-") || self.name.contains("deep-research");
        named || self.thinks() && (self.has("codex") || self.has("pro"))
    }

    /// How hard it can be made to think.
    pub(crate) fn efforts(&self) -> &'static [&'static str] {
        if self.is_old_thinker() {
            return &["low", "medium", "high"];
        }
        if !self.since((5, 0)) {
            return EFFORTS;
        }
        let (codex, pro) = (self.has("codex"), self.has("pro"));
        match self.generation {
            Some((5, 0)) if pro => &["high"],
            Some((5, 0 | 1)) if codex && self.has("max") => &["low", "medium", "high", "xhigh"],
            Some((5, 0 | 1)) if codex => &["low", "medium", "high"],
            Some((5, 0)) => &["minimal", "low", "medium", "high"],
            Some((5, 1)) => &["none", "low", "medium", "high"],
            Some((5, 2..=5)) if pro => &["medium", "high", "xhigh"],
            Some((5, 2..=5)) if codex => &["low", "medium", "high", "xhigh"],
            Some((5, 2..=5)) => &["none", "low", "medium", "high", "xhigh"],
            Some((6, 0)) if self.has("astra") => &["low", "medium", "high", "xhigh", "max"],
            Some((6, 1..)) => &["low", "medium", "high", "xhigh", "max"],
            _ => &["none", "low", "medium", "high", "xhigh", "max"],
        }
    }

    /// It finds its tools by itself.
    pub(crate) fn searches_tools(&self) -> bool {
        self.generation.is_none_or(|own| own >= (5, 4) && !self.has("nano"))
    }

    /// How many tokens it reads.
    pub(crate) fn window(&self) -> u64 {
        match self.generation {
            Some((3, _)) => 16_385,
            Some((4, 0)) if self.has("turbo") => 128_000,
            Some((4, 0)) => 8_192,
            Some((4, 1..)) => 1_047_576,
            Some((5, 0..=3)) => 272_000,
            Some((5.., _)) => 922_000,
            _ if self.is_old_thinker() => 200_000,
            _ => 128_000,
        }
    }

    /// How many tokens it says at most, where that is known.
    pub(crate) fn most_said(&self) -> Option<u64> {
        Some(match self.generation {
            Some((3, _)) => 4_096,
            Some((4, 0)) if self.has("turbo") => 4_096,
            Some((4, 1..)) => 32_768,
            Some((5.., _)) if self.has("chat") => 16_384,
            Some((5.., _)) => 128_000,
            _ if self.is_old_thinker() => 100_000,
            _ if self.name.starts_with("gpt-4o") => 16_384,
            _ => return None,
        })
    }

    /// Its window is one of the prompt alone.
    pub(crate) fn reads_apart(&self) -> bool {
        self.since((5, 0))
    }

    /// The name that answers carry: with its date, where it is the newest of its kind.
    pub(crate) fn served(&self) -> String {
        if !self.since((5, 4)) || self.is_dated() || self.name.ends_with("-latest") {
            return self.name.to_owned();
        }
        let date = match self.generation {
            Some((5, 4)) if self.has("mini") || self.has("nano") => "2026-03-17",
            Some((5, 4)) => "2026-03-05",
            Some((5, 5)) => "2026-04-23",
            Some((5, _)) => "2026-07-09",
            _ => "2026-09-03",
        };
        format!("{}-{date}", self.name)
    }

    fn is_dated(&self) -> bool {
        let start = self.name.len().saturating_sub(DATE);
        let end = self.name.as_bytes().get(start..).unwrap_or_default();
        end.len() == DATE
            && end.iter().enumerate().all(|(at, letter)| match at {
                4 | 7 => *letter == b'-',
                _ => letter.is_ascii_digit(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_dates_from_the_fourth_of_the_fifth_on() {
        for (asked, served) in [
            ("gpt-5.5", "gpt-5.5-2026-04-23"),
            ("gpt-5.4-mini", "gpt-5.4-mini-2026-03-17"),
            ("gpt-5.4-2026-03-05", "gpt-5.4-2026-03-05"),
            ("gpt-5.4-chat-latest", "gpt-5.4-chat-latest"),
            ("gpt-5.1", "gpt-5.1"),
            ("gpt-4o", "gpt-4o"),
            ("gpt-local-1", "gpt-local-1"),
            ("o3", "o3"),
        ] {
            assert_eq!(Model::of(asked).served(), served);
        }
    }

    #[test]
    fn names_tell_who_thinks() {
        for (name, thinks, untold) in [
            ("gpt-4.1", false, false),
            ("gpt-4o", false, false),
            ("gpt-5", true, true),
            ("gpt-5-chat-latest", false, false),
            ("gpt-5.1", true, false),
            ("gpt-5.1-codex", true, true),
            ("gpt-5.4", true, false),
            ("gpt-5.5", true, true),
            ("gpt-6-sol", true, true),
            ("o3-mini", true, true),
            ("qwen-3", false, false),
        ] {
            let model = Model::of(name);
            assert_eq!((model.thinks(), model.thinks_untold()), (thinks, untold), "{name}");
        }
    }
}
