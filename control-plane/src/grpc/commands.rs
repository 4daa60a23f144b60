//! Carries commands to nodes: see [`crate::ops::node_commands`].
//!
//! Every replica's [`dispatch`] takes what is for the nodes connected to it ([`Connected`]) out of the mailbox, sends it
//! down their stream, and [`answered`] puts what comes back into the row.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use prost::Message as _;
use proto::v1::{Command, CommandResult, Resource, ResourceKind, command};
use shared::id::{AccountId, CommandId};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tonic::Status;

use crate::{
    app::App,
    snapshot::encode,
    store::{StoreError, Tx, accounts, changes, commands},
};

/// Commands on their way down one stream.
pub(super) const STREAM_QUEUE: usize = 16;

type Sender = mpsc::Sender<Result<Command, Status>>;

/// The nodes whose command stream leads to this process. Clones are the same set.
#[derive(Debug, Clone, Default)]
pub struct Connected(Arc<Mutex<Streams>>);

#[derive(Debug, Default)]
struct Streams {
    by_node: HashMap<String, (u64, Sender)>,
    next: u64,
}

impl Connected {
    /// The node's stream from now on, in place of an older one. Returns what [`Self::leave`] needs.
    pub(super) fn enter(&self, node_id: &str, sender: Sender) -> u64 {
        let mut streams = self.0.lock();
        streams.next += 1;
        let serial = streams.next;
        streams.by_node.insert(node_id.to_owned(), (serial, sender));
        serial
    }

    /// Forgets the stream, unless a newer one took its place.
    pub(super) fn leave(&self, node_id: &str, serial: u64) {
        let mut streams = self.0.lock();
        if streams.by_node.get(node_id).is_some_and(|(current, _)| *current == serial) {
            streams.by_node.remove(node_id);
        }
    }

    fn sender(&self, node_id: &str) -> Option<Sender> {
        self.0.lock().by_node.get(node_id).map(|(_, sender)| sender.clone())
    }

    fn is_empty(&self) -> bool {
        self.0.lock().by_node.is_empty()
    }
}

/// Sends what waits for the nodes connected here, until shutdown.
pub async fn dispatch(app: App, connected: Connected) {
    let stopping = app.tasks.stopping();
    let mut signal = app.commands.subscribe();
    loop {
        signal.mark_unchanged();
        if !connected.is_empty()
            && let Err(error) = dispatch_once(&app, &connected).await
        {
            tracing::warn!(%error, "commands to nodes can't be read");
        }
        let next_look = Instant::now() + app.settings.planes.command_poll;
        if stopping.run_until_cancelled(timeout_at(next_look, signal.changed())).await.is_none() {
            return;
        }
    }
}

async fn dispatch_once(app: &App, connected: &Connected) -> Result<(), StoreError> {
    let mut tx = app.store.read().await?;
    let waiting = commands::pending(&mut tx, app.clock.now()).await?;
    tx.rollback().await?;
    for letter in waiting {
        let Some(sender) = connected.sender(&letter.node_id) else {
            continue;
        };
        // A full queue: at the next look.
        let Ok(place) = sender.try_reserve() else { continue };
        let Ok(id) = CommandId::try_from(letter.command.id.as_slice()) else {
            continue;
        };
        let mut tx = app.store.begin().await?;
        let ours = commands::claim(&mut tx, id).await?;
        let command = if ours { complete(app, &mut tx, letter.command).await? } else { letter.command };
        tx.commit().await?;
        if ours {
            place.send(Ok(command));
        }
    }
    Ok(())
}

/// Puts the account into a test of one that is disabled, which nodes don't have the credential of. Only here, so that it
/// never lies in the mailbox.
async fn complete(app: &App, tx: &mut Tx, mut command: Command) -> Result<Command, StoreError> {
    let Some(command::Command::TestAccount(test)) = &mut command.command else { return Ok(command) };
    let Ok(id) = AccountId::try_from(test.account_id.as_slice()) else { return Ok(command) };
    let Some(row) = accounts::get(tx, id).await?.filter(|row| !row.enabled) else { return Ok(command) };
    let version = changes::version_of(tx, ResourceKind::Account, id.to_bytes()).await?;
    match encode::account_to_test(&row, &app.sealer) {
        Ok(account) => {
            test.account = Some(Resource {
                kind: ResourceKind::Account.into(),
                id: test.account_id.clone(),
                version: version.unwrap_or_default(),
                enabled: false,
                deleted: false,
                payload: account.encode_to_vec().into(),
            });
        }
        Err(error) => tracing::error!(%error, account = %id, "a disabled account can't be tested"),
    }
    Ok(command)
}

/// Stores what a node answered.
///
/// # Errors
/// The mailbox can't be used.
pub(super) async fn answered(app: &App, result: &CommandResult) -> Result<(), StoreError> {
    let Ok(id) = CommandId::try_from(result.id.as_slice()) else {
        tracing::warn!(node = result.node_id, "a node answered a command without naming it");
        return Ok(());
    };
    let mut tx = app.store.begin().await?;
    let known = commands::answer(&mut tx, id, result).await?;
    tx.commit().await?;
    if !known {
        tracing::warn!(node = result.node_id, command = %id, "a node answered a command that it was not sent");
    }
    app.commands.notify();
    Ok(())
}
