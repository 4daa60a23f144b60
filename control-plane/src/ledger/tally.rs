//! Sums up what the requests of a transaction add to the roll-ups.

use std::collections::HashMap;

use shared::id::IncarnationId;
use smallvec::SmallVec;

use crate::store::{
    latency::{Histogram, Metric},
    rollup_additions::Additions,
    rollups::{ALL_MODELS, Counts, Dimension, pair},
};

/// The longest is mostly that of a key and a family of models.
type Subject = SmallVec<[u8; 32]>;

/// Sums by quarter-hour. Of what follows from other sums nothing is counted: the total is the sum over the wires, and what
/// is of all models the sum over the models.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: HashMap<(i64, Dimension, Subject), Counts>,
    times: HashMap<(i64, Metric), HashMap<String, Histogram>>,
}

impl Tally {
    pub(super) fn add(&mut self, quarter: i64, dimension: Dimension, subject: &[&[u8]], counts: &Counts) {
        let subject = subject.iter().copied().flatten().copied().collect();
        self.counts.entry((quarter, dimension, subject)).or_default().add(counts);
    }

    pub(super) fn time(&mut self, quarter: i64, metric: Metric, model: &str, milliseconds: u64) {
        let models = self.times.entry((quarter, metric)).or_default();
        match models.get_mut(model) {
            Some(histogram) => histogram.count(milliseconds),
            None => models.entry(model.to_owned()).or_default().count(milliseconds),
        }
    }

    /// Moves it into `additions`, and where it is an open incarnation's into the sums of that as well.
    pub(super) fn enter(self, additions: &mut Additions, open: Option<IncarnationId>) {
        for ((quarter, dimension, subject), counts) in self.counts {
            if let Some((open, of_open)) = open.zip(of_open(dimension)) {
                additions.add(quarter, of_open, pair(open.to_bytes(), &subject), &counts);
            }
            if dimension == Dimension::Wire {
                additions.add(quarter, Dimension::Total, Vec::new(), &counts);
            }
            additions.add(quarter, dimension, subject.into_vec(), &counts);
        }
        for ((quarter, metric), models) in self.times {
            for (model, histogram) in models {
                for model in [ALL_MODELS.to_owned(), model] {
                    additions.latency.entry((quarter, model, metric)).or_default().add(&histogram);
                }
            }
        }
    }
}

const fn of_open(dimension: Dimension) -> Option<Dimension> {
    match dimension {
        Dimension::Key => Some(Dimension::OpenKey),
        Dimension::User => Some(Dimension::OpenUser),
        Dimension::Account => Some(Dimension::OpenAccount),
        Dimension::Group => Some(Dimension::OpenGroup),
        _ => None,
    }
}
