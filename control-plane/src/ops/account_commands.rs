//! What is done to an account on the nodes: whether it may be used, and a test of it.

use std::time::Duration;

use proto::v1::{self, ResourceKind, TestAccountResult, command, command_result};
use shared::{account::AccountType, id::AccountId};
use tokio::time::Instant;

use super::{
    Audited, Caller, Change, Done, Entry, Refusal,
    node_commands::{self, Answer, NoResult},
    nodes::{live_since, reaches},
};
use crate::{
    app::App,
    domain::account::{Status, StatusChange, TestRequest},
    store::{
        StoreError, Tx,
        accounts::{self, AccountRow},
        changes,
        nodes::{self, NodeRow},
    },
};

/// How long a test waits for a node that has heard of the account as it is now.
const HEARD_TIMEOUT: Duration = Duration::from_secs(2);
const HEARD_POLL: Duration = Duration::from_millis(50);

/// An account's status, as it was set.
#[derive(Debug)]
pub struct StatusSet {
    /// The account's.
    pub revision: i64,
    pub status: Status,
    /// What each live node said. Empty with `invalid`, which nodes learn from the configuration.
    pub nodes: Vec<Answer>,
}

/// Sets an account's status. Valid also has every node forget its limits, overload and failures, whether it was invalid or
/// not. `revision`: the one that the caller has seen.
///
/// # Errors
/// `NotFound`, the reason is no code, or the account was changed meanwhile. A node that does not do it is no error.
pub async fn set_status(
    app: &App,
    caller: &Caller,
    id: AccountId,
    revision: i64,
    wanted: StatusChange,
) -> Done<StatusSet> {
    let status = wanted.status;
    let reason = wanted.into_reason()?;
    let mut change = Change::begin_locked(app, caller).await?;
    let before = account(&mut change.tx, id).await?;
    if before.revision != revision {
        return Err(StoreError::Stale.into());
    }
    let (tx, now) = (&mut change.tx, change.now);
    match &reason {
        None => accounts::mark_valid(tx, id, now).await?,
        Some(reason) => {
            let version = changes::latest_version_of(tx, ResourceKind::Account, id.to_bytes()).await?;
            accounts::mark_invalid(tx, id, version.unwrap_or_default(), reason, "", now).await?
        }
    };
    let after = account(tx, id).await?;
    let entry = Entry::changed("account.set_status", &before, &after).with("status", status.as_str());
    change.publish(entry).await?;
    let nodes = match status {
        Status::Valid => {
            let clear = v1::ClearStatus { account_id: id.to_bytes().to_vec() };
            node_commands::run_on_all(app, &command::Command::ClearStatus(clear)).await?
        }
        Status::Invalid => Vec::new(),
    };
    Ok(StatusSet { revision: after.revision, status, nodes })
}

/// What a test of an account came to.
#[derive(Debug)]
pub struct Tested {
    /// The node that asked.
    pub node_id: String,
    pub result: TestAccountResult,
}

/// Has a live node send one smallest possible request to the account's upstream. The audit log tells of it, whatever comes
/// of it, once a node was asked.
///
/// # Errors
/// `NotFound`, the model can't be one, no live node reaches the account's type, or the one that does could not do it or
/// did not answer. What the upstream says is no error.
pub async fn test(app: &App, caller: &Caller, id: AccountId, request: TestRequest) -> Done<Tested> {
    let model = request.into_model()?;
    let (account, node) = choose(app, id).await?;
    let (app, caller) = (app.clone(), *caller);
    let tasks = app.tasks.clone();
    // Who asks may hang up; what was asked of the upstream is told of all the same.
    let asked = tasks.spawn(async move { ask(&app, &caller, &account, node, model).await });
    asked.await.map_err(Refusal::internal)?
}

