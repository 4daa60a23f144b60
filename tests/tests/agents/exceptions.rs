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

pub(crate) const EXCEPTIONS: &[Exception] = &[];

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
