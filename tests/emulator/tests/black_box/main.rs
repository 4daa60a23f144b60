//! The emulator as its users see it: over the wire, byte for byte.
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod chat;
mod client;
mod faults;
mod messages;
mod script;
