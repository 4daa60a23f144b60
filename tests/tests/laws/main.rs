//! The laws of the house, held by test: the top level, the arrows between packages, what handlers
//! may do, the sizes of files and functions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod arrows;
mod circles;
mod handlers;
mod sizes;
mod tree;
