//! The project's programs as child processes, and what they say.

use std::{
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use servers::{Child, wait_until};

/// How long anything may take that should take no time; generous, since machines are noisy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program of ours, with its output kept. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    out: Lines,
    log: Lines,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Program {
    /// Starts `name` with only the variables given (and `PATH`, `HOME`).
    #[must_use]
    pub fn start(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binaries().join(name));
        command.args(arguments).env_clear();
        for inherited in ["PATH", "HOME"] {
            command.envs(std::env::var_os(inherited).map(|value| (inherited, value)));
        }
        command.env("SWITCHYARD_LOG_FORMAT", "json").envs(variables.iter().copied());
        let mut child =
            Child::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let (out, log) = child.take_output();
        Self { out: collect(out.unwrap()), log: collect(log.unwrap()), child }
    }

    /// The address that the program says it serves `whom` on: `clients`, `admin` or `nodes`.
    #[must_use]
    pub fn address(&mut self, whom: &str) -> SocketAddr {
        let mut address = None;
        self.wait_for(&format!("to serve {whom}"), |program| {
            address = program.log_lines().iter().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let is_it = line["message"] == "listening" && line["whom"] == whom;
                is_it.then(|| line["address"].as_str()?.parse().ok()).flatten()
            });
            address.is_some()
        });
        address.unwrap()
    }

    /// Waits for a log line with this message, and gives it.
    #[must_use]
    pub fn logged(&mut self, message: &str) -> Value {
        let mut found = None;
        self.wait_for(&format!("to log {message:?}"), |program| {
            let lines = program.log_lines();
            found = lines
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .find(|line: &Value| line["message"] == message);
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits for a line on standard output that contains `text`, and gives it.
    #[must_use]
    pub fn printed(&mut self, text: &str) -> String {
        let mut found = None;
        self.wait_for(&format!("to print {text:?}"), |program| {
            found = program.out.lock().unwrap().iter().find(|line| line.contains(text)).cloned();
            found.is_some()
        });
        found.unwrap()
    }

    fn wait_for(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition(self) {
            let ended = !self.child.is_running();
            if ended {
                // Its last words may still be on their way through the pipe.
                thread::sleep(Duration::from_millis(200));
            }
            if (ended || Instant::now() > end) && !condition(self) {
                let state = if ended { "ended" } else { "runs" };
                panic!(
                    "waited for the program {what}; it {state} and said:\n{}",
                    self.log_lines().join("\n")
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the program wrote to standard output.
    #[must_use]
    pub fn out_lines(&self) -> Vec<String> {
        self.out.lock().unwrap().clone()
    }

    /// What the program wrote to its log.
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM: the program is asked to end.
    pub fn terminate(&self) {
        self.child.signal(Signal::TERM);
    }

    /// SIGKILL, and wait.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Waits for the program to end by itself.
    #[must_use]
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait(PATIENCE)
    }

    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.is_running()
    }
}

fn collect(stream: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let kept = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            kept.lock().unwrap().push(line);
        }
    });
    lines
}

/// The folder of the programs. Built from the sources as they are, so that a test never runs a stale one; a run that has
/// just built them says where they are, and saves the time.
pub(crate) fn binaries() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os("SWITCHYARD_TEST_PROGRAMS") {
            return folder.into();
        }
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--locked", "--bins"])
            .args(["-p", "standalone", "-p", "control-plane", "-p", "data-plane", "-p", "emulator"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        // …/target/debug/deps/<test program>
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
    })
}

/// Polls an async condition until it gives a value.
///
/// # Panics
/// It gives none in time.
pub async fn eventually<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, condition).await
}

/// [`eventually`] with a limit of one's own.
///
/// # Panics
/// It gives no value in time.
pub async fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The same for conditions that do not wait.
///
/// # Panics
/// It does not hold in time.
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, PATIENCE, condition);
}
