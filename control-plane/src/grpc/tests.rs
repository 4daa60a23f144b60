//! The planes' services through real clients: over TLS on loopback, and in-process on both databases.

mod away;
mod commands;
mod confirming;
mod databases;
mod disabled;
mod node;
mod refusals;
mod replica;
mod restores;
mod snapshots;
mod tls;
