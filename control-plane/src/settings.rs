//! Settings of `switchyard-control`.
//!
//! Grouped by what they are about, so that another program (standalone) can take a group as it is.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use shared::{
    secret::Secret,
    settings::{duration, secret},
    telemetry::LogSettings,
};
use zeroize::Zeroizing;

use crate::domain::public_url::PublicUrl;

/// The control plane of Switchyard: users, accounts, keys, usage; and the nodes' configuration.
#[derive(Debug, Parser)]
#[command(name = "switchyard-control", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the control plane
    Serve(Box<ServeArguments>),
    /// Bring the database's tables up to date, and end
    Migrate(MaintenanceArguments),
    /// After a restore from a backup: begin a new epoch, which nodes may follow
    AdoptEpoch(MaintenanceArguments),
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Debug, Args)]
pub struct MaintenanceArguments {
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

/// All that `serve` can be told.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Whether tables are brought up to date at the start
    #[arg(long, env = "SWITCHYARD_MIGRATE", value_enum, default_value_t = Migrate::Auto)]
    pub migrate: Migrate,
    /// Where people and automation are served: REST, health and metrics
    #[arg(long, env = "SWITCHYARD_ADMIN_LISTEN", default_value = "127.0.0.1:8081")]
    pub admin_listen: SocketAddr,
    #[command(flatten)]
    pub admin: AdminListener,
    #[command(flatten)]
    pub data_plane: DataPlaneSettings,
    #[command(flatten)]
    pub planes: PlaneSettings,
    #[command(flatten)]
    pub keys: KeySettings,
    #[command(flatten)]
    pub policy: PolicySettings,
    /// Take base URLs of accounts that point to loopback, private or link-local addresses
    #[arg(long, env = "SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS", action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub allow_private_upstreams: bool,
}

const CHANGES_PER_MINUTE: u32 = 600;
const ADMIN_CONNECTIONS: u32 = 4096;
const ADMIN_CONNECTIONS_PER_ADDRESS: u32 = 256;

/// How people and automation are let in.
#[derive(Debug, Clone, Args)]
pub struct AdminListener {
    /// PEM file with the certificate chain that people's browsers are shown: they are served by https:// only then. Read
    /// again when it changes [default: none, plain http://]
    #[arg(long, env = "SWITCHYARD_ADMIN_TLS_CERT", requires = "admin_tls_key")]
    pub admin_tls_cert: Option<PathBuf>,
    /// PEM file with that certificate's private key
    #[arg(long, env = "SWITCHYARD_ADMIN_TLS_KEY", requires = "admin_tls_cert")]
    pub admin_tls_key: Option<PathBuf>,
    /// Connections at the same time; one more is closed at once
    #[arg(long, env = "SWITCHYARD_ADMIN_CONNECTIONS", default_value_t = ADMIN_CONNECTIONS, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub admin_connections: u32,
    /// Connections of one address at the same time; those of trusted proxies are not counted
    #[arg(long, env = "SWITCHYARD_ADMIN_CONNECTIONS_PER_ADDRESS", default_value_t = ADMIN_CONNECTIONS_PER_ADDRESS, value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    pub admin_connections_per_address: u32,
}

#[derive(Debug, Clone, Args)]
pub struct DatabaseSettings {
    /// Where the data is: mysql://user:password@host/database, or sqlite:PATH. A MySQL that is not on this machine has to
    /// show a certificate that names its host; ?ssl-ca=FILE trusts an authority of your own, ?ssl-mode=DISABLED means
    /// plaintext
    #[arg(long, env = "SWITCHYARD_DATABASE_URL", value_parser = secret, hide_env_values = true)]
    pub database_url: Secret,
    /// Connections to the database at the same time
    #[arg(long, env = "SWITCHYARD_DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_connections: u32,
    /// How long a start waits for a database that can't be reached
    #[arg(long, env = "SWITCHYARD_DATABASE_WAIT", value_parser = duration, default_value = "30s")]
    pub database_wait: Duration,
}

