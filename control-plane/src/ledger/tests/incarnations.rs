//! Incarnations: spools that end, several spools in one batch, what is gone, and what a person closes.

use std::time::Duration;

use proto::v1::{self as contract, RecordBatch};
use shared::{
    clock::Millis,
    id::{GroupId, IncarnationId, RequestId},
    money::{Nanos, Ppm},
};

use super::world::{self, Client, NODE, START, Spool, World};
use crate::{
    ledger::{
        attempts,
        closing::{self, Closing},
        entry::Details,
        ingest::IngestError,
    },
    store::{
        Tx,
        audit::AuditEntry,
        db,
        incarnations::{self, State},
        ledger::LedgerRow,
        rollup_additions,
        rollups::{Counts, Dimension},
        usage_queries::RecordFilter,
        usage_sums::{self, Scope},
    },
};

const MINUTE: Duration = Duration::from_secs(60);

fn spools(parts: &[(u32, &[world::Spooled])]) -> RecordBatch {
    let of = |(spool, records): &(u32, &[world::Spooled])| contract::SpoolRecords {
        spool: *spool,
        ..world::batch(records)
    };
    RecordBatch { spools: parts.iter().map(of).collect() }
}

async fn state(world: &World, id: IncarnationId) -> (State, i64) {
    let mut tx = world.store.begin().await.unwrap();
    let row = incarnations::lock(&mut tx, id).await.unwrap();
    tx.rollback().await.unwrap();
    (row.state, row.records)
}

async fn whole(world: &World, scope: &Scope) -> Counts {
    let mut tx = world.store.read().await.unwrap();
    usage_sums::sums(&mut tx, scope, Millis(0), START.plus(MINUTE * 60 * 24 * 900)).await.unwrap()
}

async fn open_part(world: &World, scope: &Scope) -> Vec<(IncarnationId, Counts)> {
    let mut tx = world.store.read().await.unwrap();
    usage_sums::open_sums(&mut tx, scope, Millis(0), START.plus(MINUTE * 60 * 24 * 900)).await.unwrap()
}

pub(super) async fn it_is_closed_once_every_spool_has_ended(world: &World) {
    let client = world.client(Ppm::ONE).await;
    let id = IncarnationId::new(START);
    let (first, second) = (Spool::new(), Spool::new());
    assert_eq!(world.ledger.hello(NODE, id, 2).await.unwrap().acknowledged, []);
    let open = client.opens(MINUTE);
    let mut close = client.completes(&open, 10, 1);
    close.attempts[0].group_ids = vec![group_of(&client).to_bytes().to_vec()];
    let begin = [first.open(&open), first.close(&close)];
    let end = [first.end()];
    let other = [second.end()];
    let taken = world.ledger.take(id, spools(&[(0, &begin)])).await.unwrap();
    assert_eq!((taken.acknowledged, taken.closed), (vec![(0, 2)], false));
    let scopes = [
        Scope::Key(client.key),
        Scope::User(client.user),
        Scope::Account(client.account),
        Scope::Group(group_of(&client)),
    ];
    for scope in &scopes {
        assert_eq!(open_part(world, scope).await, [(id, whole(world, scope).await)], "{scope:?}");
    }
    let taken = world.ledger.take(id, spools(&[(1, &other)])).await.unwrap();
    assert_eq!((taken.acknowledged, taken.closed), (vec![(0, 2), (1, 1)], false));
    let taken = world.ledger.take(id, spools(&[(0, &end)])).await.unwrap();
    assert_eq!((taken.acknowledged, taken.closed), (vec![(0, 3), (1, 1)], true));
    assert_eq!(state(world, id).await, (State::Closed, 4));
    for scope in &scopes {
        assert_eq!(open_part(world, scope).await, [], "{scope:?}");
        assert_eq!(whole(world, scope).await.requests, 1, "{scope:?}");
    }
    let again = world.ledger.hello(NODE, id, 2).await.unwrap();
    assert_eq!((again.of(0), again.of(1), again.of(2), again.closed), (3, 1, 0, true));
}

