//! Receives the configuration, and says what became of it.

use std::sync::atomic::Ordering;

use proto::v1::{Ack, Hello, Resync, WatchRequest, watch_request::Message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{BUILD, Link};
use crate::{
    snapshot::{Chunks, Malformed, Outcome, WholeUpdate},
    transport::Backoff,
};

/// Answers on their way.
const QUEUE: usize = 64;

/// Why a stream ended that should have gone on.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("{}", .0.message())]
    Status(#[from] tonic::Status),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the whole configuration does not add up: {0}")]
    Unsound(String),
    #[error("{0}")]
    InDoubt(String),
    #[error("the update could not be applied: {0}")]
    Failed(#[from] tokio::task::JoinError),
}

/// Watches until the tasks end.
pub(super) async fn watch(link: Link) {
    let stopping = link.tasks.stopping();
    let mut backoff = Backoff::new(rand::random());
    while let Some(ended) = stopping.run_until_cancelled(session(&link, &mut backoff)).await {
        link.state.watching.store(false, Ordering::Relaxed);
        let pause = match ended {
            Ok(()) => backoff.worked(),
            Err(error) => {
                let pause = backoff.failed();
                tracing::warn!(%error, retry_in = ?pause, "the configuration can't be watched; the node serves on with what it has");
                pause
            }
        };
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// One stream. `Ok`: the control plane ended it in order.
async fn session(link: &Link, backoff: &mut Backoff) -> Result<(), WatchError> {
    let (answers, requests) = mpsc::channel(QUEUE);
    send(&answers, Message::Hello(hello(link))).await;
    let mut updates = link.control_plane.snapshots().watch(ReceiverStream::new(requests)).await?.into_inner();
    link.state.watching.store(true, Ordering::Relaxed);
    let mut chunks = Chunks::default();
    while let Some(chunk) = updates.message().await? {
        if let Some(update) = chunks.push(chunk)? {
            take(link, update, &answers).await?;
            backoff.worked();
        }
    }
    Ok(())
}

fn hello(link: &Link) -> Hello {
    let known = link.configuration.known();
    Hello {
        node_id: link.node_id.clone(),
        build: BUILD.to_owned(),
        known: known.as_ref().map(|(revision, _)| revision.to_message()),
        digest: known.as_ref().map(|(_, digest)| digest.to_bytes().to_vec()).unwrap_or_default(),
    }
}

async fn take(
    link: &Link,
    update: WholeUpdate,
    answers: &mpsc::Sender<WatchRequest>,
) -> Result<(), WatchError> {
    let (revision, digest, whole) = (update.name.to_message(), update.digest, update.from_version.is_none());
    let configuration = link.configuration.clone();
    let outcome = link.tasks.spawn_blocking(move || configuration.receive(update)).await?;
    match outcome {
        Outcome::Applied { refused } => {
            for nack in refused {
                send(answers, Message::Nack(nack)).await;
            }
            let ack = Ack { revision: Some(revision), digest: digest.to_bytes().to_vec() };
            send(answers, Message::Ack(ack)).await;
        }
        // The operator's answer will come on this stream.
        Outcome::Refused(_) => {}
        Outcome::Again(reason) => return Err(WatchError::InDoubt(reason)),
        Outcome::Resync(reason) if whole => return Err(WatchError::Unsound(reason)),
        Outcome::Resync(reason) => send(answers, Message::Resync(Resync { reason })).await,
    }
    Ok(())
}

/// Where the stream is gone, reading from it says so.
async fn send(answers: &mpsc::Sender<WatchRequest>, message: Message) {
    _ = answers.send(WatchRequest { message: Some(message) }).await;
}
