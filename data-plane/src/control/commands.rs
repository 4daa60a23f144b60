//! Carries out what the control plane asks of this node.

use std::{sync::Arc, time::Duration};

use proto::v1::{ClearStatusResult, Command, CommandResult, TestAccount, command, command_result};
use shared::id::AccountId;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::Link;
use crate::transport::Backoff;

/// Commands that are carried out at the same time; the others wait on the stream.
const AT_ONCE: usize = 16;
/// A command that takes longer is answered as failed.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Takes commands until the tasks end.
pub(super) async fn carry_out(link: Link) {
    let stopping = link.tasks.stopping();
    let mut backoff = Backoff::new(rand::random());
    while let Some(ended) = stopping.run_until_cancelled(session(&link, &mut backoff)).await {
        let pause = match ended {
            Ok(()) => backoff.worked(),
            Err(status) => {
                let pause = backoff.failed();
                tracing::warn!(error = status.message(), retry_in = ?pause, "no commands can be received");
                pause
            }
        };
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

async fn session(link: &Link, backoff: &mut Backoff) -> Result<(), tonic::Status> {
    let (results, requests) = mpsc::channel(AT_ONCE + 1);
    let name = CommandResult { node_id: link.node_id.clone(), ..CommandResult::default() };
    _ = results.send(name).await;
    let mut commands = link.control_plane.nodes().commands(ReceiverStream::new(requests)).await?.into_inner();
    backoff.worked();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(command) = commands.message().await? {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return Ok(());
        };
        let (link, results) = (link.clone(), results.clone());
        link.tasks.clone().spawn(async move {
            let result = answer(&link, command).await;
            // A stream that is gone takes no answer; the command comes again on the next one.
            _ = results.send(result).await;
            drop(place);
        });
    }
    Ok(())
}

async fn answer(link: &Link, command: Command) -> CommandResult {
    let stopping = link.tasks.stopping();
    let done = tokio::select! {
        done = tokio::time::timeout(TIMEOUT, perform(link, command.command)) => {
            done.unwrap_or_else(|_| Err("it took too long".to_owned()))
        }
        () = stopping.cancelled() => Err("the node is stopping".to_owned()),
    };
    let result = done.unwrap_or_else(command_result::Result::Error);
    CommandResult { node_id: link.node_id.clone(), id: command.id, result: Some(result) }
}

async fn perform(link: &Link, command: Option<command::Command>) -> Result<command_result::Result, String> {
    match command {
        Some(command::Command::ClearStatus(clear)) => {
            link.live.clear(account_id(&clear.account_id)?);
            Ok(command_result::Result::ClearStatus(ClearStatusResult {}))
        }
        Some(command::Command::TestAccount(TestAccount { account_id: id, model, account: carried })) => {
            let account = match carried {
                Some(carried) => link.configuration.account_of(&carried)?,
                None => {
                    let id = account_id(&id)?;
                    let snapshot = link.configuration.handle().load_full();
                    let known = snapshot.accounts.iter().find(|account| account.id == id).cloned();
                    known.ok_or("this node has no such account")?
                }
            };
            Ok(command_result::Result::TestAccount(link.serving.test(account, model).await))
        }
        None => Err("this node's build does not know the command".to_owned()),
    }
}

fn account_id(bytes: &[u8]) -> Result<AccountId, String> {
    AccountId::try_from(bytes).map_err(|_| "the account's id does not have 16 bytes".to_owned())
}
