//! Tests in Node, with the pinned SDKs that `.ci/install` installs.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// Runs `clients/node/matrix.mjs`, which tries every feature through the providers' Node SDKs and writes down what each
/// came to; the variables are those that it lists. Blocks until it has ended.
///
/// # Panics
/// It does not come to its end, or the SDKs are not installed. What fails in a cell is in the results.
pub fn run_node_matrix(variables: &[(&str, &str)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node");
    assert!(
        folder.join("node_modules/installed.json").exists(),
        "the Node SDKs are not installed: run .ci/install"
    );
    let done = Command::new("node")
        .arg("matrix.mjs")
        .current_dir(folder)
        .envs(variables.iter().copied())
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
}

/// Runs a coding agent in a scenario, as `clients/agents/run.mjs` describes, and gives what came of it. Blocks.
///
/// # Panics
/// It says nothing, or the agents are not installed.
#[must_use]
pub fn run_agent(spec: &Value) -> Value {
    ask_agents("run.mjs", spec)
}

/// Sets the coding agents up by README and the key page, as `clients/agents/snippets.mjs` describes, and gives what came
/// of each. Blocks.
///
/// # Panics
/// It says nothing, or the agents are not installed.
#[must_use]
pub fn run_snippets(spec: &Value) -> Value {
    ask_agents("snippets.mjs", spec)
}

/// Gives a program under `clients/agents` the spec, and what it says of it.
fn ask_agents(program: &str, spec: &Value) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/agents");
    assert!(
        folder.join("node_modules/installed.json").exists(),
        "the coding agents are not installed: run .ci/install"
    );
    let mut running = Command::new("node")
        .arg(program)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    running.stdin.take().unwrap().write_all(spec.to_string().as_bytes()).unwrap();
    let done = running.wait_with_output().unwrap();
    let failure = || format!("{spec}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", failure()))
}
