//! Words that rows and answers are made of, each with its text in SQL and JSON: what everything else stands on.

pub mod account_state;
pub mod key_status;
pub mod node_health;
pub mod outcome;
pub mod purpose;
pub mod role;
