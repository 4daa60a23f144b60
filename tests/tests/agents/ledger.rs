//! What the ledger and the upstream have of a trial: as many tries, none refused, and counted as the upstream counted.

use std::time::Duration;

use serde_json::Value;
use tests::{Gateway, eventually};
use tokio::time::timeout;

use crate::trials::Trial;

/// What each of the emulator's answers reports; `USAGE` in `clients/agents/trial.mjs`.
const COUNTED: [(&str, u64); 4] =
    [("input_tokens", 1003), ("cache_read_tokens", 211), ("cache_write_tokens", 0), ("output_tokens", 57)];
/// From here on an input is meant to fill a model's window.
const FULL: u64 = 200_000;
/// Whom the upstream refuses with what, though all is well: they ask again without; and how often in a trial.
const TRIED: [(&str, &str, usize); 4] = [
    // Claude Code tells of its surroundings among the messages, also to models that it can't know to take it.
    ("claude", "role 'system' is not supported on this model", usize::MAX),
    // Thoughts that another account has sealed; the gateway asks again, and knows them from then on.
    ("", "could not be verified", 1),
    // Codex offers a search for tools; the gateway asks again, and knows the model from then on.
    ("codex", "'tool_search' is not supported", 1),
    // Bedrock counts for some models only; the gateway estimates.
    ("", "doesn't support counting tokens", usize::MAX),
];
const PATIENCE: Duration = Duration::from_secs(15);

/// What is wrong, in lines.
pub(crate) async fn check(gateway: &Gateway, trial: &Trial, said: &Value) -> Vec<String> {
    let calls = said["calls"].as_array().unwrap();
    let mut wrong: Vec<String> = calls.iter().filter_map(|call| refusal(trial, call)).collect();
    wrong.extend(TRIED.iter().filter_map(|(_, words, times)| {
        let tried = calls
            .iter()
            .filter(|call| call["said"].as_str().is_some_and(|said| said.contains(words)))
            .count();
        (tried > *times).then(|| format!("upstream said {tried} times: {words}"))
    }));
    match timeout(PATIENCE, records(gateway, trial, calls)).await {
        Ok(records) => wrong.extend(records.iter().filter_map(miscounted)),
        Err(_) => wrong.push(format!("the ledger does not have all of {} calls", calls.len())),
    }
    // Claude Code finds models only where it may also ask its maker for settings.
    let outside = said["outside"].as_array().unwrap().iter().filter(|_| trial.scenario.name != "discovery");
    wrong.extend(outside.map(|host| format!("it tried to reach {host}")));
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
    let said = call["said"].as_str().unwrap_or_default();
    let is_tried =
        TRIED.iter().any(|(agent, words, _)| trial.agent.name.contains(agent) && said.contains(words));
    let is_refused = (400..500).contains(&status) && !is_planned && !is_tried;
    is_refused
        .then(|| format!("upstream refused {}: {status} {said}", call["target"].as_str().unwrap_or_default()))
}

/// The trial's records, once they are closed and tell of every call; that of counting is none.
async fn records(gateway: &Gateway, trial: &Trial, calls: &[Value]) -> Vec<Value> {
    let is_counting = |call: &&Value| {
        let target = call["target"].as_str().unwrap().to_lowercase();
        target.contains("count") || target.contains("input_tokens")
    };
    let made = calls.len() - calls.iter().filter(is_counting).count();
    eventually("the records to be closed", async || {
        let mut records = Vec::new();
        for (_, id) in &trial.accounts {
            let path = format!("/api/admin/usage/records?limit=200&account_id={id}");
            records.extend(gateway.admin.get(&path).await.ok()["records"].as_array().unwrap().clone());
        }
        let attempts: usize = records.iter().map(|record| record["attempts"].as_array().unwrap().len()).sum();
        let are_closed = records.iter().all(|record| record["outcome"] != "open");
        (are_closed && attempts >= made).then_some(records)
    })
    .await
}

/// Of a request that came to its end, what was counted otherwise than the upstream did.
///
/// An attempt that was cut off ahead of all content is in the record too, by an estimate that its user does not pay.
fn miscounted(record: &Value) -> Option<String> {
    if record["outcome"] != "completed" {
        return None;
    }
    let attempts = record["attempts"].as_array().unwrap();
    let (given_up, answered): (Vec<_>, Vec<_>) =
        attempts.iter().partition(|attempt| !attempt["estimate"].is_null());
    if let Some(attempt) = given_up.iter().find(|attempt| !is_estimated(record, attempt)) {
        return Some(format!("an attempt that was given up stands as {attempt}"));
    }
    let is_full = record["input_tokens"].as_u64() > Some(FULL);
    COUNTED.iter().find_map(|(kind, wanted)| {
        let reported = sum(&answered, "usage", kind);
        let charged = reported + sum(&given_up, "estimate", kind);
        if record[*kind].as_u64() != Some(charged) {
            return Some(format!("the ledger has {kind} {} for {charged} of its attempts", record[*kind]));
        }
        let is_otherwise = reported != *wanted && !(is_full && *kind == "input_tokens");
        is_otherwise.then(|| format!("the ledger has {kind} {reported} for {wanted}"))
    })
}

/// Whether an attempt that brought nothing is marked, bounded, and free for its user.
fn is_estimated(record: &Value, attempt: &Value) -> bool {
    let is_bounded = COUNTED
        .iter()
        .all(|(kind, _)| attempt["estimate"][*kind].as_u64() <= attempt["bound"][*kind].as_u64());
    record["estimated"] == true && attempt["outcome"] != "completed" && attempt["cost"] == "0" && is_bounded
}

fn sum(attempts: &[&Value], of: &str, kind: &str) -> u64 {
    attempts.iter().filter_map(|attempt| attempt[of][kind].as_u64()).sum()
}
