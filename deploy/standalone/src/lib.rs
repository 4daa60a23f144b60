//! Both planes in one process: SQLite, live state in memory, and the planes' own gRPC over an in-process pipe.
//!
//! Nothing is cut short: the same services, the same code, other ends plugged in. [`serve`] is for use, [`demo`] for a
//! first look; what they set up they set up through the control plane's own REST API ([`admin_client`]). [`adopt_epoch`]
//! is the control plane's verb of that name, for the database in the data folder.

pub mod admin_client;
pub mod adopt_epoch;
pub mod demo;
pub mod first_start;
pub mod keys;
pub mod planes;
pub mod serve;
pub mod settings;
