//! What each generation of models takes, as far as their names tell it. A name that tells nothing takes everything.

const SHORT_WINDOW: u64 = 200_000;
const LONG_WINDOW: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos, of which all versions are new.
    Fable,
}

/// A model as its name has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    known: Option<(Family, Version)>,
}

/// Major and minor.
type Version = (u32, u32);

/// The first versions that have something. A family without one never had it.
struct Since {
    opus: Version,
    sonnet: Version,
    haiku: Version,
    fable: Version,
}

const NEVER: Version = (u32::MAX, 0);
const ALWAYS: Version = (0, 0);

const LONG_PROMPTS: Since = Since { opus: (4, 6), sonnet: (4, 6), haiku: (5, 0), fable: ALWAYS };
/// Stop at the end of the window, where older ones refuse to start.
const STOPS_AT_WINDOW: Since = Since { opus: (4, 5), sonnet: (4, 5), haiku: (4, 5), fable: ALWAYS };
const ONE_SAMPLER: Since = Since { opus: (4, 1), sonnet: (4, 5), haiku: (4, 5), fable: ALWAYS };
const NO_SAMPLERS: Since = Since { opus: (4, 7), sonnet: (5, 0), haiku: (5, 0), fable: ALWAYS };
const NO_PREFILL: Since = Since { opus: (4, 6), sonnet: (4, 6), haiku: (5, 0), fable: ALWAYS };
const ADAPTIVE: Since = Since { opus: (4, 6), sonnet: (4, 6), haiku: (5, 0), fable: ALWAYS };
const NO_BUDGET: Since = Since { opus: (4, 7), sonnet: (5, 0), haiku: (5, 0), fable: ALWAYS };
const ALWAYS_THINKS: Since = Since { opus: (5, 5), sonnet: NEVER, haiku: NEVER, fable: ALWAYS };
const BETWEEN_TOOLS: Since = Since { opus: NEVER, sonnet: (5, 5), haiku: NEVER, fable: NEVER };
const EFFORT: Since = Since { opus: (4, 5), sonnet: (4, 6), haiku: (5, 0), fable: ALWAYS };
/// Can think at much effort or not at all, but not without thinking at much effort.
const EFFORT_IS_THINKING: Since = Since { opus: (5, 0), sonnet: NEVER, haiku: (5, 0), fable: NEVER };
const NO_FORCED_TOOL: Since = Since { opus: (5, 5), sonnet: (5, 5), haiku: NEVER, fable: (5, 1) };
const BINDS_THOUGHTS: Since = Since { opus: (5, 5), sonnet: (5, 5), haiku: (5, 5), fable: (5, 1) };
const SYSTEM_MESSAGES: Since = Since { opus: (4, 8), sonnet: (5, 5), haiku: (5, 5), fable: ALWAYS };

impl Model {
    pub(crate) fn of(name: &str) -> Self {
        Self { known: parse(name) }
    }

    fn has(&self, since: &Since) -> Option<bool> {
        let (family, version) = self.known?;
        let first = match family {
            Family::Opus => since.opus,
            Family::Sonnet => since.sonnet,
            Family::Haiku => since.haiku,
            Family::Fable => since.fable,
        };
        Some(version >= first)
    }

    /// It is known to take something no more.
    fn lost(&self, since: &Since) -> bool {
        self.has(since) == Some(true)
    }

    /// It is not known to be too old for something.
    fn may(&self, since: &Since) -> bool {
        self.has(since) != Some(false)
    }

    /// How many tokens it reads, where `wide` is a wish for more of those that can.
    pub(crate) fn window(&self, wide: bool) -> u64 {
        let wide = wide && matches!(self.known, Some((Family::Sonnet, (4, _))));
        if wide || self.may(&LONG_PROMPTS) { LONG_WINDOW } else { SHORT_WINDOW }
    }

    /// How many tokens it says at most, where that is known.
    pub(crate) fn most_said(&self) -> Option<u64> {
        Some(match self.known? {
            (Family::Haiku, (4, _)) => 64_000,
            (Family::Opus, (4, 0 | 1)) => 32_000,
            (Family::Opus | Family::Sonnet, (4, 0..=5)) => 64_000,
            (_, (3, 7..)) => 128_000,
            (_, (3, 5..)) => 8_192,
            (_, (..=3, _)) => 4_096,
            _ => 128_000,
        })
    }

    pub(crate) fn stops_at_window(&self) -> bool {
        self.may(&STOPS_AT_WINDOW)
    }

