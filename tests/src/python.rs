//! Tests in Python, each with the pinned environment that `.ci/install` makes for it.

use std::{path::Path, process::Command};

use crate::process::binaries;

/// Which pinned set of the providers' own SDKs.
#[derive(Debug, Clone, Copy)]
pub enum SdkGeneration {
    Current,
    /// The generation before: other headers, another API version.
    Previous,
}

/// Runs one file of `clients/python` under pytest, with variables that say where the gateway is.
///
/// # Panics
/// A test in it fails, or the SDKs are not installed.
pub fn run_pytest(generation: SdkGeneration, file: &str, variables: &[(&str, &str)]) {
    let environment = match generation {
        SdkGeneration::Current => "current",
        SdkGeneration::Previous => "previous",
    };
    pytest(environment, "clients/python", file, variables);
}

/// Runs the matrix of wires and accounts with the SDKs for Python. Its variables say where the columns are described and
/// where the results go.
///
/// # Panics
/// The program fails as such, or the SDKs are not installed.
pub fn run_python_matrix(variables: &[(&str, &str)]) {
    let done = python("current", "clients/python")
        .args(["-B", "-m", "matrix"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Runs the checks of `tests/deploy`, with the programs as they are built.
///
/// # Panics
/// One fails, or their environment is not installed.
pub fn check_deployment() {
    let programs = binaries().to_str().unwrap();
    pytest("deploy", "deploy", ".", &[("SWITCHYARD_TEST_PROGRAMS", programs)]);
}

fn pytest(environment: &str, folder: &str, file: &str, variables: &[(&str, &str)]) {
    let done = python(environment, folder)
        .args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", file])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains(" passed"), "no test ran: {said}");
}

/// Python in that folder, with what the environment has installed.
fn python(environment: &str, folder: &str) -> Command {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tests.parent().unwrap().join("target/python").join(environment);
    assert!(home.join("installed.txt").exists(), "what Python needs is not installed: run .ci/install");
    let mut command = Command::new(home.join("bin/python"));
    command.current_dir(tests.join(folder)).env("NO_PROXY", "*");
    command
}
