//! What nodes' last reports say of accounts.
//!
//! A report names every account that has a mark or a request in flight on its node, with whatever else the node reports.
//! Of all that, only what is asked for is decoded.

use std::collections::BTreeSet;

use prost::{Message, bytes::Bytes};
use proto::v1;
use shared::{clock::Millis, id::AccountId};

use crate::store::{StoreError, Tx, db::fetch_all};

/// What one node knows of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountOnNode {
    pub node_id: String,
    pub account_id: AccountId,
    pub in_flight: u32,
    /// Marks in force.
    pub marks: Vec<v1::StatusMark>,
}

/// The accounts of a [`v1::HeartbeatRequest`], each as it was encoded.
#[derive(Clone, PartialEq, Message)]
struct Accounts {
    #[prost(bytes = "bytes", repeated, tag = "9")]
    accounts: Vec<Bytes>,
}

/// The id of a [`v1::AccountLive`].
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(bytes = "bytes", tag = "1")]
    account_id: Bytes,
}

/// What nodes heard of at `since` or later know of these accounts: those with marks in force at `now` or requests in
/// flight.
///
/// # Errors
/// What the database says.
pub async fn account_live(
    tx: &mut Tx,
    ids: &[AccountId],
    since: Millis,
    now: Millis,
) -> Result<Vec<AccountOnNode>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: BTreeSet<_> = ids.iter().copied().collect();
    known(tx, since, now, |id| wanted.contains(&id)).await
}

/// [`account_live`] of every account that a node knows anything of.
///
/// # Errors
/// What the database says.
pub async fn all_account_live(
    tx: &mut Tx,
    since: Millis,
    now: Millis,
) -> Result<Vec<AccountOnNode>, StoreError> {
    known(tx, since, now, |_| true).await
}

async fn known(
    tx: &mut Tx,
    since: Millis,
    now: Millis,
    wanted: impl Fn(AccountId) -> bool,
) -> Result<Vec<AccountOnNode>, StoreError> {
    let reports = fetch_all!(
        tx,
        (String, Vec<u8>),
        "SELECT node_id, report FROM nodes WHERE heard_at >= ? ORDER BY node_id",
        since.0
    )?;
    let mut known = Vec::new();
    for (node_id, report) in reports {
        for account in Accounts::decode(Bytes::from(report)).map_err(StoreError::corrupt)?.accounts {
            let named = Named::decode(account.clone()).map_err(StoreError::corrupt)?;
            let Ok(account_id) = AccountId::try_from(&*named.account_id) else { continue };
            if !wanted(account_id) {
                continue;
            }
            let v1::AccountLive { in_flight, mut marks, .. } =
                Message::decode(account).map_err(StoreError::corrupt)?;
            marks.retain(|mark| mark.until_ms > now.0);
            if in_flight > 0 || !marks.is_empty() {
                known.push(AccountOnNode { node_id: node_id.clone(), account_id, in_flight, marks });
            }
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use proto::v1::{AccountLive, HeartbeatRequest, Nack, NodeStatistics, status_mark::Kind};

    use super::*;
    use crate::store::{db::execute, nodes::heard, test_support};

    const NOW: Millis = Millis(1_790_000_000_000);

    fn live(id: AccountId) -> AccountLive {
        let mark = v1::StatusMark {
            kind: Kind::Overloaded.into(),
            until_ms: NOW.0 + 1,
            reason: "status_529".into(),
            model_family: Some("opus".into()),
        };
        AccountLive { account_id: id.to_bytes().to_vec(), in_flight: 3, marks: vec![mark] }
    }

    #[tokio::test]
    async fn only_what_is_said_of_the_accounts_asked_for_is_decoded() {
        let database = test_support::sqlite().await;
        let (one, other, quiet) = (AccountId::new(NOW), AccountId::new(NOW), AccountId::new(NOW));
        let report = HeartbeatRequest {
            node_id: "node-1".into(),
            accounts: vec![live(one)],
            statistics: Some(NodeStatistics { requests: 7, ..NodeStatistics::default() }),
            refused_payloads: vec![Nack { reason: "r".repeat(300), ..Nack::default() }],
            ready: true,
            ..HeartbeatRequest::default()
        };
        let mut tx = database.store.begin().await.unwrap();
        heard(&mut tx, &report, NOW).await.unwrap();
        // Two accounts more: neither what is said of the first of them nor what stands beside them can be decoded.
        let broken = [&[1 << 3 | 2, 16][..], &other.to_bytes(), &[3 << 3 | 2, 1, 0xff]].concat();
        let more = Accounts { accounts: vec![broken.into(), live(quiet).encode_to_vec().into()] };
        let beside = vec![5 << 3 | 2, 1, 0xff];
        let stored = [report.encode_to_vec(), more.encode_to_vec(), beside].concat();
        execute!(&mut tx, "UPDATE nodes SET report = ?", stored).unwrap();

        let known = account_live(&mut tx, &[quiet, one], NOW, NOW).await.unwrap();
        let of = |account_id| AccountOnNode {
            node_id: "node-1".into(),
            account_id,
            in_flight: 3,
            marks: live(account_id).marks,
        };
        assert_eq!(known, [of(one), of(quiet)]);
        assert_eq!(account_live(&mut tx, &[AccountId::new(NOW)], NOW, NOW).await.unwrap(), []);
        assert!(matches!(account_live(&mut tx, &[other], NOW, NOW).await, Err(StoreError::Corrupt(_))));
        assert!(all_account_live(&mut tx, NOW, NOW).await.is_err());
        tx.rollback().await.unwrap();
    }
}
