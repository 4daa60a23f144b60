//! Which agent is tried where and in what.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tests::{Account, COLUMNS, Caller, Column, Gateway};

const AT_A_TIME: usize = 8;

pub(crate) const AGENTS: [Agent; 3] = [
    Agent {
        name: "claude",
        short: "cc",
        title: "Claude Code",
        package: "@anthropic-ai/claude-code",
        known_model: None,
        own: &["claude-official", "claude-console", "bedrock"],
    },
    Agent {
        name: "codex",
        short: "cx",
        title: "Codex",
        package: "@openai/codex",
        known_model: Some("gpt-5.5"),
        own: &["openai", "openai-login", "openai-responses", "azure-openai"],
    },
    Agent {
        name: "gemini",
        short: "gc",
        title: "Gemini CLI",
        package: "@google/gemini-cli",
        known_model: None,
        own: &["gemini", "gemini-api", "gemini-api-2.5"],
    },
];

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) name: &'static str,
    short: &'static str,
    pub(crate) title: &'static str,
    pub(crate) package: &'static str,
    /// `KNOWN_MODEL` of its file, if there is one.
    known_model: Option<&'static str>,
    /// Columns that it asks by the model's bare name, as without a gateway; others by account type and name.
    own: &'static [&'static str],
}

#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) heading: &'static str,
    /// How `clients/agents` calls it.
    run: &'static str,
    /// Empty: all of them.
    agents: &'static [&'static str],
    /// Empty: all of them.
    columns: &'static [&'static str],
    /// The model behind the name that the agent asks for; none: what the agent takes it for.
    model: Option<&'static str>,
    /// There are two accounts for the model.
    has_spare: bool,
    /// Where the session goes on.
    then: Option<fn(&str) -> &'static str>,
}

const SCENARIO: Scenario = Scenario {
    name: "",
    heading: "",
    run: "",
    agents: &[],
    columns: &[],
    model: None,
    has_spare: false,
    then: None,
};
/// One of each wire that an upstream speaks.
const ONE_OF_EACH: &[&str] =
    &["claude-console", "bedrock", "bedrock-converse", "openai-responses", "droid-common", "gemini-api"];
const WITHOUT_SPARE: &[&str] = &["claude-console", "openai-responses", "gemini-api"];

pub(crate) const SCENARIOS: [Scenario; 14] = [
    Scenario { name: "loop", heading: "loop", run: "loop", ..SCENARIO },
    Scenario {
        name: "continue",
        heading: "goes on elsewhere",
        run: "continue",
        columns: ONE_OF_EACH,
        then: Some(next),
        ..SCENARIO
    },
    Scenario { name: "image", heading: "image", run: "image", columns: ONE_OF_EACH, ..SCENARIO },
    Scenario {
        name: "code",
        heading: "programs",
        run: "code",
        agents: &["codex"],
        columns: &[
            "claude-console",
            "bedrock-converse",
            "openai-login",
            "openai-responses",
            "azure-openai",
            "droid-common",
            "gemini-api",
        ],
        ..SCENARIO
    },
    Scenario {
        name: "lesser",
        heading: "lesser model",
        run: "loop",
        agents: &["codex"],
        columns: &["openai", "openai-responses", "azure-openai"],
        model: Some("gpt-5.1"),
        ..SCENARIO
    },
    Scenario {
        name: "subagent",
        heading: "subagent",
        run: "subagent",
        agents: &["claude"],
        columns: ONE_OF_EACH,
        ..SCENARIO
    },
    Scenario { name: "overflow", heading: "overflow", run: "overflow", columns: ONE_OF_EACH, ..SCENARIO },
    Scenario {
        name: "compact",
        heading: "window full",
        run: "compact",
        agents: &["claude", "codex"],
        columns: ONE_OF_EACH,
        ..SCENARIO
    },
    Scenario { name: "limited", heading: "429", run: "429", columns: WITHOUT_SPARE, ..SCENARIO },
    Scenario {
        name: "limited-spare",
        heading: "429, two accounts",
        run: "429",
        columns: ONE_OF_EACH,
        has_spare: true,
        ..SCENARIO
    },
    Scenario { name: "cut", heading: "cut", run: "cut", columns: WITHOUT_SPARE, ..SCENARIO },
    Scenario {
        name: "cut-spare",
        heading: "cut, two accounts",
        run: "cut",
        columns: ONE_OF_EACH,
        has_spare: true,
        ..SCENARIO
    },
    Scenario {
        name: "count",
        heading: "counting",
        run: "count",
        agents: &["claude"],
        columns: ONE_OF_EACH,
        ..SCENARIO
    },
    Scenario {
        name: "discovery",
        heading: "models",
        run: "discovery",
        agents: &["claude"],
        columns: &["claude-console"],
        ..SCENARIO
    },
];

/// Where a session that began in this column goes on.
fn next(column: &str) -> &'static str {
    let at = ONE_OF_EACH.iter().position(|name| *name == column).unwrap();
    ONE_OF_EACH[(at + 1) % ONE_OF_EACH.len()]
}

