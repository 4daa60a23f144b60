//! The words that both planes use: ids, wires, platforms, account types, models, money, usage, secrets, time.
//!
//! No network and no database here. What touches the outside is at the end of the list: a program's frame
//! ([`program`]), its settings ([`settings`]), its log ([`telemetry`]), its tasks ([`tasks`]), its listeners' sockets ([`socket`],
//! [`write_deadline`]) and their TLS ([`tls`]).
//!
//! To add an account type: a variant in [`account::AccountType`], its row in `AccountType::ALL`'s table, its
//! credential in [`account::Credential`] if it needs a new form; the compiler names the rest.

pub mod account;
pub mod clock;
pub mod digest;
pub mod id;
pub mod model;
pub mod money;
pub mod price;
pub mod secret;
pub mod usage;
pub mod wire;

pub mod program;
pub mod settings;
pub mod socket;
pub mod tasks;
pub mod telemetry;
pub mod tls;
pub mod write_deadline;
