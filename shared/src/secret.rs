//! Text that must not reach a log, an error or a read API.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Redacted in `Debug`, without `Display`, wiped when dropped. `Serialize` is for sealing and for the planes' own wire only.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Every caller is a place to think about.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// SHA-256 of an API key: what is stored, sent to nodes and looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

/// A new API key, `sk-` and 64 hex digits of 32 random bytes.
///
/// # Errors
/// The system gave no random bytes.
pub fn new_api_key() -> Result<Secret, getrandom::Error> {
    use fmt::Write as _;
    let mut random = Zeroizing::new([0_u8; 32]);
    getrandom::fill(random.as_mut_slice())?;
    let mut key = Zeroizing::new(String::with_capacity(67));
    key.push_str("sk-");
    for byte in random.iter() {
        // Writing to a String does not fail.
        _ = write!(key, "{byte:02x}");
    }
    Ok(Secret(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("sk-ant-very-secret")), "[redacted]");
    }

    #[test]
    fn keys_have_their_form_and_differ() {
        let (one, two) = (new_api_key().unwrap(), new_api_key().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 67);
        assert!(one.expose().starts_with("sk-"));
        assert!(one.expose()[3..].bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
