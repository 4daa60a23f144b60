//! What README and the key page say of Claude Code, Codex and Gemini CLI works by copy and paste.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::Path;

use emulator::Profile;
use serde_json::{Value, json};
use tests::{Caller, Gateway, run_snippets};

/// Agent, the accounts' type, their credential, and the model that is chosen on the key page.
const SETUPS: [[&str; 4]; 3] = [
    ["claude", "claude-console", "sk-ant-setup", "claude-sonnet-5"],
    ["codex", "openai", "sk-setup", "gpt-5.5"],
    ["gemini", "gemini-api", "AIza-setup", "gemini-2.5-flash"],
];
/// Ways to set one up: README's, and the key page's, which are two for Claude Code.
const WAYS: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn each_agent_works_by_copy_and_paste() {
    let gateway = Gateway::standalone().await;
    let caller = gateway.caller().await;
    for [_, account_type, credential, model] in SETUPS {
        gateway.account(account_type, credential).await;
        gateway.emulator.credential(credential).set_profile(Profile { strict: true, ..Profile::default() });
        caller.offered(model).await;
    }
    let spec = spec(&caller);
    // Waiting for a program blocks; the emulator runs on this runtime.
    let found = tokio::task::spawn_blocking(move || run_snippets(&spec)).await.unwrap();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), WAYS, "{found:#?}");
    let wrong: Vec<_> = found.iter().filter_map(|result| fault(&gateway, result)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn spec(caller: &Caller) -> Value {
    let models = SETUPS.map(|[agent, _, _, model]| (agent.to_owned(), model.into()));
    json!({
        "gateway": { "url": caller.url, "key": caller.key },
        "models": Value::Object(models.into_iter().collect()),
        "repository": Path::new(env!("CARGO_MANIFEST_DIR")).parent(),
    })
}

/// What is wrong with it: it failed, or what was asked did not come through the gateway to the account.
fn fault(gateway: &Gateway, result: &Value) -> Option<String> {
    let said = |name: &str| result[name].as_str().unwrap();
    let name = format!("{} by {}", said("cli"), said("source"));
    if said("outcome") != "works" {
        return Some(format!("{name}: {}", said("detail")));
    }
    let [_, _, credential, _] = SETUPS.into_iter().find(|[agent, ..]| *agent == said("cli")).unwrap();
    let calls = gateway.emulator.credential(credential).calls();
    let has_come = calls.iter().any(|call| {
        let is_answered = call.answer.as_ref().is_some_and(|answer| answer.status == 200);
        is_answered && String::from_utf8_lossy(&call.body).contains(said("prompt"))
    });
    (!has_come).then(|| format!("{name}: its request did not come to the account"))
}
