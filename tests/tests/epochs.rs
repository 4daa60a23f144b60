//! A control plane that lost its database or got an older one back: it sends nothing once a node proves that it knows
//! better, and nodes refuse it by themselves; they serve on, show it, and follow once the operator says so; never back to
//! where they left.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{fmt, fs};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Caller, Gateway, Program, Split, adopt_epoch, eventually, messages_body};

const CLAUDE: &str = "sk-ant-epochs";
const QUICK: (&str, &str) = ("SWITCHYARD_HEARTBEAT_INTERVAL", "200ms");

/// The epoch that the control plane stands for.
async fn desired(split: &Split) -> String {
    let answer = split.admin.get("/api/admin/nodes").await.ok();
    answer["desired"]["epoch"].as_str().unwrap().to_owned()
}

async fn all_serve(callers: &[Caller], what: impl fmt::Display) {
    for caller in callers {
        let reply = caller.messages(&messages_body("x", false)).await;
        assert_eq!(reply.status, 200, "{what}: {:?}", reply.body);
    }
}

/// Every node refuses what the control plane has, for that reason, and serves on from the epoch it had.
async fn all_refuse(split: &Split, callers: &[Caller], reason: &str, serving: &str) {
    let offered = desired(split).await;
    for node in &split.nodes {
        let seen = split.node_seen(&node.name, |node| node["refused"] != Value::Null).await;
        assert_eq!(seen["refused"]["reason"], reason, "{seen}");
        assert_eq!(seen["refused"]["revision"]["epoch"], *offered, "{seen}");
        assert_eq!(seen["acknowledged"]["epoch"], *serving, "{seen}");
        assert_eq!(seen["health"], "live", "{seen}");
        // One that was started again has yet to meet it, whatever the control plane remembers.
        eventually("the node to show it too", async || {
            (node.metric("switchyard_snapshot_refused").await == Some(1.0)).then_some(())
        })
        .await;
        assert_eq!(node.readiness().await.0, 200);
    }
    // What changes meanwhile is refused as well.
    let made = split.admin.post("/api/api-keys", json!({ "name": "unheard of" })).await.ok();
    let later = split.admin.get("/api/admin/nodes").await.ok()["desired"]["version"].clone();
    for (node, caller) in split.nodes.iter().zip(callers) {
        split.node_seen(&node.name, |node| node["refused"]["revision"]["version"] == later).await;
        let unheard_of = Caller::new(&caller.url, made["key"].as_str().unwrap());
        assert_eq!(unheard_of.messages(&messages_body("x", false)).await.status, 401);
    }
    all_serve(callers, reason).await;
}

/// Every node serves on from the epoch it had, and hears of no change.
async fn all_stay(split: &Split, callers: &[Caller], serving: &str) {
    let made = split.admin.post("/api/api-keys", json!({ "name": "unheard of" })).await.ok();
    for (node, caller) in split.nodes.iter().zip(callers) {
        let seen = split
            .node_seen(&node.name, |node| {
                node["health"] == "live" && node["acknowledged"]["epoch"] == *serving
            })
            .await;
        assert_eq!(node.readiness().await.0, 200, "{seen}");
        let unheard_of = Caller::new(&caller.url, made["key"].as_str().unwrap());
        assert_eq!(unheard_of.messages(&messages_body("x", false)).await.status, 401);
    }
    all_serve(callers, "a later epoch").await;
}