pub(super) async fn a_batch_over_several_spools_is_taken_as_a_whole(world: &World) {
    let client = world.client(Ppm::ONE).await;
    let id = IncarnationId::new(START);
    let (first, second) = (Spool::new(), Spool::new());
    world.ledger.hello(NODE, id, 2).await.unwrap();
    let of = |spool: &Spool| spool.close(&client.completes(&client.opens(MINUTE), 10, 1));
    let one = [of(&first), of(&first)];
    let two = [of(&second), of(&second), of(&second)];
    let taken = world.ledger.take(id, spools(&[(0, &one), (1, &two[1..])])).await.unwrap();
    assert_eq!(taken.acknowledged, [], "what is missing in one spool holds all of it up");
    assert!(world.records_of(&client).await.is_empty());
    let taken = world.ledger.take(id, spools(&[(1, &two[..1]), (0, &one)])).await.unwrap();
    assert_eq!(taken.acknowledged, [(0, 2), (1, 1)]);
    let taken = world.ledger.take(id, spools(&[(0, &one), (1, &two)])).await.unwrap();
    assert_eq!(taken.acknowledged, [(0, 2), (1, 3)], "each spool by itself knows what it has");
    assert_eq!(world.records_of(&client).await.len(), 5);
}

pub(super) async fn what_is_gone_is_one_row(world: &World) {
    let client = world.client(Ppm::ONE).await;
    let spool = Spool::new();
    let taken_before = spool.close(&client.completes(&client.opens(MINUTE), 10, 1));
    world.take(&spool, vec![taken_before]).await;
    for _ in 0..1_000_000 {
        spool.next(b"".as_slice());
    }
    let next = spool.close(&client.completes(&client.opens(MINUTE), 10, 1));
    let mut of = world::batch(&[next]);
    let batch = |of: &contract::SpoolRecords| RecordBatch { spools: vec![of.clone()] };
    of.gone = 999_999;
    assert_eq!(world.ledger.take(spool.id, batch(&of)).await.unwrap().of(0), 1, "one more is missing");
    // It says so of sequences that the ledger has, too.
    of.gone = 1_000_001;
    assert_eq!(world.ledger.take(spool.id, batch(&of)).await.unwrap().of(0), 1_000_002);
    assert_eq!(world.ledger.take(spool.id, batch(&of)).await.unwrap().of(0), 1_000_002);
    let mut tx = world.store.read().await.unwrap();
    let sql = "SELECT first_sequence, last_sequence, reason FROM ledger_rejected WHERE incarnation_id = ?";
    let rows = db::fetch_all!(&mut tx, (i64, i64, String), sql, spool.id.to_bytes().to_vec()).unwrap();
    assert_eq!(rows, [(2, 1_000_001, "gone".to_owned())]);
    assert_eq!(world.records_of(&client).await.len(), 2);
}

pub(super) async fn it_belongs_to_the_node_that_said_hello(world: &World) {
    let id = IncarnationId::new(START);
    world.ledger.hello(NODE, id, 1).await.unwrap();
    assert!(matches!(world.ledger.hello("node-2", id, 1).await, Err(IngestError::Foreign)));
    assert!(matches!(world.ledger.hello(NODE, id, 0).await, Err(IngestError::Invalid(_))));
    let unknown = world.ledger.take(IncarnationId::new(START), spools(&[(0, &[Spool::new().end()])])).await;
    assert!(matches!(unknown, Err(IngestError::Unknown)));
}

fn reserving(client: &Client, minute: u32) -> contract::OpenRecord {
    let usage = contract::Usage { input: 4_000, output: 2_000, ..contract::Usage::default() };
    let reserved = contract::Reserved {
        usage: Some(usage),
        real_cost: 900_000,
        rated_cost: 1_800_000,
        price_id: vec![9; 16],
        ..contract::Reserved::default()
    };
    contract::OpenRecord {
        reserved: Some(reserved),
        tags: vec!["team-a".into()],
        session: "s-1".into(),
        account_id: client.account.to_bytes().to_vec(),
        model_mapped: "theirs".into(),
        group_ids: vec![group_of(client).to_bytes().to_vec(), vec![1]],
        region: "eu-west-1".into(),
        ..client.opens(MINUTE * minute)
    }
}

