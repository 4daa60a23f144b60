//! `cargo measure ledger`: what the ledger costs, and how fast it answers.
//!
//! Records are made ahead of time and go straight into the control plane's ingestion, as its service would hand them on;
//! the CPU time is this process's while it ingests, so that of MariaDB is not in it. Then every list page and every
//! summary is asked for over what was filled in; it fails where one takes too long.

mod ask;
mod records;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use control_plane::{
    ledger::{
        ingest::Ingest,
        prices::{PriceFile, seed},
    },
    store::{Store, StoreOptions},
};
use servers::MariaDb;
use shared::{
    clock::{Clock, Millis},
    tasks::Tasks,
};

use self::records::Source;
use crate::child::cpu_of;

/// Requests of one batch: 500 records.
const BATCH: u64 = 250;
/// Batches that are made at once.
const AT_ONCE: u64 = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Database {
    Sqlite,
    Mariadb,
}

/// What is measured of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct LedgerOptions {
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Database::Sqlite, Database::Mariadb])]
    pub databases: Vec<Database>,
    /// Requests, each an open and a close record, whose ingestion is measured.
    #[arg(long, default_value_t = 200_000)]
    pub requests: u64,
    /// Requests over 30 days that pages and summaries are asked over; 0 leaves that out.
    #[arg(long, default_value_t = 0)]
    pub fill: u64,
    /// Incarnations that report at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub streams: u32,
    /// Keys in use, of which every other one shares a user.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub keys: u32,
}

/// 2026-11-10T12:00:00Z.
const NOW: Millis = Millis(1_794_312_000_000);

pub(crate) fn run(options: &LedgerOptions) -> io::Result<ExitCode> {
    let mut kept = true;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for database in &options.databases {
        let folder = tempfile::tempdir()?;
        let server = (*database == Database::Mariadb).then(MariaDb::start);
        let url = match &server {
            Some(server) => server.database(),
            None => format!("sqlite:{}", folder.path().join("ledger.db").display()),
        };
        kept &= runtime.block_on(measure(options, *database, &url)).map_err(io::Error::other)?;
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// False: something is not as it must be.
async fn measure(options: &LedgerOptions, database: Database, url: &str) -> Result<bool, AnyError> {
    let store = Store::connect(url, &StoreOptions::default()).await?;
    store.migrate().await?;
    let clock = Clock::manual(NOW);
    seed(&store, &clock, &PriceFile::embedded()?).await?;
    let ledger = Ingest::new(store.clone(), clock);
    let mut sources: Vec<Source> = (0..options.streams).map(|_| Source::new(NOW, options.keys)).collect();
    let mut kept = true;
    if options.requests > 0 {
        let spent = ingest(&ledger, &mut sources, options.requests, Duration::ZERO).await?;
        tell(&format!("{database:?}: ingestion of {} requests: {spent}", options.requests))?;
    }
    if options.fill > 0 {
        let spent = ingest(&ledger, &mut sources, options.fill, Duration::from_secs(30 * 86_400)).await?;
        tell(&format!("{database:?}: {} requests over 30 days: {spent}", options.fill))?;
        kept = ask::all(&store, &sources, &format!("{database:?}")).await?;
    }
    store.close().await;
    Ok(kept)
}

/// What an ingestion took.
#[derive(Debug, Default)]
struct Spent {
    requests: u64,
    wall: Duration,
    cpu: Duration,
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.requests.max(1) as f64;
        let records = 2.0 * self.requests as f64 / self.wall.as_secs_f64().max(1e-9);
        write!(f, "{records:.0} records/s, {:.1} µs CPU a request", each(self.cpu))
    }
}

/// Requests spread over a time up to now, one batch after the other on each stream.
async fn ingest(
    ledger: &Ingest,
    sources: &mut [Source],
    requests: u64,
    spread: Duration,
) -> Result<Spent, AnyError> {
    let (mut spent, tasks) = (Spent::default(), Tasks::new());
    for source in &*sources {
        ledger.hello("node-1", source.incarnation(), 1).await?;
    }
    let total = requests.div_ceil(BATCH * sources.len() as u64).max(1);
    let mut done = 0;
    while done < total {
        let now = AT_ONCE.min(total - done);
        let made: Vec<Vec<_>> = sources
            .iter_mut()
            .map(|source| {
                let back = |batch: u64| spread.mul_f64(1.0 - (done + batch) as f64 / total as f64);
                (0..now).map(|batch| source.batch(BATCH, back(batch))).collect()
            })
            .collect();
        let (begun, cpu) = (Instant::now(), cpu_time()?);
        let streams = sources.iter().zip(made).map(|(source, batches)| {
            let (ledger, incarnation) = (ledger.clone(), source.incarnation());
            tasks.spawn(async move {
                for batch in batches {
                    ledger.take(incarnation, batch).await?;
                }
                Ok::<(), AnyError>(())
            })
        });
        for stream in streams.collect::<Vec<_>>() {
            stream.await??;
        }
        spent.wall += begun.elapsed();
        spent.cpu += cpu_time()?.saturating_sub(cpu);
        spent.requests += now * BATCH * sources.len() as u64;
        done += now;
    }
    Ok(spent)
}

/// Of all threads of this process so far: user and system.
fn cpu_time() -> io::Result<Duration> {
    cpu_of(std::process::id())
}

fn tell(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")?;
    io::stdout().flush()
}
