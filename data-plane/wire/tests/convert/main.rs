//! Conversion from outside: what each wire's requests become for each upstream, and each upstream's answers for each
//! client. A case is data in a folder; what it became is a snapshot.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod answers;
mod cases;
mod errors;
mod growth;
mod laws;
mod printed;
mod requests;