/// Every node serves from the control plane's configuration, and hears of changes.
async fn all_follow(split: &Split) -> Vec<Caller> {
    let epoch = desired(split).await;
    for node in &split.nodes {
        let seen = split
            .node_seen(&node.name, |node| {
                node["acknowledged"]["epoch"] == *epoch && node["refused"] == Value::Null && node["lag"] == 0
            })
            .await;
        assert_eq!(seen["health"], "live", "{seen}");
    }
    let callers = split.callers().await;
    for node in &split.nodes {
        assert_eq!(node.metric("switchyard_snapshot_refused").await, Some(0.0));
    }
    callers
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_database_is_not_followed_until_it_is_adopted() {
    let (mut split, callers) = Database::MariaDb.start().await;
    let first = desired(&split).await;
    let emptied = split.mariadb.database();
    split.move_control_to(&emptied).await;
    assert_ne!(desired(&split).await, first);
    all_refuse(&split, &callers, "unknown_epoch", &first).await;

    // Not by coming back either.
    split.nodes[0].crash_and_restart();
    let restarted = [Caller::new(&split.nodes[0].url, &callers[0].key), callers[1].clone()];
    all_refuse(&split, &restarted, "unknown_epoch", &first).await;

    let said = adopt_epoch(split.database_url());
    assert!(said.contains(&desired(&split).await), "{said}");
    let followed = all_follow(&split).await;
    // The new database knows neither the old key nor the old account.
    assert_eq!(restarted[0].messages(&messages_body("x", false)).await.status, 401);
    split.account("claude-console", CLAUDE).await;
    for caller in &followed {
        caller.offered("claude-sonnet-5").await;
    }
    all_serve(&followed, "the new database").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standalone_follows_a_restored_database_once_it_is_adopted() {
    let mut gateway = Gateway::standalone().await;
    let (database, backup) =
        (gateway.data_folder().join("switchyard.db"), gateway.data_folder().join("backup.db"));
    stop(&mut gateway);
    fs::copy(&database, &backup).unwrap();
    gateway.restart().await;
    _ = gateway.caller().await;
    stop(&mut gateway);
    fs::copy(&backup, &database).unwrap();
    gateway.restart().await;
    let withheld = async |gateway: &Gateway| {
        let answer = gateway.admin.get("/api/admin/nodes").await.ok();
        answer["withheld"].clone()
    };
    eventually("the older database to be seen", async || {
        (withheld(&gateway).await["reason"] == "higher_version").then_some(())
    })
    .await;

    let folder = gateway.data_folder().to_str().unwrap();
    let mut program = Program::start("switchyard", &["adopt-epoch", "--data-dir", folder], &[]);
    _ = program.printed("Nodes follow epoch ");
    assert!(program.ended().success(), "{}", program.log_lines().join("\n"));
    // The node hears of what changes from now on.
    _ = gateway.caller().await;
    assert_eq!(withheld(&gateway).await, Value::Null);
}

fn stop(gateway: &mut Gateway) {
    gateway.program.terminate();
    assert!(gateway.program.ended().success());
}

/// Where the control plane's database is, and how a backup of it is made.
#[derive(Debug)]
enum Database {
    MariaDb,
    Sqlite(TempDir),
}

impl Database {
    fn sqlite() -> Self {
        Self::Sqlite(TempDir::with_prefix("switchyard-epochs-").unwrap())
    }

    /// Two nodes that serve a key.
    async fn start(&self) -> (Split, Vec<Caller>) {
        let url = match self {
            Self::MariaDb => None,
            Self::Sqlite(folder) => Some(format!("sqlite:{}", folder.path().join("db").display())),
        };
        let split = Split::start_on(url, 2, &[QUICK]).await;
        split.account("claude-console", CLAUDE).await;
        let callers = split.callers().await;
        for caller in &callers {
            caller.offered("claude-sonnet-5").await;
        }
        (split, callers)
    }

    /// A copy that the control plane can be moved to.
    async fn backup(&self, split: &mut Split) -> String {
        let Self::Sqlite(folder) = self else {
            return split.mariadb.copy(split.database_url());
        };
        // Nobody writes while the files are copied.
        split.controls[0].program.kill();
        let (from, to) = (folder.path().join("db"), folder.path().join("backup"));
        fs::copy(&from, &to).unwrap();
        let log = folder.path().join("db-wal");
        if log.exists() {
            fs::copy(log, folder.path().join("backup-wal")).unwrap();
        }
        split.restart_control().await;
        format!("sqlite:{}", to.display())
    }
}

/// An installation of which a backup was made, and then one key was revoked and another one made.
struct Restorable {
    /// Kept for its files.
    _database: Database,
    split: Split,
    backup: String,
    /// Changes that the nodes know of and the backup does not.
    changes: u64,
    /// Deleted after the backup.
    revoked: String,
    /// Made after the backup.
    later: String,
}

impl Restorable {
    async fn start(database: Database) -> Self {
        let (mut split, callers) = database.start().await;
        let revoked = callers[0].key.clone();
        let backup = database.backup(&mut split).await;
        let before = version(&split).await;
        let later = split.callers().await[0].key.clone();
        let keys = split.admin.get("/api/api-keys").await.ok();
        let oldest = keys["api_keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).min();
        let path = format!("/api/api-keys/{}", oldest.unwrap());
        assert!(split.admin.delete(&path).await.status.is_success());
        let changes = version(&split).await - before;
        let this = Self { _database: database, split, backup, changes, revoked, later };
        for node in &this.split.nodes {
            this.split.node_seen(&node.name, |node| node["lag"] == 0).await;
        }
        this.nodes_know_better("before anything happens").await;
        this
    }

    async fn restore(&mut self) {
        let backup = self.backup.clone();
        self.split.move_control_to(&backup).await;
    }

    /// Makes so many changes.
    async fn change(&self, count: u64) {
        let before = version(&self.split).await;
        for number in 0..count {
            let key = json!({ "name": format!("of the backup {before}-{number}") });
            self.split.admin.post("/api/api-keys", key).await.ok();
        }
        assert_eq!(version(&self.split).await, before + count);
    }

    fn stop_nodes(&mut self) {
        self.split.nodes.iter_mut().for_each(|node| node.program.kill());
    }

    fn start_nodes(&mut self) {
        self.split.nodes.iter_mut().for_each(tests::Node::restart);
    }

    /// Every node serves the later key, and none the revoked one; its disk knows as much.
    async fn nodes_know_better(&self, when: &str) {
        for node in &self.split.nodes {
            eventually("the node's copy to be written", async || {
                (node.metric("switchyard_snapshot_copy_outdated").await == Some(0.0)).then_some(())
            })
            .await;
            let status = async |key: &str| {
                Caller::new(&node.url, key).messages(&messages_body("x", false)).await.status
            };
            assert_eq!(status(&self.revoked).await, 401, "{when}: the revoked key on {}", node.name);
            assert_eq!(status(&self.later).await, 200, "{when}: the later key on {}", node.name);
        }
    }

    /// All is withheld for that reason, everywhere it can be seen.
    async fn withheld(&self, reason: &str) -> Value {
        let withheld = self.control_planes_withhold(reason).await;
        for node in &self.split.nodes {
            eventually("each node to be told", async || {
                (node.metric("switchyard_snapshot_withheld").await == Some(1.0)).then_some(())
            })
            .await;
        }
        withheld
    }

    async fn control_planes_withhold(&self, reason: &str) -> Value {
        let withheld = eventually("the control plane to publish nothing", async || {
            let answer = self.split.admin.get("/api/admin/nodes").await.ok();
            Some(answer["withheld"].clone()).filter(|withheld| *withheld != Value::Null)
        })
        .await;
        assert_eq!(withheld["reason"], reason, "{withheld}");
        for control in &self.split.controls {
            eventually("each replica to know it", async || {
                (control.metric("switchyard_control_snapshot_withheld").await == Some(1.0)).then_some(())
            })
            .await;
        }
        withheld
    }

    /// The operator's answer: the backup is the truth.
    async fn adopt(&mut self) {
        _ = adopt_epoch(self.split.database_url());
        all_follow(&self.split).await;
        assert_eq!(self.split.admin.get("/api/admin/nodes").await.ok()["withheld"], Value::Null);
        for node in &self.split.nodes {
            Caller::new(&node.url, &self.revoked).offered("claude-sonnet-5").await;
            let later = Caller::new(&node.url, &self.later).messages(&messages_body("x", false)).await;
            assert_eq!(later.status, 401, "the backup does not know it");
            eventually("the node to hear that it is over", async || {
                (node.metric("switchyard_snapshot_withheld").await == Some(0.0)).then_some(())
            })
            .await;
        }
    }
}

async fn version(split: &Split) -> u64 {
    split.admin.get("/api/admin/nodes").await.ok()["desired"]["version"].as_u64().unwrap()
}

/// Each case on both databases.
macro_rules! both {
    ($($case:ident),+ $(,)?) => {
        mod mariadb {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(super::Restorable::start(super::Database::MariaDb).await).await;
                }
            )+
        }

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(super::Restorable::start(super::Database::sqlite()).await).await;
                }
            )+
        }
    };
}

