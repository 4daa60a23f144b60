//! The program as its operators start and stop it.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::{
    fs::File,
    net::TcpListener,
    path::Path,
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

struct Program {
    child: Child,
    output: std::path::PathBuf,
}

impl Program {
    fn serve(folder: &Path, flags: &[&str]) -> Self {
        let output = folder.join("output");
        let file = File::create(&output).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_switchyard-data"))
            .args(["serve", "--control-plane", "http://127.0.0.1:9", "--node-id", "node", "--data-dir"])
            .arg(folder.join("data"))
            .args(flags)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, output }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until `found` finds something.
    fn until<T>(&mut self, mut found: impl FnMut(&mut Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", self.said());
            sleep(Duration::from_millis(5));
        }
    }

    fn ended(&mut self) -> Option<i32> {
        self.until(|program| program.child.try_wait().unwrap()).code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn a_certificate_of_no_use_is_told_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    // The port is taken, which would be told next.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let none = folder.path().join("none.pem");
    let none = none.to_str().unwrap();
    let flags = ["--listen", &listen, "--listen-tls-cert", none, "--listen-tls-key", none];
    let mut program = Program::serve(folder.path(), &flags);
    assert_eq!(program.ended(), Some(1));
    assert!(
        program.said().contains("TLS towards clients can't be set up: cannot read"),
        "{}",
        program.said()
    );
    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_hang_up_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::serve(folder.path(), &["--listen", "127.0.0.1:0"]);
    program.until(|program| program.said().contains("listening").then_some(()));
    program.send(Signal::HUP);
    program.send(Signal::TERM);
    assert_eq!(program.ended(), Some(0), "{}", program.said());
}
