//! What every handler and task of the control plane shares.

use std::{ops::Deref, sync::Arc};

use shared::{clock::Clock, tasks::Tasks};

use crate::{
    domain::{
        known_browser::Browsers,
        password::Passwords,
        proof::Proofs,
        refresh::{RefreshTokens, Terms},
        tokens::{TokenError, Tokens},
    },
    http_client,
    ledger::{ingest::Ingest, price_cache::PriceCache},
    metrics::Metrics,
    secrets::{SealError, Sealer},
    settings::{MasterKeyError, Settings},
    signals::{ChangeSignal, CommandSignal},
    store::Store,
};

/// The state of one control-plane process. Clones are the same process.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// Read through [`App`], which derefs to it.
pub struct Inner {
    pub settings: Settings,
    pub store: Store,
    pub sealer: Sealer,
    pub proofs: Proofs,
    pub tokens: Tokens,
    pub refresh_tokens: RefreshTokens,
    pub browsers: Browsers,
    pub passwords: Passwords,
    pub prices: PriceCache,
    /// Takes nodes' records.
    pub ledger: Ingest,
    pub clock: Clock,
    pub tasks: Tasks,
    /// Listeners, connections and what passes through them: they end before [`Self::tasks`], which they rely on.
    pub edge: Tasks,
    /// Asks the data plane, for proxy tests.
    pub data_plane: reqwest::Client,
    pub metrics: Metrics,
    /// Wakes the publisher; see [`App::changed`].
    pub changes: ChangeSignal,
    /// Wakes whoever waits for commands or for their results.
    pub commands: CommandSignal,
}

/// The settings' keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    #[error(transparent)]
    Sealer(#[from] SealError),
    #[error(transparent)]
    Tokens(#[from] TokenError),
    #[error("the HTTP client can't be made: {0}")]
    HttpClient(#[from] http_client::HttpClientError),
}

impl App {
    /// Call from within a runtime.
    ///
    /// # Errors
    /// See [`AppError`].
    pub fn new(settings: Settings, store: Store, clock: Clock, tasks: Tasks) -> Result<Self, AppError> {
        let keys = settings.keys.master_keys()?;
        let sealer = Sealer::new(keys.iter().map(|key| &**key))?;
        let proofs = Proofs::new(keys.iter().map(|key| &**key))?;
        let tokens = Tokens::new(keys.iter().map(|key| &**key), settings.policy.access_token_lifetime)?;
        let terms = Terms {
            grace: settings.policy.refresh_grace,
            idle: settings.policy.session_lifetime,
            max_age: settings.policy.session_max_age,
        };
        let refresh_tokens = RefreshTokens::new(keys.iter().map(|key| &**key), terms);
        let browsers = Browsers::new(keys.iter().map(|key| &**key));
        let ledger = Ingest::new(store.clone(), clock.clone());
        Ok(Self(Arc::new(Inner {
            settings,
            store,
            sealer,
            proofs,
            tokens,
            refresh_tokens,
            browsers,
            passwords: Passwords::new(tasks.clone()),
            prices: ledger.prices.clone(),
            ledger,
            clock,
            tasks,
            edge: Tasks::new(),
            data_plane: http_client::new()?,
            metrics: Metrics::default(),
            changes: ChangeSignal::default(),
            commands: CommandSignal::default(),
        })))
    }

    /// To be called after a commit that recorded a change: this replica publishes it at once. Other replicas find
    /// it by themselves, so a call that is missing only costs time.
    pub fn changed(&self) {
        self.changes.notify();
    }
}

impl Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
