//! Every client wire at every kind of account, with the providers' own SDKs as judges.
//!
//! [`columns`] makes the accounts, the programs under `clients/` try each cell and say what they found, [`results`] holds
//! that against [`exceptions`], and [`table`] makes the page of it. To add a kind of account: a column. To add a feature:
//! a function in each program, and its name in `results::FEATURES`.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking, its helpers too")]

mod columns;
mod exceptions;
mod results;
mod table;

use std::fs;

use serde_json::json;
use tempfile::TempDir;
use tests::{Gateway, SdkGeneration, run_node_matrix, run_pytest, run_python_matrix};

use results::Found;

type Program = fn(&[(&str, &str)]);

/// What tries the cells, by the name that it gives itself.
const PROGRAMS: [(&str, Program); 2] = [("python", run_python_matrix), ("node", run_node_matrix)];

#[tokio::test(flavor = "multi_thread")]
async fn every_wire_at_every_account() {
    let gateway = Gateway::standalone().await;
    let cells = columns::make(&gateway).await;
    let caller = gateway.caller().await;
    let folder = TempDir::with_prefix("switchyard-matrix-").unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("cells.json"), cells.to_string()).unwrap();
    let shared = [
        ("SWITCHYARD_URL", caller.url.clone()),
        ("SWITCHYARD_KEY", caller.key.clone()),
        ("SWITCHYARD_EMULATOR", gateway.emulator.base_url()),
        ("SWITCHYARD_CELLS", path("cells.json")),
    ];
    let programs = PROGRAMS.map(|(sdk, run)| {
        let (mut variables, results) = (shared.to_vec(), path(sdk));
        variables.push(("SWITCHYARD_RESULTS", results.clone()));
        // The programs block; the emulator runs on this runtime.
        tokio::task::spawn_blocking(move || {
            run(&variables.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>());
            serde_json::from_slice::<Vec<Found>>(&fs::read(results).unwrap()).unwrap()
        })
    });
    let mut found = Vec::new();
    for program in programs {
        found.extend(program.await.unwrap());
    }
    results::judge(&found);
}

#[test]
fn the_page_says_so() {
    table::check();
}

#[tokio::test(flavor = "multi_thread")]
async fn bedrock_is_signed_as_aws_signs() {
    const PROFILE: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6";
    const CONVERSE: [&str; 3] = ["converse", "converse-stream", "count-tokens"];
    const INVOKE: [&str; 3] = ["invoke", "invoke-with-response-stream", "count-tokens"];
    let gateway = Gateway::standalone().await;
    let mut accounts = Vec::new();
    for (asked, sent, id, session, calls) in [
        ("claude-sonnet-4-5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "AKIACLAUDE", None, INVOKE),
        ("nova", "amazon.nova-pro-v1:0", "ASIANOVA", Some("FwoGZX//////session+of=="), CONVERSE),
        ("claude-profile", PROFILE, "AKIAPROFILE", None, CONVERSE),
    ] {
        let secret = format!("secret-of-{id}");
        let mut credentials = json!({ "access_key_id": id, "secret_access_key": secret });
        if let Some(token) = session {
            credentials["session_token"] = token.into();
        }
        let fields = json!({
            "base_url": format!("{}/bedrock", gateway.emulator.base_url()),
            "credentials": credentials,
            "options": { "region": "us-east-1" },
            "model_mapping": { asked: sent },
            "allowed_models": [sent],
        });
        gateway.account_with("bedrock", id, fields).await;
        credentials["model"] = format!("bedrock,{asked}").into();
        credentials["calls"] = json!(calls);
        accounts.push(credentials);
    }
    let caller = gateway.caller().await;
    caller.offered("claude-profile").await;
    let variables = [
        ("SWITCHYARD_TEST_URL", caller.url.clone()),
        ("SWITCHYARD_TEST_KEY", caller.key.clone()),
        ("SWITCHYARD_TEST_EMULATOR", gateway.emulator.base_url()),
        ("SWITCHYARD_TEST_ACCOUNTS", json!(accounts).to_string()),
    ];
    // pytest blocks; the emulator runs on this runtime.
    tokio::task::spawn_blocking(move || {
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        run_pytest(SdkGeneration::Current, "test_sigv4.py", &variables);
    })
    .await
    .unwrap();
}
