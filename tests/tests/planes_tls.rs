//! Between the planes there is mTLS: who shows no good certificate gets nothing, and certificates are replaced while
//! everything runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{fs, path::Path, time::Duration};

use reqwest::{Certificate, Client, Identity};
use tests::{Certificates, Node, NodeFiles, Split, Traffic, eventually};

const CLAUDE: &str = "sk-ant-planes";

/// A certificate with its key, as PEM.
fn identity((certificate, key): &(String, String)) -> String {
    [certificate, key].map(|file| fs::read_to_string(file).unwrap()).concat()
}

/// Whether somebody who shows `identity` and trusts `authority` is answered where nodes are.
async fn answered(url: &str, authority: &str, identity: Option<&str>) -> bool {
    let authority = Certificate::from_pem(authority.as_bytes()).unwrap();
    let mut client = Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .timeout(Duration::from_secs(10))
        .tls_certs_only([authority]);
    if let Some(identity) = identity {
        client = client.identity(Identity::from_pem(identity.as_bytes()).unwrap());
    }
    client.build().unwrap().get(url).send().await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_of_the_operators_nobody_gets_anything() {
    let split = Split::start(1).await;
    split.account("claude-console", CLAUDE).await;
    split.callers().await;
    let (planes, foreign) = (&split.controls[0].planes_url, Certificates::new());
    let authority = fs::read_to_string(split.certificates.authority()).unwrap();
    let own = identity(&split.certificates.issue("probe"));
    assert!(answered(planes, &authority, Some(&own)).await, "the probe itself works");
    assert!(!answered(planes, &authority, None).await, "no certificate");
    let stranger = identity(&foreign.issue("probe"));
    assert!(!answered(planes, &authority, Some(&stranger)).await, "a foreign certificate");

    // Nodes: one that shows a foreign certificate, and one that is shown what to it is a foreign certificate.
    let redis = split.redis.url();
    let shows_a_foreign_one =
        NodeFiles { authority: split.certificates.authority(), ..NodeFiles::issue(&foreign, "intruder") };
    let trusts_a_foreign_one =
        NodeFiles { authority: foreign.authority(), ..NodeFiles::issue(&split.certificates, "misled") };
    let cases = [("intruder", shows_a_foreign_one), ("misled", trusts_a_foreign_one)];
    for (name, files) in cases {
        let mut node = Node::start_with(name, planes, &files, &redis, &[]);
        let failed = "the configuration can't be watched; the node serves on with what it has";
        let said = node.program.logged(failed);
        eventually("the node to have tried several times", async || {
            let tries = node.program.log_lines().iter().filter(|line| line.contains(failed)).count();
            (tries >= 4).then_some(())
        })
        .await;
        assert_eq!(node.readiness().await.0, 503, "{name}: {said}");
        let nodes = split.admin.get("/api/admin/nodes").await.ok();
        assert!(!nodes.to_string().contains(name), "{nodes}");
    }
}

/// How often nodes have begun to watch.
fn watches(split: &Split) -> usize {
    let lines = split.controls[0].program.log_lines();
    lines.iter().filter(|line| line.contains("a node watches")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_replaced_on_disk_are_used_without_a_restart() {
    let split = Split::start_with(
        2,
        &[
            ("SWITCHYARD_GRPC_TLS_RELOAD", "100ms"),
            ("SWITCHYARD_GRPC_CONNECTION_AGE", "1s"),
            ("SWITCHYARD_HEARTBEAT_INTERVAL", "200ms"),
        ],
    )
    .await;
    split.account("claude-console", CLAUDE).await;
    let callers = split.callers().await;
    for caller in &callers {
        caller.offered("claude-sonnet-5").await;
    }
    let traffic = Traffic::start(&callers);
    let control = &split.controls[0];
    let (present, next) = (&split.certificates, Certificates::new());
    let authority_file = present.authority();
    let [old_authority, new_authority] =
        [&authority_file, &next.authority()].map(|file| fs::read_to_string(file).unwrap());
    let (old, new) = (identity(&present.issue("probe")), identity(&next.issue("probe")));
    assert!(!answered(&control.planes_url, &old_authority, Some(&new)).await);

    // Both authorities are trusted for a while.
    replace(&authority_file, &format!("{old_authority}{new_authority}"));
    eventually("the new authority to be trusted", async || {
        answered(&control.planes_url, &old_authority, Some(&new)).await.then_some(())
    })
    .await;
    // A certificate without its key, as in the middle of a replacement, changes nothing and is told of.
    let (old_files, new_files) = (present.files("control"), next.issue("control"));
    replace(&old_files.0, &fs::read_to_string(&new_files.0).unwrap());
    eventually("the half to be noticed", async || {
        let failures = control.metric("switchyard_control_tls_reload_failures_total").await;
        (failures == Some(1.0)).then_some(())
    })
    .await;
    assert!(answered(&control.planes_url, &old_authority, Some(&old)).await);
    replace(&old_files.1, &fs::read_to_string(&new_files.1).unwrap());
    for node in &split.nodes {
        let (old, new) = (present.files(&node.name), next.issue(&node.name));
        replace(&old.0, &fs::read_to_string(&new.0).unwrap());
        replace(&old.1, &fs::read_to_string(&new.1).unwrap());
    }
    eventually("the control plane to show its new certificate", async || {
        answered(&control.planes_url, &new_authority, Some(&new)).await.then_some(())
    })
    .await;
    assert!(!answered(&control.planes_url, &old_authority, Some(&new)).await);
    // The old authority is trusted no more.
    replace(&authority_file, &new_authority);
    eventually("the old certificates to be refused", async || {
        (!answered(&control.planes_url, &new_authority, Some(&old)).await).then_some(())
    })
    .await;

    // Connections end after a second or so: all that come from here on were made with the new ones.
    let before = watches(&split);
    eventually("both nodes to have connected anew, twice", async || {
        (watches(&split) >= before + 4).then_some(())
    })
    .await;
    for caller in split.callers().await {
        caller.offered("claude-sonnet-5").await;
    }
    for node in &split.nodes {
        split.node_seen(&node.name, |node| node["health"] == "live" && node["lag"] == 0).await;
    }
    let report = traffic.stop().await;
    assert!(report.failed.is_empty(), "{report:?}");
}

/// As a whole, as those do who know that somebody may be reading.
fn replace(file: &str, content: &str) {
    let file = Path::new(file);
    let unfinished = file.with_extension("unfinished");
    fs::write(&unfinished, content).unwrap();
    fs::rename(unfinished, file).unwrap();
}
