//! Which account serves a request.
//!
//! [`target`] turns a model's name into a platform (and maybe an account type). [`eligible()`] is the one predicate:
//! every path asks it and nothing else. [`pick()`] chooses among the eligible ones without touching the heap; only
//! when it finds none does [`explain()`] go over the accounts again and say why each was left out.
//!
//! To add a reason to leave an account out: a variant of [`Exclusion`] and its line in [`eligible()`].

mod eligible;
mod explain;
mod pick;
mod target;

pub use eligible::{Exclusion, Wanted, eligible, mapped};
pub use explain::{Explanation, explain};
pub use pick::{Picked, Tried, pick};
pub use target::{Pin, Routed, Target, Unroutable, route};
