//! The coding agents that people use, against every kind of account.
//!
//! [`trials`] says which agent is tried where and in what, and makes the accounts; the program under `clients/agents` runs
//! the agents; [`ledger`] looks at what was written down of it; [`results`] holds all that against [`exceptions`], and
//! [`table`] makes the page of it. To add a scenario: a function in `clients/agents/scenarios.mjs`, and a line in
//! `trials::SCENARIOS`.
//!
//! `SWITCHYARD_ONLY` narrows it to what contains all of its words: `codex bedrock loop`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod exceptions;
mod ledger;
mod results;
mod table;
mod trials;

use futures_util::{StreamExt as _, stream};
use tests::{Gateway, run_agent};

use trials::Trial;

/// Agents that run side by side; each is a program of its own.
const AT_A_TIME: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn every_agent_at_every_account() {
    let gateway = Gateway::standalone().await;
    let trials = trials::make(&gateway).await;
    let caller = gateway.caller().await;
    let found = stream::iter(&trials).map(async |trial: &Trial| {
        let spec = trial.spec(&gateway, &caller);
        // Waiting for a program blocks; the emulator runs on this runtime.
        let said = tokio::task::spawn_blocking(move || run_agent(&spec)).await.unwrap();
        let wrong = ledger::check(&gateway, trial, &said).await;
        results::read(trial, &said, wrong)
    });
    let found = found.buffer_unordered(AT_A_TIME).collect::<Vec<_>>().await;
    results::judge(&found);
}

#[test]
fn the_page_says_so() {
    table::check();
}
