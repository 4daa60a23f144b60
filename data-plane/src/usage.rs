//! Records of requests: written to this node's disk before and after, delivered to the control plane's ledger.

pub mod spool;

pub use spool::{Journal, SpoolError, SpoolSettings};
