//! Redis on a TCP port of loopback.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Child, free_port, wait_until};

/// A server of one's own, without persistence.
#[derive(Debug)]
pub struct Redis {
    folder: TempDir,
    port: u16,
    server: Child,
}

impl Redis {
    /// # Panics
    /// Redis is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("switchyard-redis-").unwrap();
        let port = free_port();
        let server = serve(&folder, port);
        Self { folder, port, server }
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Runs a command of words without blanks and gives the server's raw answer.
    ///
    /// # Panics
    /// The server does not answer.
    #[must_use]
    pub fn command(&self, line: &str) -> String {
        ask(self.port, line).unwrap()
    }

    /// Hangs the server: connections stay, nothing answers.
    pub fn pause(&self) {
        self.server.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.server.signal(Signal::CONT);
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        self.server.kill();
        self.server = serve(&self.folder, self.port);
    }
}

fn serve(folder: &TempDir, port: u16) -> Child {
    let server = Child::spawn(
        Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()])
            .arg("--dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    );
    wait_until("Redis to answer", Duration::from_secs(20), || {
        ask(port, "PING").is_ok_and(|answer| answer.contains("PONG"))
    });
    server
}

fn ask(port: u16, line: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "{line}\r\n")?;
    let mut answer = vec![0; 64 * 1024];
    let read = stream.read(&mut answer)?;
    answer.truncate(read);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_after_a_restart_on_the_same_port() {
        let mut redis = Redis::start();
        assert!(redis.command("SET a 1").contains("OK"));
        redis.kill();
        redis.restart();
        assert!(redis.command("EXISTS a").contains(":0"));
    }
}
