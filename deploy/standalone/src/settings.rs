//! Settings of `switchyard`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use control_plane::settings::{AdminListener, DataPlaneSettings, PolicySettings};
use data_plane::settings::NodeSettings;
use shared::{secret::Secret, settings::secret, telemetry::LogSettings};

/// Switchyard on one machine: a gateway for model APIs, with both its planes in one process.
#[derive(Debug, Parser)]
#[command(name = "switchyard", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve clients and admins
    Serve(Box<ServeArguments>),
    /// Show it at work: with an emulated provider, one request and its line in the ledger; nothing is kept
    Demo(DemoArguments),
    /// After a restore from a backup: begin a new epoch, which the node may follow
    AdoptEpoch(MaintenanceArguments),
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The folder with everything: database, keys, usage records on their way
    #[arg(long, env = "SWITCHYARD_DATA_DIR", default_value = "switchyard-data")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub listen: ListenSettings,
    #[command(flatten)]
    pub admin: AdminListener,
    #[command(flatten)]
    pub data_plane: DataPlaneSettings,
    /// The key that seals credentials at rest: base64 of 32 bytes [default: made in the data folder]
    #[arg(long, env = "SWITCHYARD_MASTER_KEY", value_parser = secret, hide_env_values = true)]
    pub master_key: Option<Secret>,
    /// The key that seals the node's copy of the configuration: base64 of 32 bytes [default: made in the data folder]
    #[arg(long, env = "SWITCHYARD_NODE_SEAL_KEY", value_parser = secret, hide_env_values = true)]
    pub node_seal_key: Option<Secret>,
    #[command(flatten)]
    pub policy: PolicySettings,
    #[command(flatten)]
    pub node: NodeSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Debug, Args)]
pub struct MaintenanceArguments {
    /// The folder that `serve` works in; it may go on meanwhile
    #[arg(long, env = "SWITCHYARD_DATA_DIR", default_value = "switchyard-data")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Debug, Args)]
pub struct DemoArguments {
    #[command(flatten)]
    pub listen: ListenSettings,
    /// Which log lines to write: a level, or directives such as `info,data_plane=debug`
    #[arg(long, env = "SWITCHYARD_LOG", default_value = "warn")]
    pub log: String,
}

#[derive(Debug, Clone, Copy, Args)]
pub struct ListenSettings {
    /// Where API clients are served
    #[arg(long, env = "SWITCHYARD_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where people and automation are served: REST, health and metrics
    #[arg(long, env = "SWITCHYARD_ADMIN_LISTEN", default_value = "127.0.0.1:8081")]
    pub admin_listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        shared::settings::with_config_flag(Arguments::command()).debug_assert();
    }

    #[test]
    fn every_setting_has_a_variable_of_the_environment() {
        for verb in Arguments::command().get_subcommands() {
            for flag in verb.get_arguments().filter(|flag| flag.get_long().is_some()) {
                let variable = flag.get_env().unwrap_or_else(|| panic!("{flag} has no variable"));
                assert!(variable.to_str().unwrap().starts_with("SWITCHYARD_"), "{flag}");
            }
        }
    }
}
