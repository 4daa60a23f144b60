//! The admin pages: files of the embedded build, and `index.html` for every path that is a page of theirs.
//!
//! What is served under `/api`, `/healthz`, `/readyz` and `/metrics` never comes here. No script or style but the
//! build's own runs on a page, and no page stands in another site's frame.

use admin_web::{Encoding, File, INDEX, Representation};
use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Kept, and asked about each time.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
const NOT_AT_ALL: HeaderValue = HeaderValue::from_static("no-store");

const SECURITY: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// Whatever no other route took.
pub(super) async fn serve(request: Request) -> Response {
    let mut response = answer(request.method(), request.uri().path(), request.headers());
    for (name, value) in SECURITY {
        response.headers_mut().insert(name, value);
    }
    response
}

fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Response {
    if ![Method::GET, Method::HEAD].contains(method) {
        let mut refusal = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let path = path.trim_start_matches('/');
    let asset = admin_web::file(path);
    let page = || if is_page(path, headers) { admin_web::file(INDEX) } else { None };
    match asset.or_else(page) {
        Some(file) => found(file, method, headers),
        None => refusal(StatusCode::NOT_FOUND, "there is no such page\n"),
    }
}

fn refusal(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response.headers_mut().insert(header::CACHE_CONTROL, NOT_AT_ALL);
    response
}

/// The SPA finds out by itself what is to be shown there. A file of the build that is gone is no page, nor is what
/// other services of this listener are asked for.
fn is_page(path: &str, headers: &HeaderMap) -> bool {
    const NEVER: [&str; 5] = ["api", "assets", "healthz", "metrics", "readyz"];
    if NEVER.contains(&path.split('/').next().unwrap_or("")) {
        return false;
    }
    let is_plain = !path.rsplit('/').next().unwrap_or("").contains('.');
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    is_plain || accepted.into_iter().any(|accepted| accepted.contains("text/html"))
}

fn found(file: &File, method: &Method, headers: &HeaderMap) -> Response {
    let (encoding, Representation { bytes, etag }) = chosen(file, headers);
    let unchanged = names(headers, etag);
    let mut response =
        Response::new(if unchanged || method == Method::HEAD { Body::empty() } else { Body::from(bytes) });
    let answered = response.headers_mut();
    answered.insert(header::ETAG, HeaderValue::from_static(etag));
    answered.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    answered.insert(header::CACHE_CONTROL, if file.immutable { FOR_EVER } else { ASK_AGAIN });
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    answered.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    answered.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    if encoding != Encoding::Identity {
        answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
    }
    response
}

/// What the client wants most of what there is; the smallest of several. One that wants nothing of it gets it as it is.
fn chosen(file: &File, headers: &HeaderMap) -> (Encoding, Representation) {
    let wanted = Wanted::of(headers);
    let mut best: Option<(u16, Encoding, Representation)> = None;
    for encoding in Encoding::ALL {
        let Some(representation) = file.representation(encoding) else { continue };
        let quality = wanted.quality(encoding);
        if quality > best.map_or(0, |(best, _, _)| best) {
            best = Some((quality, encoding, representation));
        }
    }
    best.map_or((Encoding::Identity, file.identity()), |(_, encoding, representation)| {
        (encoding, representation)
    })
}

/// Accept-Encoding: qualities in thousandths.
#[derive(Debug, Default)]
struct Wanted {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Self {
        let mut wanted = Self::default();
        let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for item in values.flat_map(|value| value.split(',')) {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, "q=1"));
            let Some(quality) = quality(parameters) else { continue };
            match coding.trim().to_ascii_lowercase().as_str() {
                "br" => wanted.brotli = Some(quality),
                "gzip" | "x-gzip" => wanted.gzip = Some(quality),
                "identity" => wanted.identity = Some(quality),
                "*" => wanted.any = Some(quality),
                _ => {}
            }
        }
        wanted
    }

    /// 0: refused, or, for a packed form, not named.
    fn quality(&self, encoding: Encoding) -> u16 {
        match encoding {
            Encoding::Brotli => self.brotli.or(self.any).unwrap_or(0),
            Encoding::Gzip => self.gzip.or(self.any).unwrap_or(0),
            // Any packed form that is named is liked better.
            Encoding::Identity => self.identity.or(self.any).unwrap_or(1),
        }
    }
}

/// `q=0.5` is 500.
fn quality(parameters: &str) -> Option<u16> {
    let (name, value) = parameters.trim().split_once('=')?;
    let quality: f32 = value.trim().parse().ok()?;
    let is_quality = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&quality);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    is_quality.then_some((quality * 1000.0) as u16)
}

