//! What an agent can't do somewhere, and why: nothing else may be.

use crate::trials::{Trial, all};

#[derive(Debug)]
pub(crate) struct Exception {
    /// Empty: all of them.
    pub(crate) agents: &'static [&'static str],
    /// Empty: all of them.
    pub(crate) columns: &'static [&'static str],
    pub(crate) scenarios: &'static [&'static str],
    /// What goes wrong has this in it.
    pub(crate) says: &'static str,
    /// For people, under the table; the same words are one note.
    pub(crate) why: &'static str,
}

pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        agents: &["codex"],
        columns: &[],
        scenarios: &["overflow"],
        says: "Codex ran out of room in the model's context window",
        why: "Codex sums up by its own count of tokens; a prompt that the upstream finds too long ends the session, with words that say so.",
    },
    Exception {
        agents: &["codex"],
        columns: &["openai-responses"],
        scenarios: &["cut", "cut-spare"],
        says: "of type 'reasoning' was provided without its required following item",
        why: "A stream that broke off behind a thought Codex asks for again with that thought at the end, which OpenAI refuses.",
    },
    Exception {
        agents: &["gemini"],
        columns: &[],
        scenarios: &["overflow"],
        says: "it ended with",
        why: "Gemini CLI sums up by its own count of tokens; a prompt that the upstream finds too long ends the session.",
    },
    Exception {
        agents: &["gemini"],
        // Whose sessions go on at Google.
        columns: &["droid-common"],
        scenarios: &["continue"],
        says: "the number of function response parts is equal to the number of function call parts",
        why: "A session that Gemini CLI goes on with says what each tool gave twice, which Google refuses.",
    },
];

impl Exception {
    fn holds(&self, agent: &str, column: &str, scenario: &str) -> bool {
        let is_one_of = |names: &[&str], name| names.is_empty() || names.contains(&name);
        is_one_of(self.agents, agent) && is_one_of(self.columns, column) && self.scenarios.contains(&scenario)
    }

    /// Nothing that is tried is meant by it.
    pub(crate) fn is_idle(&self) -> bool {
        !all().any(|(agent, column, scenario)| self.holds(agent.name, column.name, scenario.name))
    }
}

/// The exception for a cell.
pub(crate) fn stated(agent: &str, column: &str, scenario: &str) -> Option<&'static Exception> {
    EXCEPTIONS.iter().find(|exception| exception.holds(agent, column, scenario))
}

pub(crate) fn of(trial: &Trial) -> Option<&'static Exception> {
    stated(trial.agent.name, trial.column.name, trial.scenario.name)
}
