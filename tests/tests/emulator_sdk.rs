//! The emulator as the providers' own SDKs find it: what they are to prove of the gateway holds of the oracle itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;

use emulator::{Emulator, EmulatorOptions, Profile};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::run_node_matrix;

/// Wire, where the emulator speaks it, a model, one that thinks, and a key.
const PLACES: [[&str; 5]; 6] = [
    ["chat", "/openai/v1", "gpt-4o", "gpt-5.1", "sk-itself-chat"],
    ["chat", "/openai/v1", "deepseek-r", "deepseek-r", "sk-itself-reasoner"],
    ["responses", "/openai/v1", "gpt-5.1", "gpt-5.1", "sk-itself-responses"],
    ["messages", "/anthropic", "claude-opus-5", "claude-opus-5", "sk-ant-itself"],
    ["gemini", "/google", "gemini-3-pro", "gemini-3-pro", "AIza-itself"],
    ["gemini", "/google", "gemini-2.5-flash", "gemini-2.5-pro", "AIza-itself-2.5"],
];
/// OpenAI's chat keeps its thoughts to itself.
const ABSENT: [(&str, &str); 1] = [("sk-itself-chat", "reasoning")];

#[derive(Debug, Deserialize)]
struct Tried {
    column: String,
    feature: String,
    outcome: String,
    detail: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn node_sdks_find_every_feature_in_the_emulator() {
    let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
    let url = emulator.base_url();
    let cells: Value = PLACES.iter().map(|place| cell(&emulator, *place)).collect();
    let tried = tokio::task::spawn_blocking(move || try_all(&url, &cells)).await.unwrap();

    assert!(tried.len() >= 25 * PLACES.len(), "only {} features were tried", tried.len());
    for Tried { column, feature, outcome, detail } in tried {
        let expected = if ABSENT.contains(&(column.as_str(), feature.as_str())) { "absent" } else { "works" };
        assert_eq!(outcome, expected, "{column} {feature}: {detail}");
    }
}

fn cell(emulator: &Emulator, [wire, path, model, thinker, key]: [&str; 5]) -> Value {
    emulator.credential(key).set_profile(Profile { strict: true, ..Profile::default() });
    let lane = json!({ "model": model, "emulator_key": key });
    json!({
        "column": key,
        "model": model,
        "reasoning_model": thinker,
        "base_url": format!("{}{path}", emulator.base_url()),
        "lanes": { "node": { wire: [lane] } },
    })
}

fn try_all(url: &str, cells: &Value) -> Vec<Tried> {
    let folder = tempfile::tempdir().unwrap();
    let [asked, came] = ["cells.json", "results.json"].map(|name| folder.path().join(name));
    fs::write(&asked, cells.to_string()).unwrap();
    run_node_matrix(&[
        ("SWITCHYARD_EMULATOR", url),
        ("SWITCHYARD_CELLS", asked.to_str().unwrap()),
        ("SWITCHYARD_RESULTS", came.to_str().unwrap()),
    ]);
    serde_json::from_slice(&fs::read(&came).unwrap()).unwrap()
}
