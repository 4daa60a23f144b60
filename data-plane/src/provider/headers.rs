//! Which headers go on, in both directions. Everything not named here does.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCEPT_ENCODING, ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
        COOKIE, EXPECT, FORWARDED, HOST, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFRESH,
        SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT, VIA,
    },
};

use super::trace::{self, TRACEPARENT, TRACESTATE};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// They speak of one connection only.
const HOP_BY_HOP: [HeaderName; 11] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The client's credentials, what the gateway sets anew, and what would tell the upstream of the client's network.
const NOT_SENT: [HeaderName; 20] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("api-key"),
    COOKIE,
    HOST,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    EXPECT,
    ACCEPT_ENCODING,
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];

/// Cookies belong to the account's session; `alt-svc` would lead clients past the gateway. The others speak for the
/// upstream's own host: kept for the gateway's, they would have browsers ask it over TLS only, report to strangers, forget
/// what they know of it, or go elsewhere.
const NOT_GIVEN_BACK: [HeaderName; 11] = [
    SET_COOKIE,
    ALT_SVC,
    STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("content-security-policy"),
    HeaderName::from_static("content-security-policy-report-only"),
    REFRESH,
    LOCATION,
];

const OURSELVES: HeaderValue = HeaderValue::from_static("1.1 switchyard");
const OUR_USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("switchyard/", env!("CARGO_PKG_VERSION")));
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Leaves in a client's headers what goes upstream, and adds the gateway's own: `via`, a `user-agent` where the client
/// sent none, and `accept-encoding: identity`, since streams must be readable. Of traces only a valid one goes on.
pub fn strip_request_headers(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    for name in HOP_BY_HOP.iter().chain(&NOT_SENT) {
        headers.remove(name);
    }
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
    for name in HOP_BY_HOP.iter().chain(&NOT_GIVEN_BACK) {
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

    #[test]
    fn credentials_and_hop_by_hop_headers_stay_here_and_the_rest_goes_on() {
        let mut headers = HeaderMap::new();
        for name in HOP_BY_HOP.iter().chain(&NOT_SENT) {
            headers.insert(name, HeaderValue::from_static("secret"));
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
            headers.insert(name, HeaderValue::from_static("secret"));
        }
        headers.insert("anthropic-ratelimit-requests-remaining", HeaderValue::from_static("7"));
        strip_response_headers(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
