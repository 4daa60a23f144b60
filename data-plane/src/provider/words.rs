//! A provider's own words: for operators bounded and without anything like a secret, for clients without the account's.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use memchr::memmem;

use crate::snapshot::Account;

/// Bytes that are kept.
pub const WORDS_MAX: usize = 512;
/// What secrets begin with, in the forms of providers.
const SECRETS: [&str; 14] = [
    "sk-", "sk_", "gsk_", "xai-", "hf_", "fk-", "pplx-", "key-", "AIza", "AQ.", "ya29.", "AKIA", "ASIA",
    "eyJ",
];
const MASK: &[u8] = b"***";
const OWN_SECRET_MIN: usize = 8;
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
    let mut masked = masked(&text);
    masked.truncate(masked.floor_char_boundary(WORDS_MAX));
    masked
}

/// What goes to a client of a refusal, in which a careless upstream may say what it was sent.
#[must_use]
pub fn without_credential(said: Bytes, account: &Account) -> Bytes {
    let mut said = said;
    for secret in own_secrets(account) {
        if memmem::find(&said, secret).is_none() {
            continue;
        }
        let mut hidden = BytesMut::with_capacity(said.len());
        let mut from = 0;
        for at in memmem::find_iter(&said, secret) {
            hidden.extend_from_slice(said.get(from..at).unwrap_or_default());
            hidden.extend_from_slice(MASK);
            from = at + secret.len();
        }
        hidden.extend_from_slice(said.get(from..).unwrap_or_default());
        said = hidden.freeze();
    }
    said
}

/// As [`without_credential`], where there is something to hide.
#[must_use]
pub fn hidden(said: &str, account: &Account) -> Option<String> {
    let secrets = account.upstream.credential.secrets().filter(|secret| secret.len() >= OWN_SECRET_MIN);
    secrets.fold(None, |hidden: Option<String>, secret| {
        let text = hidden.as_deref().unwrap_or(said);
        if text.contains(secret) { Some(text.replace(secret, "***")) } else { hidden }
    })
}

/// As [`without_credential`], of a refusal's head.
pub fn hide_credential(headers: &mut HeaderMap, account: &Account) {
    for value in headers.values_mut() {
        let is_said = own_secrets(account).any(|secret| memmem::find(value.as_bytes(), secret).is_some());
        if is_said {
            *value = HeaderValue::from_static("***");
        }
    }
}

/// Shorter ones would mask common words.
fn own_secrets(account: &Account) -> impl Iterator<Item = &[u8]> {
    let secrets = account.upstream.credential.secrets().map(str::as_bytes);
    secrets.filter(|secret| secret.len() >= OWN_SECRET_MIN)
}

fn masked(text: &str) -> String {
    let (mut masked, mut rest, mut last) = (String::with_capacity(text.len()), text, ' ');
    while let Some(sign) = rest.chars().next() {
        // Also in the middle of an address, or behind an equals sign.
        let begins = !last.is_ascii_alphanumeric() && !matches!(last, '-' | '_');
        let start = SECRETS.iter().find(|start| begins && rest.starts_with(**start));
        let length = rest.find(|sign| !is_of_a_secret(sign)).unwrap_or(rest.len());
        if let Some(start) = start.filter(|_| length >= SECRET_MIN) {
            masked.push_str(start);
            masked.push_str("***");
            (rest, last) = (rest.get(length..).unwrap_or_default(), '*');
        } else {
            masked.push(sign);
            (rest, last) = (rest.get(sign.len_utf8()..).unwrap_or_default(), sign);
        }
    }
    masked
}

/// As base64 and its kin, and what keys are put together with.
const fn is_of_a_secret(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.' | '+' | '/' | '=' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_masked_wherever_it_begins() {
        for (words, expected) in [
            ("Incorrect API key provided: sk-proj-abc123def456.", "Incorrect API key provided: sk-***"),
            (
                "GET https://x.dev/v1?key=AIzaSyA1234567890&alt=sse",
                "GET https://x.dev/v1?key=AIza***&alt=sse",
            ),
            ("api_key=gsk_0123456789abcdef, ok", "api_key=gsk_***, ok"),
            ("at /keys/sk-0123456789ab/usage", "at /keys/sk-***"),
            ("Bearer eyJhbGciOi.eyJzdWIi.c2ln (expired)", "Bearer eyJ*** (expired)"),
            ("the task-force-is-in-place, sk-8 is short", "the task-force-is-in-place, sk-8 is short"),
            ("été sk-ü", "été sk-ü"),
        ] {
            assert_eq!(masked(words), expected);
        }
    }
}
