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

/// Runs the checks of `tests/deploy`, with the programs as they are built.
///
/// # Panics
/// One fails, or their environment is not installed.
pub fn check_deployment() {
    let programs = binaries().to_str().unwrap();
    pytest("deploy", "deploy", ".", &[("SWITCHYARD_TEST_PROGRAMS", programs)]);
}

fn pytest(environment: &str, folder: &str, file: &str, variables: &[(&str, &str)]) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tests.parent().unwrap().join("target/python").join(environment);
    assert!(home.join("installed.txt").exists(), "what Python needs is not installed: run .ci/install");
    let done = Command::new(home.join("bin/python"))
        .args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", file])
        .current_dir(tests.join(folder))
        .envs(variables.iter().copied())
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains(" passed"), "no test ran: {said}");
}
