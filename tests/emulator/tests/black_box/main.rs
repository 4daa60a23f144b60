//! The emulator as its users see it: over the wire, byte for byte.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod azure;
mod bedrock;
mod chat;
mod chatgpt;
mod client;
mod compatible;
mod droid;
mod faults;
mod gemini;
mod messages;
mod plans;
mod refusals;
mod responses;
mod script;