/// Where the data plane is.
#[derive(Debug, Clone, Default, Args)]
pub struct DataPlaneSettings {
    /// Where clients reach the data plane, such as https://api.example.com: shown to everybody, and where proxy tests
    /// go. What an admin sets in the settings comes before it
    #[arg(long, env = "SWITCHYARD_PUBLIC_API_URL")]
    pub public_api_url: Option<PublicUrl>,
    /// Where the control plane itself reaches the data plane for proxy tests, such as the nodes' Service in a cluster
    /// [default: the public URL]
    #[arg(long, env = "SWITCHYARD_DATA_PLANE_URL")]
    pub data_plane_url: Option<PublicUrl>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Migrate {
    /// Under a lock, so that replicas may start together
    Auto,
    /// Left to `switchyard-control migrate`
    Off,
}

/// The listener that nodes connect to, and how what they hear is made.
#[derive(Debug, Clone, Args)]
pub struct PlaneSettings {
    /// Where nodes are served
    #[arg(long, env = "SWITCHYARD_GRPC_LISTEN", default_value = "127.0.0.1:8082")]
    pub grpc_listen: SocketAddr,
    /// PEM file with the certificate chain that nodes are shown; read again when it changes
    #[arg(long, env = "SWITCHYARD_GRPC_TLS_CERT", requires_all = ["grpc_tls_key", "grpc_tls_client_ca"])]
    pub grpc_tls_cert: Option<PathBuf>,
    /// PEM file with that certificate's private key
    #[arg(long, env = "SWITCHYARD_GRPC_TLS_KEY", requires = "grpc_tls_cert")]
    pub grpc_tls_key: Option<PathBuf>,
    /// PEM file with the authorities that nodes' certificates must come from. A certificate speaks for the nodes that it
    /// has URI names switchyard://node/NODE_ID for, and for no others
    #[arg(long, env = "SWITCHYARD_GRPC_TLS_CLIENT_CA", requires = "grpc_tls_cert")]
    pub grpc_tls_client_ca: Option<PathBuf>,
    /// Take certificates that name no node for any node: whoever has one can speak for all of them
    #[arg(long, env = "SWITCHYARD_GRPC_SHARED_CERTIFICATES", action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub grpc_shared_certificates: bool,
    /// Connections of nodes at the same time; one more is closed at once
    #[arg(long, env = "SWITCHYARD_GRPC_CONNECTIONS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub grpc_connections: u32,
    /// Connections of one address that have not shown a certificate yet, or without TLS, not asked for anything
    #[arg(long, env = "SWITCHYARD_GRPC_STRANGERS_PER_ADDRESS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    pub grpc_strangers_per_address: u32,
    /// How often the three files are looked at
    #[arg(long, env = "SWITCHYARD_GRPC_TLS_RELOAD", value_parser = duration, default_value = "10s")]
    pub grpc_tls_reload: Duration,
    /// Serve nodes without TLS on an address that is not loopback
    #[arg(long, env = "SWITCHYARD_ALLOW_PLAINTEXT_PLANES", action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub allow_plaintext_planes: bool,
    /// After about this long a node's connection ends, and the node comes back, maybe to another replica
    #[arg(long, env = "SWITCHYARD_GRPC_CONNECTION_AGE", value_parser = duration, default_value = "30m")]
    pub grpc_connection_age: Duration,
    /// How often other replicas' changes are looked for
    #[arg(long, env = "SWITCHYARD_CHANGE_POLL", value_parser = duration, default_value = "200ms")]
    pub change_poll: Duration,
    /// How often commands that other replicas left for nodes are looked for
    #[arg(long, env = "SWITCHYARD_COMMAND_POLL", value_parser = duration, default_value = "250ms")]
    pub command_poll: Duration,
    /// How long a command to nodes waits for their answers
    #[arg(long, env = "SWITCHYARD_COMMAND_TIMEOUT", value_parser = duration, default_value = "10s")]
    pub command_timeout: Duration,
    /// Bytes of resources in one message to a node
    #[arg(long, env = "SWITCHYARD_SNAPSHOT_CHUNK", default_value_t = 1024 * 1024, value_parser = clap::value_parser!(u64).range(1024..=3 * 1024 * 1024))]
    pub snapshot_chunk: u64,
    /// How often nodes report
    #[arg(long, env = "SWITCHYARD_HEARTBEAT_INTERVAL", value_parser = duration, default_value = "5s")]
    pub heartbeat_interval: Duration,
    /// How long a run of a node is not heard of before it counts as lost and can be closed by a person
    #[arg(long, env = "SWITCHYARD_LOST_AFTER", value_parser = duration, default_value = "10m")]
    pub lost_after: Duration,
}

/// Keys that secrets are sealed with.
#[derive(Debug, Clone, Args)]
pub struct KeySettings {
    /// The key that seals credentials at rest: base64 of 32 bytes
    #[arg(long, env = "SWITCHYARD_MASTER_KEY", value_parser = secret, hide_env_values = true)]
    pub master_key: Option<Secret>,
    /// File with the key in its first line; further lines are older keys
    #[arg(long, env = "SWITCHYARD_MASTER_KEY_FILE", conflicts_with = "master_key")]
    pub master_key_file: Option<PathBuf>,
    /// Older keys, separated by commas: what they sealed can be read, nothing new is sealed with them
    #[arg(long, env = "SWITCHYARD_OLD_MASTER_KEYS", value_parser = secret, value_delimiter = ',', hide_env_values = true)]
    pub old_master_keys: Vec<Secret>,
}

/// What is allowed, and for how long.
#[derive(Debug, Clone, Args)]
pub struct PolicySettings {
    /// The first admin's password, of 12 characters at least; without one it is generated and printed once
    #[arg(long, env = "SWITCHYARD_ADMIN_PASSWORD", value_parser = secret, hide_env_values = true)]
    pub admin_password: Option<Secret>,
    /// How long an access token is good for
    #[arg(long, env = "SWITCHYARD_ACCESS_TOKEN_LIFETIME", value_parser = duration, default_value = "15m")]
    pub access_token_lifetime: Duration,
    /// How long a login lasts after its last use, from 1m to 9600h
    #[arg(long, env = "SWITCHYARD_SESSION_LIFETIME", value_parser = session_time, default_value = "720h")]
    pub session_lifetime: Duration,
    /// How long a login lasts after signing in, however much it is used, from 1m to 9600h
    #[arg(long, env = "SWITCHYARD_SESSION_MAX_AGE", value_parser = session_time, default_value = "720h")]
    pub session_max_age: Duration,
    /// How long a refresh whose answer was lost can be made again, 5m at most; a refresh token that comes later ends
    /// the login
    #[arg(long, env = "SWITCHYARD_REFRESH_GRACE", value_parser = refresh_grace, default_value = "30s")]
    pub refresh_grace: Duration,
    /// Networks of the proxies in front, whose X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host are believed;
    /// separated by commas
    #[arg(long, env = "SWITCHYARD_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,
    /// Changes that one person may make a minute, by the API or its pages; more are answered 429
    #[arg(long, env = "SWITCHYARD_CHANGES_PER_MINUTE", default_value_t = CHANGES_PER_MINUTE, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub changes_per_minute: u32,
    /// Take base URLs of accounts that begin with http:// and lead to public addresses: credentials and requests can be
    /// read on the way
    #[arg(long, env = "SWITCHYARD_ALLOW_PLAINTEXT_UPSTREAMS", action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub allow_plaintext_upstreams: bool,
    /// How long shutdown waits for what is under way
    #[arg(long, env = "SWITCHYARD_CONTROL_SHUTDOWN_GRACE", value_parser = duration, default_value = "20s")]
    pub control_shutdown_grace: Duration,
}

/// The keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error(
        "no master key: set SWITCHYARD_MASTER_KEY to the base64 of 32 random bytes (`openssl rand -base64 32`)"
    )]
    Missing,
    #[error("cannot read the master key file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("a master key is not the base64 of 32 bytes")]
    Form,
}

