//! The services that nodes call.
//!
//! [`server`] accepts connections (over [`tls`], plain on loopback, or in-process) and gives each a maximum age;
//! [`peer`] says who is at the other end. One file per service: [`snapshot_service`] streams the configuration,
//! [`usage_service`] takes records for the ledger, [`refusal_service`] what was refused, [`node_service`] hears heartbeats and carries [`commands`] over
//! the streams of the nodes that are connected to this replica.

pub mod commands;
pub mod node_service;
pub mod peer;
pub mod refusal_service;
pub mod server;
pub mod snapshot_service;
pub mod tls;
pub mod usage_service;

#[cfg(test)]
mod tests;
