//! Ids for calls that came without one: `call_0`, `call_1` and so on, over a whole request.

pub(super) fn number(number: usize) -> String {
    format!("call_{number}")
}

/// Whether an id says no more than none.
pub(super) fn is_number(id: &str) -> bool {
    id.strip_prefix("call_").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}
