//! The two databases, transactions on them, and the macros that write SQL once for both.

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    Connection as _, Executor as _, MySql, MySqlPool, Sqlite, SqlitePool, Transaction,
    mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlPoolOptions, MySqlSslMode},
    sqlite::{SqliteConnectOptions, SqliteError, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{StoreError, StoreOptions};

/// A pool of connections. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) db: Db,
}

#[derive(Debug, Clone)]
pub(super) enum Db {
    MySql(MySqlPool),
    Sqlite {
        readers: SqlitePool,
        /// One connection, as there is one writer at a time: waiting for it is fair, where waiting in SQLite is polling.
        /// What it has read stays in memory, where all that a connection holds is void once another one has written.
        writer: SqlitePool,
    },
}

/// A transaction. Dropped without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub enum Tx {
    MySql(Transaction<'static, MySql>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Store {
    /// Opens `mysql://…` or `sqlite:PATH`. Makes one connection, to fail early.
    ///
    /// # Errors
    /// `Url`, `Unavailable` where the database does not answer, or `File`.
    pub async fn connect(url: &str, options: &StoreOptions) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return connect_sqlite(path, options).await.map_err(|error| match error {
                StoreError::Database(cause) | StoreError::Unavailable(cause) => {
                    StoreError::File { path: path.to_owned(), cause }
                }
                other => other,
            });
        }
        if url.starts_with("mysql://") || url.starts_with("mariadb://") {
            return connect_mysql(url, options).await;
        }
        Err(StoreError::Url)
    }

    /// A write transaction. On SQLite there is one at a time.
    ///
    /// # Errors
    /// `Busy` or `Unavailable`.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        match &self.db {
            Db::MySql(pool) => Ok(Tx::MySql(pool.begin().await?)),
            Db::Sqlite { writer, .. } => match writer.begin_with("BEGIN IMMEDIATE").await {
                Err(sqlx::Error::PoolTimedOut) => Err(StoreError::Busy(None)),
                begun => Ok(Tx::Sqlite(begun?)),
            },
        }
    }

    /// A read transaction that sees one committed state throughout.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        match &self.db {
            Db::MySql(pool) => {
                Ok(Tx::MySql(pool.begin_with("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?))
            }
            Db::Sqlite { readers, .. } => Ok(Tx::Sqlite(readers.begin_with("BEGIN DEFERRED").await?)),
        }
    }

    /// Closes the connections, once their transactions end.
    pub async fn close(&self) {
        match &self.db {
            Db::MySql(pool) => pool.close().await,
            Db::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

impl Tx {
    /// # Errors
    /// What the database says; nothing is written then.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::MySql(transaction) => Ok(transaction.commit().await?),
            Self::Sqlite(transaction) => Ok(transaction.commit().await?),
        }
    }

    /// Ends the transaction without a trace. Dropping it does the same a little later.
    ///
    /// # Errors
    /// What the database says.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::MySql(transaction) => Ok(transaction.rollback().await?),
            Self::Sqlite(transaction) => Ok(transaction.rollback().await?),
        }
    }

    /// The statement for this database, of a pair that can't be written as one.
    #[must_use]
    pub const fn sql(&self, mysql: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Self::MySql(_) => mysql,
            Self::Sqlite(_) => sqlite,
        }
    }

    /// What makes a SELECT see and lock the latest committed rows, where a plain one would read the snapshot that
    /// this transaction began with.
    #[must_use]
    pub const fn locking(&self) -> &'static str {
        self.sql(" FOR UPDATE", "")
    }
}

/// Prepared statements that a connection keeps: those with many rows have a text for each number of rows.
const STATEMENTS: usize = 256;
/// Of SQLite's pages in memory for the connection that writes: 64 MiB. Negative: KiB, not pages.
const WRITER_CACHE: &str = "-65536";
/// And for each one that reads: 4 MiB.
const READER_CACHE: &str = "-4096";

