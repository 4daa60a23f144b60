//! Black-box tests: real programs, real HTTP, real databases; the providers are the emulator.
//!
//! [`Gateway`] is the actor: `Gateway::standalone()` or `Gateway::split(2)` start everything on free ports, and its
//! methods read as what a person would do. The tests stand in `tests/`, a file for each promise.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test's actor has nobody to give an error to"
)]

mod admin;
mod caller;
mod certificates;
mod columns;
mod gateway;
mod load;
mod node;
mod page;
mod process;
mod python;
mod split;
mod traffic;
mod web;

pub use admin::{Admin, Answer};
pub use caller::{Caller, Reply, chat_body, messages_body, read};
pub use certificates::Certificates;
pub use columns::{Account, COLUMNS, Column};
pub use gateway::{ADMIN_PASSWORD, Gateway};
pub use load::{Asked, Client, Load, Seen};
pub use node::{run_agent, run_node_matrix, run_snippets};
pub use page::check_page;
pub use process::{Program, eventually, eventually_within, until};
pub use python::{SdkGeneration, check_deployment, run_pytest, run_python_matrix};
pub use split::{Control, MASTER_KEY, Node, NodeFiles, Split, adopt_epoch};
pub use traffic::{Traffic, TrafficReport};
pub use web::run_browser_tests;