/// The group that the client's account is in.
fn group_of(client: &Client) -> GroupId {
    GroupId::from_bytes(client.account.to_bytes())
}

pub(super) async fn close(world: &World, id: IncarnationId, lost_before: Millis) -> Closing {
    let audit = |row: &incarnations::Incarnation| AuditEntry {
        actor: None,
        action: "incarnation.close",
        target_kind: "incarnation",
        target_id: Some(row.id.to_string()),
        detail: serde_json::Value::Null,
        at: START,
        address: None,
    };
    closing::close_lost(&world.ledger, id, lost_before, audit).await.unwrap()
}

pub(super) async fn what_a_person_closes_is_charged_at_what_was_reserved_until_the_truth_comes(
    world: &World,
) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let (known, lost) = (reserving(&client, 1), reserving(&client, 2));
    world.take(&spool, vec![spool.open(&known), spool.open(&lost)]).await;
    let scope = Scope::Key(client.key);
    assert_eq!(whole(world, &scope).await, Counts::default());
    let now = world.clock.now();
    assert_eq!(close(world, spool.id, now).await, Closing::Alive);
    let done = close(world, spool.id, now.plus(MINUTE)).await;
    assert!(matches!(done, Closing::Done(_)), "{done:?}");
    assert_eq!(close(world, spool.id, now.plus(MINUTE)).await, Closing::Over);
    assert_eq!(state(world, spool.id).await.0, State::ClosedByPerson);

    let rows = world.records_of(&client).await;
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!((row.outcome.as_str(), row.estimated), ("cut_off", true));
        assert_eq!((row.real_cost, row.rated_cost, row.input_tokens), (900_000, 1_800_000, 4_000));
        assert_eq!(row.conditions, r#"["closed_by_person"]"#);
        let attempts = attempts::read(row).unwrap();
        assert_eq!(
            (attempts[0].account_id, attempts[0].rated_cost),
            (Some(client.account), Nanos(1_800_000))
        );
        assert_eq!((row.model_mapped.as_str(), attempts[0].model_mapped.as_str()), ("theirs", "theirs"));
        assert_eq!(attempts[0].group_ids, [group_of(&client)]);
        assert_eq!(attempts[0].region, "eu-west-1");
    }
    let sum = whole(world, &scope).await;
    assert_eq!((sum.requests, sum.errors, sum.rated_cost), (2, 2, 3_600_000));
    let account = whole(world, &Scope::Account(client.account)).await;
    assert_eq!((account.requests, account.real_cost), (2, 1_800_000), "it is charged for both");
    let group = whole(world, &Scope::Group(group_of(&client))).await;
    assert_eq!(group, account, "and so is its group");
    assert_eq!(open_part(world, &scope).await, []);
    assert_eq!(failures(world, &client).await, 2);

    // The disk is found again.
    let mut truth = client.completes(&known, 1_000, 100);
    truth.attempts[0].group_ids.clone_from(&known.group_ids);
    let truth = spool.close(&truth);
    world.take(&spool, vec![truth.clone()]).await;
    world.take(&spool, vec![truth]).await;
    let second = Spool::new();
    world.take(&second, vec![second.close(&client.completes(&known, 5_000, 500))]).await;
    let rows: Vec<LedgerRow> = world.records_of(&client).await;
    let of = |open: &contract::OpenRecord| rows.iter().find(|row| row.request_id == open.request_id).unwrap();
    assert_eq!((of(&known).outcome.as_str(), of(&known).real_cost), ("completed", 4_500_000));
    assert_eq!((of(&lost).outcome.as_str(), rows.len()), ("cut_off", 2));
    let sum = whole(world, &scope).await;
    assert_eq!((sum.requests, sum.errors, sum.rated_cost), (2, 1, 4_500_000 + 1_800_000));
    let group = whole(world, &Scope::Group(group_of(&client))).await;
    assert_eq!((group.requests, group.real_cost), (2, 4_500_000 + 900_000), "as with its account");
    let tag = whole(world, &Scope::Tag("team-a".into())).await;
    assert_eq!((tag.requests, tag.rated_cost), (2, 4_500_000 + 1_800_000));
    assert_eq!(failures(world, &client).await, 1);
    world.take(&spool, vec![spool.end()]).await;
    assert_eq!(state(world, spool.id).await.0, State::Closed);
    assert_eq!(whole(world, &scope).await, sum);
}