async fn ask(
    app: &App,
    caller: &Caller,
    account: &AccountRow,
    node: String,
    model: Option<String>,
) -> Done<Tested> {
    let test =
        v1::TestAccount { account_id: account.id.to_bytes().to_vec(), model: model.clone(), account: None };
    let answer = node_commands::run(app, &[node], &command::Command::TestAccount(test)).await?.pop();
    let answer = answer.ok_or_else(|| Refusal::internal("a command had no answer"))?;
    settle(app, caller, account, model, answer).await
}

/// Tells the audit log of what a node answered to a test.
async fn settle(
    app: &App,
    caller: &Caller,
    account: &AccountRow,
    model: Option<String>,
    Answer { node_id, outcome }: Answer,
) -> Done<Tested> {
    let (reason, refusal) = match outcome {
        Ok(command_result::Result::TestAccount(result)) => {
            note(app, caller, entry(account, &node_id, &result).with("latency_ms", result.latency_ms))
                .await?;
            return Ok(Tested { node_id, result });
        }
        Ok(_) => ("no_test_result", Refusal::internal("a node answered another command")),
        Err(NoResult::Refused(reason)) => ("node_refused", Refusal::NodeRefused(reason)),
        Err(NoResult::Silent) => ("node_silent", Refusal::NodeSilent(node_id.clone())),
    };
    let nothing = TestAccountResult {
        reason: reason.to_owned(),
        model: model.unwrap_or_default(),
        ..TestAccountResult::default()
    };
    note(app, caller, entry(account, &node_id, &nothing).with("latency_ms", None::<u64>)).await?;
    Err(refusal)
}

/// Without the provider's words: more people read the log than the answer, and for longer.
fn entry(account: &AccountRow, node_id: &str, result: &TestAccountResult) -> Entry {
    Entry::done("account.test", AccountRow::KIND, account.id)
        .with("name", account.name.as_str())
        .with("node", node_id)
        .with("ok", result.ok)
        .with("http_status", Some(result.http_status).filter(|status| *status > 0))
        .with("reason", result.reason.as_str())
        .with("model", Some(result.model.as_str()).filter(|model| !model.is_empty()))
}

/// A call that the database was too busy for is made again, and a test is not one to be made twice.
async fn note(app: &App, caller: &Caller, entry: Entry) -> Done<()> {
    let noted = match Change::begin(app, caller).await {
        Ok(change) => change.commit(entry).await,
        Err(refused) => Err(refused),
    };
    noted.map_err(once)
}

fn once(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Store(StoreError::Busy(cause)) => {
            Refusal::internal(format_args!("a test of an account is not in the audit log: busy, {cause:?}"))
        }
        other => other,
    }
}

/// The account, and a live node that reaches its type and has heard of it as it is now. Where none has within
/// [`HEARD_TIMEOUT`], the one that comes nearest.
async fn choose(app: &App, id: AccountId) -> Done<(AccountRow, String)> {
    let deadline = Instant::now() + HEARD_TIMEOUT;
    loop {
        let mut tx = app.store.read().await?;
        let wanted = changes::version_of(&mut tx, ResourceKind::Account, id.to_bytes()).await?;
        let account = account(&mut tx, id).await?;
        let nearest = nearest(app, &mut tx, &account).await?;
        tx.commit().await?;
        let version = nearest.revision.map(|revision| revision.version);
        if version >= wanted || Instant::now() >= deadline {
            return Ok((account, nearest.node_id));
        }
        tokio::time::sleep(HEARD_POLL).await;
    }
}

async fn nearest(app: &App, tx: &mut Tx, account: &AccountRow) -> Done<NodeRow> {
    let kind: AccountType = account
        .account_type
        .parse()
        .map_err(|error| Refusal::internal(format_args!("{}: {error}", account.id)))?;
    let live = nodes::live(tx, live_since(app)).await?;
    if live.is_empty() {
        return Err(Refusal::conflict("no_live_node", "no node is running, so nobody can ask the upstream"));
    }
    let able = |node: &NodeRow| node.ready && reaches(&node.report, kind);
    let newest = |node: &NodeRow| (node.revision.map(|revision| revision.version), node.heard_at);
    live.into_iter().filter(able).max_by_key(newest).ok_or_else(|| {
        Refusal::conflict(
            "unsupported_by_node",
            format!("no running node reaches accounts of the type {kind}"),
        )
    })
}

