//! Which headers go on, in both directions. Everything not named here does.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, USER_AGENT, VIA},
};
use smallvec::SmallVec;

use super::trace::{self, TRACEPARENT, TRACESTATE};

/// They speak of one connection only.
fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The client's credentials, what the gateway sets anew, and what would tell the upstream of the client's network.
fn is_not_sent(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "x-api-key"
            | "x-goog-api-key"
            | "api-key"
            | "cookie"
            | "host"
            | "content-encoding"
            | "content-length"
            | "expect"
            | "accept-encoding"
            | "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-proto"
            | "x-forwarded-port"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "true-client-ip"
            | "cf-connecting-ip"
    )
}

/// Cookies belong to the account's session; `alt-svc` would lead clients past the gateway. The others speak for the
/// upstream's own host: kept for the gateway's, they would have browsers ask it over TLS only, report to strangers, forget
/// what they know of it, or go elsewhere.
fn is_not_given_back(name: &str) -> bool {
    matches!(
        name,
        "set-cookie"
            | "alt-svc"
            | "strict-transport-security"
            | "nel"
            | "report-to"
            | "reporting-endpoints"
            | "clear-site-data"
            | "content-security-policy"
            | "content-security-policy-report-only"
            | "refresh"
            | "location"
    )
}

const OURSELVES: HeaderValue = HeaderValue::from_static("1.1 switchyard");
const OUR_USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("switchyard/", env!("CARGO_PKG_VERSION")));
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Leaves in a client's headers what goes upstream, and adds the gateway's own: `via`, a `user-agent` where the client
/// sent none, and `accept-encoding: identity`, since streams must be readable. Of traces only a valid one goes on.
pub fn strip_request_headers(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    remove_all(headers, |name| is_of_one_hop(name) || is_not_sent(name));
    trace::keep_valid(headers);
    headers.append(VIA, OURSELVES);
    headers.entry(USER_AGENT).or_insert(OUR_USER_AGENT);
    headers.insert(ACCEPT_ENCODING, IDENTITY);
}

/// What goes along to an upstream of another wire: who asks, and its traces. All else of the client's headers speaks of
/// its own wire.
#[must_use]
pub fn fresh_request_headers(stripped: &HeaderMap) -> HeaderMap {
    const KEPT: [HeaderName; 5] = [USER_AGENT, VIA, ACCEPT_ENCODING, TRACEPARENT, TRACESTATE];
    let mut headers = HeaderMap::with_capacity(16);
    for name in KEPT {
        for value in stripped.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// Leaves in an upstream's headers what goes to the client.
pub fn strip_response_headers(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    remove_all(headers, |name| is_of_one_hop(name) || is_not_given_back(name));
}

/// There are far fewer headers than names to look for.
fn remove_all(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let found: SmallVec<[HeaderName; 8]> =
        headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

fn remove_named_by_connection(headers: &mut HeaderMap) {
    // Almost always there is none, or one that names no further header.
    let names_none = |value: &HeaderValue| {
        let value = value.as_bytes();
        value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    };
    if headers.get_all(CONNECTION).iter().all(names_none) {
        return;
    }
    let values: Vec<_> = headers.get_all(CONNECTION).iter().cloned().collect();
    for value in values {
        // Bytes that are no text are in no header's name.
        for name in value.as_bytes().split(|byte| *byte == b',') {
            if let Ok(name) = HeaderName::from_bytes(name.trim_ascii()) {
                headers.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOP_BY_HOP: [&str; 11] = [
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    const NOT_SENT: [&str; 20] = [
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "api-key",
        "cookie",
        "host",
        "content-encoding",
        "content-length",
        "expect",
        "accept-encoding",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
    ];
    const NOT_GIVEN_BACK: [&str; 11] = [
        "set-cookie",
        "alt-svc",
        "strict-transport-security",
        "nel",
        "report-to",
        "reporting-endpoints",
        "clear-site-data",
        "content-security-policy",
        "content-security-policy-report-only",
        "refresh",
        "location",
    ];

    #[test]
    fn credentials_and_hop_by_hop_headers_stay_here_and_the_rest_goes_on() {
        let mut headers = HeaderMap::new();
        for name in HOP_BY_HOP.iter().chain(&NOT_SENT) {
            headers.append(*name, HeaderValue::from_static("secret"));
            headers.append(*name, HeaderValue::from_static("secret"));
        }
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, x-only-this-hop"));
        headers.insert("x-only-this-hop", HeaderValue::from_static("secret"));
        headers.insert("anthropic-beta", HeaderValue::from_static("one"));
        headers.append("anthropic-beta", HeaderValue::from_static("two"));
        strip_request_headers(&mut headers);
        assert!(headers.values().all(|value| value != "secret"), "{headers:?}");
        assert_eq!(headers.get_all("anthropic-beta").iter().count(), 2);
        assert_eq!(headers[USER_AGENT], OUR_USER_AGENT);
        assert_eq!(headers[VIA], "1.1 switchyard");
        assert_eq!(headers[ACCEPT_ENCODING], "identity");
    }

    #[test]
    fn each_line_that_names_headers_of_this_hop_is_read() {
        for (one, other) in [("keep-alive", "x-only-this-hop"), ("X-Only-This-Hop", "close")] {
            let mut headers = HeaderMap::new();
            headers.append(CONNECTION, HeaderValue::from_static(one));
            headers.append(CONNECTION, HeaderValue::from_bytes(b"x-\xff , upgrade").unwrap());
            headers.append(CONNECTION, HeaderValue::from_static(other));
            headers.insert("x-only-this-hop", HeaderValue::from_static("secret"));
            strip_response_headers(&mut headers);
            assert!(headers.is_empty(), "{one}, {other}: {headers:?}");
        }
    }

    #[test]
    fn a_client_that_says_who_it_is_is_not_renamed() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("claude-cli/2.0.0"));
        strip_request_headers(&mut headers);
        assert_eq!(headers[USER_AGENT], "claude-cli/2.0.0");
    }

    #[test]
    fn what_speaks_of_the_upstreams_own_host_does_not_come_back() {
        let mut headers = HeaderMap::new();
        for name in HOP_BY_HOP.iter().chain(&NOT_GIVEN_BACK) {
            headers.insert(*name, HeaderValue::from_static("secret"));
        }
        headers.insert("anthropic-ratelimit-requests-remaining", HeaderValue::from_static("7"));
        strip_response_headers(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
