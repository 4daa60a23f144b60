//! Thought signatures: opaque to clients, and known again when they come back.
//!
//! A signature is a mark of what it was given for (a function's name, or text) and a seal over that mark.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::proto;

const MARK: usize = 24;
const SALT: &[u8] = b"emulated thought signature";
/// Documented stand-ins for histories that come from elsewhere.
const STAND_INS: &[&str] = &["context_engineering_is_the_way_to_go", "skip_thought_signature_validator"];

/// What a signature stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed<'a> {
    Text,
    /// By its name.
    Call(&'a str),
}

impl Signed<'_> {
    fn mark(self) -> Vec<u8> {
        let digest = match self {
            Self::Text => Sha256::digest(b"text"),
            Self::Call(name) => Sha256::digest(format!("call {name}")),
        };
        digest.iter().copied().take(MARK).collect()
    }
}

pub(super) fn sign(signed: Signed<'_>) -> String {
    let mut bytes = signed.mark();
    bytes.extend(seal(&bytes));
    STANDARD.encode(bytes)
}

/// Whether the signature is one of ours, and stands where it was given. On text any of ours will do.
pub(super) fn is_valid(signature: &str, signed: Signed<'_>) -> bool {
    if STAND_INS.contains(&signature) {
        return true;
    }
    let bytes = proto::bytes(signature).unwrap_or_default();
    let Some((mark, sealed)) = bytes.split_at_checked(MARK) else {
        return false;
    };
    sealed == seal(mark) && (signed == Signed::Text || mark == signed.mark())
}

fn seal(mark: &[u8]) -> Vec<u8> {
    Sha256::digest([SALT, mark].concat()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_valid_where_it_was_given_and_unchanged() {
        let call = sign(Signed::Call("f"));
        assert!(is_valid(&call, Signed::Call("f")));
        assert!(is_valid(&call.replace('+', "-").replace('/', "_"), Signed::Call("f")));
        assert!(!is_valid(&call, Signed::Call("g")));
        assert!(is_valid(&sign(Signed::Text), Signed::Text));
        assert!(!is_valid("AAAA", Signed::Text) && !is_valid("", Signed::Text));
        assert!(is_valid("skip_thought_signature_validator", Signed::Call("f")));
    }
}
