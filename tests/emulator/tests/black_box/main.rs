//! The emulator as its users see it: over the wire, byte for byte.

mod chat;
mod client;
mod faults;
mod messages;
mod script;
