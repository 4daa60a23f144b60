//! The database, MySQL or SQLite, behind one set of functions.
//!
//! [`Store`] gives transactions, [`Tx`] is one. Each entity has a file here with its row struct and free functions over
//! `&mut Tx`; SQL is text with `?` placeholders, written once for both databases through the macros of [`db`].
//!
//! A write to something that nodes hold calls [`changes::record`] *before* it touches the row: that takes the lock of
//! the version counter, so that all such writes queue there, in one order, and never deadlock.
//!
//! Reads that decide a write must see what was committed last, not the transaction's snapshot: after
//! [`changes::lock`] or `record`, read with [`Tx::locking`] appended to the statement.

pub mod db;

pub mod account_errors;
pub mod accounts;
pub mod api_keys;
pub mod audit;
pub mod changes;
pub mod commands;
pub mod former_keys;
pub mod groups;
pub mod incarnations;
pub mod latency;
pub mod ledger;
pub mod ledger_open;
pub mod ledger_partitions;
pub mod ledger_rejected;
pub mod mappings;
pub mod migrate;
pub mod models;
pub mod nodes;
pub mod price_file;
pub mod proxy_test_keys;
pub mod refusals;
pub mod rollup_additions;
pub mod rollup_names;
pub mod rollups;
pub mod routes;
pub mod sessions;
pub mod settings;
mod statement;
pub mod throttle;
pub mod usage_queries;
pub mod usage_sums;
pub mod users;

#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use db::{Store, Tx};

/// How the database is used.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// SQLite: make the file where it is missing.
    pub create: bool,
    pub max_connections: u32,
    /// How long a transaction may wait for a connection.
    pub acquire_timeout: Duration,
    /// SQLite: how long a write may wait for the writer before it. MySQL has its own setting for that.
    pub busy_timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            create: true,
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(10),
        }
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("not found")]
    NotFound,
    /// Something else has this value already, and it must be unique.
    #[error("{what} is taken")]
    Conflict { what: &'static str },
    /// What is referred to does not exist.
    #[error("{what} does not exist")]
    Missing { what: &'static str },
    /// Changed since it was read.
    #[error("changed since it was read")]
    Stale,
    /// Another transaction was in the way for too long, or at a deadlock; the same again may succeed.
    #[error("the database is busy")]
    Busy(#[source] Option<sqlx::Error>),
    /// The database can't be reached, or all connections are in use.
    #[error("the database is out of reach: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A row holds what no version of this program writes.
    #[error("corrupt row: {0}")]
    Corrupt(String),
    #[error("migration: {0}")]
    Migration(String),
    /// What is at that path can't be opened, or is no database.
    #[error("{path} can't be used as the database: {cause}")]
    File {
        path: String,
        #[source]
        cause: sqlx::Error,
    },
    /// It belongs to another program: tables made beside those could be taken for one another.
    #[error(
        "the database has a table {table} that is not Switchyard's; give Switchyard a database of its own"
    )]
    Foreign { table: String },
    /// Nothing was ever put into it.
    #[error(
        "the database has no tables of Switchyard's: is it the right one? `serve` and `migrate` make them"
    )]
    Empty,
    /// The URL names no database that can be used; says which forms can.
    #[error("a database URL is mysql://… or sqlite:PATH")]
    Url,
    /// The system gave no random bytes.
    #[error("no random bytes")]
    Random,
    #[error("database error")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    /// Says what is taken, where this is a conflict.
    #[must_use]
    pub fn about(self, what: &'static str) -> Self {
        match self {
            Self::Conflict { .. } => Self::Conflict { what },
            other => other,
        }
    }

    /// What was written is why: the same again can't succeed, and something else might.
    #[must_use]
    pub fn is_of_data(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Missing { .. } | Self::Corrupt(_) | Self::Stale => true,
            Self::Database(sqlx::Error::Database(cause)) => db::is_of_values(cause.as_ref()),
            Self::Database(sqlx::Error::Encode(_)) => true,
            _ => false,
        }
    }

    /// A row that can't be read, and why. `cause` must hold no secret.
    pub fn corrupt(cause: impl std::fmt::Display) -> Self {
        Self::Corrupt(cause.to_string())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::Database(cause) if cause.is_unique_violation() => Self::Conflict { what: "a value" },
            sqlx::Error::Database(cause) if db::is_busy(cause.as_ref()) => Self::Busy(Some(error)),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(error.to_string()),
            _ => Self::Database(error),
        }
    }
}