impl KeySettings {
    /// The current key first, then older ones.
    ///
    /// # Errors
    /// See [`MasterKeyError`].
    pub fn master_keys(&self) -> Result<Vec<Zeroizing<[u8; 32]>>, MasterKeyError> {
        let mut texts: Vec<Zeroizing<String>> = Vec::new();
        if let Some(path) = &self.master_key_file {
            let file = std::fs::read_to_string(path)
                .map(Zeroizing::new)
                .map_err(|source| MasterKeyError::Read { path: path.clone(), source })?;
            let lines = file.lines().map(str::trim).filter(|line| !line.is_empty());
            texts.extend(lines.map(|line| Zeroizing::new(line.to_owned())));
        }
        let given = self.master_key.iter().chain(&self.old_master_keys);
        if self.master_key.is_none() && texts.is_empty() {
            return Err(MasterKeyError::Missing);
        }
        texts.extend(given.map(|key| Zeroizing::new(key.expose().trim().to_owned())));
        texts.iter().map(|text| master_key(text)).collect()
    }
}

fn master_key(text: &str) -> Result<Zeroizing<[u8; 32]>, MasterKeyError> {
    let bytes = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| MasterKeyError::Form)?;
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| MasterKeyError::Form)?;
    Ok(Zeroizing::new(key))
}

