//! What browsers are told of answers, so that pages of other origins may read them (CORS).
//!
//! Off unless the operators name origins. Pages send their keys in headers and never by cookie, so that credentials in the
//! browser's sense are never allowed, and an origin that is let in gets no more than anybody who has a key. Health and
//! metrics are for no page. What an upstream says to browsers is about its own origin and never passes, on or off: it
//! would let pages in that the operators did not, or contradict what they said.

use std::str::FromStr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, REFERER, VARY,
    },
    request::Parts,
};

use super::route::{Route, route};
use crate::pipeline::ResponseBody;

const OURS: &str = "access-control-";
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("origin");
const VARY_PREFLIGHT: HeaderValue =
    HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers");
const ALL: HeaderValue = HeaderValue::from_static("*");
/// For so many seconds a browser needs no further preflight; it is the most that Chromium takes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// An origin whose pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigin {
    Any,
    /// As browsers write it.
    Exact(HeaderValue),
}

/// The text names no origin.
#[derive(Debug, thiserror::Error)]
#[error("an origin such as https://app.example.com is expected (no path, no slash at its end), or *")]
pub struct InvalidOrigin;

impl FromStr for CorsOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin)?;
        let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let in_authority = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if !scheme.starts_with(|letter: char| letter.is_ascii_lowercase())
            || !scheme.bytes().all(in_scheme)
            || authority.is_empty()
            || !authority.bytes().all(in_authority)
        {
            return Err(InvalidOrigin);
        }
        // Browsers leave it out.
        let default_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => "",
        };
        let authority = authority.strip_suffix(default_port).unwrap_or(authority);
        let origin = HeaderValue::try_from(format!("{scheme}://{authority}"));
        origin.map(Self::Exact).map_err(|_| InvalidOrigin)
    }
}

/// The origins whose pages may read answers.
#[derive(Debug, Clone)]
pub struct Cors(Vec<CorsOrigin>);

/// Who would read an answer in a browser.
#[derive(Debug)]
pub(super) enum Audience {
    /// No page at all.
    Nobody,
    /// Pages, but not whoever asks.
    Others,
    /// Whom `access-control-allow-origin` names.
    Allowed(HeaderValue),
}

impl Cors {
    /// `None`: off, as no origin is named.
    #[must_use]
    pub fn of(origins: Vec<CorsOrigin>) -> Option<Self> {
        (!origins.is_empty()).then_some(Self(origins))
    }

    /// Takes what speaks of the page out of the request, which goes upstream as the gateway's own: Anthropic refuses pages
    /// that don't say how dangerous that is, and what the page's address is concerns nobody there.
    pub(super) fn audience(&self, parts: &mut Parts) -> Audience {
        // By the path alone: that such a page takes no POST is no page's business either.
        let audience = match route(&Method::GET, parts.uri.path()) {
            Ok(Route::Root | Route::Health | Route::Ready | Route::Metrics) => Audience::Nobody,
            Ok(_) | Err(_) => self.allowed(&parts.headers).map_or(Audience::Others, Audience::Allowed),
        };
        parts.headers.remove(ORIGIN);
        parts.headers.remove(REFERER);
        audience
    }

    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let asking = headers.get(ORIGIN)?;
        self.0.iter().find_map(|origin| match origin {
            CorsOrigin::Any => Some(ALL),
            CorsOrigin::Exact(origin) => (origin == asking).then(|| origin.clone()),
        })
    }

    /// The answer to a browser that asks ahead of a call whether a page may make it. It has no key to ask with. None: that
    /// is not what is asked, or there is no such call.
    pub(super) fn preflight(&self, parts: &Parts) -> Option<Response<ResponseBody>> {
        if parts.method != Method::OPTIONS || !parts.headers.contains_key(ORIGIN) {
            return None;
        }
        let asked = parts.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let method = Method::from_bytes(asked.as_bytes()).ok()?;
        match route(&method, parts.uri.path()) {
            Ok(Route::Call { .. } | Route::Google { .. } | Route::Models { .. } | Route::Model { .. }) => {}
            Ok(_) | Err(_) => return None,
        }
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(VARY, VARY_PREFLIGHT);
        if let Some(origin) = self.allowed(&parts.headers) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            if let Some(names) = requested_headers(&parts.headers) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
            }
        }
        Some(response)
    }
}

/// The headers that the page wants to send: every SDK has some of its own, and those that mean nothing to the gateway do no
/// harm. What is no header's name is left out.
fn requested_headers(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = asked.filter_map(|names| names.to_str().ok()).flat_map(|names| names.split(','));
    let names: Vec<_> =
        names.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok()).collect();
    let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
    HeaderValue::try_from(names.join(", ")).ok().filter(|names| !names.is_empty())
}

