//! Cases in folders: `<kind>/<wire>/<name>.json`.

use std::fs;
use std::path::{Path, PathBuf};

use wire::loss::Losses;

/// One file.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
}

/// The cases of a folder, by name.
pub(crate) fn cases(kind: &str, wire: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convert").join(kind).join(wire);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "cases are missing in {}", folder.display());
    files
        .into_iter()
        .map(|file| Case {
            name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
            text: fs::read(&file).unwrap(),
        })
        .collect()
}

/// What was lost, a line each.
pub(crate) fn lost(losses: &Losses) -> Vec<String> {
    losses.iter().map(|loss| format!("{}: {}", loss.code.as_str(), loss.what)).collect()
}

/// Compares with the snapshot of this name in the folder.
pub(crate) fn hold(kind: &str, wire: &str, name: &str, found: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("snapshots/{kind}/{wire}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, found));
}
