//! The data plane: a proxy that decides nothing by itself.
//!
//! It holds a snapshot of the configuration that the control plane streams to it, authenticates a request against
//! it, picks an account, forwards, streams back, and leaves a record of the tokens used. [`pipeline`] is the life of
//! a request, stage by stage; read it first.
//!
//! Who calls whom: [`node`] puts a process together, with a [`worker`] for each core. [`ingress`] takes connections and
//! hands calls to [`pipeline`], which asks [`snapshot`] (what is configured), [`scheduler`] (which account), [`provider`]
//! (how it is reached), [`upstream`] (the connections to it), [`live`] (what changes with every request) and [`usage`]
//! (what was consumed). What they refuse goes to [`refusals`]. Long bodies are worked on in [`compute`] and take from a
//! [`budget`], so that they neither hold up a worker nor fill its memory; compressed ones are read by [`coding`].
//! [`control`] is all talk with the control plane: it fills the snapshot, empties the spool,
//! beats the heart and carries out commands.
//!
//! To add a provider: a file under `provider/`, and its row in `provider::for_type`. To add a stage: a file under
//! `pipeline/` and a line in `pipeline.rs`, with a type that the next stage needs.

pub mod budget;
pub mod coding;
pub mod compute;
mod contract;
pub mod control;
mod faults;
pub mod ingress;
pub mod live;
pub mod metrics;
pub mod node;
pub mod pipeline;
pub mod provider;
pub mod proxy;
pub mod refusals;
pub mod scheduler;
pub mod settings;
pub mod snapshot;
pub mod tester;
pub mod transport;
pub mod upstream;
pub mod usage;
pub mod worker;

#[cfg(test)]
mod allocations;
