//! A store on a fresh database, for tests.
//!
//! [`sqlite`] is a file in a temporary folder. [`mariadb`] is a server of its own, on a socket in a temporary folder,
//! which takes some seconds to start: let one test go through all cases on it. Both end with what they return.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::{Store, StoreOptions};

/// How long a server may take to start, on a slow machine that is busy.
const START: Duration = Duration::from_secs(120);

/// A database with all migrations applied, and what keeps it alive.
pub(crate) struct Database {
    pub(crate) store: Store,
    /// For another pool on the same database.
    pub(crate) url: String,
    server: Option<Child>,
    folder: TempDir,
}

impl Database {
    /// Another pool on the same database, as another process would have.
    pub(crate) async fn another_store(&self) -> Store {
        Store::connect(&self.url, &StoreOptions::default()).await.unwrap()
    }

    /// A fresh database, empty of tables, on the same server or in the same folder.
    pub(crate) async fn empty_neighbour(&self, name: &str) -> String {
        match &self.store.db {
            super::db::Db::MySql(pool) => {
                let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
                sqlx::query(sqlx::AssertSqlSafe(create)).execute(pool).await.unwrap();
                self.url.replace("/switchyard?", &format!("/{name}?"))
            }
            super::db::Db::Sqlite { .. } => format!("sqlite:{}", self.folder.path().join(name).display()),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            _ = server.kill();
            _ = server.wait();
        }
    }
}

pub(crate) async fn sqlite() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("switchyard.db").display());
    let store = Store::connect(&url, &StoreOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    Database { store, url, server: None, folder }
}

pub(crate) async fn mariadb() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let socket = folder.path().join("s");
    let url = format!("mysql://root@localhost/switchyard?socket={}", socket.display());
    // From here on the server ends with `folder`, also where a line below panics.
    let mut server = KillOnDrop(Some(server));
    create_database(&socket).await;
    let store = Store::connect(&url, &StoreOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    Database { store, url, server: server.0.take(), folder }
}

struct KillOnDrop(Option<Child>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(server) = &mut self.0 {
            _ = server.kill();
            _ = server.wait();
        }
    }
}

fn start(folder: &Path) -> Child {
    let data = folder.join("data");
    let same = [
        "--no-defaults".to_owned(),
        format!("--datadir={}", data.display()),
        "--innodb-log-file-size=4M".to_owned(),
        "--innodb-buffer-pool-size=16M".to_owned(),
        "--innodb-flush-log-at-trx-commit=0".to_owned(),
        "--innodb-doublewrite=0".to_owned(),
    ];
    let install = Command::new("mariadb-install-db")
        .args(&same)
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .args(as_root(folder))
        .stdin(Stdio::null())
        .output()
        .expect("mariadb-install-db is needed: install mariadb-server");
    assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stdout));
    Command::new("mariadbd")
        .args(&same)
        .args(["--skip-networking", "--skip-log-bin", "--performance-schema=off", "--max-connections=200"])
        .arg(format!("--socket={}", folder.join("s").display()))
        .arg(format!("--pid-file={}", folder.join("pid").display()))
        .args(as_root(folder))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .expect("mariadbd is needed: install mariadb-server")
}

/// The server refuses to run as root unless it is told so.
fn as_root(folder: &Path) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt as _;
    (std::fs::metadata(folder).unwrap().uid() == 0).then_some("--user=root")
}

async fn create_database(socket: &Path) {
    let url = format!("mysql://root@localhost/mysql?socket={}", socket.display());
    let begun = tokio::time::Instant::now();
    let store = loop {
        match Store::connect(&url, &StoreOptions::default()).await {
            Ok(store) => break store,
            Err(error) => assert!(begun.elapsed() < START, "mariadbd does not answer: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let super::db::Db::MySql(pool) = &store.db else { unreachable!("the URL is of MySQL") };
    sqlx::query("CREATE DATABASE switchyard CHARACTER SET utf8mb4").execute(pool).await.unwrap();
    store.close().await;
}
