//! Thoughts that leave the provider sealed, and come back.

use base64::Engine as _;
use sha2::{Digest, Sha256};

use crate::{
    clock::CREATED_SECONDS,
    provider::{Failure, openai::invalid},
    template::identifier,
};

const SALT: &str = "a thought of the emulated model";
/// The version that the real ones begin with.
const VERSION: u8 = 0x80;
/// Version, time and number.
const HEAD: usize = 17;
const CODE: &str = "invalid_encrypted_content";

/// Models that think ahead of an answer, and take `reasoning`.
pub(super) fn thinks(model: &str) -> bool {
    const PLAIN: &[&str] = &["gpt-3.5", "gpt-4", "chatgpt-4o", "gpt-5-chat", "ft:gpt-3.5", "ft:gpt-4"];
    !PLAIN.iter().any(|prefix| model.starts_with(prefix))
}

/// The thought of answer `number`, for its owner only.
pub(super) fn sealed(number: u64, owner: &str) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(CREATED_SECONDS.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    for part in 0_u8..4 {
        let digest = Sha256::new()
            .chain_update(SALT)
            .chain_update([part])
            .chain_update(number.to_be_bytes())
            .chain_update(owner);
        bytes.extend(digest.finalize());
    }
    base64::engine::general_purpose::URL_SAFE.encode(bytes)
}

/// What the first event of a thought shows in place of it, which nobody can use.
pub(super) fn opening(sealed: &str) -> String {
    let end = sealed.len() / 2 / 4 * 4;
    sealed.get(..end).unwrap_or_default().to_owned()
}

/// Whether a sealed thought is as it was given to this owner, under this id if it has one.
pub(super) fn check_sealed(given: &str, id: Option<&str>, owner: &str) -> Result<(), Failure> {
    let decoded = base64::engine::general_purpose::URL_SAFE.decode(given).unwrap_or_default();
    let number =
        decoded.get(HEAD - 8..HEAD).and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
    let Some(number) = number.filter(|number| sealed(*number, owner) == given) else {
        let shown = id.map_or_else(|| shortened(given), |id| format!("for item {id}"));
        let message = format!(
            "The encrypted content {shown} could not be verified. Reason: Encrypted content could not be decrypted or parsed."
        );
        return Err(invalid(message).with_code(CODE));
    };
    match id {
        Some(id) if id != thought_id(&identifier(number)) => {
            let message = format!(
                "The encrypted content for item {id} could not be verified. Reason: Encrypted content item_id did not match the target item id."
            );
            Err(invalid(message).with_code(CODE))
        }
        _ => Ok(()),
    }
}

pub(super) fn thought_id(answer: &str) -> String {
    format!("rs_{answer}")
}

fn shortened(given: &str) -> String {
    let chars: Vec<char> = given.chars().collect();
    match (chars.get(..4), chars.get(chars.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) => {
            format!("{}...{}", start.iter().collect::<String>(), end.iter().collect::<String>())
        }
        _ => given.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thought_opens_only_whole_for_its_owner_and_under_its_id() {
        let thought = sealed(7, "sk-a");
        assert!(thought.starts_with("gAAAA"), "{thought}");
        let id = thought_id(&identifier(7));
        assert_eq!(check_sealed(&thought, Some(&id), "sk-a"), Ok(()));
        assert_eq!(check_sealed(&thought, None, "sk-a"), Ok(()));
        let mut changed = thought.clone();
        changed.replace_range(30..31, if thought.get(30..31) == Some("A") { "B" } else { "A" });
        let other_id = thought_id(&identifier(8));
        let refusals = [
            check_sealed(&thought, None, "sk-b"),
            check_sealed(&opening(&thought), None, "sk-a"),
            check_sealed(&changed, None, "sk-a"),
            check_sealed("gAAAAé", None, "sk-a"),
            check_sealed(&thought, Some(&other_id), "sk-a"),
        ];
        for refusal in refusals {
            assert_eq!(refusal.unwrap_err().code.as_deref(), Some(CODE));
        }
    }
}
