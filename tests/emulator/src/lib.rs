//! The providers, as an oracle for tests: a server on loopback that speaks their wires, answers what follows from the
//! request alone, breaks on demand, and remembers every byte.
//!
//! It depends on nothing of the gateway, so that a mistake there cannot hide here.
//!
//! A request's life: [`service`](self) finds its route and its credential, takes the credential's next
//! [`Behaviour`], lets the endpoint write a draft, and plays it along a plan of pauses and faults. Scripts are set
//! through [`Credential`] or, from other processes, over HTTP (see `control.rs` for the paths).
//!
//! To add a wire: see `provider.rs`.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

pub use coding::Coding;
pub use credential::{
    Condition, Counters, Credential, NotReached,
    record::{AnswerRecord, CallRecord, End},
};
pub use plan::{Plan, PlannedCall, PlannedTurn};
pub use provider::{Profile, azure::FILTER, google::BLOCK_PROMPT};
pub use refusal::Refusal;
pub use script::{
    Behaviour, ErrorText, Fault, LineEnds, Pause, Pings, Position, ScriptError, UsageScript, Writes,
};
pub use turn::{
    HIDDEN_REASONING_TOKENS, REDACTED, REFUSAL, REFUSE, SAY_SYSTEM, TOKENS_PER_MESSAGE, TOKENS_PER_TOOL,
};

use registry::Registry;
use server::Server;

mod body;
mod clock;
mod coding;
mod control;
mod credential;
mod memory;
pub mod pace;
mod past;
mod plan;
mod playback;
mod provider;
mod refusal;
mod registry;
mod route;
mod script;
mod server;
mod service;
mod template;
mod tls;
mod turn;

/// How an emulator is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorOptions {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The keys that are known. None: every key that does not contain `unknown`.
    pub keys: Option<Vec<String>>,
    /// Calls kept per credential; 0 keeps none, which is fastest.
    pub keep_calls: usize,
    /// With these, TLS is served besides, on a port of its own.
    pub tls: Option<TlsFiles>,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain that clients are shown.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Default for EmulatorOptions {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), keys: None, keep_calls: 64, tls: None }
    }
}

/// A running emulator. Dropped, it stops too, without waiting.
#[derive(Debug)]
pub struct Emulator {
    registry: Arc<Registry>,
    server: Server,
    tls_server: Option<Server>,
}

impl Emulator {
    /// Binds and serves, on the runtime it is called from. Fails as binding does, or as reading the TLS files.
    pub async fn start(options: EmulatorOptions) -> io::Result<Self> {
        let listen = options.listen;
        let acceptor = options.tls.as_ref().map(tls::acceptor).transpose()?;
        let registry = Arc::new(Registry::new(options));
        let server = Server::start(listen, Arc::clone(&registry), None).await?;
        let tls_server = match acceptor {
            None => None,
            some => {
                let any_port = SocketAddr::new(listen.ip(), 0);
                Some(Server::start(any_port, Arc::clone(&registry), some).await?)
            }
        };
        Ok(Self { registry, server, tls_server })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Where TLS is served, if it is.
    #[must_use]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_server.as_ref().map(Server::addr)
    }

    /// What goes into an account's base URL. `{base_url}/anthropic` and the other bases of `route.rs` work as well
    /// and leave no doubt about who is meant.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The credential with this key. The empty key stands for calls without one.
    #[must_use]
    pub fn credential(&self, key: &str) -> Arc<Credential> {
        self.registry.credential(key)
    }

    /// Closes the ports and every connection, in whatever state it is, and waits for that.
    pub async fn stop(self) {
        self.server.stop().await;
        if let Some(tls_server) = self.tls_server {
            tls_server.stop().await;
        }
    }
}
