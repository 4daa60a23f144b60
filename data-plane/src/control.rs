//! All talk with the control plane.
//!
//! Four loops, each of which outlives any failure of the other side: [`watch`] receives the configuration,
//! [`heartbeat`] tells how the node is, [`commands`] carries out what is asked, [`refusals`] tells what was refused. The
//! fifth, which delivers usage records, is `usage::reporter`. They share the one connection of [`crate::transport`].

mod commands;
#[cfg(test)]
pub(crate) mod fake;
mod heartbeat;
mod refusals;
mod status_writes;
mod watch;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use futures_util::future::BoxFuture;
use proto::v1::{AccountType, NodeStatistics, TestAccountResult, Wire};
use shared::{clock::Clock, tasks::Tasks};

use crate::{
    live::Live,
    refusals::Refusals,
    snapshot::{Account, Configuration},
    transport::ControlPlane,
    usage::Journal,
};

pub use status_writes::StatusWrites;

/// What the control plane hears about, and asks of, the part of the node that serves clients.
pub trait Serving: Send + Sync + 'static {
    /// Without what the live state tells of itself.
    fn statistics(&self) -> NodeStatistics;
    fn wires(&self) -> Vec<Wire>;
    fn account_types(&self) -> Vec<AccountType>;
    /// Sends the smallest possible request to the account's upstream.
    fn test(&self, account: Arc<Account>, model: Option<String>) -> BoxFuture<'static, TestAccountResult>;
}

/// What the loops work with. Clones are the same.
#[derive(Clone)]
pub struct Link {
    pub control_plane: ControlPlane,
    pub node_id: String,
    pub configuration: Configuration,
    pub live: Arc<Live>,
    pub journal: Journal,
    pub refusals: Refusals,
    pub status_writes: StatusWrites,
    pub serving: Arc<dyn Serving>,
    pub state: Arc<LinkState>,
    pub clock: Clock,
    pub tasks: Tasks,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// How the talk goes.
#[derive(Debug)]
pub struct LinkState {
    watching: AtomicBool,
    withheld: AtomicBool,
    live_nodes: AtomicU32,
    ready: tokio::sync::watch::Sender<bool>,
}

impl LinkState {
    #[must_use]
    pub fn new() -> Self {
        Self {
            watching: AtomicBool::new(false),
            withheld: AtomicBool::new(false),
            live_nodes: AtomicU32::new(1),
            ready: tokio::sync::watch::Sender::new(true),
        }
    }

    /// Whether the configuration's stream is open.
    #[must_use]
    pub fn watching(&self) -> bool {
        self.watching.load(Ordering::Relaxed)
    }

    /// Whether the control plane, as last told, sends nothing because its database is an old copy.
    #[must_use]
    pub fn withheld(&self) -> bool {
        self.withheld.load(Ordering::Relaxed)
    }

    /// Nodes that the control plane heard of lately, as last told; at least 1.
    #[must_use]
    pub fn live_nodes(&self) -> u32 {
        self.live_nodes.load(Ordering::Relaxed)
    }

    /// Says that the node is shutting down; told with a heartbeat at once.
    pub fn leave(&self) {
        self.ready.send_replace(false);
    }
}

impl Default for LinkState {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// Begins the loops; they end with the tasks.
    pub fn start(&self) {
        let link = || self.clone();
        self.tasks.spawn(watch::watch(link()));
        self.tasks.spawn(heartbeat::beat(link()));
        self.tasks.spawn(commands::carry_out(link()));
        self.tasks.spawn(refusals::report(link()));
        self.tasks.spawn(self.configuration.clone().keep_copy(self.tasks.clone()));
    }
}

/// The version that nodes tell of themselves.
pub(crate) const BUILD: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests;
