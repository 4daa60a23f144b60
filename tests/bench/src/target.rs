//! Who is measured.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum TargetKind {
    /// The upstream.
    Direct,
    /// The upstream in the other wire, as the gateway asks it when it converts.
    DirectOther,
    /// nginx with one worker: what all ratios are to.
    Nginx,
    /// nginx with as many workers as the gateway has threads.
    NginxWorkers,
    /// `switchyard-data`, with its control plane in another process.
    Node,
    /// The node, asked for a model of the other platform.
    NodeConverting,
    /// `switchyard serve`: both planes in one process.
    Standalone,
}

impl TargetKind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Direct,
        Self::DirectOther,
        Self::Nginx,
        Self::NginxWorkers,
        Self::Node,
        Self::NodeConverting,
        Self::Standalone,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::DirectOther => "direct, other wire",
            Self::Nginx => "nginx, 1 worker",
            Self::NginxWorkers => "nginx, a worker per core",
            Self::Node => "node",
            Self::NodeConverting => "node, converting",
            Self::Standalone => "standalone",
        }
    }

    pub(crate) const fn is_node(self) -> bool {
        matches!(self, Self::Node | Self::NodeConverting)
    }

    pub(crate) const fn is_gateway(self) -> bool {
        self.is_node() || matches!(self, Self::Standalone)
    }

    /// The upstream that it asks, directly asked: what its times are compared with.
    pub(crate) const fn without(self) -> Option<Self> {
        match self {
            Self::Direct | Self::DirectOther => None,
            Self::Nginx | Self::NginxWorkers | Self::Node | Self::Standalone => Some(Self::Direct),
            Self::NodeConverting => Some(Self::DirectOther),
        }
    }
}

/// Where TLS is spoken; on the other side there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Nowhere,
    WithClients,
    WithUpstream,
}

impl Tls {
    /// The node's flag without which there is no such thing.
    pub(crate) const fn flag(self) -> Option<&'static str> {
        match self {
            Self::Nowhere => None,
            Self::WithClients => Some("--listen-tls-cert"),
            Self::WithUpstream => Some("--upstream-ca"),
        }
    }
}