async fn connect_sqlite(path: &str, options: &StoreOptions) -> Result<Store, StoreError> {
    if path.is_empty() || path.contains(":memory:") {
        return Err(StoreError::Url);
    }
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(options.create)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit survives a power cut: nodes forget what was acknowledged.
        .synchronous(SqliteSynchronous::Full)
        // What a statement changed is kept for its undoing in memory, not in a file.
        .pragma("temp_store", "MEMORY")
        // Pages that many transactions change are written back once for all of them: the log takes 64 MiB of disk.
        .pragma("wal_autocheckpoint", "16000")
        .statement_cache_capacity(STATEMENTS)
        .busy_timeout(options.busy_timeout)
        .foreign_keys(true);
    if options.create {
        make_private(path)?;
    }
    // A batch of records touches a few hundred pages of indexes: with less of a cache they are read again each time.
    let writer = connect.clone().pragma("cache_size", WRITER_CACHE);
    let one = SqlitePoolOptions::new().max_connections(1).acquire_timeout(options.busy_timeout);
    let writer = open_sqlite(writer, one, options).await?;
    let several = SqlitePoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout);
    let readers = open_sqlite(connect.pragma("cache_size", READER_CACHE), several, options).await?;
    Ok(Store { db: Db::Sqlite { readers, writer } })
}

/// A new database is for its owner alone, whatever the folder's mode is; its log takes its mode.
fn make_private(path: &str) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::Unavailable(sqlx::Error::Io(error)))
        }
        _ => Ok(()),
    }
}

/// SQLite does not wait by itself where two processes make a new file a write-ahead one at the same time.
async fn open_sqlite(
    connect: SqliteConnectOptions,
    pool: SqlitePoolOptions,
    options: &StoreOptions,
) -> Result<SqlitePool, StoreError> {
    const PAUSE: Duration = Duration::from_millis(20);
    let begun = tokio::time::Instant::now();
    // A file does not go away as a server does.
    let pool = pool
        .test_before_acquire(false)
        // A full disk rolls back by itself, which the connection does not hear of: nothing can be begun on it any more.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }));
    loop {
        match pool.clone().connect_with(connect.clone()).await.map_err(StoreError::from) {
            Err(StoreError::Busy(_)) if begun.elapsed() < options.busy_timeout => {
                tokio::time::sleep(PAUSE).await
            }
            done => return done,
        }
    }
}

async fn connect_mysql(url: &str, options: &StoreOptions) -> Result<Store, StoreError> {
    // The cause may repeat the URL, which holds a password.
    let connect = MySqlConnectOptions::from_str(url).map_err(|_| StoreError::Url)?;
    let connect = match tls_of(url)? {
        Some(mode) => connect.ssl_mode(mode),
        None => connect,
    };
    let connect = connect.statement_cache_capacity(STATEMENTS);
    let pool = MySqlPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .after_connect(|connection, _| Box::pin(prepare_mysql(connection)))
        .connect_with(connect)
        .await?;
    Ok(Store { db: Db::MySql(pool) })
}

