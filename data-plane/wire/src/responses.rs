//! OpenAI Responses.

pub(crate) mod decode;
mod echo;
pub(crate) mod encode;
pub(crate) mod error;
pub(crate) mod usage;
pub(crate) mod watch;

#[cfg(test)]
mod tests;

/// Whether an unknown `type` is that of a message's part, and not that of an item.
fn names_a_part(kind: &str) -> bool {
    kind.starts_with("input_") || kind.starts_with("output_") || kind == "computer_screenshot"
}
