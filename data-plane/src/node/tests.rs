use std::{path::Path, time::Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proto::v1::{Revision, Update};
use shared::secret::Secret;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;
use crate::control::fake::FakeControlPlane;

async fn node(folder: &Path, fake: &FakeControlPlane) -> Running {
    start(NodeParts {
        node_id: "node-a".into(),
        folder: FolderLock::take(folder).unwrap(),
        listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        control_plane: fake.transport(),
        redis: None,
        seal_key: Some(SealKey::parse(&Secret::new(STANDARD.encode([5; 32]))).unwrap()),
        settings: NodeSettings { report_grace: Duration::from_millis(200), ..NodeSettings::default() },
        clock: Clock::System,
    })
    .await
    .unwrap()
}

/// Head and body of the answer.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn until_ready(address: SocketAddr) {
    let begun = Instant::now();
    while !get(address, "/readyz").await.starts_with("HTTP/1.1 200") {
        assert!(begun.elapsed() < Duration::from_secs(20), "the node does not get ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_node_is_ready_once_it_has_a_configuration_and_then_also_without_the_control_plane() {
    let (tasks, folder) = (Tasks::new(), tempfile::tempdir().unwrap());
    let fake = FakeControlPlane::new(&tasks);
    fake.go_down().await;
    let running = node(folder.path(), &fake).await;
    let answer = get(running.address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("no configuration yet"), "{answer}");
    assert!(get(running.address, "/healthz").await.starts_with("HTTP/1.1 200"));

    let revision = Some(Revision { epoch: vec![1; 16], version: 12, ..Revision::default() });
    fake.greet_with(vec![Update { revision, last: true, digest: vec![0; 16], ..Update::default() }]);
    fake.come_up();
    until_ready(running.address).await;
    let metrics = get(running.address, "/metrics").await;
    for line in [
        "switchyard_snapshot_version 12",
        "switchyard_spool_healthy 1",
        "switchyard_spool_bytes 0",
        "switchyard_spool_oldest_open_seconds 0",
        "switchyard_spool_set_aside 0",
        "switchyard_spool_missing 0",
        "switchyard_request_memory_used_bytes 0",
        "switchyard_request_memory_limit_bytes 268435456",
        "switchyard_answer_memory_used_bytes 0",
        "switchyard_answer_memory_limit_bytes 134217728",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line} is not in:\n{metrics}");
    }
    assert!(get(running.address, "/v1/models").await.starts_with("HTTP/1.1 401"));
    assert!(running.shutdown().await, "all ends in time");
    let left = fake.heard(|heard| heard.heartbeats.last().cloned()).unwrap();
    assert_eq!(left.node_id, "node-a");
    assert_eq!(
        std::fs::read_dir(folder.path().join("spool")).unwrap().count(),
        0,
        "it is delivered and closed"
    );
    let ended = fake.heard(|heard| heard.ledger.keys().cloned().collect::<Vec<_>>());
    let refused =
        fake.heard(|heard| heard.refusals.iter().map(|of| of.incarnation_id.clone()).collect::<Vec<_>>());
    assert!(!refused.is_empty() && refused.iter().all(|of| *of == left.incarnation_id), "{refused:?}");
    assert!(ended.len() > 1 && ended.iter().all(|(of, _)| *of == left.incarnation_id), "{ended:?}");

    fake.go_down().await;
    let running = node(folder.path(), &fake).await;
    assert!(get(running.address, "/readyz").await.starts_with("HTTP/1.1 200"), "from its copy");
    let address = running.address;
    assert!(running.shutdown().await);
    assert!(TcpStream::connect(address).await.is_err(), "nobody is served any more");
    tasks.stop();
}

#[tokio::test]
async fn a_folder_serves_one_node_until_its_end() {
    let (tasks, folder) = (Tasks::new(), tempfile::tempdir().unwrap());
    let fake = FakeControlPlane::new(&tasks);
    let running = node(folder.path(), &fake).await;
    assert!(matches!(FolderLock::take(folder.path()), Err(SpoolError::Locked(_))));
    assert!(running.shutdown().await);
    FolderLock::take(folder.path()).unwrap();
    tasks.stop();
}
