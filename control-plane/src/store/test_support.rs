//! A store on a fresh database, for tests.
//!
//! [`sqlite`] is a file in a temporary folder; [`mariadb`] is a database of a server of its own. Both end with what they
//! return.

use servers::MariaDb;
use tempfile::TempDir;

use super::{Store, StoreOptions};

/// A database with all migrations applied, and what keeps it alive.
pub(crate) struct Database {
    pub(crate) store: Store,
    /// For another pool on the same database.
    pub(crate) url: String,
    keeper: Keeper,
}

enum Keeper {
    Folder(TempDir),
    Server(MariaDb),
}

impl Database {
    /// Another pool on the same database, as another process would have.
    pub(crate) async fn another_store(&self) -> Store {
        Store::connect(&self.url, &StoreOptions::default()).await.unwrap()
    }

    /// A fresh database, empty of tables, on the same server or in the same folder.
    pub(crate) fn empty_neighbour(&self, name: &str) -> String {
        match &self.keeper {
            Keeper::Folder(folder) => format!("sqlite:{}", folder.path().join(name).display()),
            Keeper::Server(server) => server.database(),
        }
    }
}

pub(crate) async fn sqlite() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("switchyard.db").display());
    migrated(url, Keeper::Folder(folder)).await
}

pub(crate) async fn mariadb() -> Database {
    let server = MariaDb::start();
    let url = server.database();
    migrated(url, Keeper::Server(server)).await
}

async fn migrated(url: String, keeper: Keeper) -> Database {
    let store = Store::connect(&url, &StoreOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    Database { store, url, keeper }
}
