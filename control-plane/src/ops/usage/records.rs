//! The ledger's records, with the names of what they refer to.

use shared::id::{AccountId, KeyId, RequestId, UserId};

use super::Audience;
use crate::{
    ledger::{
        attempts::{self, AttemptEntry},
        entry::Details,
    },
    ops::names::{Names, names},
    store::{StoreError, Tx, ledger::LedgerRow, usage_queries::Named},
    words::{outcome::Outcome, purpose::Purpose},
};

/// One request. Names are of what still exists; those of users and accounts are there for
/// [`Audience::Staff`] alone.
#[derive(Debug, Clone)]
pub struct Record {
    pub request_id: RequestId,
    pub key_id: KeyId,
    pub key_name: Option<String>,
    pub user_id: UserId,
    pub user_name: Option<String>,
    /// Where the last attempt went.
    pub account_id: Option<AccountId>,
    pub account_name: Option<String>,
    pub purpose: Purpose,
    pub outcome: Outcome,
    pub attempts: Vec<Attempt>,
    pub details: Details,
    /// Named conditions, such as `no_price` or `drained`.
    pub conditions: Vec<String>,
    /// What else is known of it.
    pub row: LedgerRow,
}

/// One try at one account.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub entry: AttemptEntry,
    pub account_name: Option<String>,
}

struct AllNames {
    keys: Names,
    users: Names,
    accounts: Names,
}

/// # Errors
/// `Corrupt` for a row that can't be read, or what the database says.
pub(super) async fn read(
    tx: &mut Tx,
    rows: Vec<LedgerRow>,
    audience: Audience,
) -> Result<Vec<Record>, StoreError> {
    let mut read = Vec::with_capacity(rows.len());
    for row in rows {
        read.push((attempts::read(&row)?, row));
    }
    let keys = names(tx, Named::Keys, read.iter().map(|(_, row)| row.key_id.as_slice())).await?;
    let (mut users, mut accounts) = (Names::new(), Names::new());
    if audience == Audience::Staff {
        users = names(tx, Named::Users, read.iter().map(|(_, row)| row.user_id.as_slice())).await?;
        let tried = read.iter().flat_map(|(tried, _)| tried).filter_map(|attempt| attempt.account_id);
        accounts = names(tx, Named::Accounts, tried.map(AccountId::to_bytes)).await?;
    }
    let names = AllNames { keys, users, accounts };
    read.into_iter().map(|(tried, row)| record(row, tried, &names)).collect()
}

fn record(row: LedgerRow, tried: Vec<AttemptEntry>, names: &AllNames) -> Result<Record, StoreError> {
    let account = row.account_id.as_deref();
    let attempt = |entry: AttemptEntry| {
        let account = entry.account_id.map(AccountId::to_bytes);
        let account_name = account.and_then(|id| names.accounts.get(id.as_slice())).cloned();
        Attempt { entry, account_name }
    };
    Ok(Record {
        request_id: RequestId::try_from(row.request_id.as_slice()).map_err(StoreError::corrupt)?,
        key_id: KeyId::try_from(row.key_id.as_slice()).map_err(StoreError::corrupt)?,
        key_name: names.keys.get(&row.key_id).cloned(),
        user_id: UserId::try_from(row.user_id.as_slice()).map_err(StoreError::corrupt)?,
        user_name: names.users.get(&row.user_id).cloned(),
        account_id: account.map(AccountId::try_from).transpose().map_err(StoreError::corrupt)?,
        account_name: account.and_then(|id| names.accounts.get(id)).cloned(),
        purpose: row.purpose.parse().map_err(StoreError::corrupt)?,
        outcome: row.outcome.parse().map_err(StoreError::corrupt)?,
        attempts: tried.into_iter().map(attempt).collect(),
        details: serde_json::from_str(&row.details).map_err(StoreError::corrupt)?,
        conditions: serde_json::from_str(&row.conditions).map_err(StoreError::corrupt)?,
        row,
    })
}
