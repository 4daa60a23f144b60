//! The program's own words.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{fs, process::Command};

fn switchyard(arguments: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_switchyard")).args(arguments).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (done.status.code().unwrap_or(-1), text(done.stdout), text(done.stderr))
}

#[test]
fn help_names_every_setting_with_its_variable() {
    let (code, help, _) = switchyard(&["serve", "--help"]);
    assert_eq!(code, 0);
    for flag in [
        "--data-dir",
        "--listen",
        "--admin-listen",
        "--allow-private-upstreams",
        "--shutdown-grace",
        "--config",
    ] {
        assert!(help.contains(flag), "{flag} is not in\n{help}");
    }
    assert!(help.contains("SWITCHYARD_ADMIN_PASSWORD"));
}

#[test]
fn an_address_that_is_taken_is_said_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, said) = switchyard(&["demo", "--listen", &address, "--admin-listen", "127.0.0.1:0"]);
    assert_eq!(code, 1);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn a_setting_that_does_not_exist_is_a_usage_error() {
    let (code, _, said) = switchyard(&["serve", "--lisen", "127.0.0.1:0"]);
    assert_eq!(code, 2);
    assert!(said.contains("--listen"), "{said}");
}

#[test]
fn a_folder_that_another_process_has_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let lock = fs::File::create(folder.path().join("lock")).unwrap();
    lock.try_lock().unwrap();
    let path = folder.path().to_str().unwrap();
    let any_port = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let (code, printed, said) = switchyard(&[&["serve", "--data-dir", path][..], &any_port].concat());
    assert_eq!((code, printed.as_str()), (1, ""));
    assert!(said.contains(path) && said.contains("stop it first") && said.contains("--data-dir"), "{said}");
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["lock"]);
}

#[test]
fn an_epoch_is_adopted_where_there_is_a_database_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing");
    let (code, printed, said) = switchyard(&["adopt-epoch", "--data-dir", path.to_str().unwrap()]);
    assert_eq!((code, printed.as_str()), (1, ""));
    assert!(said.contains("nothing/switchyard.db") && said.contains("--data-dir"), "{said}");
    assert!(!path.exists());
}
