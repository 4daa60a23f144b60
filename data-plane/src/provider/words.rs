//! A provider's own words, for operators: bounded, and without secrets.

use crate::snapshot::Account;

/// Bytes that are kept.
pub const WORDS_MAX: usize = 512;
/// What secrets begin with, in the forms of providers.
const SECRETS: [&str; 9] = ["sk-", "sk_", "key-", "AIza", "ya29.", "AKIA", "ASIA", "eyJ", "fk-"];
/// Shorter words are no secrets.
const SECRET_MIN: usize = 12;

/// `words`, cut to [`WORDS_MAX`] bytes, with what looks like a secret masked, and the account's own wherever it stands.
#[must_use]
pub fn for_operators(words: &str, account: &Account) -> String {
    if words.is_empty() {
        return String::new();
    }
    let mut text = words.to_owned();
    for secret in account.upstream.credential.secrets().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    let mut masked = String::with_capacity(text.len());
    for word in text.split_inclusive(|sign: char| !is_of_a_secret(sign)) {
        let end = word.trim_end_matches(|sign: char| !is_of_a_secret(sign)).len();
        let (body, rest) = word.split_at(end);
        let start = SECRETS.iter().find(|start| body.starts_with(**start) && body.len() >= SECRET_MIN);
        match start {
            Some(start) => {
                masked.push_str(start);
                masked.push_str("***");
            }
            None => masked.push_str(body),
        }
        masked.push_str(rest);
    }
    masked.truncate(masked.floor_char_boundary(WORDS_MAX));
    masked
}

/// As base64 and its kin, and what keys are put together with.
const fn is_of_a_secret(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.' | '+' | '/' | '=' | '*')
}
