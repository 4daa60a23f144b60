//! Standalone as a newcomer runs it, with the emulator as its providers.

use emulator::{Emulator, EmulatorOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Admin, Caller, Program, eventually};

/// The first admin's password in all tests.
pub const ADMIN_PASSWORD: &str = "correct-horse-battery-staple";

/// One `switchyard serve`.
#[derive(Debug)]
pub struct Gateway {
    pub emulator: Emulator,
    pub program: Program,
    pub admin: Admin,
    data: TempDir,
    url: String,
    admin_url: String,
}

impl Gateway {
    pub async fn standalone() -> Self {
        Self::standalone_with(&[], &[]).await
    }

    /// With more flags and variables.
    pub async fn standalone_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
        let data = TempDir::with_prefix("switchyard-data-").unwrap();
        let mut program = serve(&data, arguments, variables);
        let (url, admin_url) = (
            format!("http://{}", program.address("clients")),
            format!("http://{}", program.address("admin")),
        );
        let admin = Admin::log_in(&admin_url, "admin", ADMIN_PASSWORD).await;
        Self { emulator, program, admin, data, url, admin_url }
    }

    /// Where clients are served, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    #[must_use]
    pub fn data_folder(&self) -> &std::path::Path {
        self.data.path()
    }

    /// Starts the program again on the same data, after it has ended or was killed.
    pub async fn restart(&mut self) {
        self.program = serve(&self.data, &[], &[]);
        self.url = format!("http://{}", self.program.address("clients"));
        self.admin_url = format!("http://{}", self.program.address("admin"));
        self.admin = Admin::log_in(&self.admin_url, "admin", ADMIN_PASSWORD).await;
    }

    /// An account of the type with this credential at the emulator; gives its id.
    pub async fn account(&self, account_type: &str, credential: &str) -> String {
        self.account_with(account_type, credential, json!({})).await
    }

    /// [`Self::account`] with more fields.
    pub async fn account_with(&self, account_type: &str, credential: &str, more: Value) -> String {
        new_account(&self.admin, &self.emulator, account_type, credential, more).await
    }

    /// A caller with a new key, once the gateway knows it.
    pub async fn caller(&self) -> Caller {
        let key = new_key(&self.admin).await;
        let caller = Caller::new(&self.url, &key);
        caller.admitted().await;
        caller
    }

    /// A caller with a key of another, new person's.
    pub async fn caller_of(&self, name: &str) -> Caller {
        let new = json!({ "name": name, "password": ADMIN_PASSWORD, "role": "user" });
        self.admin.post("/api/admin/users", new).await.ok();
        let key = new_key(&Admin::log_in(&self.admin_url, name, ADMIN_PASSWORD).await).await;
        let caller = Caller::new(&self.url, &key);
        caller.admitted().await;
        caller
    }

    /// The ledger's records, newest first, once there are `count` of them that are closed.
    pub async fn records(&self, count: usize) -> Vec<Value> {
        closed_records(&self.admin, count).await
    }
}

fn serve(data: &TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Program {
    let folder = data.path().to_str().unwrap();
    let fixed = ["serve", "--data-dir", folder, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let arguments: Vec<_> = fixed.iter().chain(arguments).copied().collect();
    let fixed = [
        ("SWITCHYARD_ADMIN_PASSWORD", ADMIN_PASSWORD),
        ("SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS", "true"),
        ("SWITCHYARD_RETRY_DELAY", "20ms"),
    ];
    let variables: Vec<_> = fixed.iter().chain(variables).copied().collect();
    Program::start("switchyard", &arguments, &variables)
}

/// Makes an account at the emulator and gives its id.
pub(crate) async fn new_account(
    admin: &Admin,
    emulator: &Emulator,
    account_type: &str,
    credential: &str,
    more: Value,
) -> String {
    let mut account = json!({
        "name": format!("{account_type} {}", credential.rsplit('-').next().unwrap()),
        "type": account_type,
        "base_url": emulator.base_url(),
        "credentials": { "api_key": credential },
    });
    account.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    admin.post("/api/admin/accounts", account).await.id()
}

/// Makes an API key and gives it.
pub(crate) async fn new_key(admin: &Admin) -> String {
    let made = admin.post("/api/api-keys", json!({ "name": "test" })).await.ok();
    made["key"].as_str().unwrap().to_owned()
}

/// The ledger's closed records of clients' requests, newest first, once there are `count`.
pub(crate) async fn closed_records(admin: &Admin, count: usize) -> Vec<Value> {
    let records = eventually("so many closed records in the ledger", async || {
        let mut answer = admin.get("/api/admin/usage/records?limit=200&purpose=client").await.ok();
        let Value::Array(records) = answer["records"].take() else { panic!("{answer}") };
        let closed: Vec<_> = records.into_iter().filter(|record| record["outcome"] != "open").collect();
        (closed.len() >= count).then_some(closed)
    })
    .await;
    assert_eq!(records.len(), count, "{records:#?}");
    records
}
