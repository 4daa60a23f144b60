//! What this node asks to have written for good, until the control plane has taken it.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use proto::v1::StatusWrite;
use tokio::sync::Notify;

/// More accounts than this are not waiting at the same time; what comes then is dropped, and comes again with the
/// account's next failure.
const CAPACITY: usize = 1024;

/// Status writes on their way, the newest of each account. Clones are the same queue.
#[derive(Debug, Clone, Default)]
pub struct StatusWrites(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<BTreeMap<Vec<u8>, StatusWrite>>,
    pushed: Notify,
}

impl StatusWrites {
    /// Takes a status write and has it sent at once.
    pub fn push(&self, write: StatusWrite) {
        self.push_quietly(write);
        self.0.pushed.notify_one();
    }

    /// Takes a status write that goes with the next heartbeat.
    pub(super) fn push_quietly(&self, write: StatusWrite) {
        let mut waiting = self.0.waiting.lock();
        if waiting.len() >= CAPACITY && !waiting.contains_key(&write.account_id) {
            tracing::warn!(capacity = CAPACITY, "too many status writes are waiting: one is dropped");
            return;
        }
        waiting.insert(write.account_id.clone(), write);
    }

    /// What is to be sent now.
    pub(crate) fn waiting(&self) -> Vec<StatusWrite> {
        self.0.waiting.lock().values().cloned().collect()
    }

    /// The control plane has these. One that was pushed anew in the meantime with other content stays.
    pub(super) fn taken(&self, sent: &[StatusWrite]) {
        let mut waiting = self.0.waiting.lock();
        for write in sent {
            if waiting.get(&write.account_id) == Some(write) {
                waiting.remove(&write.account_id);
            }
        }
    }

    /// Resolves after a push.
    pub(super) async fn pushed(&self) {
        self.0.pushed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(account: u8, reason: &str) -> StatusWrite {
        StatusWrite { account_id: vec![account; 16], reason: reason.into(), ..StatusWrite::default() }
    }

    #[test]
    fn the_newest_of_an_account_waits_until_it_is_taken() {
        let writes = StatusWrites::default();
        writes.push(write(1, "unauthorized"));
        writes.push(write(1, "billing"));
        let sent = writes.waiting();
        assert_eq!(sent, [write(1, "billing")]);
        writes.push(write(1, "forbidden"));
        writes.taken(&sent);
        assert_eq!(writes.waiting(), [write(1, "forbidden")], "it came after the heartbeat had left");
    }

    #[test]
    fn the_queue_is_bounded() {
        let writes = StatusWrites::default();
        for account in 0..2 * u16::try_from(CAPACITY).unwrap() {
            writes
                .push(StatusWrite { account_id: account.to_be_bytes().repeat(8), ..StatusWrite::default() });
        }
        assert_eq!(writes.waiting().len(), CAPACITY);
    }
}
