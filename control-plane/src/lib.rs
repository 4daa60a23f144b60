//! The control plane: owns everything that a person decides, and hands it to the nodes.
//!
//! People and automation come in through [`rest`], nodes through [`grpc`]. Both change or read rows through [`store`],
//! whose change log gives every published change its place in one sequence; [`snapshot`] turns rows into what nodes
//! hold and wakes those that watch. Usage that nodes report becomes cost and statistics in [`ledger`], and what they refused
//! is counted in [`refusals`]. What runs by
//! itself is listed in [`background`]. The control plane never opens Redis and never calls a model endpoint: what it
//! wants to know or do there is a command to a node.
//!
//! To add an endpoint: a file under `rest/`, and its line with the least role in `rest.rs`. To add a table: a
//! migration in `migrations/` for both databases, a file under `store/`, and a case in the store's conformance suite.
//! To publish it to nodes as well: a kind in the contract, `changes::record` in each of its writes, and its encoding
//! in `snapshot/encode.rs`.

pub mod app;
pub mod background;
pub mod domain;
pub mod grpc;
pub mod http_client;
pub mod ledger;
pub mod maintenance;
pub mod metrics;
pub mod refusals;
pub mod rest;
pub mod secrets;
pub mod serve;
pub mod settings;
pub mod snapshot;
pub mod store;
