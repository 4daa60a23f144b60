//! The raw path from outside: recorded streams and bodies, and the laws that hold for any.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod bodies;
mod golden;
mod json;
mod laws;
mod requests;
mod streams;
