//! The columns of the matrix: an account of each type, of each kind that its upstream is reached in.

use emulator::Profile;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tests::Gateway;

/// What the accounts are made for, whether it tries the cells or not.
const SDKS: [&str; 2] = ["python", "node"];
pub(crate) const WIRES: [&str; 4] = ["chat", "responses", "messages", "gemini"];
/// Accounts of one wire and SDK in a column, besides the one that all share.
const LANES: usize = 2;
const AT_A_TIME: usize = 8;

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) account_type: &'static str,
    /// Where the emulator is its upstream.
    base: &'static str,
    /// What its credentials begin with.
    key: &'static str,
    /// What a model is called by clients, and by the upstream; `{}` tells accounts apart.
    model: [&'static str; 2],
    /// One that thinks, where the other does not.
    thinker: Option<&'static str>,
    options: fn() -> Value,
}

const COLUMN: Column = Column {
    name: "",
    account_type: "",
    base: "",
    key: "",
    model: ["", ""],
    thinker: None,
    options: || json!({}),
};
const CLAUDE: [&str; 2] = ["claude-sonnet-5{}"; 2];
const GPT: [&str; 2] = ["gpt-4o{}"; 2];
const GPT_THINKER: &str = "gpt-5.1";
const GEMINI: [&str; 2] = ["gemini-3-pro{}"; 2];

pub(crate) const COLUMNS: [Column; 17] = [
    Column {
        name: "claude-official",
        account_type: "claude-official",
        base: "/anthropic",
        key: "sk-ant-oat01-",
        model: CLAUDE,
        ..COLUMN
    },
    Column {
        name: "claude-console",
        account_type: "claude-console",
        base: "/anthropic",
        key: "sk-ant-api03-",
        model: CLAUDE,
        ..COLUMN
    },
    Column { name: "ccr", account_type: "ccr", base: "/anthropic", key: "router-", model: CLAUDE, ..COLUMN },
    Column {
        name: "bedrock",
        account_type: "bedrock",
        base: "/bedrock",
        key: "AKIACLAUDE",
        model: ["claude-sonnet-5{}", "us.anthropic.claude-sonnet-5{}-20260201-v1:0"],
        options: || json!({ "region": "us-east-1" }),
        ..COLUMN
    },
    Column {
        name: "bedrock-converse",
        account_type: "bedrock",
        base: "/bedrock",
        key: "AKIANOVA",
        model: ["amazon.nova-pro{}-v1:0"; 2],
        options: || json!({ "region": "us-east-1" }),
        ..COLUMN
    },
    Column {
        name: "openai",
        account_type: "openai",
        base: "/openai",
        key: "sk-proj-",
        model: GPT,
        thinker: Some(GPT_THINKER),
        ..COLUMN
    },
    Column {
        name: "openai-login",
        account_type: "openai",
        base: "/chatgpt",
        key: "login-",
        model: ["gpt-5.1-codex{}"; 2],
        options: || json!({ "chatgpt_account_id": "account-of-the-login" }),
        ..COLUMN
    },
    Column {
        name: "openai-responses",
        account_type: "openai-responses",
        base: "/openai",
        key: "sk-responses-",
        model: GPT,
        thinker: Some(GPT_THINKER),
        ..COLUMN
    },
    Column {
        name: "azure-openai",
        account_type: "azure-openai",
        base: "/azure",
        key: "azure-",
        model: GPT,
        thinker: Some(GPT_THINKER),
        options: || json!({ "api_version": "2024-10-21", "deployments": { "gpt-4o": "four-o" } }),
    },
    Column {
        name: "gemini",
        account_type: "gemini",
        base: "/google",
        key: "ya29.developer-",
        model: GEMINI,
        ..COLUMN
    },
    Column {
        name: "gemini-vertex",
        account_type: "gemini",
        base: "/vertex",
        key: "ya29.vertex-",
        model: ["vertex-gemini-3-pro{}", "gemini-3-pro-vertex{}"],
        options: || json!({ "form": "vertex", "project": "lighthouse-1", "location": "us-central1" }),
        ..COLUMN
    },
    Column {
        name: "gemini-code-assist",
        account_type: "gemini",
        base: "/codeassist",
        key: "ya29.assist-",
        model: ["assist-gemini-3-pro{}", "gemini-3-pro-assist{}"],
        options: || json!({ "form": "code_assist", "project": "lighthouse-1" }),
        ..COLUMN
    },
    Column {
        name: "gemini-api",
        account_type: "gemini-api",
        base: "/google",
        key: "AIza-",
        model: GEMINI,
        ..COLUMN
    },
    Column {
        name: "gemini-api-2.5",
        account_type: "gemini-api",
        base: "/google",
        key: "AIza2-",
        model: ["gemini-2.5-flash{}"; 2],
        ..COLUMN
    },
    Column {
        name: "droid-anthropic",
        account_type: "droid",
        base: "/droid",
        key: "fk-anthropic-",
        model: CLAUDE,
        options: || json!({ "endpoint": "anthropic" }),
        ..COLUMN
    },
    Column {
        name: "droid-openai",
        account_type: "droid",
        base: "/droid",
        key: "fk-openai-",
        model: ["gpt-5.1{}"; 2],
        options: || json!({ "endpoint": "openai" }),
        ..COLUMN
    },
    Column {
        name: "droid-common",
        account_type: "droid",
        base: "/droid",
        key: "fk-common-",
        model: ["glm-4.6{}"; 2],
        options: || json!({ "endpoint": "common" }),
        ..COLUMN
    },
];

