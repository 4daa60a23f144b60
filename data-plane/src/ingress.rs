//! Takes connections, sorts calls by route, and hands them to the pipeline.
//!
//! [`route`] is the table of contents: which path is what. [`acceptor`] takes connections and hands each to a worker, as
//! [`balance`] says; [`server`] is what a worker does with them, and ends them in good order at shutdown. [`Proxy`] is
//! what every request needs, one for each worker, built by [`crate::worker`].

mod acceptor;
pub(crate) mod balance;
mod connection;
mod departed;
mod lifecycle;
mod load;
mod models;
mod proxy;
mod route;
mod server;
mod service;
mod write_deadline;

pub use acceptor::{Hand, accept};
pub use lifecycle::{Lifecycle, Phase};
pub use load::Load;
pub use proxy::{Common, Proxy, ServerSettings};
pub(crate) use server::CLOSING_TIME;
pub use server::serve;
pub(crate) use service::SILENT;

#[cfg(test)]
mod tests;