/// One agent in one scenario at one kind of account.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) agent: &'static Agent,
    pub(crate) column: &'static Column,
    pub(crate) scenario: &'static Scenario,
    /// Where it begins, where it goes on, and the spare one.
    pub(crate) accounts: Vec<(Account, String)>,
}

/// All that are to be made.
pub(crate) fn all() -> impl Iterator<Item = (&'static Agent, &'static Column, &'static Scenario)> {
    let everywhere = AGENTS.iter().flat_map(|agent| COLUMNS.iter().map(move |column| (agent, column)));
    everywhere.flat_map(|(agent, column)| {
        let tried = SCENARIOS.iter().filter(|scenario| scenario.is_for(agent, column));
        tried.map(move |scenario| (agent, column, scenario))
    })
}

/// Makes the accounts of all trials at the gateway.
pub(crate) async fn make(gateway: &Gateway) -> Vec<Trial> {
    let only = std::env::var("SWITCHYARD_ONLY").unwrap_or_default();
    let is_meant = |(agent, column, scenario): &(&Agent, &Column, &Scenario)| {
        let name = format!(" {} {} {} ", agent.name, column.name, scenario.name);
        only.split_whitespace().all(|word| name.contains(&format!(" {word} ")))
    };
    let meant = all().filter(is_meant).collect::<Vec<_>>();
    let made = stream::iter(meant)
        .map(async |(agent, column, scenario)| Trial::make(gateway, agent, column, scenario).await)
        .buffered(AT_A_TIME)
        .collect::<Vec<_>>()
        .await;
    // The node learns of changes in their order, so that with one more it knows them all.
    Account::new(&COLUMNS[0], "-last").make(gateway).await;
    gateway.caller().await.offered("claude-sonnet-5-last").await;
    made
}

impl Agent {
    /// At its own kinds of account the model that it knows; elsewhere one that thinks.
    fn model(&self, column: &Column) -> Option<&'static str> {
        self.known_model.filter(|_| self.own.contains(&column.name)).or(column.thinker)
    }
}

impl Scenario {
    pub(crate) fn is_for(&self, agent: &Agent, column: &Column) -> bool {
        let is_one_of = |names: &[&str], name| names.is_empty() || names.contains(&name);
        is_one_of(self.agents, agent.name) && is_one_of(self.columns, column.name)
    }

    fn places(&self, column: &'static Column) -> Vec<&'static Column> {
        let then = self.then.map(|then| then(column.name));
        [column].into_iter().chain(COLUMNS.iter().filter(|other| then == Some(other.name))).collect()
    }
}

impl Trial {
    async fn make(
        gateway: &Gateway,
        agent: &'static Agent,
        column: &'static Column,
        scenario: &'static Scenario,
    ) -> Self {
        let mut accounts = Vec::new();
        for place in scenario.places(column) {
            // Without words that would make another model of a model's name.
            let at = COLUMNS.iter().position(|other| other.name == column.name).unwrap();
            let lane = format!("-{}{at}-{}", agent.short, scenario.name);
            let model = scenario.model.or_else(|| agent.model(place));
            let account = Account { model, ..Account::new(place, lane) };
            accounts.push((account.clone(), account.make(gateway).await));
            if scenario.has_spare {
                let spare = Account { is_spare: true, ..account };
                accounts.push((spare.clone(), spare.make(gateway).await));
            }
        }
        Self { agent, column, scenario, accounts }
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {} {}", self.agent.name, self.column.name, self.scenario.name)
    }

    /// What the runner is told.
    pub(crate) fn spec(&self, gateway: &Gateway, caller: &Caller) -> Value {
        let mut targets: Vec<Value> = Vec::new();
        for (account, _) in &self.accounts {
            match targets.last_mut().filter(|_| account.is_spare) {
                Some(target) => target["credentials"].as_array_mut().unwrap().push(account.key().into()),
                None => {
                    targets.push(json!({ "model": self.asked(account), "credentials": [account.key()] }));
                }
            }
        }
        json!({
            "agent": self.agent.name,
            "scenario": self.scenario.run,
            "upstream": upstream(self.column.name),
            "gateway": { "url": caller.url, "key": caller.key },
            "emulator": gateway.emulator.base_url(),
            "targets": targets,
        })
    }

    fn asked(&self, account: &Account) -> String {
        let [bare, _] = account.models();
        if self.agent.own.contains(&account.column.name) { bare } else { account.asked() }
    }
}

/// In whose words the upstream speaks.
fn upstream(column: &str) -> &'static str {
    match column {
        "openai" | "azure-openai" | "droid-common" => "chat",
        "openai-login" | "openai-responses" | "droid-openai" => "responses",
        "bedrock" | "bedrock-converse" => "bedrock",
        _ if column.starts_with("gemini") => "gemini",
        _ => "messages",
    }
}
