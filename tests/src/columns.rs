//! The kinds of account there are: one of each type, for each way in which its upstream is reached.

use emulator::Profile;
use serde_json::{Value, json};

use crate::Gateway;

/// A kind of account.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub account_type: &'static str,
    /// Where the emulator is its upstream.
    pub base: &'static str,
    /// What its credentials begin with.
    pub key: &'static str,
    /// What a model is called by clients, and by the upstream; `{}` tells accounts apart.
    pub model: [&'static str; 2],
    /// One that thinks, where the other does not.
    pub thinker: Option<&'static str>,
    pub options: fn() -> Value,
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

/// All of them.
pub const COLUMNS: [Column; 17] = [
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

/// An account of a column, which the emulator plays the upstream of and is strict with.
#[derive(Debug, Clone)]
pub struct Account {
    pub column: &'static Column,
    /// Tells it apart from others of the column, in its models' names. Empty for one that knows the thinker too.
    pub lane: String,
    /// Its model, where it is another than the column's.
    pub model: Option<&'static str>,
    /// Another account for the same models.
    pub is_spare: bool,
}

impl Account {
    #[must_use]
    pub fn new(column: &'static Column, lane: impl Into<String>) -> Self {
        Self { column, lane: lane.into(), model: None, is_spare: false }
    }

    /// What a client asks for, by the account's type and by the model's name.
    #[must_use]
    pub fn asked(&self) -> String {
        format!("{},{}", self.column.account_type, self.models()[0])
    }

    /// What the model is called by clients, and by the upstream.
    #[must_use]
    pub fn models(&self) -> [String; 2] {
        match self.model {
            Some(model) => [0; 2].map(|_| format!("{model}{}", self.lane)),
            None => self.column.model.map(|model| model.replace("{}", &self.lane)),
        }
    }

    /// The emulator knows the credential by this.
    #[must_use]
    pub fn key(&self) -> String {
        let spare = if self.is_spare { "-spare" } else { "" };
        format!("{}main{}{spare}", self.column.key, self.lane)
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

    /// Makes it at the gateway and gives its id.
    pub async fn make(&self, gateway: &Gateway) -> String {
        let [asked, sent] = self.models();
        let mut allowed = vec![sent.clone()];
        allowed.extend(self.column.thinker.filter(|_| self.lane.is_empty()).map(Into::into));
        let mapping = if asked == sent { json!({}) } else { json!({ asked: sent }) };
        // What the upstream would not know must not reach it.
        let strict = Profile { strict: true, ..Profile::default() };
        gateway.emulator.credential(&self.key()).set_profile(strict);
        let fields = json!({
            "name": format!("{}{}{}", self.column.name, self.lane, if self.is_spare { "-spare" } else { "" }),
            // The spare one waits for the other to fail.
            "priority": if self.is_spare { 60 } else { 50 },
            "base_url": format!("{}{}", gateway.emulator.base_url(), self.column.base),
            "credentials": self.credentials(),
            "options": (self.column.options)(),
            "model_mapping": mapping,
            "allowed_models": allowed,
        });
        gateway.account_with(self.column.account_type, &self.key(), fields).await
    }
}
