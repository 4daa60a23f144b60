//! All credentials of one emulator.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{EmulatorOptions, credential::Credential, provider::Profile};

/// The most credentials that are told apart; further ones share the nameless one's place.
pub(crate) const MAX_CREDENTIALS: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Registry {
    options: EmulatorOptions,
    credentials: Mutex<HashMap<String, Arc<Credential>>>,
    nameless: Arc<Credential>,
    numbers: AtomicU64,
}

impl Registry {
    pub(crate) fn new(options: EmulatorOptions) -> Self {
        let nameless = Arc::new(Credential::new("", options.keep_calls));
        Self { options, credentials: Mutex::default(), nameless, numbers: AtomicU64::new(0) }
    }

    /// The credential with this key, from its first mention on. The empty key stands for calls without one.
    pub(crate) fn credential(&self, key: &str) -> Arc<Credential> {
        if key.is_empty() {
            return Arc::clone(&self.nameless);
        }
        let mut credentials = self.credentials.lock();
        if let Some(known) = credentials.get(key) {
            return Arc::clone(known);
        }
        if credentials.len() >= MAX_CREDENTIALS {
            return Arc::clone(&self.nameless);
        }
        let new = Arc::new(Credential::new(key, self.options.keep_calls));
        credentials.insert(key.to_owned(), Arc::clone(&new));
        new
    }

    /// Every credential seen, by key.
    pub(crate) fn all(&self) -> Vec<Arc<Credential>> {
        let mut all: Vec<_> = self.credentials.lock().values().cloned().collect();
        all.sort_by(|one, other| one.key().cmp(other.key()));
        all.insert(0, Arc::clone(&self.nameless));
        all
    }

    /// The credential's profile, within what the emulator as a whole accepts.
    pub(crate) fn profile(&self, credential: &Credential) -> Profile {
        let mut profile = credential.profile();
        profile.known &= match &self.options.keys {
            Some(keys) => keys.iter().any(|key| key == credential.key()),
            None => !credential.key().contains("unknown"),
        };
        profile
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }
}
