//! Runs of nodes' processes and whether their records are all there; and records that the ledger could not take.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{clock::Millis, id::IncarnationId};
use utoipa::ToSchema;

use super::{Audited, Caller, Done, Entry, Refusal};
pub use crate::store::ledger_rejected::{RejectedKey, RejectedRow};
use crate::{
    app::App,
    ledger::closing::{self, Closing},
    store::{
        incarnations::{self, Incarnation, IncarnationFilter, State},
        ledger_rejected,
    },
};

/// Where an incarnation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncarnationState {
    /// More may come.
    Open,
    /// It is open, and was not heard of for a while.
    Lost,
    /// All of its records are in the ledger.
    Closed,
    /// A person has said that nothing more is expected.
    ClosedByPerson,
}

impl IncarnationState {
    fn of(row: &Incarnation, lost_before: Millis) -> Self {
        match row.state {
            State::Open if row.last_seen < lost_before => Self::Lost,
            State::Open => Self::Open,
            State::Closed => Self::Closed,
            State::ClosedByPerson => Self::ClosedByPerson,
        }
    }

    const fn stored(self) -> State {
        match self {
            Self::Open | Self::Lost => State::Open,
            Self::Closed => State::Closed,
            Self::ClosedByPerson => State::ClosedByPerson,
        }
    }
}

/// One run of a node's process.
#[derive(Debug)]
pub struct Run {
    pub row: Incarnation,
    pub state: IncarnationState,
    /// Requests that have begun and are not over, as far as is known; 1000 stands for more.
    pub open_requests: i64,
}

impl Audited for Incarnation {
    const KIND: &'static str = "incarnation";

    fn audit_id(&self) -> String {
        self.id.to_string()
    }

    fn audit_name(&self) -> Option<&str> {
        None
    }

    fn record(&self) -> Value {
        json!({
            "node": self.node, "state": self.state.as_str(), "last_seen_at": self.last_seen, "records": self.records,
        })
    }
}

/// Incarnations that were last heard of before are lost.
fn lost_before(app: &App) -> Millis {
    let after = i64::try_from(app.settings.planes.lost_after.as_millis()).unwrap_or(i64::MAX);
    Millis(app.clock.now().0.saturating_sub(after))
}

/// The newest first, those before `before` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    app: &App,
    state: Option<IncarnationState>,
    before: Option<IncarnationId>,
    limit: u32,
) -> Done<Vec<Run>> {
    let lost_before = lost_before(app);
    let filter = IncarnationFilter {
        state: state.map(IncarnationState::stored),
        silent_since: (state == Some(IncarnationState::Lost)).then_some(lost_before),
        heard_since: (state == Some(IncarnationState::Open)).then_some(lost_before),
        before,
    };
    let mut tx = app.store.read().await?;
    let rows = incarnations::list(&mut tx, &filter, limit).await?;
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        let open_requests = incarnations::open_requests(&mut tx, row.id).await?;
        runs.push(Run { state: IncarnationState::of(&row, lost_before), row, open_requests });
    }
    tx.commit().await?;
    Ok(runs)
}

/// Closes a run that is lost: what is open of it was cut off, and is charged at what was reserved. Where its records come
/// all the same, they replace what was assumed.
///
/// # Errors
/// `NotFound`; it was heard of lately, or is closed already.
pub async fn close(app: &App, caller: &Caller, id: IncarnationId) -> Done<Run> {
    let now = app.clock.now();
    let closed =
        |row: &Incarnation| Incarnation { state: State::ClosedByPerson, closed_at: Some(now), ..row.clone() };
    let entry = |row: &Incarnation| {
        Entry::changed("incarnation.close", row, &closed(row))
            .with("node", row.node.as_str())
            .with("last_seen_at", row.last_seen.0)
            .with("records", row.records)
            .stored(Some(caller), caller.address, now)
    };
    match closing::close_lost(&app.ledger, id, lost_before(app), entry).await? {
        Closing::Done(row) => {
            Ok(Run { row: closed(&row), state: IncarnationState::ClosedByPerson, open_requests: 0 })
        }
        Closing::Alive => Err(Refusal::conflict(
            "incarnation_is_alive",
            "it was heard of lately; its records are on their way",
        )),
        Closing::Over => Err(Refusal::conflict("incarnation_is_closed", "it is closed already")),
    }
}

/// Records that could not be taken as they are, and ranges that nodes do not have any more.
#[derive(Debug)]
pub struct Rejected {
    /// Of all; 1000 stands for more.
    pub total: i64,
    pub rows: Vec<RejectedRow>,
}

/// The newest first, behind `after`.
///
/// # Errors
/// What the database says.
pub async fn rejected(app: &App, after: Option<RejectedKey>, limit: u32) -> Done<Rejected> {
    let mut tx = app.store.read().await?;
    let rows = ledger_rejected::list(&mut tx, after, limit).await?;
    let total = ledger_rejected::count(&mut tx).await?;
    tx.commit().await?;
    Ok(Rejected { total, rows })
}