fn refresh_grace(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(5 * 60);
    let grace = duration(text)?;
    if grace > MOST { Err("more than 5m".into()) } else { Ok(grace) }
}

impl Default for AdminListener {
    fn default() -> Self {
        Self {
            admin_tls_cert: None,
            admin_tls_key: None,
            admin_connections: ADMIN_CONNECTIONS,
            admin_connections_per_address: ADMIN_CONNECTIONS_PER_ADDRESS,
        }
    }
}

/// Browsers keep a cookie for 400 days at most.
fn session_time(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_secs(60);
    const MOST: Duration = Duration::from_secs(400 * 24 * 3600);
    match duration(text)? {
        time if time < LEAST => Err("less than 1m".into()),
        time if time > MOST => Err("more than 9600h, which are 400 days".into()),
        time => Ok(time),
    }
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            admin_password: None,
            access_token_lifetime: Duration::from_secs(15 * 60),
            session_lifetime: Duration::from_secs(30 * 24 * 3600),
            session_max_age: Duration::from_secs(30 * 24 * 3600),
            refresh_grace: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            changes_per_minute: CHANGES_PER_MINUTE,
            allow_plaintext_upstreams: false,
            control_shutdown_grace: Duration::from_secs(20),
        }
    }
}

impl DataPlaneSettings {
    /// Where clients reach the data plane; `set` is what an admin has set.
    #[must_use]
    pub fn public_url<'a>(&'a self, set: Option<&'a str>) -> Option<&'a str> {
        set.or(self.public_api_url.as_ref().map(PublicUrl::as_str))
    }

    /// Where the control plane reaches it.
    #[must_use]
    pub fn own_url<'a>(&'a self, set: Option<&'a str>) -> Option<&'a str> {
        self.data_plane_url.as_ref().map(PublicUrl::as_str).or(self.public_url(set))
    }
}

impl PlaneSettings {
    /// How long after its last report a node counts as live.
    #[must_use]
    pub fn node_patience(&self) -> Duration {
        self.heartbeat_interval * 3
    }
}

