//! Migrations: the same numbers and meaning for both databases, applied in order, once, under a lock.
//!
//! They only expand or contract: while one runs, the release before it still works. On MySQL each statement commits by
//! itself, so each must bear being run again (`IF NOT EXISTS`; indexes inside CREATE TABLE).

use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, MySqlConnection, MySqlPool, SqliteConnection, SqlitePool};

use super::{
    StoreError,
    changes::new_epoch,
    db::{Db, Store, Tx, fetch_all, fetch_optional},
};

struct Migration {
    number: i64,
    name: &'static str,
    mysql: &'static str,
    sqlite: &'static str,
}

macro_rules! migrations {
    ($($number:literal $name:literal),+ $(,)?) => {
        &[$(Migration {
            number: $number,
            name: $name,
            mysql: include_str!(concat!("../../../migrations/mysql/", $name, ".sql")),
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
        }),+]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "0001_core",
    2 "0002_identity",
    3 "0003_nodes",
    4 "0004_ledger",
    5 "0005_proxy_test_keys",
    6 "0006_console",
    7 "0007_refusals",
    8 "0008_former_keys",
    9 "0009_retention",
    10 "0010_logins",
];

const TABLE_MYSQL: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number BIGINT NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL, checksum BINARY(32) NOT NULL,
    applied_at BIGINT NOT NULL) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
const TABLE_SQLITE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL, applied_at INTEGER NOT NULL)";
/// A table, and whether it is ours of migrations, which comes first: other programs have one of that name, without this
/// column.
const A_TABLE_MYSQL: &str = "SELECT CAST(t.table_name AS CHAR), c.column_name IS NOT NULL
    FROM information_schema.tables t LEFT JOIN information_schema.columns c
        ON t.table_name = 'migrations' AND c.table_schema = t.table_schema AND c.table_name = t.table_name
        AND c.column_name = 'checksum'
    WHERE t.table_schema = DATABASE() ORDER BY 2 DESC, 1 LIMIT 1";
const A_TABLE_SQLITE: &str = "SELECT t.name, t.name = 'migrations'
        AND EXISTS (SELECT 1 FROM pragma_table_info('migrations') WHERE name = 'checksum')
    FROM sqlite_master t WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY 2 DESC, 1 LIMIT 1";
const APPLIED: &str = "SELECT number, checksum FROM migrations ORDER BY number";

/// How long a process waits for another one's migration, in seconds.
const LOCK_SECONDS: i64 = 120;

impl Store {
    /// Brings the database up to date; does nothing where it is. Processes that do so at once take turns.
    ///
    /// # Errors
    /// `Foreign`, `Migration` with the one that failed or was changed after it was applied, or what the database says.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &self.db {
            Db::MySql(pool) => migrate_mysql(pool).await,
            Db::Sqlite { writer, .. } => migrate_sqlite(writer).await,
        }
    }

    /// Names of the migrations that this program has and the database lacks, in order; a database without any table
    /// lacks all. Only reads.
    ///
    /// # Errors
    /// `Foreign`, `Migration` where an applied one was changed, or what the database says.
    pub async fn pending_migrations(&self) -> Result<Vec<&'static str>, StoreError> {
        let mut tx = self.read().await?;
        let sql = tx.sql(A_TABLE_MYSQL, A_TABLE_SQLITE);
        let a_table = fetch_optional!(&mut tx, (String, i64), sql)?;
        let applied = match is_begun(a_table)? {
            false => Vec::new(),
            true => fetch_all!(&mut tx, (i64, Vec<u8>), APPLIED)?,
        };
        let pending = match &tx {
            Tx::MySql(_) => pending(applied, |migration| migration.mysql),
            Tx::Sqlite(_) => pending(applied, |migration| migration.sqlite),
        };
        tx.commit().await?;
        Ok(pending?.into_iter().map(|migration| migration.name).collect())
    }

    /// # Errors
    /// `Empty` or `Foreign` where the database is not one that [`Self::migrate`] was run on.
    pub async fn demand_tables(&self) -> Result<(), StoreError> {
        let pending = self.pending_migrations().await?;
        if pending.len() == MIGRATIONS.len() { Err(StoreError::Empty) } else { Ok(()) }
    }
}

/// Whether there is the table of migrations, which is made before any other one.
fn is_begun(a_table: Option<(String, i64)>) -> Result<bool, StoreError> {
    match a_table {
        None => Ok(false),
        Some((_, 1)) => Ok(true),
        Some((table, _)) => Err(StoreError::Foreign { table }),
    }
}

async fn migrate_mysql(pool: &MySqlPool) -> Result<(), StoreError> {
    const LOCK: &str = "SELECT GET_LOCK(CONCAT('switchyard:', MD5(DATABASE())), ?)";
    // Not given back to the pool: the lock goes with the connection, however this ends.
    let mut connection = pool.acquire().await?.detach();
    let (got,): (Option<i64>,) = sqlx::query_as(LOCK).bind(LOCK_SECONDS).fetch_one(&mut connection).await?;
    if got != Some(1) {
        return Err(StoreError::Busy(None));
    }
    let done = apply_mysql(&mut connection).await;
    connection.close().await?;
    done
}