/// Makes the accounts of all columns at the gateway, and gives what the programs read of them.
pub(crate) async fn make(gateway: &Gateway) -> Value {
    let accounts = COLUMNS.iter().flat_map(Column::accounts).collect::<Vec<_>>();
    let made = stream::iter(accounts).map(|account| account.make(gateway)).buffer_unordered(AT_A_TIME);
    made.collect::<()>().await;
    // The node learns of changes in their order, so that with one more it knows them all.
    let last = Account { column: &COLUMNS[0], lane: "-last".to_owned() };
    last.make(gateway).await;
    gateway.caller().await.offered("claude-sonnet-5-last").await;
    COLUMNS.iter().map(Column::cell).collect()
}

/// One account of a column. The lane is empty for the one that all programs share.
struct Account {
    column: &'static Column,
    lane: String,
}

fn lane(sdk: &str, wire: &str, number: usize) -> String {
    format!("-{sdk}-{wire}-{number}")
}

impl Column {
    fn accounts(&'static self) -> impl Iterator<Item = Account> {
        let lanes = SDKS.into_iter().flat_map(|sdk| {
            let numbered = move |wire| (0..LANES).map(move |number| lane(sdk, wire, number));
            WIRES.into_iter().flat_map(numbered)
        });
        [String::new()].into_iter().chain(lanes).map(move |lane| Account { column: self, lane })
    }

    fn cell(&'static self) -> Value {
        let shared = Account { column: self, lane: String::new() };
        let lanes_of = |sdk: &str, wire: &str| -> Value {
            let accounts = (0..LANES).map(|number| Account { column: self, lane: lane(sdk, wire, number) });
            accounts.map(|one| json!({ "model": one.asked(), "emulator_key": one.key() })).collect()
        };
        let by_wire = |sdk: &str| -> Value {
            WIRES.iter().map(|wire| ((*wire).to_owned(), lanes_of(sdk, wire))).collect()
        };
        let lanes: Value = SDKS.iter().map(|sdk| ((*sdk).to_owned(), by_wire(sdk))).collect();
        let thinker = self.thinker.map(|model| format!("{},{model}", self.account_type));
        json!({
            "column": self.name,
            "account_type": self.account_type,
            "model": shared.asked(),
            "reasoning_model": thinker.unwrap_or_else(|| shared.asked()),
            "emulator_key": shared.key(),
            "lanes": lanes,
        })
    }
}

impl Account {
    /// What a client asks for.
    fn asked(&self) -> String {
        format!("{},{}", self.column.account_type, self.column.model[0].replace("{}", &self.lane))
    }

    /// The emulator knows the credential by this.
    fn key(&self) -> String {
        format!("{}main{}", self.column.key, self.lane)
    }

    fn credentials(&self) -> Value {
        let key = self.key();
        match (self.column.account_type, self.column.name) {
            ("bedrock", _) => {
                json!({ "access_key_id": key, "secret_access_key": format!("secret-of-{key}") })
            }
            ("claude-official" | "gemini", _) | (_, "openai-login") => json!({ "access_token": key }),
            _ => json!({ "api_key": key }),
        }
    }

    async fn make(self, gateway: &Gateway) {
        let [asked, sent] = self.column.model.map(|model| model.replace("{}", &self.lane));
        let mut allowed = vec![sent.clone()];
        allowed.extend(self.column.thinker.filter(|_| self.lane.is_empty()).map(Into::into));
        let mapping = if asked == sent { json!({}) } else { json!({ asked: sent }) };
        // What the upstream would not know must not reach it.
        let strict = Profile { strict: true, ..Profile::default() };
        gateway.emulator.credential(&self.key()).set_profile(strict);
        let fields = json!({
            "name": format!("{}{}", self.column.name, self.lane),
            "base_url": format!("{}{}", gateway.emulator.base_url(), self.column.base),
            "credentials": self.credentials(),
            "options": (self.column.options)(),
            "model_mapping": mapping,
            "allowed_models": allowed,
        });
        gateway.account_with(self.column.account_type, &self.key(), fields).await;
    }
}
