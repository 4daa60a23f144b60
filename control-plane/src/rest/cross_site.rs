//! Requests that a browser sends with its cookies must come from our own pages. Cookies are SameSite=Strict, which says
//! nothing of sibling domains, and other programs than browsers need not care: what they send has neither header.

use axum::extract::FromRequestParts;
use http::{HeaderMap, StatusCode, header, request::Parts};

use super::{error::Problem, forwarded::Ends};

/// It may come from one of our pages, or from no page.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnSite;

impl<S: Sync> FromRequestParts<S> for OwnSite {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ends = Ends::from_request_parts(parts, state).await?;
        if is_foreign(&parts.headers, &ends.hosts) {
            let detail = "a page of another site sent this; if it was your own, the proxy in front hides the host that \
                          you asked for: it must pass Host on, or be trusted and send X-Forwarded-Host";
            return Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", detail));
        }
        Ok(Self)
    }
}

fn is_foreign(headers: &HeaderMap, hosts: &[String]) -> bool {
    let says_so = headers.get_all("sec-fetch-site").iter().any(|site| site == "cross-site");
    let is_own = |origin: &str| hosts.iter().any(|host| is_at(origin, host));
    says_so || headers.get_all(header::ORIGIN).iter().any(|origin| !origin.to_str().is_ok_and(is_own))
}

/// Whether the origin has this host and port. A host without a port has the one of the origin's scheme.
fn is_at(origin: &str, host: &str) -> bool {
    let schemes = [("https://", ":443"), ("http://", ":80")];
    schemes.iter().any(|(scheme, port)| {
        let bare = |host: &'_ str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
        origin.strip_prefix(scheme).is_some_and(|authority| bare(authority) == bare(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_ours_by_host_and_port() {
        for (origin, host) in [
            ("http://localhost:8081", "localhost:8081"),
            ("https://admin.example", "admin.example"),
            ("https://admin.example", "Admin.Example:443"),
            ("http://admin.example", "admin.example:80"),
            ("https://admin.example:8443", "admin.example:8443"),
            ("http://[::1]:8081", "[::1]:8081"),
        ] {
            assert!(is_at(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "localhost:8081"),
            ("", ""),
            ("http://localhost:8080", "localhost:8081"),
            ("http://localhost", "localhost:8081"),
            ("https://admin.example", "admin.example:80"),
            ("https://evil.example", "admin.example"),
            ("https://admin.example.evil.example", "admin.example"),
            ("https://evil-admin.example", "admin.example"),
            ("https://other.example", "example"),
            ("ftp://admin.example", "admin.example"),
        ] {
            assert!(!is_at(origin, host), "{origin} {host}");
        }
    }
}
