//! A store on a fresh database, for tests.
//!
//! [`sqlite`] is a file in a temporary folder; [`mariadb`] is a database of a server of its own. Both end with what they
//! return.

use servers::MariaDb;
use tempfile::TempDir;

use shared::id::{AccountId, GroupId, KeyId};

use super::{Store, StoreOptions, db::execute};

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

/// Ten thousand accounts and as many keys like those given, named `Seeded 0` to `Seeded 9999`; every second one is
/// disabled. All accounts are in the group, and each has failed once.
pub(crate) async fn seed_many(store: &Store, account: AccountId, key: KeyId, group: GroupId) {
    const NUMBERS: &str =
        "(SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n FROM @ a, @ b, @ c, @ e) numbers";
    const DIGITS: &str =
        "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
        UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
    let numbers = NUMBERS.replace('@', DIGITS);
    let mut tx = store.begin().await.unwrap();
    let id = tx.sql("LPAD(n, 16, '0')", "CAST(printf('%016d', n) AS BLOB)");
    let hash = tx.sql("LPAD(n, 32, '0')", "CAST(printf('%032d', n) AS BLOB)");
    let name = tx.sql("CONCAT('Seeded ', n)", "'Seeded ' || n");
    let accounts = format!(
        "INSERT INTO accounts (id, name, enabled, description, account_type, credential_kind, credential, options,
            schedulable, priority, weight, model_mapping, allowed_models, tags, client_gone, created_at, updated_at,
            revision)
         SELECT {id}, {name}, n % 2, description, account_type, credential_kind, credential, options,
            schedulable, priority, weight, model_mapping, allowed_models, tags, client_gone, created_at, updated_at,
            revision FROM accounts, {numbers} WHERE id = ?"
    );
    let keys = format!(
        "INSERT INTO api_keys (id, hash, name, enabled, user_id, prefix, tags, metadata, created_at, updated_at, revision)
         SELECT {id}, {hash}, {name}, n % 2, user_id, prefix, tags, metadata, created_at, updated_at, revision
         FROM api_keys, {numbers} WHERE id = ?"
    );
    for (sql, like) in [(accounts, account.to_bytes()), (keys, key.to_bytes())] {
        assert_eq!(execute!(&mut tx, sqlx::AssertSqlSafe(sql), like.to_vec()).unwrap(), 10_000);
    }
    let members = "INSERT INTO account_group_members (group_id, account_id) SELECT ?, id FROM accounts";
    execute!(&mut tx, members, group.to_bytes().to_vec()).unwrap();
    let errors = "INSERT INTO account_last_errors (account_id, at, reason, http_status, request_id)
        SELECT id, 1, 'status_500', 500, id FROM accounts";
    execute!(&mut tx, errors).unwrap();
    tx.commit().await.unwrap();
}

async fn migrated(url: String, keeper: Keeper) -> Database {
    let store = Store::connect(&url, &StoreOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    Database { store, url, keeper }
}
