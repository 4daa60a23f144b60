//! Takes connections, sorts calls by route, and hands them to the pipeline.
//!
//! [`route`] is the table of contents: which path is what. [`server`] accepts connections and ends them in good order
//! at shutdown. [`Proxy`] is what every request needs, built once by [`crate::node`].

mod connection;
mod models;
mod proxy;
mod route;
mod server;
mod service;
mod write_deadline;

pub use proxy::{Proxy, ProxyParts};
pub use server::serve;

#[cfg(test)]
mod tests;
