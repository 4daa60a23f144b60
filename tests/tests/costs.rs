//! What a request costs the node in system calls, as strace counts them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use emulator::Behaviour;
use futures_util::future::join_all;
use serde_json::Value;
use tests::{Caller, Gateway, chat_body, until};

const CREDENTIAL: &str = "sk-costs";
/// Clients at a time.
const CLIENTS: usize = 32;
const REQUESTS_EACH: usize = 50;

/// The threads of the process that serve clients.
fn workers(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|task| task.unwrap().path());
    let name = |task: &Path| fs::read_to_string(task.join("comm")).unwrap_or_default();
    tasks
        .filter(|task| name(task).starts_with("worker-"))
        .map(|task| task.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// System calls of the threads while `work` is done.
async fn system_calls(threads: &[String], work: impl Future<Output = ()>) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let (counts, says) = (folder.path().join("counts"), folder.path().join("says"));
    let mut strace = Command::new("strace");
    strace.arg("-c").arg("-o").arg(&counts).stdin(Stdio::null()).stderr(fs::File::create(&says).unwrap());
    threads.iter().for_each(|thread| _ = strace.arg("-p").arg(thread));
    // Installed by .ci/install.
    let mut strace = strace.spawn().unwrap();
    let attached = || fs::read_to_string(&says).unwrap();
    until("strace to be attached", || {
        assert!(
            !attached().contains("Operation not permitted"),
            "tracing is not allowed here: {}",
            attached()
        );
        attached().matches("attached").count() == threads.len()
    });
    work.await;
    let interrupted = Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    strace.wait().unwrap();
    let counts = fs::read_to_string(counts).unwrap();
    // seconds, microseconds per call, calls, errors
    let total = counts.lines().find(|line| line.ends_with(" total")).unwrap();
    total.split_whitespace().nth(3).unwrap().parse().unwrap()
}

async fn ask(callers: &[Caller], body: &Value) {
    let asking = async |caller: &Caller| {
        for _ in 0..REQUESTS_EACH {
            let reply = caller.chat(body).await;
            assert!(reply.status == 200 && reply.whole, "{}", reply.text());
        }
    };
    join_all(callers.iter().map(asking)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_makes_few_system_calls() {
    let gateway = Gateway::standalone_with(&["--workers", "2"], &[]).await;
    gateway.account("openai", CREDENTIAL).await;
    gateway.emulator.credential(CREDENTIAL).set_default(Behaviour::chunked(20)).unwrap();
    let caller = gateway.caller().await;
    caller.offered("gpt-4o").await;
    let callers: Vec<_> = (0..CLIENTS).map(|_| Caller::new(&caller.url, &caller.key)).collect();
    let threads = workers(gateway.program.id());
    assert_eq!(threads.len(), 2);
    let body = chat_body("hello", false);
    // So that all connections stand.
    ask(&callers, &body).await;
    let calls = system_calls(&threads, ask(&callers, &body)).await;
    let each = calls as f64 / (CLIENTS * REQUESTS_EACH) as f64;
    assert!(each <= 10.0, "{each:.1} system calls for each request");
}