/// It was only cut off, and a person closed it: what it serves from then on is charged as of any other run.
pub(super) async fn a_run_that_was_taken_for_lost_is_open_again_once_it_serves(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let (first, second, third) = (reserving(&client, 1), reserving(&client, 2), reserving(&client, 3));
    let opens = vec![spool.open(&first), spool.open(&second)];
    world.take(&spool, opens).await;
    let later = world.clock.now().plus(MINUTE);
    assert!(matches!(close(world, spool.id, later).await, Closing::Done(_)));
    world.take(&spool, vec![spool.close(&client.completes(&first, 1_000, 100)), spool.open(&second)]).await;
    assert_eq!(state(world, spool.id).await.0, State::ClosedByPerson, "it has only told of what was");
    world.take(&spool, vec![spool.open(&third)]).await;
    assert_eq!(state(world, spool.id).await.0, State::Open);
    let scope = Scope::Key(client.key);
    assert_eq!(whole(world, &scope).await.requests, 2);
    assert!(matches!(close(world, spool.id, later).await, Closing::Done(_)));
    assert_eq!(whole(world, &scope).await.requests, 3);
    let outcomes: Vec<_> = world.records_of(&client).await.into_iter().map(|row| row.outcome).collect();
    assert!(outcomes.iter().all(|outcome| outcome != "open"), "{outcomes:?}");
}

async fn failures(world: &World, client: &Client) -> usize {
    let filter = RecordFilter { failed: Some(true), key_id: Some(client.key), ..RecordFilter::default() };
    world.records(&filter).await.len()
}

/// An end record says that every request is closed; where the record of one was lost, it is not open for ever.
pub(super) async fn what_is_open_at_the_end_is_charged_at_what_was_reserved(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let open = reserving(&client, 1);
    world.take(&spool, vec![spool.open(&open), spool.next(b"\xff".as_slice()), spool.end()]).await;
    let row = world.only_record_of(&client).await;
    assert_eq!((row.outcome.as_str(), row.real_cost), ("cut_off", 900_000));
    assert_eq!(row.conditions, r#"["never_closed"]"#);
    assert_eq!(whole(world, &Scope::User(client.user)).await.rated_cost, 1_800_000);
}

pub(super) async fn a_record_keeps_all_that_the_node_said(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let mut open = reserving(&client, 1);
    open.metadata.insert("team".into(), "a".into());
    open.price_rate_ppm = Some(2_000_000);
    open.tags = vec!["team-a".into(), "team-a".into(), "x".repeat(300)];
    let group = vec![3; 16];
    let mut close = client.completes(&open, 10, 1);
    close.losses = vec!["reasoning".into()];
    close.attempts[0].group_ids = vec![group.clone(), vec![1]];
    close.attempts[0].region = "eu-west-1".into();
    close.attempts[0].price_id = vec![9; 16];
    world.take(&spool, vec![spool.close(&close)]).await;
    let row = world.only_record_of(&client).await;
    let details: Details = serde_json::from_str(&row.details).unwrap();
    let reserved = details.reserved.unwrap();
    assert_eq!((reserved.usage.input, reserved.rated_cost), (4_000, Nanos(1_800_000)));
    assert_eq!((details.session.as_str(), details.price_rate), ("s-1", Some(Ppm(2_000_000))));
    assert_eq!(details.tags, ["team-a".to_owned(), "x".repeat(200)]);
    assert_eq!((details.losses, details.metadata["team"].as_str()), (vec!["reasoning".to_owned()], "a"));
    let attempts = attempts::read(&row).unwrap();
    let attempt = &attempts[0];
    assert_eq!((attempt.region.as_str(), attempt.group_ids.len()), ("eu-west-1", 1));
    assert_eq!(attempt.price_id.unwrap().to_bytes(), [9; 16]);
    let (_, sums) = world.everything().await;
    let of_group = world::of(&sums, Dimension::Group).find(|(id, ..)| *id == group).unwrap().2;
    assert_eq!(of_group.input_tokens, 10);
    let family = whole(world, &Scope::KeyFamily(client.key, "claude-sonnet".into())).await;
    assert_eq!(family.input_tokens, 10);
}

pub(super) async fn a_test_of_an_account_is_a_record_that_nobody_pays(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let open = contract::OpenRecord {
        purpose: contract::Purpose::AccountTest.into(),
        key_id: Vec::new(),
        user_id: Vec::new(),
        ..client.opens(MINUTE)
    };
    world.take(&spool, vec![spool.close(&client.completes(&open, 1_000, 100))]).await;
    let account = RecordFilter { account_id: Some(client.account), ..RecordFilter::default() };
    let tests =
        RecordFilter { purpose: Some(crate::words::purpose::Purpose::AccountTest), ..account.clone() };
    for filter in [&account, &tests] {
        let rows = world.records(filter).await;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].real_cost, rows[0].rated_cost), (4_500_000, 0));
    }
    let clients = RecordFilter { purpose: Some(crate::words::purpose::Purpose::Client), ..account };
    assert!(world.records(&clients).await.is_empty());
    let sum = whole(world, &Scope::Account(client.account)).await;
    assert_eq!((sum.real_cost, sum.rated_cost), (4_500_000, 0));
    let (_, sums) = world.everything().await;
    assert!(world::of(&sums, Dimension::User).all(|(id, ..)| id != [0; 16]));
}

