//! Wakes those of this process who wait for something in the database; other replicas look by themselves.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

/// Tells the publisher that a change was committed. Signals that come close together become one.
#[derive(Debug, Clone, Default)]
pub struct ChangeSignal(Arc<Notify>);

impl ChangeSignal {
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Resolves once there was a signal since the last call.
    pub async fn notified(&self) {
        self.0.notified().await;
    }
}

/// Wakes who waits for a command or for a result. Clones are the same signal.
#[derive(Debug, Clone)]
pub struct CommandSignal(Arc<watch::Sender<u64>>);

impl CommandSignal {
    /// A command was left for a node, or a result was stored.
    pub fn notify(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Sees every signal from now on; `changed` resolves for each that was not seen yet.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl Default for CommandSignal {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}
