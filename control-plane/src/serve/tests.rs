//! Whole control planes, started and stopped as the binary and standalone do it.

mod strangers;

use std::net::{IpAddr, Ipv4Addr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper_util::rt::TokioIo;
use proto::v1::{HeartbeatRequest, node_service_client::NodeServiceClient};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::transport::Endpoint;

use super::*;
use crate::settings::KeySettings;

const PATIENCE: Duration = Duration::from_secs(20);

fn settings(folder: &TempDir) -> Settings {
    let url = format!("sqlite:{}", folder.path().join("switchyard.db").display());
    let master_key = Some(Secret::new(STANDARD.encode([7_u8; 32])));
    let keys = KeySettings { master_key, master_key_file: None, old_master_keys: Vec::new() };
    let mut settings = Settings::embedded(&url, keys).unwrap();
    settings.admin_listen.set_port(0);
    settings.planes.grpc_listen.set_port(0);
    settings
}

async fn standalone(settings: Settings) -> Result<Running, StartError> {
    start(settings, Ends { admin: None, nodes: NodesEnd::InProcess }, Clock::System).await
}

/// Status and body of a GET on a connection of its own.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await.expect("an answer in time");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn people_and_nodes_are_served_until_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let running = standalone(settings(&folder)).await.unwrap();
    let address = running.admin_address;
    assert_eq!(get(address, "/healthz").await, (200, "ok\n".into()));
    assert_eq!(get(address, "/readyz").await, (200, "ready\n".into()));
    assert_eq!(get(address, "/api/profile").await.0, 401);
    let (page, unknown) = (get(address, "/accounts").await, get(address, "/api/nothing").await);
    assert!(page.0 == 200 && page.1.contains("id=\"app\""), "{page:?}");
    assert!(unknown.0 == 404 && unknown.1.contains("no_such_route"), "{unknown:?}");
    let connector = running.in_process.clone().unwrap();
    let connect = tower::service_fn(move |_: ::http::Uri| {
        let connector = connector.clone();
        async move { connector.connect().await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://in-process").connect_with_connector(connect).await.unwrap();
    let heartbeat = HeartbeatRequest { node_id: "node-1".into(), ..HeartbeatRequest::default() };
    let answer = NodeServiceClient::new(channel).heartbeat(heartbeat).await.unwrap().into_inner();
    assert_eq!((answer.live_nodes, answer.interval_ms), (1, 5000));
    let (status, metrics) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("switchyard_control_nodes_live 1"), "{metrics}");
    assert!(metrics.contains(r#"route="/api/profile",status="401"} 1"#), "{metrics}");
    assert!(running.shutdown().await, "everything ends in time");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn the_first_admins_password_is_generated_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = standalone(settings(&folder)).await.unwrap();
    assert!(first.generated_password.is_some());
    assert!(first.shutdown().await);
    let second = standalone(settings(&folder)).await.unwrap();
    assert_eq!(second.generated_password, None);
    assert!(second.shutdown().await);
}

#[tokio::test]
async fn a_given_password_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    settings.policy.admin_password = Some(Secret::new("correct horse battery"));
    let running = standalone(settings).await.unwrap();
    assert_eq!(running.generated_password, None);
    assert!(running.shutdown().await);
}

#[tokio::test]
async fn tables_are_left_alone_where_the_operator_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    settings.migrate = Migrate::Off;
    assert!(matches!(standalone(settings.clone()).await, Err(StartError::Pending(_))));
    let store =
        Store::connect(settings.database.database_url.expose(), &StoreOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    assert!(standalone(settings).await.unwrap().shutdown().await);
}

#[tokio::test]
async fn plaintext_off_loopback_must_be_allowed_in_so_many_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    settings.planes.grpc_listen.set_ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let ends = || Ends { admin: None, nodes: NodesEnd::Listen };
    let refused = start(settings.clone(), ends(), Clock::System).await;
    assert!(matches!(refused, Err(StartError::Plaintext(_))), "{refused:?}");
    settings.planes.allow_plaintext_planes = true;
    let running = start(settings, ends(), Clock::System).await.unwrap();
    assert!(running.grpc_address.is_some());
    assert!(running.shutdown().await);
}

#[tokio::test]
async fn without_a_master_key_there_is_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    settings.keys.master_key = None;
    assert!(matches!(standalone(settings).await, Err(StartError::App(AppError::MasterKey(_)))));
}