both! {
    a_restored_database_reaches_no_node_until_it_is_adopted,
    a_restored_database_that_caught_up_while_the_nodes_were_away_reaches_none,
    a_restored_database_at_the_very_version_of_the_nodes_reaches_none,
    nodes_refuse_by_themselves_what_is_not_withheld,
}

async fn a_restored_database_reaches_no_node_until_it_is_adopted(mut of: Restorable) {
    of.restore().await;
    let withheld = of.withheld("higher_version").await;
    assert!(withheld["node_id"].as_str().unwrap().starts_with("node-"), "{withheld}");
    of.nodes_know_better("connected").await;

    // What is changed meanwhile is kept, and reaches nobody; nor does it once the version has caught up.
    of.change(of.changes + 3).await;
    of.withheld("higher_version").await;
    of.nodes_know_better("after changes").await;

    for node in &mut of.split.nodes {
        node.crash_and_restart();
    }
    of.withheld("higher_version").await;
    of.nodes_know_better("after the nodes restarted").await;

    // Nobody is left who could tell: the database knows it itself.
    of.stop_nodes();
    of.split.controls[0].program.kill();
    of.split.restart_control().await;
    of.split.add_control();
    let fresh = of.split.add_node_at(1).name.clone();
    of.control_planes_withhold("higher_version").await;
    let seen = of.split.node_seen(&fresh, |node| node["health"] == "live").await;
    assert_eq!(seen["acknowledged"], Value::Null, "a new node gets nothing of it: {seen}");
    assert_eq!(of.split.nodes[2].readiness().await.0, 503);
    let fresh = of.split.nodes.pop().unwrap();

    of.start_nodes();
    of.withheld("higher_version").await;
    of.nodes_know_better("after all restarted").await;
    of.split.nodes.push(fresh);
    of.adopt().await;
}

