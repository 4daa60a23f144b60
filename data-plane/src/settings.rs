//! Settings of `switchyard-data`.
//!
//! Grouped by what they are about, so that another program (standalone) can take [`NodeSettings`] as it is.

mod clients;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand};
use shared::{
    secret::Secret,
    settings::{duration, secret},
    telemetry::LogSettings,
    tls::{TlsError, read_authorities},
};

use crate::{
    ingress::ServerSettings,
    live::RedisSettings,
    snapshot::{InvalidSealKey, Policy, Retries, SealKey},
    transport::{ControlPlane, ControlPlaneSettings, TlsFiles, TransportError},
    upstream::OutboundSettings,
    usage::SpoolSettings,
};

pub use clients::ClientSettings;

/// Bytes of a node's name at most.
const NODE_ID_MAX: usize = 128;
/// Added to the longest stream to give the default grace.
const GRACE_MARGIN: Duration = Duration::from_secs(60);

/// The data plane of Switchyard: takes clients' requests to upstream accounts, as the control plane says.
#[derive(Debug, Parser)]
#[command(name = "switchyard-data", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve clients
    Serve(Box<ServeArguments>),
    /// Deliver the usage records of a node that is no more, from its data folder, and end
    Drain(DrainArguments),
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Where clients are served, with health and metrics
    #[arg(long, env = "SWITCHYARD_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The folder that belongs to this node: usage records that are not delivered, and the configuration's copy
    #[arg(long, env = "SWITCHYARD_DATA_DIR")]
    pub data_dir: PathBuf,
    /// The node's name, its own among all nodes [default: the host's name]
    #[arg(long, env = "SWITCHYARD_NODE_ID", value_parser = node_id)]
    pub node_id: Option<String>,
    #[command(flatten)]
    pub control: ControlArguments,
    /// The Redis through which nodes share what they learn of accounts: redis://, rediss://, redis-cluster:// or
    /// redis-sentinel://. Without it each node learns for itself
    #[arg(long, env = "SWITCHYARD_REDIS_URL", value_parser = secret, hide_env_values = true)]
    pub redis_url: Option<Secret>,
    /// Redis is taken for absent when an answer takes longer
    #[arg(long, env = "SWITCHYARD_REDIS_TIMEOUT", value_parser = duration, default_value = "500ms")]
    pub redis_timeout: Duration,
    /// What seals the configuration's copy on disk: the base64 of 32 random bytes, this node's own. Without it the
    /// copy is not written, and the node can't start while the control plane is away
    #[arg(long, env = "SWITCHYARD_NODE_SEAL_KEY", value_parser = secret, hide_env_values = true)]
    pub node_seal_key: Option<Secret>,
    #[command(flatten)]
    pub node: NodeSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Debug, Args)]
pub struct DrainArguments {
    /// The data folder of the node that is no more
    #[arg(long, env = "SWITCHYARD_DATA_DIR")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub control: ControlArguments,
    #[command(flatten)]
    pub log: LogSettings,
}

/// The way to the control plane.
#[derive(Debug, Clone, Args)]
pub struct ControlArguments {
    /// Where the control plane listens for nodes: https://host:port
    #[arg(long, env = "SWITCHYARD_CONTROL_PLANE")]
    pub control_plane: String,
    /// PEM file with the certificate that this node shows; read anew for each connection
    #[arg(long, env = "SWITCHYARD_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with that certificate's key
    #[arg(long, env = "SWITCHYARD_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// PEM file with the authority that signed the control plane's certificate
    #[arg(long, env = "SWITCHYARD_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// The name in the control plane's certificate [default: the host of --control-plane]
    #[arg(long, env = "SWITCHYARD_TLS_SERVER_NAME")]
    pub tls_server_name: Option<String>,
    /// Talk to a control plane on another machine without TLS
    #[arg(long, env = "SWITCHYARD_ALLOW_PLAINTEXT_PLANES", action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub allow_plaintext_planes: bool,
}

