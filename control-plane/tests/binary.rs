//! `switchyard-control` as a process: its verbs, what it prints and how it ends.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may; the lint does not see helpers as tests"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The base64 of 32 bytes.
const MASTER_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// How long anything may take, on a slow machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
const ANY_PORT: [&str; 5] = ["serve", "--admin-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"];

fn program(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchyard-control"));
    let database = folder.path().join("switchyard.db");
    command
        .env_clear()
        .env("SWITCHYARD_DATABASE_URL", format!("sqlite:{}", database.display()))
        .env("SWITCHYARD_LOG_FORMAT", "json")
        .stdin(Stdio::null());
    command
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    program(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `serve` at work; killed when a test fails.
struct Serving {
    child: Child,
    /// Of REST, as the log tells it.
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Serving {
    fn start(folder: &TempDir) -> Self {
        let mut child = program(folder)
            .env("SWITCHYARD_MASTER_KEY", MASTER_KEY)
            .args(ANY_PORT)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = mpsc::channel();
        // To its end, so that the log never fills the pipe.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                if line["whom"] == "admin" {
                    _ = found.send(line["address"].as_str().unwrap().to_owned());
                }
            }
        });
        let mut serving = Self { child, address: String::new() };
        serving.address = address.recv_timeout(PATIENCE).expect("the log tells the address in time");
        serving
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks it to end. Returns the exit code and what it printed.
    fn terminate(mut self) -> (Option<i32>, String) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut printed = String::new();
        let mut output = self.child.stdout.take().unwrap();
        output.read_to_string(&mut printed).unwrap();
        (code, printed)
    }
}

#[test]
fn it_serves_until_it_is_told_to_end_and_shows_the_password_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = Serving::start(&folder);
    let ready = first.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let (code, printed) = first.terminate();
    assert_eq!(code, Some(0));
    assert!(printed.contains("`admin`, with the password "), "{printed}");
    let (code, printed) = Serving::start(&folder).terminate();
    assert_eq!((code, printed.as_str()), (Some(0), ""));
}

#[test]
fn each_adopted_epoch_is_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let migrated = run(&folder, &["migrate"]);
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    let adopt = || {
        let done = run(&folder, &["adopt-epoch"]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout)
    };
    let (one, two) = (adopt(), adopt());
    assert!(one.contains("at version 1.") && two.contains("at version 2."), "{one}{two}");
    let epoch = |line: &str| line.split(' ').nth(3).unwrap().to_owned();
    assert_eq!(epoch(&one).len(), 32, "{one}");
    assert_ne!(epoch(&one), epoch(&two));
}

#[test]
fn a_mistake_on_the_command_line_is_told_apart_from_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let misspelt = run(&folder, &["serve", "--admin-lisen", "127.0.0.1:0"]);
    assert_eq!(misspelt.status.code(), Some(2));
    let without_key = run(&folder, &ANY_PORT);
    assert_eq!(without_key.status.code(), Some(1));
    let said = text(&without_key.stderr);
    assert!(said.contains("SWITCHYARD_MASTER_KEY"), "{said}");
}

#[test]
fn help_shows_no_secret_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = program(&folder);
    let help = program.env("SWITCHYARD_MASTER_KEY", MASTER_KEY).args(["serve", "--help"]);
    let help = text(&help.output().unwrap().stdout);
    assert!(help.contains("SWITCHYARD_MASTER_KEY") && !help.contains(MASTER_KEY), "{help}");
}
