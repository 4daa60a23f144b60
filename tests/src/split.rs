//! Both planes as in production: MariaDB, Redis, control planes, nodes, mTLS between them.

use std::path::Path;

use emulator::{Emulator, EmulatorOptions};
use serde_json::{Value, json};
use servers::{MariaDb, Redis};
use tempfile::TempDir;

use crate::{
    ADMIN_PASSWORD, Admin, Caller, Certificates, Program, eventually,
    gateway::{closed_records, new_account, new_key},
};

/// Base64 of 32 bytes, of no worth outside tests.
pub const MASTER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SEAL_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// A free port of loopback.
const ANY: &str = "127.0.0.1:0";
/// How many of a node's arguments `drain` takes too.
const DRAIN_ARGUMENTS: usize = 10;

/// A whole installation.
#[derive(Debug)]
pub struct Split {
    pub emulator: Emulator,
    pub mariadb: MariaDb,
    pub redis: Redis,
    pub certificates: Certificates,
    pub controls: Vec<Control>,
    pub nodes: Vec<Node>,
    pub admin: Admin,
    database_url: String,
    variables: Variables,
}

/// What every program of an installation is given of its environment.
type Variables = Vec<(&'static str, &'static str)>;

/// One `switchyard-control serve`.
#[derive(Debug)]
pub struct Control {
    pub program: Program,
    pub admin_url: String,
    /// Where nodes are served.
    pub planes_url: String,
}

/// One `switchyard-data serve`.
#[derive(Debug)]
pub struct Node {
    pub program: Program,
    pub name: String,
    pub data: TempDir,
    pub url: String,
    /// What it was started with, for another start.
    arguments: Vec<String>,
    variables: Variables,
}

/// The files that a node shows and trusts.
#[derive(Debug, Clone)]
pub struct NodeFiles {
    pub certificate: String,
    pub key: String,
    /// Whose signature makes a control plane.
    pub authority: String,
}

impl Split {
    /// One control plane and so many nodes.
    pub async fn start(nodes: usize) -> Self {
        Self::start_with(nodes, &[]).await
    }

    /// With variables for all its programs.
    pub async fn start_with(nodes: usize, variables: &[(&'static str, &'static str)]) -> Self {
        Self::start_on(None, nodes, variables).await
    }

    /// On a database of that URL; `None`: on the MariaDB.
    pub async fn start_on(
        database_url: Option<String>,
        nodes: usize,
        variables: &[(&'static str, &'static str)],
    ) -> Self {
        let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
        let (mariadb, redis, certificates) = (MariaDb::start(), Redis::start(), Certificates::new());
        let database_url = database_url.unwrap_or_else(|| mariadb.database());
        let control = Control::start_with(&database_url, &certificates, [ANY, ANY], variables);
        let admin = Admin::log_in(&control.admin_url, "admin", ADMIN_PASSWORD).await;
        let mut split = Self {
            emulator,
            mariadb,
            redis,
            certificates,
            controls: vec![control],
            nodes: Vec::new(),
            admin,
            database_url,
            variables: variables.to_vec(),
        };
        for _ in 0..nodes {
            split.add_node();
        }
        split
    }

    /// One more node of the first control plane.
    pub fn add_node(&mut self) -> &mut Node {
        self.add_node_at(0)
    }

    /// One more node of that control plane.
    pub fn add_node_at(&mut self, control: usize) -> &mut Node {
        let name = format!("node-{}", self.nodes.len());
        let node = Node::start_with(
            &name,
            &self.controls[control].planes_url,
            &NodeFiles::issue(&self.certificates, &name),
            &self.redis.url(),
            &self.variables,
        );
        self.nodes.push(node);
        self.nodes.last_mut().unwrap()
    }

    /// One more control plane on the same database.
    pub fn add_control(&mut self) -> &mut Control {
        let control =
            Control::start_with(&self.database_url, &self.certificates, [ANY, ANY], &self.variables);
        self.controls.push(control);
        self.controls.last_mut().unwrap()
    }

