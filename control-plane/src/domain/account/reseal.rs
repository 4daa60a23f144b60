//! After a rotation of the master key: credentials move to the current key, so that the old one can be dropped.

use shared::id::AccountId;
use zeroize::Zeroizing;

use super::place;
use crate::{
    secrets::{SealError, Sealer},
    store::{
        Store, StoreError, Tx,
        accounts::{self, Sealed},
    },
};

/// Accounts looked at in one transaction.
const PIECE: u32 = 100;

/// Seals anew, with the current key, some of the credentials that lie under an older one, and returns how many:
/// none, once all are done. Several replicas may do it at once. A credential that can't be opened is left as it is
/// and logged.
///
/// # Errors
/// What the database says.
pub async fn reseal(store: &Store, sealer: &Sealer) -> Result<u64, StoreError> {
    let mut after = None;
    loop {
        let mut tx = store.read().await?;
        let piece = accounts::sealed(&mut tx, after, PIECE).await?;
        tx.commit().await?;
        let Some((last, _)) = piece.last() else {
            return Ok(0);
        };
        after = Some(*last);
        let older: Vec<_> = piece.into_iter().filter(|(_, sealed)| !sealer.is_current(&sealed.0)).collect();
        if older.is_empty() {
            continue;
        }
        let mut tx = store.begin().await?;
        let done = move_to_current(&mut tx, sealer, older).await?;
        tx.commit().await?;
        if done > 0 {
            return Ok(done);
        }
    }
}

async fn move_to_current(
    tx: &mut Tx,
    sealer: &Sealer,
    older: Vec<(AccountId, Sealed)>,
) -> Result<u64, StoreError> {
    let mut done = 0;
    for (id, old) in older {
        match again(sealer, id, &old) {
            Ok(new) => done += u64::from(accounts::reseal(tx, id, &old, &new).await?),
            Err(error) => tracing::error!(account = %id, %error, "a credential can't be sealed anew"),
        }
    }
    Ok(done)
}

fn again(sealer: &Sealer, id: AccountId, old: &Sealed) -> Result<Sealed, SealError> {
    let plain: Zeroizing<Vec<u8>> = sealer.open(place(id), &old.0)?;
    sealer.seal(place(id), &plain).map(Sealed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::clock::Millis;

    use super::*;
    use crate::{
        domain::account::{Account, AccountInput, AllowedUpstreams, Rules},
        store::{changes, test_support},
    };

    /// Accounts in the order of `at`.
    async fn add(store: &Store, sealer: &Sealer, name: &str, at: u32) -> Account {
        let input = json!({"name": name, "type": "claude-console", "credentials": {"api_key": "sk-ant-x"}});
        let input: AccountInput = serde_json::from_value(input).unwrap();
        let now = Millis(1_790_000_000_000 + i64::from(at));
        let rules = Rules { sealer, allowed: AllowedUpstreams::default(), now };
        let account = input.create(AccountId::new(now), rules).unwrap();
        let mut tx = store.begin().await.unwrap();
        accounts::insert(&mut tx, &account.to_row().unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        account
    }

    #[tokio::test]
    async fn after_it_the_old_key_is_not_needed_and_nodes_hear_nothing() {
        let database = test_support::sqlite().await;
        let store = &database.store;
        let (before, during) = (Sealer::new([&[1; 32]]).unwrap(), Sealer::new([&[2; 32], &[1; 32]]).unwrap());
        let (after, lost) = (Sealer::new([&[2; 32]]).unwrap(), Sealer::new([&[3; 32]]).unwrap());
        for index in 0..PIECE + 5 {
            add(store, &before, &format!("old {index}"), index).await;
        }
        let new = add(store, &during, "new", 1_000).await;
        let unreadable = add(store, &lost, "unreadable", 1_001).await;
        let version = async || {
            let mut tx = store.read().await.unwrap();
            changes::revision(&mut tx).await.unwrap().0.version
        };
        let version_before = version().await;

        assert_eq!(reseal(store, &during).await.unwrap(), u64::from(PIECE));
        assert_eq!(reseal(store, &during).await.unwrap(), 5);
        assert_eq!(reseal(store, &during).await.unwrap(), 0, "done is done");
        assert_eq!(version().await, version_before);
        let mut tx = store.read().await.unwrap();
        for row in accounts::all(&mut tx).await.unwrap() {
            let account = Account::from_row(&row).unwrap();
            let opened = account.open_credential(&after);
            assert_eq!(opened.is_ok(), row.id != unreadable.id, "{}", row.name);
            assert!(row.id != new.id || account.credential == new.credential);
        }
    }
}