async fn apply_mysql(connection: &mut MySqlConnection) -> Result<(), StoreError> {
    is_begun(sqlx::query_as(A_TABLE_MYSQL).fetch_optional(&mut *connection).await?)?;
    sqlx::raw_sql(TABLE_MYSQL).execute(&mut *connection).await?;
    let applied = sqlx::query_as(APPLIED).fetch_all(&mut *connection).await?;
    for migration in pending(applied, |migration| migration.mysql)? {
        if has_statement(migration.mysql) {
            let run = sqlx::raw_sql(migration.mysql).execute(&mut *connection).await;
            run.map_err(|cause| failed(migration, &cause))?;
        }
        sqlx::query("INSERT INTO migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, UNIX_TIMESTAMP() * 1000)")
            .bind(migration.number)
            .bind(migration.name)
            .bind(checksum(migration.mysql))
            .execute(&mut *connection)
            .await?;
    }
    let (revisions,): (i64,) = sqlx::query_as(REVISIONS).fetch_one(&mut *connection).await?;
    if revisions == 0 {
        sqlx::query(FIRST_REVISION).bind(new_epoch().to_vec()).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn migrate_sqlite(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    apply_sqlite(&mut transaction).await?;
    Ok(transaction.commit().await?)
}

async fn apply_sqlite(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    is_begun(sqlx::query_as(A_TABLE_SQLITE).fetch_optional(&mut *connection).await?)?;
    sqlx::raw_sql(TABLE_SQLITE).execute(&mut *connection).await?;
    let applied = sqlx::query_as(APPLIED).fetch_all(&mut *connection).await?;
    for migration in pending(applied, |migration| migration.sqlite)? {
        if has_statement(migration.sqlite) {
            let run = sqlx::raw_sql(migration.sqlite).execute(&mut *connection).await;
            run.map_err(|cause| failed(migration, &cause))?;
        }
        sqlx::query("INSERT INTO migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, strftime('%s', 'now') * 1000)")
            .bind(migration.number)
            .bind(migration.name)
            .bind(checksum(migration.sqlite))
            .execute(&mut *connection)
            .await?;
    }
    let (revisions,): (i64,) = sqlx::query_as(REVISIONS).fetch_one(&mut *connection).await?;
    if revisions == 0 {
        sqlx::query(FIRST_REVISION).bind(new_epoch().to_vec()).execute(&mut *connection).await?;
    }
    Ok(())
}

const REVISIONS: &str = "SELECT COUNT(*) FROM configuration_revision";
const FIRST_REVISION: &str =
    "INSERT INTO configuration_revision (id, epoch, version, adopted) VALUES (1, ?, 0, 0)";

/// For a stamp.
pub(super) fn random_bytes() -> Result<[u8; 16], StoreError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Random)?;
    Ok(bytes)
}

/// What is not applied yet. An applied number that this program doesn't know is a later release's, and no error.
fn pending(
    applied: Vec<(i64, Vec<u8>)>,
    text: impl Fn(&Migration) -> &'static str,
) -> Result<Vec<&'static Migration>, StoreError> {
    let mut missing = Vec::new();
    for migration in MIGRATIONS {
        match applied.iter().find(|(number, _)| *number == migration.number) {
            None => missing.push(migration),
            Some((_, sum)) if *sum == checksum(text(migration)) => {}
            Some(_) => {
                let name = migration.name;
                return Err(StoreError::Migration(format!("{name} was changed after it had been applied")));
            }
        }
    }
    Ok(missing)
}

fn failed(migration: &Migration, cause: &sqlx::Error) -> StoreError {
    StoreError::Migration(format!("{} failed: {cause}", migration.name))
}

fn checksum(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

/// MySQL refuses a text that is only comments.
fn has_statement(text: &str) -> bool {
    text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_by_one_and_agree_with_the_names() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.number).unwrap(), index + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.number)));
        }
    }

    #[test]
    fn both_databases_make_the_same_tables() {
        let tables = |text: &str| {
            let mut names: Vec<String> = text
                .lines()
                .filter_map(|line| line.trim().strip_prefix("CREATE TABLE IF NOT EXISTS "))
                .filter_map(|rest| rest.split([' ', '(']).next().map(str::to_owned))
                .collect();
            names.sort();
            names
        };
        for migration in MIGRATIONS {
            assert_eq!(tables(migration.mysql), tables(migration.sqlite), "{}", migration.name);
        }
    }

    #[test]
    fn a_changed_migration_is_refused() {
        let changed = vec![(1, checksum("something else"))];
        assert!(matches!(pending(changed, |migration| migration.sqlite), Err(StoreError::Migration(_))));
    }

    #[test]
    fn a_later_release_s_migration_is_no_error() {
        let mut applied: Vec<_> =
            MIGRATIONS.iter().map(|migration| (migration.number, checksum(migration.sqlite))).collect();
        applied.push((9_999, vec![0; 32]));
        assert!(pending(applied, |migration| migration.sqlite).unwrap().is_empty());
    }
}
