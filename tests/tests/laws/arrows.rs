//! Which package may use which.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

use super::tree::root;

/// Package → the packages of ours that it may use. A package that is not here fails the test.
const ARROWS: [(&str, &[&str]); 11] = [
    ("proto", &[]),
    ("shared", &[]),
    ("wire", &["shared"]),
    ("data-plane", &["proto", "shared", "wire"]),
    ("control-plane", &["proto", "shared", "admin-web"]),
    ("admin-web", &[]),
    ("emulator", &[]),
    ("servers", &[]),
    ("standalone", &["proto", "shared", "wire", "data-plane", "control-plane", "emulator", "admin-web"]),
    (
        "tests",
        &[
            "proto",
            "shared",
            "wire",
            "data-plane",
            "control-plane",
            "emulator",
            "servers",
            "admin-web",
            "standalone",
        ],
    ),
    ("bench", &["emulator", "servers", "proto", "shared", "control-plane"]),
];

/// What `wire` must do without: it is bytes in, bytes out.
const NOT_IN_WIRE: [&str; 5] = ["tokio", "hyper", "axum", "reqwest", "http"];

#[test]
fn packages_use_only_what_they_may() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let ours: BTreeSet<_> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let allowed: BTreeMap<_, _> = ARROWS.into_iter().collect();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let allowed = allowed.get(name).unwrap_or_else(|| panic!("say in ARROWS what {name} may use"));
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains(&dependency.name)) {
            // What stands in for other programs is for everybody's tests.
            if ["servers", "emulator"].contains(&dependency.name.as_str())
                && dependency.kind == DependencyKind::Development
            {
                continue;
            }
            assert!(allowed.contains(&dependency.name.as_str()), "{name} must not use {}", dependency.name);
        }
        if name == "wire" {
            for dependency in package.dependencies.iter().filter(|it| it.kind != DependencyKind::Development)
            {
                assert!(
                    !NOT_IN_WIRE.contains(&dependency.name.as_str()),
                    "wire must not use {}",
                    dependency.name
                );
            }
        }
    }
}
