//! An installation under load, of which parts die.

use std::{sync::Arc, time::Duration};

use emulator::{Behaviour, Condition, Credential, Emulator, EmulatorOptions};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tests::{Asked, Caller, Load, Node, Split, eventually};

use super::{
    books::{self, Books},
    disk::{self, Watch},
};

const CLAUDE: &str = "sk-ant-crash-suite";
/// Clients of each node.
pub(crate) const EACH: usize = 4;
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What every program is started with: small spools, so that files come and go.
const VARIABLES: [(&str, &str); 4] = [
    ("SWITCHYARD_SPOOL_SEGMENT_BYTES", "65536"),
    ("SWITCHYARD_WORKERS", "2"),
    ("SWITCHYARD_HEARTBEAT_INTERVAL", "200ms"),
    ("SWITCHYARD_REPORT_GRACE", "1s"),
];

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) split: Split,
    pub(crate) chance: StdRng,
    pub(crate) key: String,
    load: Option<Load>,
    /// Of loads that are over.
    asked: Vec<Asked>,
    watch: Watch,
    /// Requests that were under way when their node was killed, at most.
    pub(crate) under_way: usize,
    /// Bytes that the records of a request take at most.
    pub(crate) records: u64,
}

impl World {
    /// With so many nodes, which answer at a provider's pace.
    pub(crate) async fn start(nodes: usize) -> Self {
        let mut world = Self::quiet(nodes, json!({})).await;
        let paced = Behaviour::chunked(5).with_gap(Duration::from_millis(3));
        world.credential().set_default(paced.with_head_delay(Duration::from_millis(3))).unwrap();
        world.ask_on();
        world.more(1..40).await;
        world
    }

    /// Nobody asks yet. `of_key`: more fields of the clients' key.
    pub(crate) async fn quiet(nodes: usize, of_key: Value) -> Self {
        let seed = std::env::var("SWITCHYARD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(rand::random);
        eprintln!("SWITCHYARD_TEST_SEED={seed}");
        let mut split = Split::start_with(nodes, &VARIABLES).await;
        // One that keeps every call.
        let options = EmulatorOptions { keep_calls: 1_000_000, ..EmulatorOptions::default() };
        split.emulator = Emulator::start(options).await.unwrap();
        split.account("claude-console", CLAUDE).await;
        let mut key = json!({ "name": "load" });
        key.as_object_mut().unwrap().extend(of_key.as_object().unwrap().clone());
        let made = split.admin.post("/api/api-keys", key).await.ok();
        let key = made["key"].as_str().unwrap().to_owned();
        for node in &mut split.nodes {
            Caller::new(&node.url, &key).offered("claude-sonnet-5").await;
            // An orderly end writes the copy of the configuration, so that whoever is killed next has the key in it.
            end(node);
            node.restart();
        }
        let watch = Watch::start(split.nodes.iter().map(|node| node.data_folder().to_owned()).collect());
        let chance = StdRng::seed_from_u64(seed);
        let (load, asked) = (None, Vec::new());
        Self { split, chance, key, load, asked, watch, under_way: 0, records: disk::RECORDS }
    }

    pub(crate) fn credential(&self) -> Arc<Credential> {
        self.split.emulator.credential(CLAUDE)
    }

    pub(crate) fn load(&self) -> &Load {
        self.load.as_ref().unwrap()
    }

    /// The clients begin.
    pub(crate) fn ask_on(&mut self) {
        let urls: Vec<_> = self.split.nodes.iter().map(|node| node.url.clone()).collect();
        self.load = Some(Load::start(&urls, &self.key, EACH));
    }

    /// The clients end.
    pub(crate) async fn ask_no_more(&mut self) {
        if let Some(load) = self.load.take() {
            self.asked.extend(load.stop().await);
        }
    }

    /// Notes what was asked besides.
    pub(crate) fn note(&mut self, asked: Asked) {
        self.asked.push(asked);
    }

    pub(crate) fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Waits until so many more requests were answered.
    pub(crate) async fn more(&mut self, of: std::ops::Range<usize>) {
        let count = self.chance.random_range(of);
        self.load().more(count).await;
    }

    pub(crate) fn kill_node(&mut self, node: usize) {
        self.split.nodes[node].program.kill();
        self.under_way += EACH;
    }

    /// Asks it to end, and waits.
    pub(crate) fn end_node(&mut self, node: usize) {
        end(&mut self.split.nodes[node]);
    }

    pub(crate) fn start_node(&mut self, node: usize) {
        self.split.nodes[node].restart();
        if let Some(load) = &self.load {
            load.moved(node, &self.split.nodes[node].url);
        }
    }

    pub(crate) fn kill_control(&mut self) {
        self.split.controls[0].program.kill();
    }

    /// Waits until all that was asked is in the ledger, and closed.
    pub(crate) async fn settled(&mut self) {
        self.ask_no_more().await;
        self.credential().wait_for(Condition::idle(), PATIENCE).await.unwrap();
        for node in &self.split.nodes {
            eventually("the node to have delivered all", async || {
                (node.metric("switchyard_spool_depth").await == Some(0.0)).then_some(())
            })
            .await;
        }
        eventually("no request to be open", async || {
            let open = self.split.admin.get("/api/admin/usage/records?outcome=open").await.ok();
            (open["records"].as_array().unwrap().is_empty()).then_some(())
        })
        .await;
    }

    /// Everything runs; the law holds, and the nodes' disks are empty once they have ended.
    pub(crate) async fn law(self) -> Books {
        let books = self.law_but_for(&[]).await;
        assert_eq!(books.rejected, Vec::<Value>::new());
        books
    }

    /// The same, without the records of the traces that the test made the ledger refuse.
    pub(crate) async fn law_but_for(mut self, refused: &[String]) -> Books {
        self.settled().await;
        let books = Books::read(&self.split, &self.credential()).await;
        let law = books::Law { asked: &self.asked, under_way: self.under_way, refused };
        law.check(&books);
        let most = self.watch.stop();
        let recorded = books.records.len() + refused.len();
        let bound = disk::bound(self.split.nodes.len(), recorded as u64 * self.records);
        eprintln!("{} requests, {} cut off, {most} bytes of {bound}", books.records.len(), books.cut_off());
        assert!(most <= bound, "{most} bytes on the disks, more than {bound}");
        for node in 0..self.split.nodes.len() {
            let data = self.split.nodes[node].data_folder().to_owned();
            eventually("only the running one to be on the disk", async || {
                (disk::runs(&data).len() == 1 && disk::bytes(&data) <= disk::RUN).then_some(())
            })
            .await;
            self.end_node(node);
            let left = disk::runs(&data);
            assert!(left.is_empty(), "{left:?} have records that are delivered");
        }
        books
    }
}

fn end(node: &mut Node) {
    node.program.terminate();
    assert!(node.program.ended().success(), "{}", node.program.log_lines().join("\n"));
}
