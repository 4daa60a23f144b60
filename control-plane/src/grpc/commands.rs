//! Commands to nodes: one path, whichever replica a node is connected to.
//!
//! [`run`] leaves a row for each node in the mailbox and waits for the answers there. Every replica's [`dispatch`]
//! takes what is for the nodes connected to it ([`Connected`]), sends it down their stream, and [`answered`] puts what
//! comes back into the row. Within a process a signal makes this immediate; between replicas a poll does it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use proto::v1::{Command, CommandResult, command, command_result};
use shared::id::CommandId;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tonic::Status;

use crate::{
    app::App,
    metrics::CommandLabels,
    store::{StoreError, commands, nodes},
};

/// How often [`run`] looks for answers that came through another replica.
const ANSWER_POLL: Duration = Duration::from_millis(100);
/// A node gives a test of an account this long: for its answer's head, and for a refusal's words.
const TEST: Duration = Duration::from_secs(35);
/// Commands on their way down one stream.
pub(super) const STREAM_QUEUE: usize = 16;

/// What one node said to a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub node_id: String,
    pub outcome: Result<command_result::Result, NoResult>,
}

/// Why a node gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoResult {
    /// The node said why it could not carry the command out.
    Refused(String),
    /// Nothing came in time.
    Silent,
}

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

/// How long a node may take. What an upstream takes comes on top of what the settings allow for.
fn patience(app: &App, command: &command::Command) -> Duration {
    let usual = app.settings.planes.command_timeout;
    match command {
        command::Command::TestAccount(_) => usual + TEST,
        command::Command::ClearStatus(_) => usual,
    }
}

/// Has each of the nodes carry out the command, and waits for their answers for as long as that may take.
///
/// # Errors
/// The mailbox can't be used. A node that does not answer is no error: see [`NoResult`].
pub async fn run(app: &App, nodes: &[String], command: &command::Command) -> Result<Vec<Answer>, StoreError> {
    let sent = leave(app, nodes, command).await?;
    app.commands.notify();
    let ids: Vec<_> = sent.iter().map(|(id, _)| *id).collect();
    let mut results: HashMap<_, _> =
        await_answers(app, &ids, patience(app, command)).await?.into_iter().collect();
    let answers =
        sent.into_iter().map(|(id, node_id)| Answer { outcome: outcome(results.remove(&id)), node_id });
    let answers: Vec<_> = answers.collect();
    for answer in &answers {
        let outcome = if answer.outcome == Err(NoResult::Silent) { "unanswered" } else { "answered" };
        app.metrics.commands.get_or_create(&CommandLabels { outcome }).inc();
    }
    Ok(answers)
}

/// [`run`] on every node heard of lately.
///
/// # Errors
/// The mailbox can't be used.
pub async fn run_on_all(app: &App, command: &command::Command) -> Result<Vec<Answer>, StoreError> {
    let since = super::node_service::live_since(app);
    let mut tx = app.store.read().await?;
    let nodes: Vec<_> = nodes::live(&mut tx, since).await?.into_iter().map(|node| node.node_id).collect();
    tx.rollback().await?;
    run(app, &nodes, command).await
}

fn outcome(result: Option<CommandResult>) -> Result<command_result::Result, NoResult> {
    match result {
        None => Err(NoResult::Silent),
        Some(CommandResult { result: Some(command_result::Result::Error(reason)), .. }) => {
            Err(NoResult::Refused(reason))
        }
        Some(CommandResult { result: Some(result), .. }) => Ok(result),
        Some(CommandResult { result: None, .. }) => {
            Err(NoResult::Refused("the node does not know this command".into()))
        }
    }
}

async fn leave(
    app: &App,
    nodes: &[String],
    command: &command::Command,
) -> Result<Vec<(CommandId, String)>, StoreError> {
    let now = app.clock.now();
    let expires_at = now.plus(patience(app, command));
    let mut sent = Vec::with_capacity(nodes.len());
    if nodes.is_empty() {
        return Ok(sent);
    }
    let mut tx = app.store.begin().await?;
    for node_id in nodes {
        let id = CommandId::new(now);
        let command = Command { id: id.to_bytes().to_vec(), command: Some(command.clone()) };
        let letter = commands::Letter { node_id: node_id.clone(), command, expires_at };
        commands::insert(&mut tx, &letter).await?;
        sent.push((id, node_id.clone()));
    }
    tx.commit().await?;
    Ok(sent)
}

/// All answers, or those that came in time.
async fn await_answers(
    app: &App,
    ids: &[CommandId],
    patience: Duration,
) -> Result<Vec<(CommandId, CommandResult)>, StoreError> {
    let deadline = Instant::now() + patience;
    let mut signal = app.commands.subscribe();
    loop {
        signal.mark_unchanged();
        let mut tx = app.store.read().await?;
        let answers = commands::answers(&mut tx, ids).await?;
        tx.rollback().await?;
        if answers.len() == ids.len() || Instant::now() >= deadline {
            return Ok(answers);
        }
        let next_look = deadline.min(Instant::now() + ANSWER_POLL);
        // A signal or the time: both mean to look again.
        _ = timeout_at(next_look, signal.changed()).await;
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
        tx.commit().await?;
        if ours {
            place.send(Ok(letter.command));
        }
    }
    Ok(())
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