/// What holds for a node however it is started.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct NodeSettings {
    /// Threads that serve clients, each with connections of its own [default: the CPUs that the process may use]
    #[arg(long, env = "SWITCHYARD_WORKERS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// Connections of clients; one that is too many is answered 503 and closed
    #[arg(long, env = "SWITCHYARD_MAX_CONNECTIONS", default_value_t = 8_192, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// A client's connection ends behind the first answer after about this long, so that load may move to other workers
    /// and nodes
    #[arg(long, env = "SWITCHYARD_MAX_CONNECTION_AGE", value_parser = duration, default_value = "10m")]
    pub max_connection_age: Duration,
    #[command(flatten)]
    pub clients: ClientSettings,
    /// Bytes that requests' bodies, and the conversion of long ones, take at a time, of all requests together; a request
    /// that is too many is answered 503
    #[arg(long, env = "SWITCHYARD_REQUEST_MEMORY", default_value_t = 256 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1..))]
    pub request_memory: u64,
    /// Bytes of answers that are held to be read whole; while there are more, requests are answered 503
    #[arg(long, env = "SWITCHYARD_ANSWER_MEMORY", default_value_t = 128 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1..))]
    pub answer_memory: u64,
    /// Refused requests that are kept in full until the control plane has them; of more the oldest are only counted
    #[arg(long, env = "SWITCHYARD_KEPT_REFUSALS", default_value_t = 100, value_parser = clap::value_parser!(u16).range(..=10_000))]
    pub kept_refusals: u16,
    /// How long running requests may go on at shutdown [default: --max-stream and a minute]
    #[arg(long, env = "SWITCHYARD_SHUTDOWN_GRACE", value_parser = duration)]
    pub shutdown_grace: Option<Duration>,
    /// How long the control plane may take for the last usage records, and to hear what was refused, at shutdown; records
    /// that are left stay on disk
    #[arg(long, env = "SWITCHYARD_REPORT_GRACE", value_parser = duration, default_value = "10s")]
    pub report_grace: Duration,
    /// Connect to upstreams on loopback, private and link-local addresses
    #[arg(long, env = "SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS", action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub allow_private_upstreams: bool,
    /// PEM file with authorities that upstreams' certificates may come from, besides the public ones; read at the start
    #[arg(long, env = "SWITCHYARD_UPSTREAM_CA")]
    pub upstream_ca: Option<PathBuf>,
    /// A power cut takes the usage records of at most this long
    #[arg(long, env = "SWITCHYARD_SPOOL_SYNC", value_parser = duration, default_value = "10ms")]
    pub spool_sync: Duration,
    /// Size of one file of usage records, in bytes. What is delivered takes at most six of these on the disk for each worker
    /// and for the node itself, and one is kept in reserve
    #[arg(long, env = "SWITCHYARD_SPOOL_SEGMENT_BYTES", default_value_t = 8 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(65_536..=1_073_741_824))]
    pub spool_segment_bytes: u64,
    #[command(flatten)]
    pub limits: LimitSettings,
}