/// How the connection is secured where the URL does not say it (`None`: it does): with a certificate that names the host,
/// save on this machine.
fn tls_of(url: &str) -> Result<Option<MySqlSslMode>, StoreError> {
    let url = url::Url::parse(url).map_err(|_| StoreError::Url)?;
    let mut is_local = url.host_str().is_none_or(is_loopback);
    for (name, _) in url.query_pairs() {
        match name.as_ref() {
            "ssl-mode" | "sslmode" => return Ok(None),
            "socket" => is_local = true,
            _ => {}
        }
    }
    Ok(Some(if is_local { MySqlSslMode::Preferred } else { MySqlSslMode::VerifyIdentity }))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What the SQL here relies on, whatever the server's defaults are.
async fn prepare_mysql(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    const UNKNOWN_VARIABLE: u16 = 1193;
    connection.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')").await?;
    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    // Newer MariaDBs fail a write to a row that changed since the snapshot; writes here check revisions instead.
    match connection.execute("SET SESSION innodb_snapshot_isolation = OFF").await {
        Err(sqlx::Error::Database(error))
            if error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
                == Some(UNKNOWN_VARIABLE) =>
        {
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

/// True where the same transaction, tried again, may succeed.
pub(super) fn is_busy(error: &(dyn sqlx::error::DatabaseError + 'static)) -> bool {
    // Lock wait time-out, deadlock; too many connections.
    const MYSQL: [u16; 3] = [1205, 1213, 1040];
    // SQLITE_BUSY and SQLITE_LOCKED with their extended codes.
    const SQLITE: [i32; 2] = [5, 6];
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return MYSQL.contains(&error.number());
    }
    error.try_downcast_ref::<SqliteError>().is_some_and(|error| {
        let code = sqlx::error::DatabaseError::code(error).and_then(|code| code.parse::<i32>().ok());
        code.is_some_and(|code| SQLITE.contains(&(code & 0xff)))
    })
}

/// True where what was written is at fault, as far as the database says; whatever else there is may be its own trouble.
pub(super) fn is_of_values(error: &(dyn sqlx::error::DatabaseError + 'static)) -> bool {
    // Too big, constraint, mismatch.
    const SQLITE: [i32; 3] = [18, 19, 20];
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return is_of_values_mysql(error.number());
    }
    error.try_downcast_ref::<SqliteError>().is_some_and(|error| {
        let code = sqlx::error::DatabaseError::code(error).and_then(|code| code.parse::<i32>().ok());
        code.is_some_and(|code| SQLITE.contains(&(code & 0xff)))
    })
}

fn is_of_values_mysql(number: u16) -> bool {
    // Null, too long, out of range (twice), truncated (twice), no such text or number (twice), packet too large, no JSON, a
    // constraint or a trigger refuses (four times), no partition.
    const MYSQL: [u16; 15] =
        [1048, 1406, 1264, 1690, 1265, 1292, 1366, 1411, 1153, 3140, 4025, 3819, 1644, 1452, 1526];
    MYSQL.contains(&number)
}

/// `(?, ?, …)` for `count` values, at least one.
#[must_use]
pub fn placeholders(count: usize) -> String {
    let mut list = String::with_capacity(count * 3 + 1);
    list.push_str("(?");
    for _ in 1..count {
        list.push_str(", ?");
    }
    list.push(')');
    list
}

/// Runs the body once, with `connection` of whichever database the transaction is on.
macro_rules! with_tx {
    ($tx:expr, |$connection:ident| $body:expr) => {
        match $tx {
            $crate::store::Tx::MySql(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
            $crate::store::Tx::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
        }
    };
}

/// `execute!(tx, sql, binds…)`: the number of rows that matched.
macro_rules! execute {
    ($tx:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::store::db::with_tx!($tx, |connection| sqlx::query($sql)
            $(.bind($bind))*
            .execute(connection)
            .await
            .map(|done| done.rows_affected())
            .map_err($crate::store::StoreError::from))
    };
}

/// `fetch_all!(tx, Row, sql, binds…)`: all rows, as `Row` (a struct that derives `FromRow`, or a tuple).
macro_rules! fetch_all {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::store::db::with_tx!($tx, |connection| sqlx::query_as::<_, $row>($sql)
            $(.bind($bind))*
            .fetch_all(connection)
            .await
            .map_err($crate::store::StoreError::from))
    };
}

/// `fetch_optional!(tx, Row, sql, binds…)`: the first row, if there is one.
macro_rules! fetch_optional {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::store::db::with_tx!($tx, |connection| sqlx::query_as::<_, $row>($sql)
            $(.bind($bind))*
            .fetch_optional(connection)
            .await
            .map_err($crate::store::StoreError::from))
    };
}

/// `fetch_one!(tx, Row, sql, binds…)`: the first row; `NotFound` where there is none.
macro_rules! fetch_one {
    ($tx:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        $crate::store::db::with_tx!($tx, |connection| sqlx::query_as::<_, $row>($sql)
            $(.bind($bind))*
            .fetch_one(connection)
            .await
            .map_err($crate::store::StoreError::from))
    };
}

/// `fetch_in!(tx, Row, "SELECT … WHERE id IN ", tail, values)`: the statement with one placeholder for each value, in
/// pieces of bounded size; `values` is a slice of what can be bound. The order is not kept.
macro_rules! fetch_in {
    ($tx:expr, $row:ty, $head:expr, $tail:expr, $values:expr) => {{
        let mut rows: Vec<$row> = Vec::new();
        for piece in $values.chunks(200) {
            let sql = format!("{}{}{}", $head, $crate::store::db::placeholders(piece.len()), $tail);
            rows.extend($crate::store::db::with_tx!(&mut *$tx, |connection| {
                let mut query = sqlx::query_as::<_, $row>(sqlx::AssertSqlSafe(sql));
                for value in piece {
                    query = query.bind(value.clone());
                }
                query.fetch_all(connection).await.map_err($crate::store::StoreError::from)
            })?);
        }
        Ok::<Vec<$row>, $crate::store::StoreError>(rows)
    }};
}

pub(crate) use {execute, fetch_all, fetch_in, fetch_one, fetch_optional, with_tx};

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::store::test_support;

    #[test]
    fn what_the_server_has_no_time_or_room_for_is_not_the_values_fault() {
        // A statement takes too long (MariaDB, MySQL) or is killed, locks, connections, shutdown, disk, read-only.
        for number in [1969, 3024, 1317, 1205, 1213, 1040, 1053, 1021, 1114, 1290] {
            assert!(!is_of_values_mysql(number), "{number}");
        }
        for number in [1048, 1406, 1644] {
            assert!(is_of_values_mysql(number), "{number}");
        }
    }

    #[tokio::test]
    async fn a_statement_that_takes_too_long_is_not_the_values_fault() {
        let database = test_support::mariadb().await;
        let mut tx = database.store.begin().await.unwrap();
        let slow = "SET STATEMENT max_statement_time = 0.01 FOR SELECT SLEEP(600)";
        let error = fetch_one!(&mut tx, (i64,), slow).unwrap_err();
        let StoreError::Database(sqlx::Error::Database(cause)) = &error else { panic!("{error:?}") };
        let number = cause.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
        assert_eq!(number, Some(1969), "{error:?}");
        assert!(!error.is_of_data(), "{error:?}");
    }

    #[tokio::test]
    async fn a_new_database_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let url = format!("sqlite:{}", folder.path().join("new.db").display());
        let store = Store::connect(&url, &StoreOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file:?}");
        }
        store.close().await;
    }

    #[test]
    fn a_database_elsewhere_shows_a_certificate_unless_the_url_says_otherwise() {
        let mode = |url: &str| tls_of(url).unwrap().map(|mode| format!("{mode:?}"));
        for (url, expected) in [
            ("mysql://a:b@db.example.com/x", Some("VerifyIdentity")),
            ("mysql://a:b@db.example.com/x?ssl-ca=/ca.pem", Some("VerifyIdentity")),
            ("mysql://a:b@10.0.0.7:3306/x", Some("VerifyIdentity")),
            ("mysql://a:b@db.example.com/x?ssl-mode=DISABLED", None),
            ("mysql://a:b@127.0.0.1:3306/x", Some("Preferred")),
            ("mysql://a:b@[::1]/x", Some("Preferred")),
            ("mysql://a:b@localhost/x?socket=/run/mysqld.sock", Some("Preferred")),
        ] {
            assert_eq!(mode(url).as_deref(), expected, "{url}");
        }
    }
}
