//! Credentials of disabled accounts: no node has them, but for a test that a person asks for.

use prost::Message as _;
use proto::v1::{
    self, CommandResult, TestAccount, TestAccountResult, command, command_result,
    node_service_client::NodeServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    commands::{beat, heartbeat},
    databases::{Database, both},
    replica::{Replica, account_named, add},
};
use crate::{
    ops::node_commands,
    snapshot::encode,
    store::{accounts, db},
};

both! {
    only_a_test_of_a_disabled_account_carries_its_credential,
}

/// The account's secret, where a message of it has one.
fn secret_of(account: &v1::Account) -> Option<&str> {
    match account.upstream.as_ref()?.credential.as_ref()? {
        v1::upstream::Credential::ApiKey(key) => Some(&key.api_key),
        _ => None,
    }
}

/// Answers the first test that comes to the node, and gives it.
async fn first_test(replica: &Replica, node_id: &str) -> mpsc::Receiver<TestAccount> {
    let ((seen, test), (results, outgoing)) = (mpsc::channel(1), mpsc::channel(8));
    let first = CommandResult { node_id: node_id.to_owned(), ..CommandResult::default() };
    results.send(first).await.unwrap();
    let mut client = NodeServiceClient::new(replica.channel().await);
    let mut commands = client.commands(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
    replica.app.tasks.spawn(async move {
        while let Ok(Some(command)) = commands.message().await {
            let Some(command::Command::TestAccount(test)) = command.command else { continue };
            seen.send(test).await.unwrap();
            let result = Some(command_result::Result::TestAccount(TestAccountResult::default()));
            _ = results.send(CommandResult { id: command.id, result, ..CommandResult::default() }).await;
        }
    });
    test
}

async fn only_a_test_of_a_disabled_account_carries_its_credential(database: Database) {
    let replica = database.replica().await;
    beat(&replica, heartbeat("node-1")).await;
    let mut tests = first_test(&replica, "node-1").await;
    for enabled in [true, false] {
        let mut account = account_named(&replica.app, if enabled { "on" } else { "off" });
        account.enabled = enabled;
        let secret = if enabled { "key-of-on" } else { "key-of-off" };
        let (id, version) = add(&replica.app, account).await;
        let mut tx = replica.app.store.read().await.unwrap();
        let row = accounts::get(&mut tx, id).await.unwrap().unwrap();
        tx.rollback().await.unwrap();
        let held = encode::account(&row, &replica.app.sealer).unwrap();
        assert_eq!(secret_of(&held), enabled.then_some(secret), "what nodes hold");

        let account_id = id.to_bytes().to_vec();
        let ask = command::Command::TestAccount(TestAccount { account_id, model: None, account: None });
        node_commands::run(&replica.app, &["node-1".into()], &ask).await.unwrap();
        let carried = tests.recv().await.unwrap().account;
        assert_eq!(carried.is_some(), !enabled);
        if let Some(carried) = carried {
            let account = v1::Account::decode(carried.payload).unwrap();
            assert_eq!((secret_of(&account), carried.version), (Some(secret), version));
        }
    }
    // The mailbox never had it.
    let mut tx = replica.app.store.read().await.unwrap();
    let letters = db::fetch_all!(&mut tx, (Vec<u8>,), "SELECT command FROM commands").unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(letters.len(), 2);
    let holds = |letter: &[u8]| letter.windows(7).any(|piece| piece == b"key-of-");
    assert!(!letters.iter().any(|(letter,)| holds(letter)));
    replica.stop().await;
}