/// What holds where the operators set nothing in the control plane.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct LimitSettings {
    /// From sending a request for a stream upstream to the head of its answer; other requests are only bound by the
    /// deadline, since their head comes with their end
    #[arg(long, env = "SWITCHYARD_FIRST_BYTE_TIMEOUT", value_parser = duration, default_value = "60s")]
    pub first_byte_timeout: Duration,
    /// Between two pieces of an answer
    #[arg(long, env = "SWITCHYARD_IDLE_TIMEOUT", value_parser = duration, default_value = "120s")]
    pub idle_timeout: Duration,
    /// From the arrival of a request for a stream to its first content, over all attempts
    #[arg(long, env = "SWITCHYARD_DEADLINE", value_parser = duration, default_value = "180s")]
    pub deadline: Duration,
    /// From the arrival of a request for a plain answer to that answer, over all attempts
    #[arg(long, env = "SWITCHYARD_PLAIN_DEADLINE", value_parser = duration, default_value = "600s")]
    pub plain_deadline: Duration,
    /// One attempt at a plain answer
    #[arg(long, env = "SWITCHYARD_PLAIN_ATTEMPT_TIMEOUT", value_parser = duration, default_value = "300s")]
    pub plain_attempt_timeout: Duration,
    /// The longest that a stream may run
    #[arg(long, env = "SWITCHYARD_MAX_STREAM", value_parser = duration, default_value = "1h")]
    pub max_stream: Duration,
    /// How long an answer's head waits for the first content
    #[arg(long, env = "SWITCHYARD_COMMIT_HOLD", value_parser = duration, default_value = "1s")]
    pub commit_hold: Duration,
    /// The largest body of a request, in bytes
    #[arg(long, env = "SWITCHYARD_MAX_BODY_BYTES", default_value_t = 32 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_body_bytes: u64,
    /// Between two pieces of a request's body
    #[arg(long, env = "SWITCHYARD_BODY_TIMEOUT", value_parser = duration, default_value = "30s")]
    pub body_timeout: Duration,
    /// How long a stream is read on after its client left, to learn the usage
    #[arg(long, env = "SWITCHYARD_DRAIN_TIMEOUT", value_parser = duration, default_value = "60s")]
    pub drain_timeout: Duration,
    /// How long a plain answer is waited for after its client left, to learn the usage
    #[arg(long, env = "SWITCHYARD_PLAIN_DRAIN_TIMEOUT", value_parser = duration, default_value = "300s")]
    pub plain_drain_timeout: Duration,
    /// The largest answer that is read whole before it is passed on, in bytes; a larger one passes as it comes, unmetered,
    /// and fails where it would have to be converted
    #[arg(long, env = "SWITCHYARD_MAX_ANSWER_BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_answer_bytes: u64,
    /// The largest frame of a stream, in bytes
    #[arg(long, env = "SWITCHYARD_MAX_FRAME_BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_frame_bytes: u64,
    /// Cut streams that run with a key or an account that was disabled
    #[arg(long, env = "SWITCHYARD_CUT_REVOKED_STREAMS", action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub cut_revoked_streams: bool,
    /// Leave the upstream's name for the model in answers that pass unchanged; otherwise clients read the name that they
    /// asked for, since some drop a model's reasoning where the two differ
    #[arg(long, env = "SWITCHYARD_SERVED_MODEL_NAMES", action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true")]
    pub served_model_names: bool,
    /// Remember for an hour, sealed, the reasoning that led to a model's calls, for clients of chat, which send the calls
    /// back without it
    #[arg(long, env = "SWITCHYARD_REMEMBER_REASONING", action = ArgAction::Set, default_value_t = true, num_args = 0..=1, default_missing_value = "true")]
    pub remember_reasoning: bool,
    /// Mark for Claude's prompt cache what grows in a conversation, for clients that know no such marks: writing to the
    /// cache costs a quarter more, and reading from it a tenth
    #[arg(long, env = "SWITCHYARD_CACHE_MARKS", action = ArgAction::Set, default_value_t = true, num_args = 0..=1, default_missing_value = "true")]
    pub cache_marks: bool,
    /// Rounds over accounts that failed for the moment, once no other account is eligible
    #[arg(long, env = "SWITCHYARD_MAX_RETRIES", default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=10))]
    pub max_retries: u32,
    /// The wait ahead of the first such round
    #[arg(long, env = "SWITCHYARD_RETRY_DELAY", value_parser = duration, default_value = "1s")]
    pub retry_delay: Duration,
    /// How many times as long each further round waits
    #[arg(long, env = "SWITCHYARD_RETRY_BACKOFF", value_parser = backoff, default_value_t = 2.0)]
    pub retry_backoff: f64,
}

