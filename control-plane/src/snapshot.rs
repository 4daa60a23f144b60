//! From rows to what nodes hold.
//!
//! [`publisher`] follows the change log: one consistent read takes the counter, the changes above the version it has
//! and the rows they name; [`encode`] turns each row into its payload, the same bytes on every replica;
//! [`published`] is the state that results, from which [`delta`] takes what one node lacks. A commit of this replica
//! wakes the publisher through [`crate::signals::ChangeSignal`]; those of other replicas it finds by a cheap look at the counter.
//! [`crate::domain::proof`] lets nodes prove what they were sent, and [`witness`] holds that against the database.
//!
//! To publish another kind: a kind in the contract, its rows in `load.rs`, its payload in `encode.rs`.

pub mod delta;
pub mod encode;
mod load;
pub mod published;
pub mod publisher;
pub mod witness;
