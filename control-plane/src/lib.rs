//! The control plane: owns everything that a person decides, and hands it to the nodes.
//!
//! People and automation come in through [`rest`], nodes through [`grpc`]. Both change or read rows through [`store`],
//! whose change log gives every published change its place in one sequence; [`snapshot`] turns rows into what nodes
//! hold and wakes those that watch. Usage that nodes report becomes cost and statistics in [`ledger`], and what they refused
//! is counted in [`refusals`]. What runs by
//! itself is listed in [`background`]. The control plane never opens Redis and never calls a model endpoint: what it
//! wants to know or do there is a command to a node.
//!
//! What can be done, by whomever and through whatever, is in [`ops`], which also says how to add a resource.
//!
//! Imports go one way, from what is close to people and nodes down to the rows: [`rest`] and [`grpc`], [`ops`] and
//! [`snapshot`], [`app`], [`ledger`] and [`domain`], [`store`], [`words`].

pub mod app;
pub mod background;
pub mod domain;
pub mod grpc;
pub mod http_client;
pub mod ledger;
pub mod listen;
pub mod maintenance;
pub mod metrics;
pub mod ops;
pub mod refusals;
pub mod rest;
pub mod secrets;
pub mod serve;
pub mod settings;
pub mod signals;
pub mod snapshot;
pub mod store;
pub mod words;