async fn account(tx: &mut Tx, id: AccountId) -> Done<AccountRow> {
    Ok(accounts::get(tx, id).await?.ok_or(StoreError::NotFound)?)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::{Value, json};
    use shared::{
        clock::{Clock, Millis},
        id::{SessionId, UserId},
        secret::Secret,
        tasks::Tasks,
    };

    use super::*;
    use crate::{
        ops,
        settings::{KeySettings, Settings},
        store::{
            audit::{self, AuditFilter},
            test_support::{self, Database},
        },
        words::role::Role,
    };

    const NOW: Millis = Millis(1_790_000_000_000);

    fn app(database: &Database) -> App {
        let keys = KeySettings {
            master_key: Some(Secret::new(STANDARD.encode([7_u8; 32]))),
            master_key_file: None,
            old_master_keys: Vec::new(),
        };
        let settings = Settings::embedded(&database.url, keys).unwrap();
        App::new(settings, database.store.clone(), Clock::manual(NOW), Tasks::new()).unwrap()
    }

    #[tokio::test]
    async fn the_audit_log_tells_of_a_node_that_said_nothing_and_of_one_that_said_nonsense() {
        let database = test_support::sqlite().await;
        let app = app(&database);
        let caller =
            Caller { user: UserId::new(NOW), role: Role::Admin, session: SessionId::new(NOW), address: None };
        let input = json!({"name": "a", "type": "claude-console", "credentials": {"api_key": "k"}});
        let input = serde_json::from_value(input).unwrap();
        let id = ops::accounts::create(&app, &caller, input).await.unwrap().account.id;
        let mut tx = app.store.read().await.unwrap();
        let row = account(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();

        let settled = async |model: Option<&str>, outcome| {
            let answer = Answer { node_id: "node-1".into(), outcome };
            settle(&app, &caller, &row, model.map(Into::into), answer).await.unwrap_err()
        };
        let silent = settled(Some("m"), Err(NoResult::Silent)).await;
        assert!(matches!(silent, Refusal::NodeSilent(node) if node == "node-1"));
        let cleared = command_result::Result::ClearStatus(v1::ClearStatusResult {});
        assert!(matches!(settled(None, Ok(cleared)).await, Refusal::Internal(_)));

        let mut tx = app.store.read().await.unwrap();
        let filter = AuditFilter { action: Some("account.test".into()), ..AuditFilter::default() };
        let mut rows = audit::list(&mut tx, &filter, None, 9).await.unwrap();
        rows.sort_by(|a, b| a.detail.cmp(&b.detail));
        let detail = |model: Value, reason: &str| {
            json!({
                "name": "a", "node": "node-1", "ok": false, "http_status": null, "reason": reason, "model": model,
                "latency_ms": null,
            })
        };
        let details: Vec<Value> = rows.iter().map(|row| serde_json::from_str(&row.detail).unwrap()).collect();
        assert_eq!(details, [detail(json!("m"), "node_silent"), detail(Value::Null, "no_test_result")]);
        let by = caller.user.to_bytes().to_vec();
        assert!(
            rows.iter().all(|row| row.target_id == Some(id.to_string()) && row.actor == Some(by.clone()))
        );
    }

    #[test]
    fn a_busy_database_has_no_test_made_again() {
        assert!(matches!(once(StoreError::Busy(None).into()), Refusal::Internal(_)));
        assert!(matches!(once(StoreError::NotFound.into()), Refusal::Store(StoreError::NotFound)));
    }
}
