//! Stage 1: who is calling?

use std::sync::Arc;

use http::{HeaderMap, Uri, header::AUTHORIZATION};
use shared::{clock::Millis, secret::KeyHash};

use super::refusal::Refusal;
use crate::{
    proxy::Proxy,
    refusals::{Asked, Owner},
    snapshot::{ApiKey, Snapshot},
};

/// A key that may be used, and the configuration that said so.
#[derive(Debug)]
pub struct Caller {
    pub key: Arc<ApiKey>,
    pub hash: KeyHash,
    pub snapshot: Arc<Snapshot>,
}

impl Caller {
    /// Whether the key is still good, by the newest configuration.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn check(&self, snapshot: &Arc<Snapshot>, now: Millis) -> Result<(), Refusal> {
        // Almost always nothing has changed.
        if Arc::ptr_eq(&self.snapshot, snapshot) {
            return Ok(());
        }
        match snapshot.keys.get(&self.hash) {
            Some(key) if key.expires_at.is_some_and(|expiry| expiry <= now) => Err(Refusal::ExpiredKey),
            Some(_) => Ok(()),
            None => Err(Refusal::UnknownKey),
        }
    }
}

/// # Errors
/// No key, no such key, an expired one; or the node has no configuration yet.
pub fn authenticate(
    proxy: &Proxy,
    headers: &HeaderMap,
    uri: &Uri,
    asked: &mut Asked,
) -> Result<Caller, Refusal> {
    let snapshot = proxy.snapshot.load_full();
    let mut refusal = Refusal::NoKey;
    for key in presented(headers, uri) {
        let hash = KeyHash::of(key);
        let known = snapshot.keys.get(&hash);
        asked.by = known.map(|key| Owner { key: key.id, user: key.user_id }).or(asked.by);
        match known {
            Some(key) if key.expires_at.is_some_and(|expiry| expiry <= proxy.clock.now()) => {
                refusal = Refusal::ExpiredKey;
            }
            Some(key) => {
                return Ok(Caller { key: Arc::clone(key), hash, snapshot });
            }
            None => refusal = Refusal::UnknownKey,
        }
    }
    // Without a configuration every key is unknown, and that is not the client's fault.
    if proxy.snapshot.has_config() { Err(refusal) } else { Err(Refusal::NotConfigured) }
}

/// Every way in which clients send a key, in the order in which they are believed.
fn presented<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> impl Iterator<Item = &'a [u8]> {
    let header = |name: &str| headers.get(name).map(|value| value.as_bytes().trim_ascii());
    let bearer = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let named = [bearer, header("x-api-key"), header("x-goog-api-key"), header("api-key"), in_query(uri)];
    named.into_iter().flatten().filter(|key| !key.is_empty())
}

/// Also a key that stands alone, as some send it.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    if !value.contains(&b' ') {
        return Some(value);
    }
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn in_query(uri: &Uri) -> Option<&[u8]> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("key=")).map(str::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clients_way_of_sending_a_key_is_taken() {
        let keys = |headers: &[(&'static str, &'static str)], uri: &'static str| -> Vec<String> {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
                })
                .collect();
            let uri = Uri::from_static(uri);
            presented(&headers, &uri).map(|key| String::from_utf8_lossy(key).into_owned()).collect()
        };
        assert_eq!(keys(&[("authorization", "Bearer sk-1")], "/"), ["sk-1"]);
        assert_eq!(keys(&[("authorization", "bearer  sk-1 ")], "/"), ["sk-1"]);
        assert_eq!(keys(&[("authorization", "sk-1 ")], "/"), ["sk-1"]);
        assert_eq!(keys(&[("x-api-key", "sk-2")], "/"), ["sk-2"]);
        assert_eq!(keys(&[("x-goog-api-key", "sk-3")], "/"), ["sk-3"]);
        assert_eq!(keys(&[("api-key", "sk-4")], "/"), ["sk-4"]);
        assert_eq!(keys(&[], "/v1beta/models?alt=sse&key=sk-5"), ["sk-5"]);
        assert_eq!(keys(&[("authorization", "Basic abc"), ("x-api-key", "")], "/?keyed=1"), [""; 0]);
        assert_eq!(keys(&[("x-api-key", "b"), ("authorization", "Bearer a")], "/"), ["a", "b"]);
    }
}
