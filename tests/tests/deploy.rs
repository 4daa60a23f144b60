//! What `deploy/` holds: the checks of `tests/deploy`, and what of it can be tried on one machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use emulator::{Behaviour, Position};
use futures_util::StreamExt as _;
use rustix::process::Signal;
use servers::{Child, free_port};
use tempfile::TempDir;
use tests::{Caller, Gateway, Split, check_deployment, eventually, messages_body, until};

const CLAUDE: &str = "sk-ant-deploy";

/// A page shows a family of counters once one has counted; these would need a damaged disk for that. With the file that
/// registers each, by its name without prefix and suffix.
const SHOWN_LATER: [(&str, &str, &str); 1] = [(
    "switchyard_control_ledger_rejected_records_total",
    "control-plane/src/ledger/metrics.rs",
    "\"ledger_rejected_records\"",
)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn deploy() -> PathBuf {
    root().join("deploy")
}

#[test]
fn images_compose_and_chart_are_as_they_must_be() {
    check_deployment();
}

/// Words of a text that have the form of a metric of ours.
fn metrics_in(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("switchyard_") && *word == word.to_ascii_lowercase())
        .map(Into::into)
        .collect()
}

async fn page(url: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_autoscaler_and_documents_name_metrics_that_are_there() {
    let mut named: BTreeSet<String> =
        ["helm/switchyard/alerts.yaml", "helm/switchyard/templates/autoscaler.yaml", "README.md"]
            .iter()
            .flat_map(|file| metrics_in(&fs::read_to_string(deploy().join(file)).unwrap()))
            .collect();
    assert!(named.len() > 10, "{named:?}");
    for (metric, file, registered) in SHOWN_LATER {
        assert!(named.remove(metric), "{metric} is not named any more");
        assert!(fs::read_to_string(root().join(file)).unwrap().contains(registered), "{file}: {registered}");
    }
    let split = Split::start(1).await;
    let (control, node) = (&split.controls[0].admin_url, &split.nodes[0].url);
    // Of the family of refusals, one has to be counted.
    let refused = Caller::new(node, "sk-nobody").messages(&messages_body("x", false)).await;
    assert!(!refused.status.is_success());
    eventually("every metric to be on a page", async || {
        let shown = metrics_in(&(page(control).await + &page(node).await));
        let missing: Vec<_> = named.difference(&shown).collect();
        missing.is_empty().then_some(())
    })
    .await;
}

/// The load balancer of compose.yaml, with addresses of this machine in place of those of its network.
struct LoadBalancer {
    process: Child,
    clients: SocketAddr,
    admins: SocketAddr,
    _folder: TempDir,
}

impl LoadBalancer {
    fn start(gateway: &Gateway) -> Self {
        let folder = TempDir::with_prefix("switchyard-nginx-").unwrap();
        let [clients, admins] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let mut config = fs::read_to_string(deploy().join("docker/nginx.conf")).unwrap();
        for (of_compose, of_this_machine) in [
            ("node-a:8080 resolve", gateway.url().trim_start_matches("http://").to_owned()),
            // Nobody listens there: what can't be sent goes to the other node.
            ("node-b:8080 resolve", format!("127.0.0.1:{}", free_port())),
            ("control:8081 resolve", gateway.admin_url().trim_start_matches("http://").to_owned()),
            ("listen 8080", format!("listen {clients}")),
            ("listen 8081", format!("listen {admins}")),
            ("/tmp", folder.path().display().to_string()),
        ] {
            assert!(config.contains(of_compose), "nginx.conf has no {of_compose}");
            config = config.replace(of_compose, &of_this_machine);
        }
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-g", "daemon off;", "-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(file);
        let process = Child::spawn(&mut command);
        until("the load balancer to listen", || TcpStream::connect(clients).is_ok());
        Self { process, clients, admins, _folder: folder }
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        // Killed, it would leave its workers behind.
        self.process.signal(Signal::TERM);
        until("the load balancer to end", || !self.process.is_running());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_passes_the_load_balancer_while_the_provider_still_writes() {
    let gateway = Gateway::standalone().await;
    gateway.account("claude-console", CLAUDE).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    let balancer = LoadBalancer::start(&gateway);
    let caller = Caller::new(&format!("http://{}", balancer.clients), &caller.key);
    let credential = gateway.emulator.credential(CLAUDE);
    // More than once, so that the node that is away has its turn.
    for _ in 0..3 {
        credential.next(Behaviour::chunked(8).with_hold(Position::Content(3))).unwrap();
        let body = messages_body("one two three four five six seven eight", true);
        let answer = caller.post("/v1/messages", serde_json::to_vec(&body).unwrap()).await;
        assert_eq!(answer.status().as_u16(), 200);
        let mut chunks = answer.bytes_stream();
        let mut text = String::new();
        while text.matches("content_block_delta").count() < 2 * 3 {
            text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
        }
        assert_eq!(credential.counters().held, 1, "the provider has not written the rest");
        credential.release();
        while let Some(chunk) = chunks.next().await {
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        assert!(text.contains("message_stop"), "{text}");
    }
    assert_eq!(credential.counters().requests, 3, "no request is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_balancer_keeps_the_operators_pages_to_itself() {
    let gateway = Gateway::standalone().await;
    let balancer = LoadBalancer::start(&gateway);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = async |address: SocketAddr, path: &str| {
        client.get(format!("http://{address}{path}")).send().await.unwrap().status().as_u16()
    };
    for address in [balancer.clients, balancer.admins] {
        assert_eq!(status(address, "/readyz").await, 200);
        for hidden in ["/metrics", "//metrics", "/%6detrics", "/metrics?x"] {
            assert_eq!(status(address, hidden).await, 404, "{hidden}");
        }
    }
}
