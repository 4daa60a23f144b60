//! What stands in the tree, as git sees it.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Paths of tracked and new files that git does not ignore, relative to the root.
pub(crate) fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "git ls-files failed");
    let files: Vec<String> = String::from_utf8(listed.stdout).unwrap().lines().map(Into::into).collect();
    files.into_iter().filter(|file| root().join(file).exists()).collect()
}

#[test]
fn the_top_level_is_as_agreed() {
    const AGREED: [&str; 11] = [
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "admin-web",
        "control-plane",
        "data-plane",
        "deploy",
        "migrations",
        "proto",
        "shared",
        "tests",
    ];
    // Tools look for their settings at the root; these can't stand elsewhere.
    const TOOL_SETTINGS: [&str; 3] = ["clippy.toml", "deny.toml", "rustfmt.toml"];
    let top: BTreeSet<String> = files()
        .iter()
        .filter_map(|file| file.split('/').next())
        .filter(|name| !name.starts_with('.'))
        .map(Into::into)
        .collect();
    let strangers: Vec<_> = top
        .iter()
        .filter(|name| !AGREED.contains(&name.as_str()) && !TOOL_SETTINGS.contains(&name.as_str()))
        .collect();
    assert!(strangers.is_empty(), "nothing else belongs at the top level: {strangers:?}");
}

#[test]
fn a_module_with_children_is_a_file_beside_its_folder() {
    let found: Vec<_> = files().into_iter().filter(|file| file.ends_with("/mod.rs")).collect();
    assert!(found.is_empty(), "foo.rs + foo/, not foo/mod.rs: {found:?}");
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |database: &str| -> BTreeSet<String> {
        fs::read_dir(root().join("migrations").join(database))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let (mysql, sqlite) = (names("mysql"), names("sqlite"));
    assert!(!mysql.is_empty());
    assert_eq!(mysql, sqlite);
}

#[test]
fn no_test_is_switched_off() {
    let mark = concat!("#[", "ignore");
    let found: Vec<_> = files()
        .into_iter()
        .filter(|file| file.ends_with(".rs"))
        .filter(|file| fs::read_to_string(root().join(file)).unwrap().contains(mark))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}
