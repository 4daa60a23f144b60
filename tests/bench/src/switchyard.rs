//! The gateway: the standalone binary with a fresh data folder, an account for each platform, and a key.

use std::{fs, io, net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::{
    child::{Process, command, eventually},
    http_client,
    nginx::free_address,
    options::Options,
    scenario::Wire,
};

const START: Duration = Duration::from_secs(30);
const PASSWORD: &str = "bench-admin-password-1";
/// The end of the log that is shown when something goes wrong.
const SHOWN_LINES: usize = 15;

#[derive(Debug)]
pub(crate) struct Switchyard {
    pub process: Process,
    pub addr: SocketAddr,
    /// A client's API key.
    pub key: String,
}

impl Switchyard {
    pub(crate) async fn start(options: &Options, folder: &Path, upstream: SocketAddr) -> io::Result<Self> {
        let addr = free_address().await?;
        let admin = free_address().await?;
        let log = folder.join("output.log");
        let mut command = command(&options.switchyard, options.pin_proxies.as_deref());
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(folder.join("data"))
            .args(["--listen", &addr.to_string(), "--admin-listen", &admin.to_string()])
            .env_remove("ANTHROPIC_API_KEY")
            .env_remove("OPENAI_API_KEY")
            .env_remove("GEMINI_API_KEY")
            .env("SWITCHYARD_ADMIN_PASSWORD", PASSWORD)
            .env("SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS", "true")
            .env("TOKIO_WORKER_THREADS", options.proxy_threads().to_string())
            .current_dir(folder);
        let mut process = Process::logging("switchyard", &mut command, &log)?;
        match set_up(&mut process, addr, admin, upstream).await {
            Ok(key) => Ok(Self { process, addr, key }),
            Err(error) => Err(io::Error::other(format!("switchyard: {error}\n{}", end_of(&log)))),
        }
    }
}

/// Makes an account for each platform and a key, and waits until the key works on both. The model's name picks the
/// account, and so whether a request passes raw or is converted. Gives the key.
async fn set_up(
    process: &mut Process,
    addr: SocketAddr,
    admin: SocketAddr,
    upstream: SocketAddr,
) -> io::Result<String> {
    let credentials = json!({"username": "admin", "password": PASSWORD});
    let signed_in = eventually("sign in", START, || {
        let ended = process.ended();
        let credentials = &credentials;
        async move {
            match ended? {
                Some(status) => Err(io::Error::other(format!("it ended with {status}"))),
                None => http_client::json(admin, "POST", "/api/auth/login", &[], credentials).await,
            }
        }
    })
    .await?;
    let bearer = format!("Bearer {}", text(&signed_in, "access_token")?);
    let headers = [("authorization", bearer.as_str())];
    for (kind, wire) in [("openai", Wire::Chat), ("claude-console", Wire::Messages)] {
        let account = json!({"name": format!("bench {kind}"), "type": kind, "base_url": format!("http://{upstream}"),
            "credentials": {"api_key": wire.upstream_key()}});
        http_client::json(admin, "POST", "/api/admin/accounts", &headers, &account).await?;
    }
    let created =
        http_client::json(admin, "POST", "/api/api-keys", &headers, &json!({"name": "bench"})).await?;
    let key = text(&created, "key")?;
    for wire in Wire::BOTH {
        eventually("the key works", START, || probe(addr, wire, &key)).await?;
    }
    Ok(key)
}

async fn probe(addr: SocketAddr, wire: Wire, key: &str) -> io::Result<()> {
    let body =
        json!({"model": wire.model(), "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}]});
    let headers = wire.headers(key);
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http_client::json(addr, "POST", wire.path(), &headers, &body).await.map(|_| ())
}

fn text(answer: &Value, name: &str) -> io::Result<String> {
    let value = answer.get(name).and_then(Value::as_str).map(str::to_owned);
    value.ok_or_else(|| io::Error::other(format!("no `{name}` in {answer}")))
}

fn end_of(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n")
}
