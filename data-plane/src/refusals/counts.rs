//! How many requests were refused, by whom, for what, and when. Where there is no room to tell them apart, they are
//! counted together: what is lost is detail, and never a count.

use std::collections::{BTreeMap, HashMap};

use proto::v1::RefusalCount;
use shared::clock::{Millis, QUARTER_MS};

use super::Owner;

/// Rows of a quarter-hour: from the first bound on, models are not told apart any more, and from the second one on, keys
/// are not either. They hold for all of it, also behind a report, as each row is one in the control plane's database.
const MODELS_APART: usize = 512;
const KEYS_APART: usize = 2_048;
/// Rows of earlier quarter-hours that wait for the control plane. Beyond them the oldest quarter-hour goes into the one
/// after it, by its codes alone.
const PAST_ROWS: usize = 4_096;

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) code: &'static str,
    /// None: it is not known, or they are not told apart.
    pub(super) by: Option<Owner>,
    pub(super) model: Model,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Model {
    Unknown,
    Named(Box<str>),
    /// Those that are not told apart.
    Others,
}

impl Row {
    /// All that there is no room for.
    const fn others(code: &'static str) -> Self {
        Self { code, by: None, model: Model::Others }
    }

    pub(super) fn count(self, quarter: Millis, requests: u64) -> RefusalCount {
        let others = self.model == Model::Others;
        RefusalCount {
            quarter_start_ms: quarter.0,
            code: self.code.to_owned(),
            key_id: self.by.map(|by| by.key.to_bytes().to_vec()).unwrap_or_default(),
            user_id: self.by.map(|by| by.user.to_bytes().to_vec()).unwrap_or_default(),
            model: if let Model::Named(name) = self.model { name.into() } else { String::new() },
            others,
            requests,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    /// The latest one that something was counted in.
    quarter: Millis,
    /// Of that one, and not reported; a row stays to its end.
    rows: HashMap<Row, u64>,
    /// Of those before.
    past: BTreeMap<(Millis, Row), u64>,
}

impl Counts {
    pub(super) fn add(&mut self, at: Millis, row: Row) {
        let quarter = at.quarter_start();
        // Workers read the clock one before the other; by more than that, only a clock goes back that was wrong.
        if quarter > self.quarter || self.quarter.0 - quarter.0 > QUARTER_MS {
            self.turn(quarter);
        }
        let row = self.place(row);
        *self.rows.entry(row).or_default() += 1;
    }

    /// The row itself, or the one that it is counted in where there is no room.
    fn place(&self, row: Row) -> Row {
        let has_room = |row: &Row, most| self.rows.len() < most || self.rows.contains_key(row);
        // Without a key there are as many rows as codes.
        if row.by.is_none() || has_room(&row, MODELS_APART) {
            return row;
        }
        let of_key = Row { model: Model::Others, ..row };
        if has_room(&of_key, KEYS_APART) { of_key } else { Row::others(of_key.code) }
    }

    fn turn(&mut self, quarter: Millis) {
        let before = std::mem::replace(&mut self.quarter, quarter);
        for (row, requests) in self.rows.drain().filter(|(_, requests)| *requests > 0) {
            *self.past.entry((before, row)).or_default() += requests;
        }
        while self.past.len() > PAST_ROWS && self.merge_oldest() {}
    }

    /// False: there is but one.
    fn merge_oldest(&mut self) -> bool {
        let Some(oldest) = self.past.keys().next().map(|(quarter, _)| *quarter) else { return false };
        let Some(next) = self.past.keys().map(|(quarter, _)| *quarter).find(|quarter| *quarter > oldest)
        else {
            return false;
        };
        while let Some(entry) = self.past.first_entry().filter(|entry| entry.key().0 == oldest) {
            let ((_, row), requests) = entry.remove_entry();
            let row = if row.by.is_none() { row } else { Row::others(row.code) };
            *self.past.entry((next, row)).or_default() += requests;
        }
        true
    }

    /// At most so many rows, the oldest first. They are not waiting any more.
    pub(super) fn take(&mut self, most: usize) -> Vec<(Millis, Row, u64)> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(((quarter, row), requests)) = self.past.pop_first()
        {
            taken.push((quarter, row, requests));
        }
        let waiting = self.rows.iter_mut().filter(|(_, requests)| **requests > 0).take(most - taken.len());
        taken.extend(waiting.map(|(row, requests)| (self.quarter, row.clone(), std::mem::take(requests))));
        taken
    }

    pub(super) fn waiting(&self) -> u64 {
        self.past.values().chain(self.rows.values()).sum()
    }

    #[cfg(test)]
    pub(super) fn rows(&self) -> usize {
        self.past.len() + self.rows.len()
    }

    /// Beyond this there are never rows, with so many codes.
    #[cfg(test)]
    pub(super) const fn most_rows(codes: usize) -> usize {
        PAST_ROWS + KEYS_APART + 2 * codes
    }
}
