//! The main counts of a usage object, whatever a wire calls them: what went in, and what came out.

use crate::json;

/// A main count is there and is no count, such as a text or a number below 0. What was used is not known then, whatever
/// the count beside it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnreadableCount;

/// A main count, or that it is not told: null says nothing, as a field that is not there.
pub(crate) type MainCount = Result<Option<u64>, UnreadableCount>;

pub(crate) fn main_count(value: &str) -> MainCount {
    match json::count(value) {
        None if value != "null" => Err(UnreadableCount),
        count => Ok(count),
    }
}
