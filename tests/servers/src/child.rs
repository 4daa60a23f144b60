//! A child process that does not outlive its value.

use std::{
    net::TcpListener,
    process::{self, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Child(process::Child);

impl Child {
    /// # Panics
    /// The program can't be started.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        let program = command.get_program().to_owned();
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display())))
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Standard output and error, where they were asked for as pipes; each can be taken once.
    #[must_use]
    pub fn take_output(&mut self) -> (Option<process::ChildStdout>, Option<process::ChildStderr>) {
        (self.0.stdout.take(), self.0.stderr.take())
    }

    /// # Panics
    /// The process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL, and wait.
    pub fn kill(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }

    /// Waits for the program to end by itself.
    ///
    /// # Panics
    /// It does not end in time.
    #[must_use]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut ended = None;
        wait_until("the program to end", limit, || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// Whether the program has not ended.
    ///
    /// # Panics
    /// Its state can't be asked.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Polls until `condition` holds.
///
/// # Panics
/// It does not hold within `limit`.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "waited {limit:?} in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody listens on at the moment. For servers that can't choose one by themselves.
///
/// # Panics
/// There is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
