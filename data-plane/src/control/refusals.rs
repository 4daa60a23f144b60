//! Tells the control plane what was refused, a moment after it was and a report at a time.

use std::time::Duration;

use super::Link;
use crate::transport::Backoff;

/// What comes is gathered for so long.
const GATHER: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reports until the tasks end.
pub(super) async fn report(link: Link) {
    let stopping = link.tasks.stopping();
    let mut backoff = Backoff::new(rand::random());
    loop {
        let Some(reported) = stopping.run_until_cancelled(report_all(&link)).await else {
            return;
        };
        let pause = match reported {
            Ok(()) => {
                backoff.worked();
                GATHER
            }
            Err(status) => {
                let pause = backoff.failed();
                let (error, waiting) = (status.message(), link.refusals.waiting());
                tracing::warn!(error, waiting, retry_in = ?pause, "refused requests can't be reported");
                pause
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = link.refusals.hurried() => {}
            () = stopping.cancelled() => return,
        }
    }
}

async fn report_all(link: &Link) -> Result<(), tonic::Status> {
    while let Some(mut report) = link.refusals.report() {
        let sequence = report.sequence;
        report.node_id.clone_from(&link.node_id);
        let mut client = link.control_plane.refusals();
        let answer = tokio::time::timeout(TIMEOUT, client.report(report))
            .await
            .map_err(|_| tonic::Status::deadline_exceeded("no answer in time"))??
            .into_inner();
        if answer.acknowledged < sequence {
            return Err(tonic::Status::internal("the control plane did not take the report"));
        }
        link.refusals.acknowledged(answer.acknowledged);
    }
    Ok(())
}