/// The settings contradict one another or the machine.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the host's name is no name for a node; give one with --node-id")]
    NodeId,
    #[error(transparent)]
    SealKey(#[from] InvalidSealKey),
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl ServeArguments {
    /// The node's name.
    ///
    /// # Errors
    /// None is given, and the host's is no good.
    pub fn node_id(&self) -> Result<String, SettingsError> {
        if let Some(name) = &self.node_id {
            return Ok(name.clone());
        }
        let host = rustix::system::uname();
        host.nodename().to_str().ok().and_then(|name| node_id(name).ok()).ok_or(SettingsError::NodeId)
    }

    /// `None`, with a warning: no key is given.
    ///
    /// # Errors
    /// It is no key.
    pub fn seal_key(&self) -> Result<Option<SealKey>, SettingsError> {
        if self.node_seal_key.is_none() {
            tracing::warn!(
                "SWITCHYARD_NODE_SEAL_KEY is not set: this node keeps no copy of its configuration and can't start \
                 while the control plane is away"
            );
        }
        Ok(self.node_seal_key.as_ref().map(SealKey::parse).transpose()?)
    }

    #[must_use]
    pub fn redis(&self) -> Option<RedisSettings> {
        let url = self.redis_url.clone()?;
        Some(RedisSettings { command_timeout: self.redis_timeout, ..RedisSettings::new(url) })
    }
}

impl ControlArguments {
    /// The connection; call from within a runtime.
    ///
    /// # Errors
    /// The URL, the files, or plaintext where it is not allowed.
    pub fn connect(&self) -> Result<ControlPlane, TransportError> {
        let tls = match (&self.tls_cert, &self.tls_key, &self.tls_ca) {
            (Some(certificate), Some(key), Some(ca)) => {
                Some(TlsFiles { certificate: certificate.clone(), key: key.clone(), ca: ca.clone() })
            }
            (None, None, None) => None,
            _ => return Err(TransportError::TlsFilesMissing),
        };
        ControlPlane::over_network(&ControlPlaneSettings {
            url: self.control_plane.clone(),
            tls,
            server_name: self.tls_server_name.clone(),
            allow_plaintext: self.allow_plaintext_planes,
        })
    }
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            workers: None,
            max_connections: 8_192,
            max_connection_age: ServerSettings::default().max_connection_age,
            clients: ClientSettings::default(),
            request_memory: 256 * 1024 * 1024,
            answer_memory: 128 * 1024 * 1024,
            kept_refusals: 100,
            shutdown_grace: None,
            report_grace: Duration::from_secs(10),
            allow_private_upstreams: false,
            upstream_ca: None,
            spool_sync: SpoolSettings::default().sync_every,
            spool_segment_bytes: SpoolSettings::default().segment_bytes,
            limits: LimitSettings::default(),
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        let limits = Policy::default();
        Self {
            first_byte_timeout: limits.first_byte,
            idle_timeout: limits.idle,
            deadline: limits.deadline,
            plain_deadline: limits.plain_deadline,
            plain_attempt_timeout: limits.plain_attempt,
            max_stream: limits.max_stream,
            commit_hold: limits.commit_hold,
            max_body_bytes: limits.max_body,
            body_timeout: limits.body_idle,
            drain_timeout: limits.drain,
            plain_drain_timeout: limits.plain_drain,
            max_answer_bytes: limits.max_answer as u64,
            max_frame_bytes: limits.max_frame as u64,
            cut_revoked_streams: limits.cut_revoked_streams,
            served_model_names: limits.served_model_names,
            remember_reasoning: limits.remember_reasoning,
            cache_marks: limits.cache_marks,
            max_retries: limits.retries.max,
            retry_delay: limits.retries.delay,
            retry_backoff: limits.retries.backoff,
        }
    }
}

impl NodeSettings {
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.shutdown_grace.unwrap_or(self.limits.max_stream + GRACE_MARGIN)
    }

    /// As many as the control group and the affinity give CPUs, where nothing else is said.
    pub(crate) fn workers(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers.map_or_else(all, usize::from)
    }

    /// # Errors
    /// The certificate's files can't be used.
    pub(crate) fn server(&self) -> Result<ServerSettings, TlsError> {
        let (tls, cors) = (self.clients.tls()?, self.clients.cors());
        Ok(ServerSettings { max_connection_age: self.max_connection_age, tls, cors })
    }

    pub(crate) fn spool(&self) -> SpoolSettings {
        SpoolSettings {
            sync_every: self.spool_sync,
            segment_bytes: self.spool_segment_bytes,
            ..SpoolSettings::default()
        }
    }

    /// # Errors
    /// The authorities' file can't be used.
    pub(crate) fn outbound(&self) -> Result<OutboundSettings, TlsError> {
        let extra_roots = self.upstream_ca.as_deref().map(read_authorities).transpose()?.unwrap_or_default();
        Ok(OutboundSettings {
            allow_private: self.allow_private_upstreams,
            extra_roots,
            ..OutboundSettings::default()
        })
    }

    pub(crate) fn policy(&self) -> Policy {
        let limits = &self.limits;
        Policy {
            first_byte: limits.first_byte_timeout,
            idle: limits.idle_timeout,
            deadline: limits.deadline,
            plain_deadline: limits.plain_deadline,
            plain_attempt: limits.plain_attempt_timeout,
            max_stream: limits.max_stream,
            commit_hold: limits.commit_hold,
            max_body: limits.max_body_bytes,
            body_idle: limits.body_timeout,
            drain: limits.drain_timeout,
            plain_drain: limits.plain_drain_timeout,
            max_answer: usize::try_from(limits.max_answer_bytes).unwrap_or(usize::MAX),
            max_frame: usize::try_from(limits.max_frame_bytes).unwrap_or(usize::MAX),
            cut_revoked_streams: limits.cut_revoked_streams,
            served_model_names: limits.served_model_names,
            remember_reasoning: limits.remember_reasoning,
            cache_marks: limits.cache_marks,
            retries: Retries {
                max: limits.max_retries,
                delay: limits.retry_delay,
                backoff: limits.retry_backoff,
            },
        }
    }
}