    /// Starts the first control plane again where it was, after it was killed.
    pub async fn restart_control(&mut self) {
        let control = &self.controls[0];
        let (admin, planes) = (host(&control.admin_url).to_owned(), host(&control.planes_url).to_owned());
        self.controls[0] =
            Control::start_with(&self.database_url, &self.certificates, [&admin, &planes], &self.variables);
        self.admin = Admin::log_in(&self.controls[0].admin_url, "admin", ADMIN_PASSWORD).await;
    }

    /// Kills the first control plane and starts it again where it was, on another database.
    pub async fn move_control_to(&mut self, database_url: &str) {
        self.controls[0].program.kill();
        database_url.clone_into(&mut self.database_url);
        self.restart_control().await;
    }

    /// Adds a variable for what is started from now on; it goes before those of the start.
    pub fn set(&mut self, name: &'static str, value: &'static str) {
        self.variables.push((name, value));
    }

    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Runs statements in the control planes' database and gives what they print, tab-separated.
    #[must_use]
    pub fn sql(&self, statements: &str) -> String {
        let database = self.database_url.rsplit('/').next().unwrap();
        self.mariadb.sql(&format!("USE {database}; {statements}"))
    }

    pub async fn account(&self, account_type: &str, credential: &str) -> String {
        self.account_with(account_type, credential, json!({})).await
    }

    pub async fn account_with(&self, account_type: &str, credential: &str, more: Value) -> String {
        new_account(&self.admin, &self.emulator, account_type, credential, more).await
    }

    /// A new key.
    pub async fn key(&self) -> String {
        new_key(&self.admin).await
    }

    /// A caller at each node with one new key, once every node knows it.
    pub async fn callers(&self) -> Vec<Caller> {
        let key = self.key().await;
        let callers: Vec<_> = self.nodes.iter().map(|node| Caller::new(&node.url, &key)).collect();
        for caller in &callers {
            caller.admitted().await;
        }
        callers
    }

    pub async fn records(&self, count: usize) -> Vec<Value> {
        closed_records(&self.admin, count).await
    }

    /// What the control plane says of a node.
    pub async fn node_seen(&self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("the control plane to see {name} so"), async || {
            let answer = self.admin.get("/api/admin/nodes").await.ok();
            let nodes = answer["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
            nodes.iter().find(|node| node["node_id"] == name && is(node)).cloned()
        })
        .await
    }
}

fn host(url: &str) -> &str {
    url.split("://").nth(1).unwrap()
}

impl Control {
    #[must_use]
    pub fn start(
        database_url: &str,
        certificates: &Certificates,
        admin_listen: &str,
        grpc_listen: &str,
    ) -> Self {
        Self::start_with(database_url, certificates, [admin_listen, grpc_listen], &[])
    }

    /// With more variables; `listen` is where people come in, then where nodes do.
    #[must_use]
    pub fn start_with(
        database_url: &str,
        certificates: &Certificates,
        [admin_listen, grpc_listen]: [&str; 2],
        variables: &[(&str, &str)],
    ) -> Self {
        let (certificate, key) = certificates.issue("control");
        let fixed = [
            ("SWITCHYARD_MASTER_KEY", MASTER_KEY),
            ("SWITCHYARD_ADMIN_PASSWORD", ADMIN_PASSWORD),
            ("SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS", "true"),
        ];
        let variables: Vec<_> = fixed.iter().chain(variables).copied().collect();
        let authority = certificates.authority();
        let mut program = Program::start(
            "switchyard-control",
            &[
                ["serve", "--database-url", database_url],
                ["--admin-listen", admin_listen, "--grpc-listen"],
                [grpc_listen, "--grpc-tls-cert", &certificate],
                ["--grpc-tls-key", &key, "--grpc-tls-client-ca"],
            ]
            .concat()
            .into_iter()
            .chain([authority.as_str()])
            .collect::<Vec<_>>(),
            &variables,
        );
        let admin_url = format!("http://{}", program.address("admin"));
        let planes_url = format!("https://{}", program.address("nodes"));
        Self { program, admin_url, planes_url }
    }

