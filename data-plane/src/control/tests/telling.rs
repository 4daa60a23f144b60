//! Heartbeats and commands.

use super::*;

#[tokio::test]
async fn status_writes_go_out_at_once_and_again_until_they_are_taken() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.ask_for_heartbeats_every(60_000);
    let node = setting.node();
    until("the first heartbeat is there", || last_heartbeat(fake).is_some()).await;
    let first = last_heartbeat(fake).unwrap();
    assert_eq!((first.ready, first.spool_depth, first.revision), (true, 0, None));
    assert_eq!(first.statistics.unwrap().live_backend, "memory");

    fake.heard(|heard| heard.refuse_heartbeats = true);
    let write =
        StatusWrite { account_id: vec![ACCOUNT; 16], reason: "billing".into(), ..StatusWrite::default() };
    node.link.status_writes.push(write.clone());
    let tries = || {
        fake.heard(|heard| {
            heard.heartbeats.iter().filter(|heartbeat| heartbeat.status_writes == [write.clone()]).count()
        })
    };
    until("it is tried again", || tries() >= 2).await;
    fake.heard(|heard| heard.refuse_heartbeats = false);
    until("it is taken", || node.link.status_writes.waiting().is_empty()).await;
    until("the count of nodes is known", || node.link.state.live_nodes() == 3).await;

    node.link.state.leave();
    until("leaving is told", || last_heartbeat(fake).is_some_and(|heartbeat| !heartbeat.ready)).await;
    assert!(last_heartbeat(fake).unwrap().status_writes.is_empty());
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn marks_are_told_until_a_command_takes_them_off() {
    let setting = Setting::new();
    let fake = &setting.fake;
    let node = setting.node();
    until("the node takes commands", || fake.takes_commands()).await;
    let id = AccountId::from_bytes([ACCOUNT; 16]);
    let mark = Mark {
        kind: MarkKind::Overloaded,
        until: Millis(100_000),
        reason: "status_529".into(),
        model_family: None,
        guessed: false,
    };
    node.link.live.mark(id, mark);
    let told = || {
        let accounts = last_heartbeat(fake).map(|heartbeat| heartbeat.accounts).unwrap_or_default();
        accounts.iter().map(|account| account.marks.len()).sum::<usize>()
    };
    until("heartbeats carry the mark", || told() == 1).await;

    let clear = command::Command::ClearStatus(ClearStatus { account_id: vec![ACCOUNT; 16] });
    fake.command(Command { id: vec![1; 16], command: Some(clear) }).await;
    until("heartbeats don't carry it any more", || told() == 0).await;
    let results = results_by_id(fake, 1).await;
    assert!(matches!(results[0], command_result::Result::ClearStatus(_)));
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn commands_are_answered_by_their_id_also_where_they_can_not_be_carried_out() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 1, &[account()])]);
    let node = setting.node();
    until("the node takes commands", || fake.takes_commands() && node.version().is_some()).await;
    let test = |id| {
        Some(command::Command::TestAccount(TestAccount {
            account_id: id,
            model: Some("m".into()),
            account: None,
        }))
    };
    let commands = [test(vec![ACCOUNT; 16]), test(vec![1; 16]), test(vec![1]), None];
    for (id, command) in (0..).zip(commands) {
        fake.command(Command { id: vec![id; 16], command }).await;
    }
    let results = results_by_id(fake, 4).await;
    let command_result::Result::TestAccount(tested) = &results[0] else { panic!("{results:?}") };
    assert_eq!((tested.ok, tested.detail.as_str(), tested.model.as_str()), (true, "console", "m"));
    for (result, why) in results[1..].iter().zip(["no such account", "16 bytes", "does not know"]) {
        let command_result::Result::Error(error) = result else { panic!("{result:?}") };
        assert!(error.contains(why), "{error}");
    }
    let hello = fake.heard(|heard| heard.results[0].clone());
    assert_eq!((hello.node_id.as_str(), hello.id.len()), ("node-a", 0));
    node.stop().await;
    setting.end().await;
}

/// What the node answered, once there are `count` answers.
async fn results_by_id(fake: &FakeControlPlane, count: usize) -> Vec<command_result::Result> {
    until("all commands are answered", || fake.heard(|heard| heard.results.len() == count + 1)).await;
    let mut results = fake.heard(|heard| heard.results[1..].to_vec());
    results.sort_by(|one, other| one.id.cmp(&other.id));
    results.into_iter().map(|result| result.result.unwrap()).collect()
}

#[tokio::test]
async fn an_account_whose_access_token_has_ended_is_told_of() {
    let setting = Setting::new();
    let fake = &setting.fake;
    let token = |expires_at_ms| message::Account {
        name: "login".into(),
        r#type: AccountType::ClaudeOfficial.into(),
        priority: 50,
        weight: 1,
        upstream: Some(message::Upstream {
            credential: Some(message::upstream::Credential::AccessToken(message::AccessTokenCredential {
                access_token: "sk-ant-oat".into(),
                expires_at_ms,
            })),
            ..Default::default()
        }),
        ..Default::default()
    };
    let [ended, lasting, unknown] = [Some(1), Some(i64::MAX), None].map(token);
    let accounts = [
        resource(ResourceKind::Account, 1, 1, true, &ended),
        resource(ResourceKind::Account, 2, 1, true, &lasting),
        resource(ResourceKind::Account, 3, 1, true, &unknown),
    ];
    fake.greet_with(vec![full(EPOCH, 1, &accounts)]);
    let node = setting.node();
    let told = || last_heartbeat(fake).map(|heartbeat| heartbeat.status_writes).unwrap_or_default();
    until("the account is told of", || !told().is_empty()).await;
    let told = told();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].account_id.as_slice(), told[0].reason.as_str()), ([1; 16].as_slice(), "expired"));
    node.stop().await;
    setting.end().await;
}