/// A trigger stands for whatever a database may object to.
pub(super) async fn a_record_that_the_database_refuses_is_set_aside(world: &World) {
    const MYSQL: &str = "CREATE TRIGGER poison BEFORE INSERT ON ledger FOR EACH ROW
        IF NEW.model_requested = 'poison' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poisoned'; END IF";
    const SQLITE: &str = "CREATE TRIGGER poison BEFORE INSERT ON ledger WHEN NEW.model_requested = 'poison'
        BEGIN SELECT RAISE(ABORT, 'poisoned'); END";
    let mut tx = world.store.begin().await.unwrap();
    let sql = tx.sql(MYSQL, SQLITE);
    db::with_tx!(&mut tx, |connection| sqlx::raw_sql(sql).execute(connection).await.map(drop)).unwrap();
    tx.commit().await.unwrap();

    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let mut records = Vec::new();
    for number in 0..20 {
        let mut open = client.opens(MINUTE);
        if [6, 13].contains(&number) {
            open.model_requested = "poison".into();
        }
        records.push(spool.open(&open));
        records.push(spool.close(&client.completes(&open, 10, 1)));
    }
    assert_eq!(world.take(&spool, records.clone()).await, 40);
    assert_eq!(world.take(&spool, records).await, 40);
    let rows = world.records_of(&client).await;
    assert_eq!(rows.iter().filter(|row| row.outcome == "completed").count(), 18);
    let refused = "refused_by_database".to_owned();
    assert_eq!(world.rejected(&spool).await, [(14, refused.clone()), (28, refused.clone())]);
    assert_eq!(whole(world, &Scope::Key(client.key)).await.requests, 18);

    // Nor does it take what is assumed of them at the end; that ends all the same.
    assert_eq!(world.take(&spool, vec![spool.end()]).await, 41);
    assert_eq!(state(world, spool.id).await.0, State::Closed);
    assert_eq!(world.records_of(&client).await.len(), 18);
    let shown = [(1, refused.clone()), (2, refused.clone()), (14, refused.clone()), (28, refused)];
    assert_eq!(world.rejected(&spool).await, shown);
    let mut tx = world.store.begin().await.unwrap();
    let sql = "SELECT detail, payload FROM ledger_rejected WHERE incarnation_id = ?";
    for (detail, payload) in
        db::fetch_all!(&mut tx, (String, Vec<u8>), sql, spool.id.to_bytes().to_vec()).unwrap()
    {
        assert!(detail.contains("poisoned") && payload.len() > 50, "{detail}");
    }
    db::with_tx!(&mut tx, |connection| sqlx::raw_sql("DROP TRIGGER poison")
        .execute(connection)
        .await
        .map(drop))
    .unwrap();
    tx.commit().await.unwrap();
}

