//! Which conversation a request belongs to, as far as its client says so.

use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Headers in which agents name their session, the most telling one first.
const HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("x-claude-code-session-id"),
    HeaderName::from_static("x-session-id"),
    HeaderName::from_static("session_id"),
    HeaderName::from_static("session-id"),
];
/// What stands ahead of the session in the user's id of older Claude Code.
const SESSION: &str = "_session_";
/// A longer name is known by its digest.
const MAX_BYTES: usize = 128;

/// `user_id` and `cache_key`: what the body says in `metadata.user_id` and `prompt_cache_key`. Empty: the client does not
/// say.
pub(super) fn of(headers: &HeaderMap, user_id: Option<&str>, cache_key: Option<&str>) -> String {
    let stated = HEADERS.iter().find_map(|name| headers.get(name)?.to_str().ok());
    let named = stated.or(cache_key).filter(|name| !name.is_empty()).map(str::to_owned);
    named.or_else(|| user_id.and_then(of_user_id)).map_or_else(String::new, bounded)
}

/// The session that is a part of `metadata.user_id`: `user_…_session_<id>`, or JSON with a `session_id`.
fn of_user_id(user_id: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Identity {
        session_id: String,
    }
    match user_id.rsplit_once(SESSION) {
        Some((_, session)) => Some(session.to_owned()),
        None => serde_json::from_str::<Identity>(user_id).ok().map(|identity| identity.session_id),
    }
}

fn bounded(name: String) -> String {
    let is_plain = !name.chars().any(char::is_control);
    if name.len() <= MAX_BYTES && is_plain {
        return name;
    }
    Sha256::digest(name.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn session(headers: &[(&'static str, &str)], user_id: Option<&str>, cache_key: Option<&str>) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        of(&headers.collect(), user_id, cache_key)
    }

    #[test]
    fn each_client_names_its_session_in_its_own_way() {
        assert_eq!(session(&[], None, None), "");
        assert_eq!(session(&[("session_id", "codex")], None, Some("key")), "codex");
        let both = [("session_id", "other"), ("x-claude-code-session-id", "cc")];
        assert_eq!(session(&both, Some("user_a_session_b"), None), "cc");
        assert_eq!(session(&[], None, Some("key")), "key");
        for (user_id, expected) in [
            ("user_ab_account__session_1b2c", "1b2c"),
            (r#"{"device_id":"d","account_uuid":"a","session_id":"9f"}"#, "9f"),
            ("somebody", ""),
            ("{\"session_id\":7}", ""),
        ] {
            assert_eq!(session(&[], Some(user_id), None), expected, "{user_id}");
        }
    }

    #[test]
    fn a_long_name_is_known_by_its_digest() {
        let of = |key: String| session(&[], None, Some(&key));
        assert_eq!(of("k".repeat(128)), "k".repeat(128));
        let long = of("k".repeat(129));
        assert_eq!(long.len(), 32);
        assert_ne!(long, of("k".repeat(130)));
        assert_eq!(of("a\nb".into()).len(), 32);
    }
}