async fn a_restored_database_that_caught_up_while_the_nodes_were_away_reaches_none(mut of: Restorable) {
    of.stop_nodes();
    of.restore().await;
    of.change(of.changes + 2).await;
    of.start_nodes();
    of.withheld("other_history").await;
    of.nodes_know_better("back after the version caught up").await;
    for node in &mut of.split.nodes {
        node.crash_and_restart();
    }
    of.nodes_know_better("restarted once more").await;
    of.adopt().await;
}

async fn a_restored_database_at_the_very_version_of_the_nodes_reaches_none(mut of: Restorable) {
    of.stop_nodes();
    of.restore().await;
    of.change(of.changes).await;
    of.start_nodes();
    of.withheld("other_history").await;
    of.nodes_know_better("back at the same version").await;
    of.adopt().await;
}

/// A control plane that can't know the nodes' proofs, since its master key is another, publishes what it has.
async fn nodes_refuse_by_themselves_what_is_not_withheld(mut of: Restorable) {
    of.split.set("SWITCHYARD_MASTER_KEY", "YW5vdGhlciBtYXN0ZXIga2V5LCBvZiBubyB3b3J0aCE=");
    of.restore().await;
    let refused = async |of: &Restorable, reason: &str| {
        for node in &of.split.nodes {
            // Not as it was before a restart.
            let is = |node: &Value| node["refused"]["reason"] == reason && node["health"] == "live";
            let seen = of.split.node_seen(&node.name, is).await;
            assert_eq!(seen["refused_payloads"], json!([]), "{seen}");
            assert_eq!(node.metric("switchyard_snapshot_refused").await, Some(1.0));
        }
        of.nodes_know_better(reason).await;
    };
    refused(&of, "lower_version").await;
    of.change(of.changes + 2).await;
    refused(&of, "other_history").await;
    assert_eq!(of.split.admin.get("/api/admin/nodes").await.ok()["withheld"], Value::Null);

    // A restart forgets nothing, also where nobody is there to offer it again.
    of.split.controls[0].program.kill();
    of.stop_nodes();
    of.start_nodes();
    for node in &of.split.nodes {
        assert_eq!(node.metric("switchyard_snapshot_refused").await, Some(1.0), "it is in the copy");
    }
    of.nodes_know_better("restarted alone").await;
    of.split.restart_control().await;
    refused(&of, "other_history").await;

    of.split.set("SWITCHYARD_MASTER_KEY", tests::MASTER_KEY);
    of.split.controls[0].program.kill();
    of.split.restart_control().await;
    of.withheld("other_history").await;
    of.adopt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_database_is_followed_again_and_no_way_leads_back_from_an_adopted_one() {
    let mut of = Restorable::start(Database::MariaDb).await;
    let (right, first) = (of.split.database_url().to_owned(), desired(&of.split).await);
    of.restore().await;
    of.withheld("higher_version").await;
    // It was the wrong database: nothing was lost.
    of.split.move_control_to(&right).await;
    all_follow(&of.split).await;
    of.nodes_know_better("with the right database").await;
    of.change(1).await;
    all_follow(&of.split).await;

    of.restore().await;
    of.adopt().await;
    let second = desired(&of.split).await;
    assert_ne!(second, first);

    // A copy of the second epoch, with its mark of adoption; then a third epoch. The copy is a way back, and closed.
    let way_back = of.split.mariadb.copy(&of.backup);
    _ = adopt_epoch(&of.backup);
    let third = desired(&of.split).await;
    let callers = all_follow(&of.split).await;
    of.split.move_control_to(&way_back).await;
    assert_eq!(desired(&of.split).await, second);
    // Nodes prove a later epoch: nobody is told anything, not even one that was never at the second epoch.
    of.withheld("higher_version").await;
    all_stay(&of.split, &callers, &third).await;
    of.split.nodes[1].crash_and_restart();
    let callers = [callers[0].clone(), Caller::new(&of.split.nodes[1].url, &callers[1].key)];
    all_stay(&of.split, &callers, &third).await;

    of.restore().await;
    all_follow(&of.split).await;
}
