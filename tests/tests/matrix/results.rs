//! What the programs found, and whether it may be so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::Deserialize;

use crate::{
    PROGRAMS,
    columns::{COLUMNS, WIRES},
    exceptions::{EXCEPTIONS, Exception},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Works,
    /// The SDK was told that it can't be had, and why.
    Refused,
    /// The answer came without what was asked for.
    Absent,
    Failed,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Found {
    pub(crate) sdk: String,
    pub(crate) wire: String,
    pub(crate) column: String,
    pub(crate) feature: String,
    pub(crate) outcome: Outcome,
    pub(crate) detail: String,
}

/// Everything that is tried, by the heading that it has in the table.
pub(crate) const FEATURES: [(&str, &[&str]); 15] = [
    ("plain", &["plain"]),
    ("stream", &["stream"]),
    ("tools", &["tools"]),
    ("parallel tools", &["parallel_tools", "one_call"]),
    ("images", &["images"]),
    ("images by URL", &["url_images"]),
    ("PDF", &["pdf"]),
    ("reasoning", &["reasoning"]),
    ("structured", &["structured"]),
    ("usage", &["usage", "usage_unasked", "count_tokens"]),
    ("stops", &["stop_end", "stop_length", "stop_sequence", "stop_tool", "stop_refusal"]),
    ("system", &["system"]),
    ("system in mid-talk", &["system_mid"]),
    ("agent loop", &["agent_loop", "agent_loop_thinking"]),
    (
        "errors",
        &[
            "error_400",
            "error_401",
            "error_403",
            "error_404",
            "error_404_upstream",
            "error_413",
            "error_429",
            "error_500",
            "error_529",
            "error_in_stream",
            "cut_in_stream",
        ],
    ),
];

/// What a wire has no words for.
pub(crate) fn is_sayable(wire: &str, feature: &str) -> bool {
    match feature {
        "stop_sequence" => wire != "responses",
        "system_mid" | "one_call" => wire != "gemini",
        "usage_unasked" => wire == "chat",
        "count_tokens" => matches!(wire, "messages" | "gemini"),
        _ => true,
    }
}

/// Nothing failed, nothing is missing, and what is refused or absent is stated, and stated nowhere in vain.
///
/// # Panics
/// It is otherwise.
pub(crate) fn judge(found: &[Found]) {
    let mut wrong = String::new();
    for one in found.iter().filter(|one| !is_right(one)) {
        let Found { sdk, wire, column, feature, outcome, detail } = one;
        let _ = writeln!(wrong, "{wire} {column} {feature} ({sdk}) {outcome:?}: {detail}");
    }
    for missing in missing(found) {
        let _ = writeln!(wrong, "{missing} was not tried");
    }
    for exception in EXCEPTIONS {
        for (wire, column, feature) in exception.cells() {
            let holds = |one: &&Found| one.wire == wire && one.column == column && one.feature == feature;
            if found.iter().filter(holds).any(|one| one.outcome != exception.outcome) {
                let _ = writeln!(wrong, "{wire} {column} {feature} is an exception that is none any more");
            }
        }
    }
    assert!(wrong.is_empty(), "{} lines:\n{wrong}", wrong.lines().count());
}

fn is_right(found: &Found) -> bool {
    match found.outcome {
        Outcome::Works => true,
        Outcome::Failed => false,
        outcome => stated(&found.wire, &found.column, &found.feature)
            .is_some_and(|exception| exception.outcome == outcome && found.detail.contains(exception.says)),
    }
}

/// The exception for a cell.
pub(crate) fn stated(wire: &str, column: &str, feature: &str) -> Option<&'static Exception> {
    EXCEPTIONS.iter().find(|exception| exception.cells().any(|cell| cell == (wire, column, feature)))
}

fn missing(found: &[Found]) -> Vec<String> {
    let mut tried: BTreeMap<&str, BTreeSet<(&str, &str, &str)>> = BTreeMap::new();
    for one in found {
        tried.entry(&one.sdk).or_default().insert((&one.wire, &one.column, &one.feature));
    }
    let mut missing = Vec::new();
    for (sdk, wire) in PROGRAMS.iter().flat_map(|(sdk, _)| WIRES.iter().map(move |wire| (*sdk, *wire))) {
        for column in &COLUMNS {
            for feature in FEATURES.iter().flat_map(|(_, features)| *features) {
                let is_tried =
                    tried.get(sdk).is_some_and(|cells| cells.contains(&(wire, column.name, *feature)));
                if is_sayable(wire, feature) && !is_tried {
                    missing.push(format!("{wire} {} {feature} ({sdk})", column.name));
                }
            }
        }
    }
    missing
}
