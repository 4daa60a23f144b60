//! What every handler and task of the control plane shares.

use std::{ops::Deref, sync::Arc};

use shared::{clock::Clock, tasks::Tasks};

use crate::{
    grpc::command_signal::CommandSignal, metrics::Metrics, secrets::Sealer, settings::Settings, snapshot::ChangeSignal,
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
    pub clock: Clock,
    pub tasks: Tasks,
    pub metrics: Metrics,
    /// Wakes the publisher; see [`App::changed`].
    pub changes: ChangeSignal,
    /// Wakes whoever waits for commands or for their results.
    pub commands: CommandSignal,
}

impl App {
    #[must_use]
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
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