/// Whatever of it the database refuses, and where what is kept of it can't be read: the others are charged, and the run
/// ends. A name that is refused is no reason.
pub(super) async fn an_open_request_that_can_not_be_charged_does_not_keep_its_run_open(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let mut opens = [1, 2, 3, 4].map(|minute| reserving(&client, minute));
    opens[3].tags = vec!["poison".into()];
    world.take(&spool, opens.iter().map(|open| spool.open(open)).collect()).await;
    let mut tx = world.store.begin().await.unwrap();
    let is_of = |open: &contract::OpenRecord| {
        let id: String = open.request_id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("NEW.request_id = x'{id}'")
    };
    let poisons = [
        ("ledger_ended", is_of(&opens[0])),
        ("ledger_assumed", is_of(&opens[1])),
        ("rollup_names", "NEW.name = 'poison'".to_owned()),
    ];
    for (table, poison) in &poisons {
        let sql = match tx {
            Tx::MySql(_) => format!(
                "CREATE TRIGGER poison_{table} BEFORE INSERT ON {table} FOR EACH ROW IF {poison} THEN
                    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poisoned'; END IF"
            ),
            Tx::Sqlite(_) => format!(
                "CREATE TRIGGER poison_{table} BEFORE INSERT ON {table} WHEN {poison}
                    BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
            ),
        };
        raw(&mut tx, sql).await;
    }
    let sql = "UPDATE ledger_open SET details = '{' WHERE request_id = ?";
    assert_eq!(db::execute!(&mut tx, sql, opens[2].request_id.as_slice()).unwrap(), 1);
    tx.commit().await.unwrap();

    assert_eq!(world.take(&spool, vec![spool.end()]).await, 5);
    assert_eq!(state(world, spool.id).await.0, State::Closed);
    assert_eq!(world.only_record_of(&client).await.request_id, opens[3].request_id);
    assert_eq!(failures(world, &client).await, 1);
    let sum = whole(world, &Scope::Key(client.key)).await;
    assert_eq!((sum.requests, sum.real_cost), (1, 900_000));
    assert_eq!(whole(world, &Scope::Tag("poison".into())).await, Counts::default(), "it has no such name");
    let refused = "refused_by_database".to_owned();
    assert_eq!(
        world.rejected(&spool).await,
        [(1, refused.clone()), (2, refused.clone()), (3, refused.clone())]
    );
    let mut tx = world.store.begin().await.unwrap();
    let sql = "SELECT payload FROM ledger_rejected WHERE incarnation_id = ?";
    for (payload,) in db::fetch_all!(&mut tx, (Vec<u8>,), sql, spool.id.to_bytes().to_vec()).unwrap() {
        let kept = String::from_utf8_lossy(&payload).into_owned();
        assert!(kept.contains("ledger_open.details"), "a person can still charge it: {kept}");
    }
    for (table, _) in &poisons {
        raw(&mut tx, format!("DROP TRIGGER poison_{table}")).await;
    }
    tx.commit().await.unwrap();
}

/// What triggers need is no prepared statement.
async fn raw(tx: &mut Tx, sql: String) {
    let sql = sqlx::AssertSqlSafe(sql);
    db::with_tx!(tx, |connection| sqlx::raw_sql(sql).execute(connection).await.map(drop)).unwrap();
}

/// Its row went with its time, and then its open record came again.
pub(super) async fn what_was_assumed_once_is_not_assumed_again(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let open = reserving(&client, 1);
    world.take(&spool, vec![spool.open(&open)]).await;
    let later = world.clock.now().plus(MINUTE);
    assert!(matches!(close(world, spool.id, later).await, Closing::Done(_)));
    let mut tx = world.store.begin().await.unwrap();
    let sql = "DELETE FROM ledger WHERE request_id = ?";
    assert_eq!(db::execute!(&mut tx, sql, open.request_id.as_slice()).unwrap(), 1);
    tx.commit().await.unwrap();
    world.take(&spool, vec![spool.open(&open), spool.end()]).await;
    assert_eq!(state(world, spool.id).await.0, State::Closed);
    assert_eq!(whole(world, &Scope::Key(client.key)).await.requests, 1, "it counts once");
    assert_eq!(world.rejected(&spool).await, []);
}

