//! Whose keys are: a node says it with each record, and is not to be believed where it makes somebody else pay.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use shared::id::{KeyId, UserId};

use crate::store::{StoreError, Tx, api_keys};

/// Keys that are remembered; beyond it all are forgotten, and read anew as they are used.
const REMEMBERED: usize = 100_000;

/// Keys with their users, which never change; `None`: nobody knew it, as its user was deleted. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnerCache(Arc<Mutex<HashMap<KeyId, Option<UserId>>>>);

impl OwnerCache {
    /// Those that are another user's. A key that nobody knows any more is whose the node says.
    pub(super) async fn foreign(
        &self,
        tx: &mut Tx,
        keys: impl Iterator<Item = (KeyId, UserId)>,
    ) -> Result<HashSet<(KeyId, UserId)>, StoreError> {
        let mut keys: HashSet<_> = keys.collect();
        let (mut owners, unknown) = self.look_up(&keys);
        if !unknown.is_empty() {
            let found = api_keys::owners(tx, &unknown).await?;
            let found: Vec<_> = unknown.into_iter().map(|key| (key, found.get(&key).copied())).collect();
            self.remember(&found);
            owners.extend(found);
        }
        keys.retain(|(key, user)| owners.get(key).copied().flatten().is_some_and(|owner| owner != *user));
        Ok(keys)
    }

    /// What is remembered of these, and those of which nothing is.
    fn look_up(&self, keys: &HashSet<(KeyId, UserId)>) -> (HashMap<KeyId, Option<UserId>>, Vec<KeyId>) {
        let known = self.0.lock();
        let (mut owners, mut unknown) = (HashMap::new(), Vec::new());
        for (key, _) in keys {
            match known.get(key) {
                Some(owner) => _ = owners.insert(*key, *owner),
                None => unknown.push(*key),
            }
        }
        (owners, unknown)
    }

    fn remember(&self, found: &[(KeyId, Option<UserId>)]) {
        let mut known = self.0.lock();
        if known.len() + found.len() > REMEMBERED {
            known.clear();
        }
        known.extend(found.iter().copied());
    }
}