/// Says in an answer who may read it.
pub(super) fn mark(headers: &mut HeaderMap, audience: Audience) {
    withhold(headers);
    match audience {
        Audience::Nobody => return,
        Audience::Others => {}
        Audience::Allowed(origin) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            // The ids of requests, `retry-after`, `x-switchyard-…`, every provider's own limits and hints: whoever has the
            // key may know them all.
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ALL);
        }
    }
    headers.append(VARY, VARY_ORIGIN);
}

/// Takes out what an upstream says to browsers. Almost never is there any.
fn withhold(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| name.as_str().starts_with(OURS)).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn cors(origins: &str) -> Cors {
        Cors::of(origins.split(',').map(|origin| origin.parse().unwrap()).collect()).unwrap()
    }

    fn parts(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        for (given, meant) in [
            ("https://App.example.com", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://[::1]:80", "http://[::1]"),
            ("app://obsidian.md", "app://obsidian.md"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            let origin: CorsOrigin = given.parse().unwrap();
            assert_eq!(origin, CorsOrigin::Exact(meant.parse().unwrap()), "{given}");
        }
        assert_eq!("*".parse::<CorsOrigin>().unwrap(), CorsOrigin::Any);
        for bad in ["", "null", "example.com", "https://", "https://a/", "https://u@a", "https://*.a", "://a"]
        {
            assert!(bad.parse::<CorsOrigin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_preflight_names_the_method_and_the_headers_that_were_asked_for() {
        let asking = [
            ("origin", "https://a.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization, X-Stainless-OS,no name,anthropic-beta"),
        ];
        let cors = cors("https://a.example");
        let answer = cors.preflight(&parts("OPTIONS", "/v1/messages", &asking)).unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        for (name, value) in [
            ("access-control-allow-origin", "https://a.example"),
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-headers", "authorization, x-stainless-os, anthropic-beta"),
            ("access-control-max-age", "7200"),
        ] {
            assert_eq!(answer.headers()[name], value);
        }
        assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    }

    #[test]
    fn there_are_preflights_of_calls_only() {
        let cors = cors("*");
        let preflight = |method, path, asked| {
            let headers = [("origin", "https://a.example"), ("access-control-request-method", asked)];
            cors.preflight(&parts(method, path, &headers)).is_some()
        };
        for (path, asked) in [
            ("/openai/v1/chat/completions", "POST"),
            ("/v1/models", "GET"),
            ("/v1/models/gpt-5", "GET"),
            ("/v1beta/models/gemini-3-pro:streamGenerateContent", "POST"),
        ] {
            assert!(preflight("OPTIONS", path, asked), "{path}");
            assert!(!preflight(asked, path, asked), "{path}");
        }
        for (path, asked) in [
            ("/metrics", "GET"),
            ("/healthz", "GET"),
            ("/", "GET"),
            ("/v1/messages", "DELETE"),
            ("/v2", "GET"),
        ] {
            assert!(!preflight("OPTIONS", path, asked), "{path}");
        }
        assert!(cors.preflight(&parts("OPTIONS", "/v1/messages", &[("origin", "https://a")])).is_none());
    }

    #[test]
    fn only_named_origins_are_told_that_they_may_read_and_what_upstreams_say_is_withheld() {
        let cors = cors("https://a.example,https://b.example");
        let marked_to = |method, path, headers: &[(&str, &str)]| {
            let mut answer = HeaderMap::new();
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ALL);
            answer.insert("access-control-allow-credentials", "true".parse().unwrap());
            answer.insert(VARY, "accept-encoding".parse().unwrap());
            mark(&mut answer, cors.audience(&mut parts(method, path, headers)));
            assert!(!answer.contains_key("access-control-allow-credentials"));
            let varies = answer.get_all(VARY).iter().any(|value| value == "origin");
            (answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).cloned(), varies)
        };
        let marked = |path, headers: &[(&str, &str)]| marked_to("GET", path, headers);
        let named = Some(HeaderValue::from_static("https://b.example"));
        assert_eq!(marked("/v1/models", &[("origin", "https://b.example")]), (named.clone(), true));
        assert_eq!(marked("/v1/models", &[("origin", "https://c.example")]), (None, true));
        assert_eq!(marked("/v1/models", &[]), (None, true));
        for method in ["GET", "POST", "OPTIONS"] {
            assert_eq!(marked_to(method, "/metrics", &[("origin", "https://b.example")]), (None, false));
        }
        assert_eq!(marked_to("POST", "/v1/messages", &[("origin", "https://b.example")]), (named, true));
        let mut off = HeaderMap::from_iter([(ACCESS_CONTROL_ALLOW_ORIGIN, ALL)]);
        mark(&mut off, Audience::Nobody);
        assert!(off.is_empty());
    }
}
