//! Commands to nodes: one path, whichever replica a node is connected to.
//!
//! [`run`] leaves a row for each node in the mailbox and waits for the answers there. Each replica carries what is for the
//! nodes connected to it, see [`crate::grpc::commands`]. Within a process a signal makes this immediate; between replicas
//! a poll does it.

use std::{collections::HashMap, time::Duration};

use proto::v1::{Command, CommandResult, command, command_result};
use shared::id::CommandId;
use tokio::time::{Instant, timeout_at};

use super::nodes::live_since;
use crate::{
    app::App,
    metrics::CommandLabels,
    store::{StoreError, commands, nodes},
};

/// How often [`run`] looks for answers that came through another replica.
const ANSWER_POLL: Duration = Duration::from_millis(100);
/// A node gives a test of an account this long: for its answer's head, and for a refusal's words.
const TEST: Duration = Duration::from_secs(35);

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
    let since = live_since(app);
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
