//! Tests in Node, with the pinned SDKs that `.ci/install` installs.

use std::{path::Path, process::Command};

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
