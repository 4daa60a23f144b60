//! Which version of the price file was brought in last.

use shared::clock::Millis;

use super::{
    StoreError, Tx,
    db::{execute, fetch_one},
};

/// The version brought in last, 0 for none; locked until the transaction ends, so that replicas that start together
/// take turns.
///
/// # Errors
/// `Busy` where the wait for the lock is too long.
pub async fn lock(tx: &mut Tx, now: Millis) -> Result<u32, StoreError> {
    let sql = tx.sql(
        "INSERT INTO price_file (id, version, seeded_at) VALUES (1, 0, ?) ON DUPLICATE KEY UPDATE version = version",
        "INSERT INTO price_file (id, version, seeded_at) VALUES (1, 0, ?) ON CONFLICT (id) DO NOTHING",
    );
    execute!(&mut *tx, sql, now.0)?;
    let sql = tx.sql(
        "SELECT version FROM price_file WHERE id = 1 FOR UPDATE",
        "SELECT version FROM price_file WHERE id = 1",
    );
    let (version,) = fetch_one!(tx, (i64,), sql)?;
    u32::try_from(version).map_err(StoreError::corrupt)
}

/// Notes that `version` is in.
///
/// # Errors
/// What the database says.
pub async fn set(tx: &mut Tx, version: u32, now: Millis) -> Result<(), StoreError> {
    execute!(tx, "UPDATE price_file SET version = ?, seeded_at = ? WHERE id = 1", i64::from(version), now.0)?;
    Ok(())
}
