//! What is kept of the last attempt that failed at an account.

use std::time::Duration;

use proto::v1::{self as contract, Outcome};
use serde_json::json;
use shared::{
    clock::Millis,
    id::{AccountId, RequestId},
    money::Ppm,
};

use super::world::{Client, START, Spool, World};
use crate::{
    domain::account::{AccountInput, AllowedUpstreams, Rules},
    secrets::Sealer,
    store::{
        account_errors::{self, LastError},
        accounts,
    },
};

const SECOND: Duration = Duration::from_secs(1);

async fn account(world: &World) -> AccountId {
    let id = AccountId::new(START);
    let sealer = Sealer::new(&[[7; 32]]).unwrap();
    let input = json!({"name": id.to_string(), "type": "claude-console", "credentials": {"api_key": "sk-x"}});
    let input: AccountInput = serde_json::from_value(input).unwrap();
    let rules = Rules { sealer: &sealer, allowed: AllowedUpstreams::default(), now: START };
    let row = input.create(id, rules).unwrap().to_row().unwrap();
    let mut tx = world.store.begin().await.unwrap();
    accounts::insert(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn last_error(world: &World, id: AccountId) -> Option<LastError> {
    let mut tx = world.store.read().await.unwrap();
    account_errors::of(&mut tx, &[id]).await.unwrap().remove(&id)
}

fn attempt(account: AccountId, at: Millis, outcome: Outcome, reason: &str) -> contract::Attempt {
    contract::Attempt {
        account_id: account.to_bytes().to_vec(),
        outcome: outcome.into(),
        http_status: if reason.is_empty() { 0 } else { 429 },
        reason: reason.to_owned(),
        started_at_ms: at.0,
        total_ms: 500,
        ..contract::Attempt::default()
    }
}

/// A request with these attempts, taken in. Returns its id.
async fn request(
    world: &World,
    client: &Client,
    spool: &Spool,
    attempts: Vec<contract::Attempt>,
) -> RequestId {
    let open = client.opens(SECOND);
    let close = contract::CloseRecord { attempts, ..client.completes(&open, 1, 1) };
    let record = spool.close(&close);
    world.take(spool, vec![record.clone()]).await;
    world.take(spool, vec![record]).await;
    RequestId::try_from(open.request_id.as_slice()).unwrap()
}

pub(super) async fn the_last_failure_is_kept_with_its_account(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let (failing, fine) = (account(world).await, account(world).await);
    let at = |second: u32| START.plus(SECOND * second);
    let attempts = vec![
        attempt(failing, at(11), Outcome::UpstreamError, "second"),
        attempt(failing, at(10), Outcome::UpstreamError, "first"),
        attempt(fine, at(12), Outcome::Completed, ""),
    ];
    let first = request(world, &client, &spool, attempts).await;
    let expected = |at: Millis, reason: &str, http_status, request_id| LastError {
        at,
        reason: reason.to_owned(),
        http_status,
        request_id,
    };
    let kept = expected(Millis(at(11).0 + 500), "second", Some(429), first);
    assert_eq!(last_error(world, failing).await, Some(kept.clone()));
    assert_eq!(last_error(world, fine).await, None);

    for (outcome, second) in [
        // It comes later and is older.
        (Outcome::UpstreamError, 5),
        (Outcome::CutOff, 20),
        (Outcome::ClientGone, 20),
        (Outcome::Completed, 20),
    ] {
        request(world, &client, &spool, vec![attempt(failing, at(second), outcome, "other")]).await;
        assert_eq!(last_error(world, failing).await, Some(kept.clone()), "{outcome:?}");
    }
    let refused = vec![attempt(failing, at(21), Outcome::Refused, "")];
    let refused = request(world, &client, &spool, refused).await;
    let kept = expected(Millis(at(21).0 + 500), "refused", None, refused);
    assert_eq!(last_error(world, failing).await, Some(kept));
}

pub(super) async fn a_node_from_the_future_hides_no_later_failure(world: &World) {
    let (client, spool, id) = (world.client(Ppm::ONE).await, Spool::new(), account(world).await);
    let far = Millis(i64::MAX - 1);
    request(world, &client, &spool, vec![attempt(id, far, Outcome::UpstreamError, "far")]).await;
    let now = world.clock.now();
    assert_eq!(last_error(world, id).await.map(|error| error.at), Some(now));
    world.clock.advance(SECOND * 2);
    request(world, &client, &spool, vec![attempt(id, now.plus(SECOND), Outcome::UpstreamError, "near")])
        .await;
    assert_eq!(last_error(world, id).await.map(|error| error.reason), Some("near".to_owned()));
}

pub(super) async fn it_goes_with_its_account(world: &World) {
    let (client, spool, id) = (world.client(Ppm::ONE).await, Spool::new(), account(world).await);
    let fail = |second: u32| attempt(id, START.plus(SECOND * second), Outcome::UpstreamError, "broken");
    request(world, &client, &spool, vec![fail(1)]).await;
    assert!(last_error(world, id).await.is_some());
    let mut tx = world.store.begin().await.unwrap();
    accounts::delete(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(last_error(world, id).await, None);
    request(world, &client, &spool, vec![fail(2)]).await;
    assert_eq!(last_error(world, id).await, None, "a record that comes late leaves nothing");
}