    /// A number of its metrics; `series` is the name with its labels, as on the page. `None`: it is not there.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        metric(&self.admin_url, series).await
    }
}

/// Has the database's nodes follow it into a new epoch, as the operator does after a restore; gives what was printed.
#[must_use]
pub fn adopt_epoch(database_url: &str) -> String {
    let arguments = ["adopt-epoch", "--database-url", database_url];
    let mut program = Program::start("switchyard-control", &arguments, &[]);
    let said = program.printed("epoch");
    assert!(program.ended().success(), "{}", program.log_lines().join("\n"));
    said
}

async fn metric(url: &str, series: &str) -> Option<f64> {
    let page = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = page.get(format!("{url}/metrics")).send().await.ok()?;
    let page = page.text().await.ok()?;
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

impl NodeFiles {
    /// A certificate for the node.
    #[must_use]
    pub fn issue(certificates: &Certificates, name: &str) -> Self {
        let (certificate, key) = certificates.issue(name);
        Self { certificate, key, authority: certificates.authority() }
    }
}

impl Node {
    #[must_use]
    pub fn start(name: &str, control_plane: &str, certificates: &Certificates, redis_url: &str) -> Self {
        let files = NodeFiles::issue(certificates, name);
        Self::start_with(name, control_plane, &files, redis_url, &[])
    }

    /// With files of one's own and more variables.
    #[must_use]
    pub fn start_with(
        name: &str,
        control_plane: &str,
        files: &NodeFiles,
        redis_url: &str,
        variables: &[(&'static str, &'static str)],
    ) -> Self {
        let data = TempDir::with_prefix("switchyard-node-").unwrap();
        let folder = data.path().to_str().unwrap();
        // What `drain` takes too comes first.
        let arguments = [
            ["--control-plane", control_plane],
            ["--tls-cert", &files.certificate],
            ["--tls-key", &files.key],
            ["--tls-ca", &files.authority],
            ["--data-dir", folder],
            ["--redis-url", redis_url],
            ["--listen", ANY],
            ["--node-id", name],
        ];
        let arguments: Vec<String> = arguments.concat().into_iter().map(Into::into).collect();
        let (program, url) = Self::run(&arguments, variables);
        Self { program, name: name.to_owned(), data, url, arguments, variables: variables.to_vec() }
    }

    fn run(arguments: &[String], variables: &[(&str, &str)]) -> (Program, String) {
        let arguments: Vec<_> = ["serve"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let fixed = [
            ("SWITCHYARD_NODE_SEAL_KEY", SEAL_KEY),
            ("SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS", "true"),
            ("SWITCHYARD_RETRY_DELAY", "20ms"),
        ];
        let variables: Vec<_> = fixed.iter().chain(variables).copied().collect();
        let mut program = Program::start("switchyard-data", &arguments, &variables);
        let url = format!("http://{}", program.address("clients"));
        (program, url)
    }

    /// Kills it as a crash would, and starts it again on the same data.
    pub fn crash_and_restart(&mut self) {
        self.program.kill();
        self.restart();
    }

    /// Starts it again on the same data, after it has ended.
    pub fn restart(&mut self) {
        (self.program, self.url) = Self::run(&self.arguments, &self.variables);
    }

    /// Delivers what the node left on its disk, after it has ended for good.
    pub fn drain(&self) {
        let shared = &self.arguments[..DRAIN_ARGUMENTS];
        let arguments: Vec<_> = ["drain"].into_iter().chain(shared.iter().map(String::as_str)).collect();
        let mut program = Program::start("switchyard-data", &arguments, &[]);
        assert!(program.ended().success(), "{}", program.log_lines().join("\n"));
    }

    /// A number of its metrics; `series` is the name with its labels, as on the page. `None`: it is not there.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        metric(&self.url, series).await
    }

    /// Status and text of `/readyz`.
    pub async fn readiness(&self) -> (u16, String) {
        let answer = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = answer.get(format!("{}/readyz", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[must_use]
    pub fn data_folder(&self) -> &Path {
        self.data.path()
    }
}
