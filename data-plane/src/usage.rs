//! Records of requests: written to this node's disk before and after, delivered to the control plane's ledger.
//!
//! [`spool`] keeps them, [`reporter`] delivers them while the node runs, and [`drain`] does so for a folder whose node
//! is no more.

pub mod drain;
pub(crate) mod reporter;
pub mod spool;

pub use spool::{FolderLock, Journal, Opened, Run, SpoolError, SpoolSettings};