impl Settings {
    /// All defaults and the environment over the database and the keys given: what a program that brings its own
    /// database and its own ends starts from.
    ///
    /// # Errors
    /// A variable of the environment has a value that is not taken.
    pub fn embedded(database_url: &str, keys: KeySettings) -> Result<Self, clap::Error> {
        let arguments =
            Arguments::try_parse_from(["switchyard-control", "serve", "--database-url", database_url])?;
        match arguments.verb {
            Verb::Serve(serve) => Ok(Self { keys, ..serve.settings }),
            Verb::Migrate(_) | Verb::AdoptEpoch(_) => {
                Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::CommandFactory as _;

    use super::*;

    fn serve(arguments: &[&str]) -> Settings {
        let given = ["switchyard-control", "serve", "--database-url", "sqlite::memory:"];
        let all = given.iter().chain(arguments).map(OsString::from).collect();
        match shared::settings::load_from::<Arguments>(all, None).unwrap().verb {
            Verb::Serve(serve) => serve.settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        shared::settings::with_config_flag(Arguments::command()).debug_assert();
    }

    #[test]
    fn every_setting_has_a_variable_of_the_environment() {
        let command = Arguments::command();
        for verb in command.get_subcommands() {
            for argument in verb.get_arguments().filter(|argument| argument.get_long().is_some()) {
                let name = argument.get_long().unwrap();
                let variable =
                    argument.get_env().unwrap_or_else(|| panic!("--{name} has none")).to_str().unwrap();
                assert!(variable.starts_with("SWITCHYARD_"), "--{name}: {variable}");
            }
        }
    }

    #[test]
    fn the_documented_defaults_hold() {
        let settings = serve(&[]);
        assert_eq!(settings.admin_listen, "127.0.0.1:8081".parse().unwrap());
        assert_eq!(settings.planes.grpc_connection_age, Duration::from_secs(1800));
        assert_eq!(settings.planes.node_patience(), Duration::from_secs(15));
        let defaults = PolicySettings::default();
        assert_eq!(settings.policy.refresh_grace, defaults.refresh_grace);
        assert_eq!(settings.policy.session_lifetime, defaults.session_lifetime);
        assert_eq!(settings.policy.session_max_age, defaults.session_max_age);
        assert_eq!(settings.policy.session_max_age, Duration::from_secs(30 * 24 * 3600));
        assert!(!settings.policy.allow_plaintext_upstreams);
        assert!(serve(&["--allow-plaintext-upstreams"]).policy.allow_plaintext_upstreams);
        assert!(!settings.allow_private_upstreams);
        assert!(serve(&["--allow-private-upstreams"]).allow_private_upstreams);
    }

    #[test]
    fn logins_last_for_a_minute_at_least_and_400_days_at_most() {
        let read = |setting: &str, value: &str| {
            let given = ["switchyard-control", "serve", "--database-url", "sqlite::memory:", setting, value];
            Arguments::try_parse_from(given).map_err(|error| error.to_string())
        };
        for setting in ["--session-lifetime", "--session-max-age"] {
            for good in ["1m", "9600h"] {
                assert!(read(setting, good).is_ok(), "{setting} {good}");
            }
            for (bad, why) in [("59s", "less than 1m"), ("9601h", "more than 9600h")] {
                let refused = read(setting, bad).unwrap_err();
                assert!(refused.contains(why), "{refused}");
            }
        }
        let policy = serve(&["--session-lifetime", "8h", "--session-max-age", "168h"]).policy;
        assert_eq!(
            (policy.session_lifetime, policy.session_max_age),
            (Duration::from_secs(8 * 3600), Duration::from_secs(168 * 3600))
        );
    }

    #[test]
    fn what_an_admin_has_set_comes_before_what_the_program_was_told() {
        let told = |arguments: &[&str]| serve(arguments).data_plane;
        assert_eq!(told(&[]).public_url(None), None);
        assert_eq!(told(&[]).own_url(Some("https://set")), Some("https://set"));
        let public = told(&["--public-api-url", "https://told/"]);
        assert_eq!(
            (public.public_url(None), public.own_url(None)),
            (Some("https://told"), Some("https://told"))
        );
        assert_eq!(public.public_url(Some("https://set")), Some("https://set"));
        let inner = told(&["--data-plane-url", "http://nodes:8080"]);
        assert_eq!(
            (inner.public_url(None), inner.own_url(Some("https://set"))),
            (None, Some("http://nodes:8080"))
        );
    }

    #[test]
    fn the_key_in_use_comes_first_and_older_ones_after() {
        let (new, old) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 32]));
        let settings = serve(&["--master-key", &new, "--old-master-keys", &old]);
        let keys = settings.keys.master_keys().unwrap();
        assert_eq!(keys.iter().map(|key| key[0]).collect::<Vec<_>>(), [1, 2]);
        assert!(!format!("{settings:?}").contains(&new), "a key must not be printed");
    }

    #[test]
    fn a_short_key_is_refused_and_no_key_is_missing() {
        let short = serve(&["--master-key", "AAAA"]);
        assert!(matches!(short.keys.master_keys(), Err(MasterKeyError::Form)));
        assert!(matches!(serve(&[]).keys.master_keys(), Err(MasterKeyError::Missing)));
    }
}
