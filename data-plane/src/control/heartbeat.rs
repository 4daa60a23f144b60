//! Tells the control plane how the node is, every few seconds and at once when there is something to be written.

use std::{sync::atomic::Ordering, time::Duration};

use proto::v1::{
    AccountLive, HeartbeatRequest, HeartbeatResponse, NodeStatistics, StatusMark, StatusWrite,
    status_mark::Kind,
};
use shared::clock::Millis;

use super::{BUILD, Link};
use crate::{
    live::{Mark, MarkKind},
    snapshot::Stamped,
    transport::Backoff,
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Bounds of the interval that the control plane asks for.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(60);
/// Refused payloads that are told of.
const REFUSED_PAYLOADS: usize = 1_000;

/// Beats until the tasks end.
pub(super) async fn beat(link: Link) {
    let stopping = link.tasks.stopping();
    let mut ready = link.state.ready.subscribe();
    let mut backoff = Backoff::new(rand::random());
    loop {
        let Some(beaten) = stopping.run_until_cancelled(beat_once(&link)).await else {
            return;
        };
        let pause = match beaten {
            Ok(answer) => {
                backoff.worked();
                Duration::from_millis(answer.interval_ms).clamp(SHORTEST, LONGEST)
            }
            Err(status) => {
                let pause = backoff.failed();
                tracing::warn!(error = status.message(), retry_in = ?pause, "the control plane took no heartbeat");
                pause
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = link.status_writes.pushed() => {}
            changed = ready.changed() => if changed.is_err() { return },
            () = stopping.cancelled() => return,
        }
    }
}

async fn beat_once(link: &Link) -> Result<HeartbeatResponse, tonic::Status> {
    tell_of_expired_tokens(link);
    let request = request(link);
    let sent = request.status_writes.clone();
    let mut client = link.control_plane.nodes();
    let answer = tokio::time::timeout(TIMEOUT, client.heartbeat(request))
        .await
        .map_err(|_| tonic::Status::deadline_exceeded("no answer in time"))??
        .into_inner();
    link.status_writes.taken(&sent);
    link.state.live_nodes.store(answer.live_nodes.max(1), Ordering::Relaxed);
    if link.state.withheld.swap(answer.withheld, Ordering::Relaxed) != answer.withheld {
        if answer.withheld {
            tracing::error!(
                "the control plane's database is an older or another copy than the one that nodes were served from: it sends nothing until its operator adopts it; the node serves on with its own configuration"
            );
        } else {
            tracing::info!("the control plane sends its configuration again");
        }
    }
    Ok(answer)
}

fn request(link: &Link) -> HeartbeatRequest {
    let mut report = link.configuration.report();
    report.refused_payloads.truncate(REFUSED_PAYLOADS);
    let statistics = NodeStatistics {
        live_backend: link.live.backend().to_owned(),
        live_degraded: link.live.degraded(),
        ..link.serving.statistics()
    };
    HeartbeatRequest {
        node_id: link.node_id.clone(),
        build: BUILD.to_owned(),
        revision: report.revision.as_ref().map(Stamped::to_message),
        digest: report.revision.as_ref().map(|_| report.digest.to_bytes().to_vec()).unwrap_or_default(),
        refused: report.refused,
        wires: link.serving.wires().into_iter().map(Into::into).collect(),
        account_types: link.serving.account_types().into_iter().map(Into::into).collect(),
        statistics: Some(statistics),
        accounts: accounts(link),
        status_writes: link.status_writes.waiting(),
        spool_depth: link.journal.depth(),
        refused_payloads: report.refused_payloads,
        ready: *link.state.ready.borrow(),
        incarnation_id: link.journal.incarnation().to_bytes().to_vec(),
    }
}

/// Until access tokens are refreshed, an account whose token's time is over needs a person: it becomes invalid.
fn tell_of_expired_tokens(link: &Link) {
    let now = link.clock.now();
    for account in &link.configuration.handle().load().accounts {
        if account.upstream.credential.expired(now) && account.invalid_reason.is_none() {
            link.status_writes.push_quietly(StatusWrite {
                account_id: account.id.to_bytes().to_vec(),
                account_version: account.version,
                reason: "expired".to_owned(),
                detail: "the access token's time is over".to_owned(),
            });
        }
    }
}

fn accounts(link: &Link) -> Vec<AccountLive> {
    let now = link.clock.now();
    let mut accounts = Vec::new();
    link.live.states().for_each(|id, state| {
        let live = AccountLive {
            account_id: id.to_bytes().to_vec(),
            in_flight: state.in_flight(),
            marks: state.marks(now).into_iter().map(mark).collect(),
        };
        if live.in_flight > 0 || !live.marks.is_empty() {
            accounts.push(live);
        }
    });
    accounts
}

fn mark(mark: Mark) -> StatusMark {
    let Mark { kind, until: Millis(until_ms), reason, model_family, guessed: _ } = mark;
    let kind = match kind {
        MarkKind::RateLimited => Kind::RateLimited,
        MarkKind::Overloaded => Kind::Overloaded,
    };
    StatusMark { kind: kind.into(), until_ms, reason, model_family }
}
