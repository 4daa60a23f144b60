//! The trials as people read them.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::Value;
use tests::{COLUMNS, Column, check_page};

use crate::{
    exceptions::{EXCEPTIONS, stated},
    trials::{AGENTS, Agent, SCENARIOS, Scenario},
};

const HEAD: &str = "\
# Coding agents

Each agent at each kind of account, run headless through the gateway against an emulated provider, which is as strict as the
real ones and whose model follows a plan with the agent's own tools. The test `agents` of the package `tests` makes this
page, and fails where it is not so: don't edit it, but run the test with `UPDATE_MATRIX=1`. A number stands for a note
below; an empty cell is not tried.

- **loop**: the model thinks, calls two tools at once, changes a file, and has a last word.
- **goes on elsewhere**: the same session, on the next kind of account that has this column.
- **programs**: Codex as with its newest models, which call tools from programs.
- **lesser model**: behind the name that Codex knows is a model that can do less: it has no search for tools.
- **overflow**: the prompt is too long for the upstream; the agent sums up and goes on.
- **window full**: by the upstream's count the model's window is full; the agent sums up before it goes on.
- **429**, **cut**: in the middle of the loop the upstream has no room, or its stream breaks off.
";

/// Holds the page to what is stated, which the other test holds to what is so.
pub(crate) fn check() {
    check_page("data-plane/AGENTS.md", &page());
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let pinned = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/agents/package.json")).unwrap();
    let pinned: Value = serde_json::from_slice(&pinned).unwrap();
    for agent in &AGENTS {
        let version = pinned["dependencies"][agent.package].as_str().unwrap();
        let tried = |scenario: &&Scenario| COLUMNS.iter().any(|column| scenario.is_for(agent, column));
        let scenarios = SCENARIOS.iter().filter(tried).collect::<Vec<_>>();
        let _ = write!(page, "\n## {} {version}\n\n| account |", agent.title);
        scenarios.iter().for_each(|scenario| {
            let _ = write!(page, " {} |", scenario.heading);
        });
        let _ = writeln!(page, "\n|---|{}", ":-:|".repeat(scenarios.len()));
        for column in &COLUMNS {
            let _ = write!(page, "| {} |", column.name);
            for scenario in &scenarios {
                let _ = write!(page, " {} |", entry(agent, column, scenario));
            }
            page.push('\n');
        }
    }
    let notes = notes();
    if !notes.is_empty() {
        let _ = writeln!(page, "\n## Notes\n");
    }
    for (index, why) in notes.iter().enumerate() {
        let _ = writeln!(page, "{}. {why}", index + 1);
    }
    page
}

fn entry(agent: &Agent, column: &Column, scenario: &Scenario) -> String {
    if !scenario.is_for(agent, column) {
        return String::new();
    }
    let exception = stated(agent.name, column.name, scenario.name);
    let note = exception.and_then(|exception| notes().iter().position(|why| *why == exception.why));
    note.map_or_else(|| "✓".to_owned(), |index| (index + 1).to_string())
}

/// Each reason once.
fn notes() -> Vec<&'static str> {
    let mut notes: Vec<&'static str> = Vec::new();
    for exception in EXCEPTIONS {
        if !notes.contains(&exception.why) {
            notes.push(exception.why);
        }
    }
    notes
}