fn backoff(text: &str) -> Result<f64, String> {
    let fits = text.parse().ok().filter(|factor| (1.0..=10.0).contains(factor));
    fits.ok_or_else(|| "a number from 1 to 10 is expected".to_owned())
}

fn node_id(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= NODE_ID_MAX;
    if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err("1 to 128 letters, digits, or any of . _ : - are expected".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(flags: &[&str]) -> Result<ServeArguments, clap::Error> {
        let base = ["switchyard-data", "serve", "--data-dir", "/d", "--control-plane", "https://c:1"];
        match Arguments::try_parse_from(base.iter().chain(flags))?.verb {
            Verb::Serve(arguments) => Ok(*arguments),
            Verb::Drain(_) => panic!("asked to serve"),
        }
    }

    #[test]
    fn what_help_states_is_what_holds() {
        let arguments = serve(&[]).unwrap();
        assert_eq!(arguments.node, NodeSettings::default());
        assert_eq!(arguments.node.policy(), Policy::default());
        assert_eq!(arguments.node.grace(), Duration::from_secs(3660));
        assert!(!arguments.node_id().unwrap().is_empty());
    }

    #[test]
    fn the_grace_follows_the_longest_stream_unless_it_is_set() {
        let grace = |flags: &[&str]| serve(flags).unwrap().node.grace();
        assert_eq!(grace(&["--max-stream", "10m"]), Duration::from_secs(660));
        assert_eq!(grace(&["--shutdown-grace", "5s"]), Duration::from_secs(5));
    }

    #[test]
    fn secrets_do_not_show() {
        let arguments =
            serve(&["--redis-url", "redis://:hunter2@r", "--node-seal-key", "aHVudGVyMg=="]).unwrap();
        let shown = format!("{arguments:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
        assert!(matches!(arguments.seal_key(), Err(SettingsError::SealKey(_))));
    }

    #[tokio::test]
    async fn certificate_key_and_authority_come_together() {
        let arguments = serve(&["--tls-cert", "/c"]).unwrap();
        assert!(matches!(arguments.control.connect(), Err(TransportError::TlsFilesMissing)));
        assert!(serve(&["--node-id", "a b"]).is_err());
    }

    #[test]
    fn what_clients_are_shown_is_a_certificate_with_its_key() {
        assert!(serve(&["--listen-tls-cert", "/c"]).is_err());
        assert!(serve(&["--listen-tls-key", "/k"]).is_err());
        let node = serve(&["--listen-tls-cert", "/no/c", "--listen-tls-key", "/no/k"]).unwrap().node;
        assert!(node.server().unwrap_err().to_string().starts_with("cannot read /no/c: "));
        assert!(serve(&[]).unwrap().node.server().unwrap().tls.is_none());
        let by_half = ClientSettings { listen_tls_cert: Some("/c".into()), ..ClientSettings::default() };
        let node = NodeSettings { clients: by_half, ..NodeSettings::default() };
        assert!(matches!(node.server(), Err(TlsError::Incomplete)), "a settings file may say half of it");
    }

    #[test]
    fn origins_are_separated_by_commas_and_none_is_the_default() {
        let node = |flags: &[&str]| serve(flags).map(|arguments| arguments.node);
        let given = node(&["--cors-origins", "https://a.example,http://localhost:3000"]).unwrap();
        assert_eq!(given.clients.cors_origins.len(), 2);
        assert!(given.server().unwrap().cors.is_some());
        assert!(node(&[]).unwrap().server().unwrap().cors.is_none());
        let refused = node(&["--cors-origins", "https://a.example/"]).unwrap_err().to_string();
        assert!(refused.contains("https://app.example.com"), "{refused}");
    }

    #[test]
    fn authorities_that_cannot_be_read_are_told_by_their_file() {
        let outbound = |path: &str| serve(&["--upstream-ca", path]).unwrap().node.outbound();
        let unread = outbound("/no/ca").unwrap_err();
        assert!(unread.to_string().starts_with("cannot read /no/ca: "), "{unread}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let certificate = rcgen::generate_simple_self_signed(["a".into()]).unwrap().cert;
        std::fs::write(&path, certificate.pem()).unwrap();
        assert_eq!(outbound(path.to_str().unwrap()).unwrap().extra_roots.len(), 1);
    }
}
