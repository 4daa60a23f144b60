//! OpenAI Chat Completions, and embeddings, which share its errors and counts.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod error;
pub(crate) mod usage;
pub(crate) mod watch;

#[cfg(test)]
mod tests {
    mod laws;
    pub(crate) mod samples;
}
