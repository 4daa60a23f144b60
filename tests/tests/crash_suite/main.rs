//! Whatever is killed under load, **the provider's count equals the ledger**.
//!
//! Every request has a trace of its own, by which the emulated provider and the ledger are compared one by one (see
//! `books`): what the provider got is in the ledger exactly once; what is there as completed has the provider's own
//! counts of tokens; what a killed node had under way is there as cut off, with an estimate; the sums are the sums of
//! the records; nothing is open in the end. The nodes' disks keep the bound that the spool's docs state (see `disk`),
//! and are empty once the nodes have ended.
//!
//! A request may be in the ledger as cut off which the provider never got: its node was killed between writing its open
//! record and forwarding it. There are no more of these, and of all that is cut off, than requests were under way when
//! nodes were killed: one for each client of the node, at each kill.
//!
//! What happens when is drawn by chance; each run prints its seed, and `SWITCHYARD_TEST_SEED` repeats its choices.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, its helpers too, and says by what chance"
)]

mod away;
mod books;
mod disk;
mod kills;
mod long;
mod poison;
mod segments;
mod world;
