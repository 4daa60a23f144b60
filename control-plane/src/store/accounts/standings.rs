//! What accounts' states come from, without their credentials.

use shared::{clock::Millis, id::AccountId};

use crate::{
    store::{StoreError, Tx, db::fetch_in, statement::Statement},
    words::account_state::Standing,
};

/// The columns of [`Standing`].
fn columns(now: Millis) -> String {
    let expired = format!("(expires_at IS NOT NULL AND expires_at <= {})", now.0);
    format!("enabled, schedulable, {expired} AS expired, (invalid_reason IS NOT NULL) AS invalid")
}

#[derive(sqlx::FromRow)]
struct Counted {
    #[sqlx(flatten)]
    standing: Standing,
    accounts: i64,
}

fn count(now: Millis) -> Statement {
    Statement::new(format!("SELECT {}, COUNT(*) AS accounts FROM accounts", columns(now)))
        .grouped("enabled, schedulable, expired, invalid")
}

/// How many accounts have which standing at a time, from an index that has all of it.
///
/// # Errors
/// What the database says.
pub async fn count_standings(tx: &mut Tx, now: Millis) -> Result<Vec<(Standing, i64)>, StoreError> {
    let rows: Vec<Counted> = count(now).fetch(tx).await?;
    Ok(rows.into_iter().map(|row| (row.standing, row.accounts)).collect())
}

/// How the database would count them.
///
/// # Errors
/// What the database says.
#[cfg(test)]
pub(crate) async fn plan(tx: &mut Tx, now: Millis) -> Result<String, StoreError> {
    count(now).plan(tx).await
}

#[derive(sqlx::FromRow)]
struct Single {
    #[sqlx(try_from = "Vec<u8>")]
    id: AccountId,
    #[sqlx(flatten)]
    standing: Standing,
}

/// The standing of those of these accounts that exist, in no order.
///
/// # Errors
/// What the database says.
pub async fn standings(
    tx: &mut Tx,
    ids: &[AccountId],
    now: Millis,
) -> Result<Vec<(AccountId, Standing)>, StoreError> {
    let head = format!("SELECT id, {} FROM accounts WHERE id IN ", columns(now));
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let rows = fetch_in!(tx, Single, head, "", keys)?;
    Ok(rows.into_iter().map(|row| (row.id, row.standing)).collect())
}
