//! `switchyard demo`: everything at work on one screen, with an emulated provider, in a folder that goes with it.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use control_plane::settings::{AdminListener, DataPlaneSettings, PolicySettings};
use data_plane::settings::NodeSettings;
use emulator::{Behaviour, Emulator, EmulatorOptions};
use rand::{TryRngCore as _, rngs::OsRng};
use serde_json::{Value, json};
use shared::secret::Secret;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    admin_client::{AdminClient, AdminError},
    planes::{self, Planes, PlanesError, PlanesSettings},
    settings::DemoArguments,
};

const UPSTREAM_KEY: &str = "sk-ant-demo";
const MODEL: &str = "claude-sonnet-5";
const QUESTION: &str = "Switchyard picks an account, streams the answer, and writes down what it cost.";
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// Why the demo broke off.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Planes(#[from] PlanesError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("the gateway can't be reached: {0}")]
    Client(#[from] reqwest::Error),
    #[error("the gateway answered {0}")]
    Refused(String),
    #[error("waited too long for {0}")]
    Late(&'static str),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What goes on serving after the show; kept until the end of the program.
#[derive(Debug)]
pub struct Demo {
    planes: Planes,
    emulator: Emulator,
    _folder: TempDir,
}

/// Starts everything, sends one request, shows the answer and the record, and goes on serving.
///
/// # Errors
/// See [`DemoError`].
pub async fn start(arguments: &DemoArguments) -> Result<Demo, DemoError> {
    let emulator = Emulator::start(EmulatorOptions::default()).await?;
    let pace = Behaviour::chunked(12).with_gap(Duration::from_millis(60));
    emulator.credential(UPSTREAM_KEY).next(pace).map_err(io::Error::other)?;
    let folder = TempDir::with_prefix("switchyard-demo-")?;
    let password = new_password()?;
    let planes = planes::start(PlanesSettings {
        data_dir: folder.path().to_owned(),
        listen: arguments.listen,
        data_plane: DataPlaneSettings::default(),
        master_key: None,
        node_seal_key: None,
        admin: AdminListener::default(),
        policy: PolicySettings { admin_password: Some(password.clone()), ..PolicySettings::default() },
        node: NodeSettings {
            allow_private_upstreams: true,
            shutdown_grace: Some(Duration::from_secs(5)),
            ..NodeSettings::default()
        },
    })
    .await?;
    let demo = Demo { planes, emulator, _folder: folder };
    demo.show(&password).await?;
    Ok(demo)
}

/// 128 random bits in hex.
fn new_password() -> io::Result<Secret> {
    let mut random = [0_u8; 16];
    OsRng.try_fill_bytes(&mut random).map_err(io::Error::other)?;
    Ok(Secret::new(format!("{:032x}", u128::from_le_bytes(random))))
}

impl Demo {
    /// The planes first: the emulator and the folder are what they rely on. False: something did not end in time.
    pub async fn shutdown(self) -> bool {
        let ended = self.planes.shutdown().await;
        self.emulator.stop().await;
        ended
    }

    async fn show(&self, password: &Secret) -> Result<(), DemoError> {
        let (base_url, admin_url) =
            (format!("http://{}", self.planes.address), format!("http://{}", self.planes.admin_address));
        let mut out = io::stdout();
        writeln!(out, "Both planes run in this process; the provider is an emulator on loopback.\n")?;
        let admin = AdminClient::log_in(admin_url.clone(), "admin", password).await?;
        let account = json!({
            "name": "demo provider",
            "type": "claude-console",
            "base_url": self.emulator.base_url(),
            "credentials": { "api_key": UPSTREAM_KEY },
        });
        let account_id = admin.create_account(&account).await?;
        let key = admin.create_key("demo key").await?;
        writeln!(out, "An account was made ({account_id}), and an API key.\n")?;
        stream(&base_url, &key).await?;
        writeln!(out, "What the ledger says of it:\n\n  {}\n", ledger_line(&admin).await?)?;
        writeln!(out, "It goes on serving. Paste this, or stop with Ctrl-C:\n")?;
        writeln!(out, "{}\n", curl(&base_url, &key))?;
        writeln!(out, "Admin API: {admin_url}/api (user admin, password {})", password.expose())?;
        Ok(())
    }
}

fn curl(base_url: &str, key: &Secret) -> String {
    let body = json!({
        "model": MODEL,
        "max_tokens": 256,
        "stream": true,
        "messages": [{ "role": "user", "content": "Hello from curl" }],
    });
    format!(
        "curl -N {base_url}/v1/messages -H 'x-api-key: {}' -H 'content-type: application/json' -d '{body}'",
        key.expose()
    )
}

/// Sends one streaming request and writes the answer's text as it arrives.
async fn stream(base_url: &str, key: &Secret) -> Result<(), DemoError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    admitted(&client, base_url, key).await?;
    let body = json!({
        "model": MODEL,
        "max_tokens": 256,
        "stream": true,
        "messages": [{ "role": "user", "content": QUESTION }],
    });
    let request =
        client.post(format!("{base_url}/v1/messages")).header("x-api-key", key.expose()).json(&body);
    let mut answer = request.send().await?;
    if !answer.status().is_success() {
        return Err(DemoError::Refused(format!("{} {}", answer.status(), answer.text().await?)));
    }
    let mut out = io::stdout();
    writeln!(out, "POST {base_url}/v1/messages, model {MODEL}, streaming:\n")?;
    write!(out, "  ")?;
    let mut unread = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        unread.extend_from_slice(&chunk);
        while let Some(end) = unread.windows(2).position(|pair| pair == b"\n\n") {
            let frame: Vec<u8> = unread.drain(..end + 2).collect();
            write!(out, "{}", text_of(&frame).unwrap_or_default())?;
            out.flush()?;
        }
    }
    writeln!(out, "\n")?;
    Ok(())
}

/// The text that a frame of a Messages stream adds.
fn text_of(frame: &[u8]) -> Option<String> {
    let data = std::str::from_utf8(frame).ok()?.lines().find_map(|line| line.strip_prefix("data: "))?;
    let event: Value = serde_json::from_str(data).ok()?;
    Some(event.pointer("/delta/text")?.as_str()?.to_owned())
}

/// A change reaches the node within moments; the model's list shows when account and key are there.
async fn admitted(client: &reqwest::Client, base_url: &str, key: &Secret) -> Result<(), DemoError> {
    let url = format!("{base_url}/v1/models/{MODEL}");
    let offered = async {
        loop {
            let asked =
                client.get(&url).header("x-api-key", key.expose()).header("anthropic-version", "2023-06-01");
            if asked.send().await?.status().is_success() {
                return Ok(());
            }
            sleep(POLL).await;
        }
    };
    timeout(PATIENCE, offered).await.map_err(|_| DemoError::Late("the node to learn of account and key"))?
}

/// The request's record, on one line.
async fn ledger_line(admin: &AdminClient) -> Result<String, DemoError> {
    let end = Instant::now() + PATIENCE;
    loop {
        let records = admin.records().await?;
        if let Some(record) = records.first().filter(|record| record["outcome"] != "open") {
            let fields = [
                "request_id",
                "wire",
                "model_served",
                "outcome",
                "status",
                "input_tokens",
                "output_tokens",
                "cost",
                "first_token_ms",
                "total_ms",
            ];
            let shown: Vec<_> =
                fields.iter().map(|field| format!("{field}={}", plain(&record[*field]))).collect();
            return Ok(shown.join(" "));
        }
        if Instant::now() > end {
            return Err(DemoError::Late("the record to reach the ledger"));
        }
        sleep(POLL).await;
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}