/// If-None-Match names the tag, or any.
fn names(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::to_bytes};
    use tower::ServiceExt as _;

    use super::*;

    struct Answer {
        status: u16,
        headers: HeaderMap,
        body: Vec<u8>,
    }

    impl Answer {
        fn header(&self, name: &str) -> &str {
            self.headers.get(name).map_or("", |value| value.to_str().unwrap())
        }
    }

    async fn ask(method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let router: Router = Router::new().fallback(serve);
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 26).await.unwrap().to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(Method::GET, path, headers).await
    }

    fn bytes(file: &File, encoding: Encoding) -> &'static [u8] {
        file.representation(encoding).unwrap().bytes
    }

    /// A file of the build that is there in all forms.
    fn script() -> &'static File {
        let packed =
            |file: &&File| Encoding::ALL.iter().all(|encoding| file.representation(*encoding).is_some());
        admin_web::files().iter().find(|file| file.immutable && packed(file)).unwrap()
    }

    #[tokio::test]
    async fn every_file_of_the_build_is_served_as_what_it_is() {
        for file in admin_web::files() {
            let answer = get(&format!("/{}", file.path), &[]).await;
            assert_eq!(
                (answer.status, answer.body.as_slice()),
                (200, bytes(file, Encoding::Identity)),
                "{file:?}"
            );
            assert_eq!(answer.header("content-type"), file.content_type);
            assert_eq!(answer.header("content-length"), answer.body.len().to_string());
            let kept = if file.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
            assert_eq!(answer.header("cache-control"), kept, "{file:?}");
        }
    }

    #[tokio::test]
    async fn pages_begin_with_the_index_and_what_is_gone_is_gone() {
        let index = admin_web::file(INDEX).unwrap();
        let html = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
        for (path, headers) in [
            ("/", &[][..]),
            ("/login", &[]),
            ("/accounts/01K?tab=a.b", &[]),
            ("/apiary", &[]),
            ("/nodes/node-1.example.com", &html),
        ] {
            let answer = get(path, headers).await;
            assert_eq!(
                (answer.status, answer.body.as_slice()),
                (200, bytes(index, Encoding::Identity)),
                "{path}"
            );
            assert_eq!(answer.header("cache-control"), "no-cache");
        }
        for (path, headers) in [
            ("/nodes/node-1.example.com", &[][..]),
            ("/favicon.ico", &[]),
            ("/assets/index-00000000.js", &html),
            ("/assets", &html),
            ("/api", &html),
            ("/api/", &html),
            ("/metrics/x", &html),
            ("/../Cargo.toml", &[]),
            ("/index.html.br", &[]),
        ] {
            let answer = get(path, headers).await;
            assert_eq!((answer.status, answer.header("cache-control")), (404, "no-store"), "{path}");
        }
    }

    #[tokio::test]
    async fn the_client_says_how_files_are_packed() {
        use Encoding::{Brotli, Gzip, Identity};
        let file = script();
        for (accepted, encoding) in [
            (None, Identity),
            (Some(""), Identity),
            (Some("gzip, deflate, br, zstd"), Brotli),
            (Some("gzip"), Gzip),
            (Some("X-GZIP"), Gzip),
            (Some("br;q=0.5, gzip;q=0.8"), Gzip),
            (Some("br;q=0, gzip;q=0"), Identity),
            (Some("br; Q=0.001"), Brotli),
            (Some("*"), Brotli),
            (Some("br;q=0, *;q=0.5"), Gzip),
            (Some("identity, gzip;q=0.5"), Identity),
            (Some("identity;q=0, *;q=0"), Identity),
            (Some("deflate"), Identity),
            (Some("br;q=7, gzip;q=x"), Identity),
        ] {
            let headers: Vec<_> =
                accepted.map(|accepted| ("accept-encoding", accepted)).into_iter().collect();
            let answer = get(&format!("/{}", file.path), &headers).await;
            let named = if encoding == Identity { "" } else { encoding.as_str() };
            assert_eq!(answer.header("content-encoding"), named, "{accepted:?}");
            assert_eq!(answer.body, bytes(file, encoding), "{accepted:?}");
            assert_eq!(answer.header("etag"), file.representation(encoding).unwrap().etag);
            assert_eq!(answer.header("vary"), "Accept-Encoding");
        }
    }

    #[tokio::test]
    async fn what_the_client_has_is_not_sent_again() {
        for path in ["/", &format!("/{}", script().path)] {
            let first = get(path, &[("accept-encoding", "br")]).await;
            let tag = first.header("etag");
            for told in [tag, "*", &format!("W/{tag}"), &format!("\"other\", {tag}")] {
                let again = get(path, &[("accept-encoding", "br"), ("if-none-match", told)]).await;
                assert_eq!((again.status, again.body.len()), (304, 0), "{told}");
                assert_eq!((again.header("etag"), again.header("vary")), (tag, "Accept-Encoding"));
                assert_eq!(again.header("cache-control"), first.header("cache-control"));
            }
            // Its bytes are others.
            assert_eq!(get(path, &[("accept-encoding", "gzip"), ("if-none-match", tag)]).await.status, 200);
            assert_eq!(get(path, &[("if-none-match", "\"other\"")]).await.status, 200);
        }
    }

    #[tokio::test]
    async fn head_is_get_without_the_body_and_other_methods_are_refused() {
        let (head, whole) = (ask(Method::HEAD, "/", &[]).await, get("/", &[]).await);
        assert_eq!((head.status, &head.headers, head.body.len()), (200, &whole.headers, 0));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            let answer = ask(method, "/login", &[]).await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
        }
    }

    #[tokio::test]
    async fn every_answer_keeps_the_browser_on_a_short_lead() {
        let unchanged = [("if-none-match", "*")];
        for (method, path, headers) in [
            (Method::GET, "/", &[][..]),
            (Method::GET, "/", &unchanged),
            (Method::GET, "/assets/none.js", &[]),
            (Method::POST, "/", &[]),
        ] {
            let answer = ask(method, path, headers).await;
            let policy = answer.header("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "),
                "{policy}"
            );
            assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
            assert!(answer.header("permissions-policy").contains("camera=()"));
        }
    }
}
