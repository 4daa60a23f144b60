//! The admin web in a real browser.

use std::{path::Path, process::Command};

use crate::process::binaries;

/// Runs one file of `web/` under Node's test runner; the file starts its own servers and browser.
///
/// # Panics
/// A test in it fails, or what it needs is not installed.
pub fn run_browser_tests(file: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    assert!(folder.join("node_modules").exists(), "the browser's driver is not installed: run .ci/install");
    let done = Command::new("node")
        .args(["--test", "--test-reporter=spec", file])
        .current_dir(folder)
        .env("SWITCHYARD_TEST_PROGRAMS", binaries())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(!said.contains("ℹ pass 0"), "no test ran: {said}");
}
