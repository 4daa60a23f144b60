//! From what nodes report to cost and statistics.
//!
//! [`ingest`] takes an incarnation's records, each once: [`record`] makes sense of them, [`cost`] prices them, [`entry`] is the
//! row and its share of every roll-up, which are written in one transaction. [`prices`] brings the price file into the
//! database. [`closing`] ends incarnations that can't end themselves. [`retention`] keeps the ledger's size in bounds. What people see of it is in `rest/usage.rs`.

pub mod attempts;
pub mod closing;
pub mod cost;
pub mod entry;
pub mod family;
mod folding;
pub mod ingest;
pub mod metrics;
pub mod names;
mod owners;
pub mod price_cache;
pub mod prices;
pub mod record;
pub mod retention;
mod tally;

#[cfg(test)]
mod tests;
