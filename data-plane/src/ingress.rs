//! Takes connections, sorts calls by route, and hands them to the pipeline.
//!
//! [`route`] is the table of contents: which path is what. [`acceptor`] takes connections and hands each to a worker, as
//! [`balance`] says; [`server`] is what a worker does with them, over [`tls`] or plain, and ends them in good order at
//! shutdown. [`cors`] is what browsers are told.

mod acceptor;
pub(crate) mod balance;
mod connection;
mod cors;
mod models;
mod route;
mod server;
mod service;
mod tls;

pub use acceptor::Accepted;
#[cfg(test)]
pub(crate) use acceptor::SPARE;
pub use acceptor::{Hand, Listening, accept};
pub use cors::{Cors, CorsOrigin};
pub(crate) use server::CLOSING_TIME;
pub use server::{Handed, ServerSettings, serve};
pub(crate) use service::SILENT;
pub use tls::{ClientTls, ReloadFailures};

#[cfg(test)]
pub(crate) mod tests;
