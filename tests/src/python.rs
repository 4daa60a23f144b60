//! The providers' own Python SDKs as clients.

use std::{path::Path, process::Command};

/// Which pinned set of SDKs.
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
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tests.parent().unwrap().join("target/python").join(match generation {
        SdkGeneration::Current => "current",
        SdkGeneration::Previous => "previous",
    });
    assert!(home.join("installed.txt").exists(), "the SDKs are not installed: run .ci/install");
    let done = Command::new(home.join("bin/python"))
        .args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", file])
        .current_dir(tests.join("clients/python"))
        .envs(variables.iter().copied())
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains(" passed"), "no test ran: {said}");
}
