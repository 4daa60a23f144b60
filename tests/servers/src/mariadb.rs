//! MariaDB on a TCP port of loopback.

use std::{
    fs,
    io::Read as _,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tempfile::TempDir;

use crate::{Child, free_port, wait_until};

/// A server of one's own, with an empty root password.
#[derive(Debug)]
pub struct MariaDb {
    folder: TempDir,
    port: u16,
    server: Child,
    databases: AtomicU32,
}

impl MariaDb {
    /// # Panics
    /// MariaDB is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("switchyard-mariadb-").unwrap();
        let data = folder.path().join("data");
        copy(&template(), &data);
        let port = free_port();
        let server = serve(folder.path(), &data, port);
        Self { folder, port, server, databases: AtomicU32::new(0) }
    }

    /// Makes an empty database and gives its URL.
    ///
    /// # Panics
    /// The server refuses.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("switchyard_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        self.url(&name)
    }

    /// Makes a database that has what another one has now, as a backup and its restore do, and gives its URL.
    ///
    /// # Panics
    /// The dump or its reading fails.
    #[must_use]
    pub fn copy(&self, url: &str) -> String {
        let copy = self.database();
        let name = |url: &str| url.rsplit('/').next().unwrap().to_owned();
        let mut dump = self.client("mariadb-dump");
        let dump = dump.arg("--single-transaction").arg(name(url)).output().unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let file = self.folder.path().join("dump.sql");
        fs::write(&file, dump.stdout).unwrap();
        let mut restore = self.client("mariadb");
        let restore = restore.arg(name(&copy)).stdin(fs::File::open(file).unwrap());
        let restored = restore.output().unwrap();
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        copy
    }

    /// One of MariaDB's programs, told where the server is.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--user=root"])
            .arg(format!("--port={}", self.port));
        command
    }

    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements as root and gives what they print, tab-separated, without headings.
    ///
    /// # Panics
    /// The server refuses.
    pub fn sql(&self, statements: &str) -> String {
        let done = self
            .client("mariadb")
            .args(["--batch", "--skip-column-names"])
            .arg(format!("--execute={statements}"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{statements}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again on the same port and data.
    pub fn restart(&mut self) {
        self.server.kill();
        self.server = serve(self.folder.path(), &self.folder.path().join("data"), self.port);
    }
}

/// A freshly made data folder, made once for a build folder: making one takes seconds, copying it does not.
fn template() -> PathBuf {
    let home = target_folder().join("mariadb");
    fs::create_dir_all(&home).unwrap();
    let ready = home.join("template");
    let lock = fs::File::create(home.join("lock")).unwrap();
    lock.lock().unwrap();
    if !ready.exists() {
        let unfinished = home.join("unfinished");
        _ = fs::remove_dir_all(&unfinished);
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", unfinished.display()))
            .args(as_root())
            .output()
            .expect("mariadb-install-db is needed: install mariadb-server");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::rename(unfinished, &ready).unwrap();
    }
    ready
}

/// `…/target`, from the place of the running test's program.
fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "target"));
    target.map_or_else(std::env::temp_dir, Path::to_owned)
}

fn as_root() -> Option<&'static str> {
    rustix::process::getuid().is_root().then_some("--user=root")
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

fn serve(folder: &Path, data: &Path, port: u16) -> Child {
    let (log, temporary) = (fs::File::create(folder.join("log")).unwrap(), folder.join("tmp"));
    fs::create_dir_all(&temporary).unwrap();
    let mut server = Child::spawn(
        Command::new("mariadbd")
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin", "--skip-name-resolve"])
            .args([
                "--innodb-buffer-pool-size=64M",
                "--innodb-flush-log-at-trx-commit=2",
                "--max-connections=300",
            ])
            .arg(format!("--datadir={}", data.display()))
            // In a shared one a server that starts removes what others have put there.
            .arg(format!("--tmpdir={}", temporary.display()))
            .arg(format!("--socket={}", folder.join("socket").display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--port={port}"))
            .args(as_root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log),
    );
    wait_until("MariaDB to answer", Duration::from_secs(60), || {
        assert!(server.is_running(), "{}", fs::read_to_string(folder.join("log")).unwrap());
        greets(port)
    });
    server
}

/// The server sends its greeting once it can take a login.
fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    stream.read(&mut [0]).is_ok_and(|read| read == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_committed_when_it_is_killed() {
        let mut server = MariaDb::start();
        let url = server.database();
        let name = url.rsplit('/').next().unwrap();
        server.sql(&format!("CREATE TABLE {name}.t (a INT); INSERT INTO {name}.t VALUES (7)"));
        server.kill();
        server.restart();
        assert_eq!(server.sql(&format!("SELECT a FROM {name}.t")).trim(), "7");
    }

    #[test]
    fn a_copy_has_what_was_there_and_not_what_came_later() {
        let server = MariaDb::start();
        let url = server.database();
        let name = |url: &str| url.rsplit('/').next().unwrap().to_owned();
        let table = format!("{}.t", name(&url));
        server.sql(&format!("CREATE TABLE {table} (a BLOB); INSERT INTO {table} VALUES (X'00FF')"));
        let copy = server.copy(&url);
        server.sql(&format!("INSERT INTO {table} VALUES ('later')"));
        let found = server.sql(&format!("SELECT HEX(a) FROM {}.t", name(&copy)));
        assert_eq!(found.trim(), "00FF");
    }
}
