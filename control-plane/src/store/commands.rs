//! Commands to nodes: a mailbox that any replica may fill and any may empty.
//!
//! A row is `pending` until the replica that the node is connected to claims and sends it, and `answered` once the
//! result is stored. What is not answered before it expires never will be; rows are deleted some time after that.

use prost::Message as _;
use proto::v1::{Command, CommandResult};
use shared::{clock::Millis, id::CommandId};

use super::{
    StoreError, Tx,
    db::{execute, fetch_all, fetch_in},
};

/// A command on its way to one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    pub node_id: String,
    /// Its id is the row's.
    pub command: Command,
    pub expires_at: Millis,
}

/// Commands that one look at the mailbox takes.
const BATCH: i64 = 256;

/// Leaves a command for a node.
///
/// # Errors
/// What the database says.
pub async fn insert(tx: &mut Tx, letter: &Letter) -> Result<(), StoreError> {
    execute!(
        tx,
        "INSERT INTO commands (id, node_id, state, command, expires_at) VALUES (?, ?, 'pending', ?, ?)",
        letter.command.id.as_slice(),
        letter.node_id.as_str(),
        letter.command.encode_to_vec(),
        letter.expires_at.0,
    )?;
    Ok(())
}

/// Commands that wait to be sent, those that expire first first.
///
/// # Errors
/// What the database says.
pub async fn pending(tx: &mut Tx, now: Millis) -> Result<Vec<Letter>, StoreError> {
    let rows = fetch_all!(
        tx,
        (String, Vec<u8>, i64),
        "SELECT node_id, command, expires_at FROM commands
        WHERE state = 'pending' AND expires_at > ? ORDER BY expires_at LIMIT ?",
        now.0,
        BATCH
    )?;
    let letter = |(node_id, command, expires_at): (String, Vec<u8>, i64)| {
        let command = Command::decode(command.as_slice()).map_err(StoreError::corrupt)?;
        Ok(Letter { node_id, command, expires_at: Millis(expires_at) })
    };
    rows.into_iter().map(letter).collect()
}

/// Takes a command for sending. False: another replica was first.
///
/// # Errors
/// What the database says.
pub async fn claim(tx: &mut Tx, id: CommandId) -> Result<bool, StoreError> {
    let sql = "UPDATE commands SET state = 'sent' WHERE id = ? AND state = 'pending'";
    Ok(execute!(tx, sql, &id.to_bytes()[..])? > 0)
}

/// Stores what a node answered. False: that node was not asked this.
///
/// # Errors
/// What the database says.
pub async fn answer(tx: &mut Tx, id: CommandId, result: &CommandResult) -> Result<bool, StoreError> {
    let sql =
        "UPDATE commands SET state = 'answered', result = ? WHERE id = ? AND node_id = ? AND state = 'sent'";
    Ok(execute!(tx, sql, result.encode_to_vec(), &id.to_bytes()[..], result.node_id.as_str())? > 0)
}

/// The answers that have come to these commands.
///
/// # Errors
/// What the database says.
pub async fn answers(tx: &mut Tx, ids: &[CommandId]) -> Result<Vec<(CommandId, CommandResult)>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let rows = fetch_in!(
        tx,
        (Vec<u8>, Vec<u8>),
        "SELECT id, result FROM commands WHERE id IN ",
        " AND state = 'answered'",
        ids
    )?;
    let answer = |(id, result): (Vec<u8>, Vec<u8>)| {
        let id = CommandId::try_from(id.as_slice()).map_err(StoreError::corrupt)?;
        Ok((id, CommandResult::decode(result.as_slice()).map_err(StoreError::corrupt)?))
    };
    rows.into_iter().map(answer).collect()
}

/// Deletes commands that expired before `before`. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_expired(tx: &mut Tx, before: Millis) -> Result<u64, StoreError> {
    execute!(tx, "DELETE FROM commands WHERE expires_at < ?", before.0)
}
