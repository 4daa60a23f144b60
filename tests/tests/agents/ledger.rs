//! What the ledger and the upstream have of a trial: as many requests, all well, and counted as the upstream counted.

use serde_json::Value;
use tests::{Gateway, eventually};

use crate::trials::Trial;

/// What each of the emulator's answers reports; `USAGE` in `clients/agents/trial.mjs`.
const COUNTED: [(&str, u64); 4] =
    [("input_tokens", 1003), ("cache_read_tokens", 211), ("cache_write_tokens", 0), ("output_tokens", 57)];

/// What is wrong, in lines.
pub(crate) async fn check(gateway: &Gateway, trial: &Trial, said: &Value) -> Vec<String> {
    let calls = said["calls"].as_array().unwrap();
    let mut wrong: Vec<String> = calls.iter().filter_map(|call| refusal(trial, call)).collect();
    for (account, id) in &trial.accounts {
        let records = closed(gateway, id).await;
        wrong.extend(records.iter().filter_map(miscounted).map(|what| format!("{what} ({})", account.key())));
    }
    let outside = said["outside"].as_array().unwrap();
    wrong.extend(outside.iter().map(|host| format!("it tried to reach {host}")));
    wrong
}

/// What the upstream refused of itself; what the scenario had it refuse is no fault.
fn refusal(trial: &Trial, call: &Value) -> Option<String> {
    let status = call["status"].as_u64().unwrap_or_default();
    let is_planned = match trial.scenario.name {
        "overflow" => call["planned"] == true,
        "limited" | "limited-spare" => status == 429,
        _ => false,
    };
    let is_refused = (400..500).contains(&status) && !is_planned;
    is_refused.then(|| format!("upstream refused {}: {status} {}", call["target"], call["said"]))
}

async fn closed(gateway: &Gateway, account: &str) -> Vec<Value> {
    let path = format!("/api/admin/usage/records?limit=200&account_id={account}");
    eventually("the records to be closed", async || {
        let records = gateway.admin.get(&path).await.ok()["records"].as_array().unwrap().clone();
        records.iter().all(|record| record["outcome"] != "open").then_some(records)
    })
    .await
}

/// Of a request that came to its end, what was counted otherwise than the upstream did.
fn miscounted(record: &Value) -> Option<String> {
    if record["outcome"] != "completed" {
        return None;
    }
    let otherwise = COUNTED.iter().find(|(kind, wanted)| record[*kind].as_u64() != Some(*wanted));
    otherwise.map(|(kind, wanted)| format!("the ledger has {kind} {} for {wanted}", record[*kind]))
}
