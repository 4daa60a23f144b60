//! What came of the trials, and whether it may be so.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    exceptions::{self, EXCEPTIONS},
    trials::Trial,
};

#[derive(Debug)]
pub(crate) struct Found {
    name: String,
    /// Empty: all is as it should be.
    wrong: Vec<String>,
    /// What goes wrong there, and may.
    stated: Option<&'static str>,
}

/// What the runner said and what was found besides.
pub(crate) fn read(trial: &Trial, said: &Value, more: Vec<String>) -> Found {
    let mut wrong = Vec::new();
    if said["outcome"] != "works" {
        wrong.push(said["detail"].as_str().unwrap().to_owned());
    }
    wrong.extend(more);
    // An agent that asks again is refused again.
    wrong.dedup();
    let stated = exceptions::of(trial).map(|exception| exception.says);
    Found { name: trial.name(), wrong, stated }
}

/// Nothing is wrong but what is stated, and nothing is stated in vain.
///
/// # Panics
/// It is otherwise.
pub(crate) fn judge(found: &[Found]) {
    let mut wrong = String::new();
    for Found { name, wrong: lines, stated } in found {
        let all = lines.join("\n    ");
        let _ = match stated {
            Some(_) if all.is_empty() => writeln!(wrong, "{name} is an exception that is none any more"),
            Some(says) if all.contains(says) => Ok(()),
            _ if all.is_empty() => Ok(()),
            _ => writeln!(wrong, "{name}: {all}"),
        };
    }
    for exception in EXCEPTIONS.iter().filter(|exception| exception.is_idle()) {
        let _ = writeln!(wrong, "an exception is about nothing: {exception:?}");
    }
    assert!(
        wrong.is_empty(),
        "{} of {} trials:\n{wrong}",
        wrong.lines().filter(|line| !line.starts_with(' ')).count(),
        found.len()
    );
}
