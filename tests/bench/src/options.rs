//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

/// Measures what the gateway costs beside a bare nginx proxy, in front of the same emulated upstream.
///
/// Direct, nginx and switchyard, raw and converted, take turns within each round, and medians over the rounds are compared, so that a noisy
/// machine hurts all alike. Prints one Markdown table and then the checks; exits with 1 if a check fails.
///
/// Build the gateway first: cargo build --release --locked -p standalone
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Options {
    /// The release binary of the gateway.
    #[arg(long, default_value = "target/release/switchyard")]
    pub switchyard: PathBuf,
    /// The nginx to compare with.
    #[arg(long, default_value = "nginx")]
    pub nginx: PathBuf,
    /// Whom to measure. Without nginx there are no ratios; without the gateway the checks are about nginx.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = TargetKind::ALL)]
    pub targets: Vec<TargetKind>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Length of a single measurement, in milliseconds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub slot_ms: u64,
    /// Connections of the throughput measurements.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub concurrency: u32,
    /// Slow streams open at once in the last measurement; 0 leaves it out.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=8192))]
    pub streams: u32,
    /// Size of the large image in MiB of base64; 0 leaves it out.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=30))]
    pub image_mib: u32,
    /// Threads of each proxy: nginx's worker_processes, and the gateway's runtime. 0: as many as there are CPUs.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Run the proxies on these CPUs only (a list for taskset, such as 0 or 0-3).
    #[arg(long)]
    pub pin_proxies: Option<String>,
    /// Run emulator and load client on these CPUs only.
    #[arg(long)]
    pub pin_others: Option<String>,
    /// No further round is begun after so many seconds.
    #[arg(long, default_value_t = 200)]
    pub max_seconds: u64,
    /// Report what the checks find, and exit with 0 all the same.
    #[arg(long)]
    pub no_check: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// The load client: jobs on standard input, outcomes on standard output, a line of JSON each.
    #[command(hide = true)]
    Load,
    /// The upstream, until standard input closes.
    #[command(hide = true)]
    Emulator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum TargetKind {
    /// The upstream.
    Direct,
    /// The upstream in the other wire, as the gateway asks it when it converts.
    DirectOther,
    Nginx,
    Switchyard,
    /// The gateway, asked for a model of the other platform.
    Converted,
}

impl TargetKind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Direct, Self::DirectOther, Self::Nginx, Self::Switchyard, Self::Converted];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::DirectOther => "direct, other wire",
            Self::Nginx => "nginx",
            Self::Switchyard => "switchyard",
            Self::Converted => "switchyard, converting",
        }
    }

    pub(crate) const fn is_gateway(self) -> bool {
        matches!(self, Self::Switchyard | Self::Converted)
    }
}

impl Options {
    pub(crate) fn slot(&self) -> Duration {
        Duration::from_millis(self.slot_ms)
    }

    pub(crate) fn proxy_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}
