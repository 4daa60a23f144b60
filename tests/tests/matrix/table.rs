//! The matrix as people read it.

use std::{collections::BTreeSet, fmt::Write as _};

use tests::check_page;

use crate::{
    columns::{COLUMNS, WIRES},
    exceptions::EXCEPTIONS,
    results::{FEATURES, is_sayable, stated},
};

const HEAD: &str = "\
# What works where

Each client wire at each kind of account, tried with the providers' own SDKs for Python and JavaScript through the gateway.
The test `matrix` of the package `tests` makes this page, and fails where it is not so: don't edit it, but run the test with
`UPDATE_MATRIX=1`. A number stands for a note below: what is refused with these words, or left out. A – is what the wire
has no words for.
";

/// Holds the page to what is stated, which the other test holds to what is so.
pub(crate) fn check() {
    check_page("data-plane/MATRIX.md", &page());
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for wire in WIRES {
        let _ = write!(page, "\n## {wire}\n\n| account |");
        FEATURES.iter().for_each(|(heading, _)| {
            let _ = write!(page, " {heading} |");
        });
        let _ = writeln!(page, "\n|---|{}", ":-:|".repeat(FEATURES.len()));
        for column in &COLUMNS {
            let _ = write!(page, "| {} |", column.name);
            for (_, features) in FEATURES {
                let _ = write!(page, " {} |", entry(wire, column.name, features));
            }
            page.push('\n');
        }
    }
    let _ = writeln!(page, "\n## Notes\n");
    for (index, why) in notes().iter().enumerate() {
        let _ = writeln!(page, "{}. {why}", index + 1);
    }
    page
}

/// What stands in the table for features that share a heading.
fn entry(wire: &str, column: &str, features: &[&str]) -> String {
    let sayable: Vec<_> = features.iter().filter(|feature| is_sayable(wire, feature)).collect();
    if sayable.is_empty() {
        return "–".to_owned();
    }
    let notes = notes();
    let stated = sayable.iter().filter_map(|feature| stated(wire, column, feature));
    let numbers: BTreeSet<_> =
        stated.filter_map(|exception| notes.iter().position(|why| *why == exception.why)).collect();
    if numbers.is_empty() {
        return "✓".to_owned();
    }
    numbers.iter().map(|index| (index + 1).to_string()).collect::<Vec<_>>().join(", ")
}

/// Each reason once.
fn notes() -> Vec<&'static str> {
    let mut notes: Vec<&'static str> = Vec::new();
    for exception in EXCEPTIONS {
        if !notes.contains(&exception.why) {
            notes.push(exception.why);
        }
    }
    notes
}
