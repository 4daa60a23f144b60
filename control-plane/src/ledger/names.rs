//! Bounds the names that statistics take from clients and upstreams: a thousand of each kind, and one for all others.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;

use super::entry::{ClosedEntry, UNKNOWN_MODEL};
use crate::store::{
    StoreError, Tx,
    rollup_names::{self as rows, MOST, NameKind},
};

/// What statistics call all tags beyond the bound.
const UNKNOWN_TAG: &str = "unknown";

/// The names that were committed, as far as this process knows. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct NameCache(Arc<Mutex<HashMap<NameKind, HashSet<String>>>>);

/// Names that a transaction found or made; the cache takes them once it is committed.
#[derive(Debug, Default)]
pub(super) struct Learned(HashMap<NameKind, HashSet<String>>);

impl NameCache {
    /// Replaces names beyond the bound, and those that the database refuses, in what statistics take of the entries.
    ///
    /// # Errors
    /// `Busy` where another transaction made a name meanwhile.
    pub(super) async fn settle(
        &self,
        tx: &mut Tx,
        entries: &mut [ClosedEntry],
    ) -> Result<Learned, StoreError> {
        let models: BTreeSet<String> =
            entries.iter().filter(|entry| entry.made_up_model).map(|entry| entry.row.model.clone()).collect();
        let tags: BTreeSet<String> = entries.iter().flat_map(|entry| entry.tags.iter().cloned()).collect();
        let mut learned = Learned::default();
        let too_many_models = self.beyond(tx, NameKind::Model, models, &mut learned).await?;
        let too_many_tags = self.beyond(tx, NameKind::Tag, tags, &mut learned).await?;
        for entry in entries {
            if entry.made_up_model && too_many_models.contains(&entry.row.model) {
                UNKNOWN_MODEL.clone_into(&mut entry.row.model);
            }
            for tag in entry.tags.iter_mut().filter(|tag| too_many_tags.contains(*tag)) {
                UNKNOWN_TAG.clone_into(tag);
            }
            let mut seen = HashSet::new();
            entry.tags.retain(|tag| seen.insert(tag.clone()));
        }
        Ok(learned)
    }

    /// Those of `wanted` that are beyond the bound, or that the database refuses; the others have a slot afterwards.
    async fn beyond(
        &self,
        tx: &mut Tx,
        kind: NameKind,
        mut wanted: BTreeSet<String>,
        learned: &mut Learned,
    ) -> Result<BTreeSet<String>, StoreError> {
        {
            let cached = self.0.lock();
            if let Some(known) = cached.get(&kind) {
                wanted.retain(|name| !known.contains(name));
                if known.len() >= MOST {
                    return Ok(wanted);
                }
            }
        }
        if wanted.is_empty() {
            return Ok(wanted);
        }
        let mut known: HashSet<String> = rows::all(tx, kind).await?.into_iter().collect();
        let mut beyond = BTreeSet::new();
        for name in wanted {
            if known.contains(&name) {
                continue;
            }
            if known.len() >= MOST {
                beyond.insert(name);
                continue;
            }
            match rows::insert(tx, kind, known.len(), &name).await {
                // No request is left out for a name in statistics.
                Err(error) if error.is_of_data() => _ = beyond.insert(name),
                done => {
                    done?;
                    known.insert(name);
                }
            }
        }
        learned.0.insert(kind, known);
        Ok(beyond)
    }

    /// After the commit.
    pub(super) fn learn(&self, learned: Learned) {
        let mut cached = self.0.lock();
        for (kind, names) in learned.0 {
            cached.entry(kind).or_default().extend(names);
        }
    }
}
