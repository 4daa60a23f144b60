//! What the provider knows and what the ledger says, side by side.

use std::collections::{BTreeMap, BTreeSet};

use emulator::{CallRecord, Credential, End};
use serde_json::{Value, json};
use tests::{Asked, Seen, Split};

/// Tokens of input and output.
type Tokens = [u64; 2];

#[derive(Debug)]
pub(crate) struct Books {
    /// By trace: what the provider reported, where it came to the end of its answer.
    pub(crate) served: BTreeMap<String, Option<Tokens>>,
    /// By trace.
    pub(crate) records: BTreeMap<String, Value>,
    pub(crate) rejected: Vec<Value>,
    summary: Value,
}

/// What a test knows.
#[derive(Debug)]
pub(crate) struct Law<'a> {
    pub(crate) asked: &'a [Asked],
    /// At most so many requests were under way when their node was killed.
    pub(crate) under_way: usize,
    /// Traces of which the ledger was made to refuse the records.
    pub(crate) refused: &'a [String],
}

impl Books {
    pub(crate) async fn read(split: &Split, credential: &Credential) -> Self {
        let calls = credential.calls();
        assert_eq!(calls.len() as u64, credential.counters().requests, "a call that was not kept");
        let mut served = BTreeMap::new();
        for call in calls {
            let trace = call.header("traceparent").unwrap()[3..35].to_owned();
            let twice = served.insert(trace, reported(&call));
            assert_eq!(twice, None, "{call:?} was forwarded twice");
        }
        let mut records = BTreeMap::new();
        for record in all(split, "/api/admin/usage/records").await {
            let trace = record["trace_id"].as_str().unwrap().to_owned();
            if let Some(twice) = records.insert(trace, record) {
                panic!("{twice} counts twice");
            }
        }
        let rejected = all(split, "/api/admin/usage/rejected").await;
        let summary = split.admin.get("/api/admin/usage/summary").await.ok();
        Self { served, records, rejected, summary }
    }

    pub(crate) fn cut_off(&self) -> usize {
        self.records.values().filter(|record| record["outcome"] == "cut_off").count()
    }
}

impl Law<'_> {
    pub(crate) fn check(&self, books: &Books) {
        self.the_provider_and_the_ledger_agree(books);
        for (trace, record) in &books.records {
            well_kept(record, books.served.get(trace).copied().flatten());
        }
        sums_are_of_records(books);
    }

    fn the_provider_and_the_ledger_agree(&self, books: &Books) {
        let served: BTreeSet<&str> = books.served.keys().map(String::as_str).collect();
        let recorded: BTreeSet<&str> = books.records.keys().map(String::as_str).collect();
        let lost: BTreeSet<&str> = served.difference(&recorded).copied().collect();
        let refused: BTreeSet<&str> = self.refused.iter().map(String::as_str).collect();
        assert_eq!(lost, refused, "were served, and are not in the ledger");
        // The node died ahead of the forwarding.
        for trace in recorded.difference(&served) {
            let record = &books.records[*trace];
            assert_eq!(record["outcome"], "cut_off", "the provider never got {record}");
        }
        assert!(books.cut_off() <= self.under_way, "{} of {}", books.cut_off(), self.under_way);
        let answered = self.asked.iter().filter(|asked| asked.seen == Seen::Whole);
        for Asked { trace, .. } in answered {
            assert!(served.contains(trace.as_str()), "{trace} was answered by nobody");
        }
        let known: BTreeSet<&str> = self.asked.iter().map(|asked| asked.trace.as_str()).collect();
        assert!(recorded.is_subset(&known), "nobody asked that");
    }
}

/// One attempt at the account, with the provider's counts where it is completed, and an estimate where it is cut off.
fn well_kept(record: &Value, reported: Option<Tokens>) {
    let [attempt] = record["attempts"].as_array().unwrap().as_slice() else {
        panic!("{record} was tried once");
    };
    assert!(attempt["account_id"].is_string() && record["real_cost"] != "0", "{record}");
    if record["outcome"] == "completed" {
        assert_eq!((&record["status"], &record["estimated"]), (&json!(200), &json!(false)), "{record}");
        assert_eq!(Some(tokens(record)), reported, "{record}");
    } else {
        assert_eq!((&record["outcome"], &record["estimated"]), (&json!("cut_off"), &json!(true)), "{record}");
        let estimate = &attempt["estimate"];
        assert!(estimate["input_tokens"].as_u64() > Some(0), "{record}");
        assert_eq!(tokens(record), tokens(estimate), "{record}");
    }
}

fn sums_are_of_records(books: &Books) {
    let mut sums = [0; 2];
    let mut costs = [0; 2];
    for record in books.records.values() {
        for (sum, count) in sums.iter_mut().zip(tokens(record)) {
            *sum += count;
        }
        for (sum, nanos) in costs.iter_mut().zip(nanos(record)) {
            *sum += nanos;
        }
    }
    let summary = &books.summary;
    assert_eq!(
        (&summary["requests"], &summary["errors"]),
        (&json!(books.records.len()), &json!(books.cut_off())),
        "{summary}"
    );
    assert_eq!((tokens(summary), nanos(summary)), (sums, costs), "{summary}");
}

fn tokens(of: &Value) -> Tokens {
    ["input_tokens", "output_tokens"].map(|kind| of[kind].as_u64().unwrap())
}

/// What the user and the account pay.
fn nanos(of: &Value) -> [i64; 2] {
    ["cost", "real_cost"].map(|cost| {
        let dollars: f64 = of[cost].as_str().unwrap().parse().unwrap();
        (dollars * 1e9).round() as i64
    })
}

/// The counts in an answer that was given to its end.
fn reported(call: &CallRecord) -> Option<Tokens> {
    let answer = call.answer.as_ref().filter(|_| call.end == End::Served)?;
    if let Ok(whole) = serde_json::from_slice::<Value>(&answer.body) {
        return Some(tokens(&whole["usage"]));
    }
    let text = std::str::from_utf8(&answer.body).unwrap();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = events.map(|event| serde_json::from_str(event).unwrap()).collect();
    let of = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap();
    let input = &of("message_start")["message"]["usage"]["input_tokens"];
    let output = &of("message_delta")["usage"]["output_tokens"];
    Some([input.as_u64().unwrap(), output.as_u64().unwrap()])
}

/// All pages of a list.
async fn all(split: &Split, path: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = split.admin.get(&format!("{path}?limit=200{cursor}")).await.ok();
        let Value::Array(records) = page["records"].take() else { panic!("{page}") };
        all.extend(records);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}