    pub(crate) fn refuses_two_samplers(&self) -> bool {
        self.lost(&ONE_SAMPLER)
    }

    pub(crate) fn refuses_samplers(&self) -> bool {
        self.lost(&NO_SAMPLERS)
    }

    pub(crate) fn refuses_prefill(&self) -> bool {
        self.lost(&NO_PREFILL)
    }

    pub(crate) fn thinks_adaptively(&self) -> bool {
        self.may(&ADAPTIVE)
    }

    pub(crate) fn refuses_budget(&self) -> bool {
        self.lost(&NO_BUDGET)
    }

    pub(crate) fn always_thinks(&self) -> bool {
        self.lost(&ALWAYS_THINKS)
    }

    pub(crate) fn thinks_between_tools(&self) -> bool {
        self.may(&BETWEEN_TOOLS)
    }

    /// Thinking is turned down to what goes on between tools, and never off.
    pub(crate) fn thinks_at_least_between_tools(&self) -> bool {
        self.lost(&BETWEEN_TOOLS)
    }

    pub(crate) fn takes_effort(&self) -> bool {
        self.may(&EFFORT)
    }

    pub(crate) fn needs_thinking_for_much_effort(&self) -> bool {
        self.lost(&EFFORT_IS_THINKING)
    }

    pub(crate) fn refuses_forced_tool(&self) -> bool {
        self.lost(&NO_FORCED_TOOL)
    }

    pub(crate) fn binds_thoughts(&self) -> bool {
        self.lost(&BINDS_THOUGHTS)
    }

    /// Bedrock counts its tokens.
    pub(crate) fn has_counter(&self) -> bool {
        !self.lost(&NO_BUDGET)
    }

    pub(crate) fn takes_system_messages(&self) -> bool {
        self.may(&SYSTEM_MESSAGES)
    }
}

/// The family, and the version on either side of it: `claude-opus-4-8`, `claude-3-7-sonnet-latest`.
fn parse(name: &str) -> Option<(Family, Version)> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let words: Vec<&str> = name.split(['-', '.', '@', '[']).collect();
    let (at, family) = words.iter().enumerate().find_map(|(at, word)| Some((at, family(word)?)))?;
    let after: Vec<u32> = words.get(at + 1..)?.iter().map_while(|word| number(word)).collect();
    let before: Vec<u32> = words.get(..at)?.iter().filter_map(|word| number(word)).collect();
    let numbers = if after.is_empty() { before } else { after };
    let major = *numbers.first()?;
    Some((family, (major, numbers.get(1).copied().unwrap_or_default())))
}

fn family(word: &str) -> Option<Family> {
    match word {
        "opus" => Some(Family::Opus),
        "sonnet" => Some(Family::Sonnet),
        "haiku" => Some(Family::Haiku),
        "fable" | "mythos" => Some(Family::Fable),
        _ => None,
    }
}

/// A part of a version; a date is none.
fn number(word: &str) -> Option<u32> {
    word.parse().ok().filter(|_| word.len() <= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_generation() {
        for (name, known) in [
            ("claude-opus-4-8", Some((Family::Opus, (4, 8)))),
            ("claude-opus-4-20250514", Some((Family::Opus, (4, 0)))),
            ("claude-sonnet-5", Some((Family::Sonnet, (5, 0)))),
            ("claude-sonnet-5-window-20", Some((Family::Sonnet, (5, 0)))),
            ("claude-haiku-5-5[1m]", Some((Family::Haiku, (5, 5)))),
            ("claude-3-7-sonnet-latest", Some((Family::Sonnet, (3, 7)))),
            ("claude-3-opus-20240229", Some((Family::Opus, (3, 0)))),
            ("claude-sonnet-4-5@20250929", Some((Family::Sonnet, (4, 5)))),
            ("claude-mythos-5-1", Some((Family::Fable, (5, 1)))),
            ("claude-x", None),
            ("claude-2.1", None),
            ("claude-opus", None),
        ] {
            assert_eq!(parse(name), known, "{name}");
        }
    }

    #[test]
    fn a_name_that_tells_nothing_takes_everything() {
        let model = Model::of("claude-x");
        let refuses = [model.refuses_samplers(), model.refuses_prefill(), model.refuses_budget()];
        assert_eq!(refuses, [false; 3]);
        assert!(model.thinks_adaptively() && model.takes_effort() && model.takes_system_messages());
        assert_eq!(model.window(false), LONG_WINDOW);
    }
}