pub(super) async fn sums_stay_at_the_most_that_a_column_holds(world: &World) {
    let client = world.client(Ppm::ONE).await;
    let scope = Scope::Key(client.key);
    for _ in 0..2 {
        let spool = Spool::new();
        let mut open = reserving(&client, 1);
        let reserved = open.reserved.as_mut().unwrap();
        (reserved.real_cost, reserved.rated_cost) = (u64::MAX, i64::MAX.unsigned_abs() - 10);
        world.take(&spool, vec![spool.open(&open), spool.end()]).await;
        while rollup_additions::fold(&world.store).await.unwrap() {}
        // One request is believed to be worth a million dollars at most.
        let mut tx = world.store.begin().await.unwrap();
        for table in ["UPDATE rollup_quarters", "UPDATE rollup_days"] {
            let sql = format!(
                "{table} SET real_cost = 9223372036854775000, rated_cost = 9223372036854775000
                    WHERE real_cost = 1000000000000000 AND rated_cost = 1000000000000000"
            );
            db::execute!(&mut tx, sqlx::AssertSqlSafe(sql)).unwrap();
        }
        tx.commit().await.unwrap();
    }
    let sum = whole(world, &scope).await;
    assert_eq!((sum.requests, sum.real_cost, sum.rated_cost), (2, i64::MAX, i64::MAX));
    let mut tx = world.store.begin().await.unwrap();
    // Other cases add up all there is.
    for table in
        ["DELETE FROM rollup_quarters WHERE real_cost > ?", "DELETE FROM rollup_days WHERE real_cost > ?"]
    {
        db::execute!(&mut tx, table, i64::MAX / 2).unwrap();
    }
    let believed = 1_000_000 * 1_000_000_000_i64;
    let removed = db::execute!(&mut tx, "DELETE FROM ledger WHERE real_cost = ?", believed).unwrap();
    assert_eq!(removed, 2);
    tx.commit().await.unwrap();
}

pub(super) async fn names_that_differ_by_spaces_at_their_ends_are_one(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let mut records = Vec::new();
    // Cut to 200 bytes, the last tag ends in a space.
    let cut = "é".repeat(99) + "a";
    for (model, tag) in [("spaced", cut.clone()), ("spaced  ", format!("{cut} b"))] {
        let open =
            contract::OpenRecord { model_requested: model.into(), tags: vec![tag], ..client.opens(MINUTE) };
        let mut close = client.completes(&open, 1, 1);
        close.attempts[0].model_mapped = model.into();
        close.attempts[0].model_served = model.into();
        records.push(spool.close(&close));
    }
    assert_eq!(world.take(&spool, records).await, 2);
    for scope in [Scope::Model("spaced".into()), Scope::Tag(cut)] {
        assert_eq!(whole(world, &scope).await.requests, 2, "{scope:?}");
    }
}

pub(super) async fn names_that_clients_make_up_are_bounded(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let mut records = Vec::new();
    for number in 0..1_010 {
        let open = contract::OpenRecord {
            model_requested: format!("made-up-{number}"),
            tags: vec![format!("tag-{number}")],
            ..client.opens(MINUTE)
        };
        records.push(spool.close(&client.completes(&open, 1, 1)));
    }
    world.take(&spool, records).await;
    let known =
        RecordFilter { key_id: Some(client.key), model: Some("unknown".into()), ..RecordFilter::default() };
    assert!(world.records(&known).await.len() >= 10);
    let (_, sums) = world.everything().await;
    for dimension in [Dimension::Model, Dimension::Tag] {
        let names: std::collections::BTreeSet<_> =
            world::of(&sums, dimension).map(|(name, ..)| name.to_vec()).collect();
        // With those of the price list.
        assert!((900..1_010).contains(&names.len()), "{dimension:?}: {}", names.len());
        assert!(names.contains(b"unknown".as_slice()));
    }
    let id = RequestId::try_from(world.records(&known).await[0].request_id.as_slice()).unwrap();
    assert_eq!(
        world.records(&RecordFilter { request_id: Some(id), ..RecordFilter::default() }).await.len(),
        1
    );
}
