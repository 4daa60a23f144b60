//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

use crate::{
    ledger::{Database, LedgerOptions},
    target::TargetKind,
};

/// Of a run with `--quick`.
const QUICK_ROUNDS: u32 = 3;
const QUICK_SLOT_MS: u64 = 400;
const QUICK_TARGETS: [TargetKind; 3] = [TargetKind::Direct, TargetKind::Nginx, TargetKind::Node];

/// Measures what the gateway costs beside a bare nginx proxy, in front of the same emulated upstream.
///
/// nginx, a node with its control plane in another process, and standalone take turns within each round, and medians
/// over the rounds are compared, so that a noisy machine hurts all alike. All ratios are to nginx with one worker.
/// Prints Markdown tables and then the checks; exits with 1 if a check fails.
///
/// Build the gateway first: cargo build --profile dist --locked -p data-plane -p control-plane -p standalone --bins
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Options {
    /// Where the gateway's programs are, unless they are named one by one.
    #[arg(long, default_value = "target/dist")]
    pub profile_folder: PathBuf,
    /// The node's program [default: switchyard-data in the profile's folder]
    #[arg(long)]
    pub node: Option<PathBuf>,
    /// The control plane's program [default: switchyard-control in the profile's folder]
    #[arg(long)]
    pub control_plane: Option<PathBuf>,
    /// The program of both planes in one [default: switchyard in the profile's folder]
    #[arg(long)]
    pub standalone: Option<PathBuf>,
    /// The nginx to compare with.
    #[arg(long, default_value = "nginx")]
    pub nginx: PathBuf,
    /// Whom to measure. Without nginx there are no ratios.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = TargetKind::ALL)]
    pub targets: Vec<TargetKind>,
    /// Measure only the scenarios with this in their names.
    #[arg(long)]
    pub only: Option<String>,
    /// A first look within half a minute: only the node beside nginx with one worker, plain requests and streams, in
    /// three short rounds.
    #[arg(long)]
    pub quick: bool,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Length of a single measurement, in milliseconds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub slot_ms: u64,
    /// Connections of the throughput measurements.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub concurrency: u32,
    /// Slow streams at once whose CPU time is measured; 0 leaves them out.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=8192))]
    pub streams: u32,
    /// Open streams whose memory is measured; 0 leaves them out.
    #[arg(long, default_value_t = 8000, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub open_streams: u32,
    /// Size of the large image in MiB of base64; 0 leaves it out.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=30))]
    pub image_mib: u32,
    /// Leave out what speaks TLS.
    #[arg(long)]
    pub no_tls: bool,
    /// The database of the node's control plane; standalone has SQLite.
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    pub control_database: Database,
    /// Processes that do nothing but burn CPU meanwhile: how the figures look on a busy machine.
    #[arg(long, default_value_t = 0)]
    pub spinners: u32,
    /// Threads of the gateway's runtime, and workers of the second nginx. 0: as many as there are CPUs.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Run the proxies on these CPUs only (a list for taskset, such as 0 or 0-3).
    #[arg(long)]
    pub pin_proxies: Option<String>,
    /// Run emulator and load client on these CPUs only.
    #[arg(long)]
    pub pin_others: Option<String>,
    /// Scenarios that share their programs begin no further round after so many seconds.
    #[arg(long, default_value_t = 900)]
    pub max_seconds: u64,
    /// Report what the checks find, and exit with 0 all the same.
    #[arg(long)]
    pub no_check: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// The load client: orders on standard input, outcomes on standard output, a line of JSON each.
    #[command(hide = true)]
    Load,
    /// The upstream, until standard input closes.
    #[command(hide = true)]
    Emulator {
        /// PEM files; with them it serves TLS besides.
        #[arg(long, requires = "key")]
        certificate: Option<PathBuf>,
        #[arg(long, requires = "certificate")]
        key: Option<PathBuf>,
    },
    /// Burns CPU until standard input closes.
    #[command(hide = true)]
    Spin,
    /// What the ledger costs, and how fast it answers: with `--fill 1000000` or `--fill 10000000`, every page and summary.
    Ledger(LedgerOptions),
}

impl Options {
    /// With all that `--quick` stands for.
    pub(crate) fn complete(mut self) -> Self {
        if self.quick {
            self.targets.retain(|target| QUICK_TARGETS.contains(target));
            self.rounds = self.rounds.min(QUICK_ROUNDS);
            self.slot_ms = self.slot_ms.min(QUICK_SLOT_MS);
            (self.streams, self.open_streams, self.image_mib) = (0, 0, 0);
            self.no_tls = true;
        }
        self
    }

    pub(crate) fn slot(&self) -> Duration {
        Duration::from_millis(self.slot_ms)
    }

    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_leaves_out_what_takes_long() {
        let options = Options::parse_from(["bench", "--quick", "--slot-ms", "200"]).complete();
        assert_eq!(options.targets, QUICK_TARGETS);
        assert_eq!((options.rounds, options.slot_ms, options.streams, options.no_tls), (3, 200, 0, true));
        let whole = Options::parse_from(["bench"]).complete();
        assert_eq!((whole.targets.as_slice(), whole.rounds), (TargetKind::ALL.as_slice(), 5));
    }
}
