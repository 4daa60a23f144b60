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
const MASTER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SEAL_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

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
}

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
}

impl Split {
    /// One control plane and so many nodes.
    pub async fn start(nodes: usize) -> Self {
        let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
        let (mariadb, redis, certificates) = (MariaDb::start(), Redis::start(), Certificates::new());
        let database_url = mariadb.database();
        let control = Control::start(&database_url, &certificates, "127.0.0.1:0", "127.0.0.1:0");
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
        };
        for _ in 0..nodes {
            split.add_node();
        }
        split
    }

    /// One more node of the first control plane.
    pub fn add_node(&mut self) -> &mut Node {
        let name = format!("node-{}", self.nodes.len());
        let node = Node::start(
            &name,
            &self.controls[0].planes_url,
            &self.certificates,
            &self.redis.url(),
        );
        self.nodes.push(node);
        self.nodes.last_mut().unwrap()
    }

    /// One more control plane on the same database.
    pub fn add_control(&mut self) -> &mut Control {
        let control = Control::start(
            &self.database_url,
            &self.certificates,
            "127.0.0.1:0",
            "127.0.0.1:0",
        );
        self.controls.push(control);
        self.controls.last_mut().unwrap()
    }

    /// Starts the first control plane again where it was, after it was killed.
    pub async fn restart_control(&mut self) {
        let control = &self.controls[0];
        let (admin, planes) = (
            host(&control.admin_url).to_owned(),
            host(&control.planes_url).to_owned(),
        );
        self.controls[0] = Control::start(&self.database_url, &self.certificates, &admin, &planes);
        self.admin = Admin::log_in(&self.controls[0].admin_url, "admin", ADMIN_PASSWORD).await;
    }

    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
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
        let callers: Vec<_> = self
            .nodes
            .iter()
            .map(|node| Caller::new(&node.url, &key))
            .collect();
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
            nodes
                .iter()
                .find(|node| node["node_id"] == name && is(node))
                .cloned()
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
        let (certificate, key) = certificates.issue("control");
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
            &[
                ("SWITCHYARD_MASTER_KEY", MASTER_KEY),
                ("SWITCHYARD_ADMIN_PASSWORD", ADMIN_PASSWORD),
                ("SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS", "true"),
            ],
        );
        let admin_url = format!("http://{}", program.address("admin"));
        let planes_url = format!("https://{}", program.address("nodes"));
        Self {
            program,
            admin_url,
            planes_url,
        }
    }
}

impl Node {
    #[must_use]
    pub fn start(name: &str, control_plane: &str, certificates: &Certificates, redis_url: &str) -> Self {
        let data = TempDir::with_prefix("switchyard-node-").unwrap();
        let (certificate, key) = certificates.issue(name);
        let (authority, folder) = (certificates.authority(), data.path().to_str().unwrap().to_owned());
        let arguments = [
            ["--control-plane", control_plane],
            ["--tls-cert", &certificate],
            ["--tls-key", &key],
            ["--tls-ca", &authority],
            ["--redis-url", redis_url],
            ["--listen", "127.0.0.1:0"],
            ["--data-dir", &folder],
            ["--node-id", name],
        ];
        let arguments: Vec<String> = arguments.concat().into_iter().map(Into::into).collect();
        let (program, url) = Self::run(&arguments);
        Self {
            program,
            name: name.to_owned(),
            data,
            url,
            arguments,
        }
    }

    fn run(arguments: &[String]) -> (Program, String) {
        let arguments: Vec<_> = ["serve"]
            .into_iter()
            .chain(arguments.iter().map(String::as_str))
            .collect();
        let variables = [
            ("SWITCHYARD_NODE_SEAL_KEY", SEAL_KEY),
            ("SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS", "true"),
        ];
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
        (self.program, self.url) = Self::run(&self.arguments);
    }

    #[must_use]
    pub fn data_folder(&self) -> &Path {
        self.data.path()
    }
}
