//! The provider's own wall clock. Answers never depend on it; reset headers must.

use jiff::Timestamp;

/// When generated answers say they were made: fixed, so that answers stay the same.
pub(crate) const CREATED_SECONDS: i64 = 1_790_000_000;
/// The same, as text.
pub(crate) const CREATED_AT: &str = "2026-09-21T14:13:20Z";

/// Now, and so many seconds later, to the second.
pub(crate) fn rfc3339_in(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let then = Timestamp::now().as_second().saturating_add(seconds);
    Timestamp::from_second(then).map_or_else(|_| CREATED_AT.to_owned(), |then| then.to_string())
}

/// Now, for what must be fresh.
pub(crate) fn now_seconds() -> i64 {
    Timestamp::now().as_second()
}
