//! What can be done, once: one file per resource with what it takes, what it gives, why it refuses, and what the audit log
//! keeps of it. REST handlers parse, call this and render, and so does whatever else gives people a way in.
//!
//! A function here takes the [`App`](crate::app::App) and, where it matters who asks, the [`Caller`]. One that only reads
//! does so in one read transaction, and gives rows of the store or values of `domain`. One that changes something begins a
//! [`Change`], reads in it what it decides by, validates, writes, and ends it with an [`Entry`] for the audit log:
//! [`Change::publish`] where nodes hold what changed, [`Change::commit`] where they don't. Least roles are in the table of
//! [`crate::rest`]; whose thing it is, is checked here ([`Caller::demand_changing`]).
//!
//! To add a resource:
//!
//! 1. its table in `migrations/` for both databases, its row and statements in `store/`, a case in the conformance suite;
//! 2. where nodes hold it: its kind in `proto/`, `changes::record` in its writes, its payload in `snapshot/encode.rs`;
//! 3. its input in `domain/`: a struct of [`Patch`](crate::domain::patch::Patch) fields that becomes a row or faults;
//! 4. its file here: `list`, `get`, `create`, `update`, `delete`, and [`Audited`] for what the log keeps;
//! 5. its file in `rest/` with a view of it, handlers of a few lines and `routes()`; its lines in `rest.rs`;
//! 6. `openapi.json` and the web's types written anew (see [`crate::rest`]).

pub mod account_commands;
pub mod account_groups;
pub mod accounts;
pub mod api_keys;
mod attempts;
pub mod audit;
mod caller;
mod change;
pub mod confirming;
pub mod first_admin;
pub mod gateway;
pub mod incarnations;
pub mod model_mappings;
pub mod model_routes;
pub mod models;
mod names;
pub mod node_commands;
pub mod nodes;
pub mod profile;
pub mod proxy_tests;
mod refusal;
pub mod refusals;
pub mod sessions;
pub mod settings;
pub mod usage;
pub mod users;

pub use caller::Caller;
pub use change::{Audited, Change, Entry};
pub use refusal::Refusal;

use crate::store::StoreError;

/// What an operation gives.
pub type Done<T> = Result<T, Refusal>;

/// What was read in order to be changed must be what the caller has seen. The store's update checks it once more against
/// what is committed by then.
fn demand_seen(seen: i64, revision: i64) -> Done<()> {
    if seen == revision { Ok(()) } else { Err(StoreError::Stale.into()) }
}
