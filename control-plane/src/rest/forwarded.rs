//! What the client sees of this server, and we of it: with proxies between, what those say counts where they are trusted.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, header, request::Parts};
use ipnet::IpNet;

use super::{error::Problem, extract::OverTls};

/// Both ends of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    /// Where it came from. `None`: the server was not told.
    pub(super) client: Option<IpAddr>,
    /// Whether the client spoke TLS, to this server or to a proxy in front.
    pub(super) over_tls: bool,
    /// What the client may have called this server, each with its port where that is not the scheme's own.
    pub(super) hosts: Vec<String>,
}

impl Ends {
    pub(super) fn of(parts: &Parts, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
        // A client can write these as well, and fools nobody but itself by that: pages of others can't.
        let said = |name| peer.filter(&is_trusted).and_then(|_| first(&parts.headers, name));
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(parts.uri.authority().map(|authority| authority.as_str()));
        let hosts = [said("x-forwarded-host"), host].into_iter().flatten().map(ToOwned::to_owned);
        Self {
            client: peer.map(|peer| client(peer, &parts.headers, is_trusted)),
            over_tls: parts.extensions.get::<OverTls>().is_some()
                || said("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            hosts: hosts.collect(),
        }
    }
}

/// Whether the client spoke TLS, to this server or to one of the trusted proxies in front.
pub fn came_over_tls(parts: &Parts, trusted: &[IpNet]) -> bool {
    Ends::of(parts, trusted).over_tls
}

/// The first of the values: what the proxy said that the client talked to.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)
}

/// The peer, or what the nearest proxy that is not trusted said, counted from our end: what is further left in
/// X-Forwarded-For anyone may write.
fn client(peer: IpAddr, headers: &HeaderMap, is_trusted: impl Fn(&IpAddr) -> bool) -> IpAddr {
    let mut address = peer;
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in forwarded.iter().rev() {
        if !is_trusted(&address) {
            break;
        }
        let Some(next) = hop_address(hop.trim()) else {
            break;
        };
        address = next.to_canonical();
    }
    address
}

/// Some proxies add the port.
fn hop_address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

impl<S: Sync> FromRequestParts<S> for Ends {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(peer: &str, headers: &[(&str, &str)]) -> Ends {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        Ends::of(&parts, &["10.0.0.0/8".parse().unwrap()])
    }

    fn address(peer: &str, forwarded: &[&str]) -> String {
        let headers: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
        ends(peer, &headers).client.unwrap().to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(address("203.0.113.1", &["198.51.100.7"]), "203.0.113.1");
        assert_eq!(address("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(address("10.0.0.1", &["1.2.3.4, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(address("10.0.0.1", &["1.2.3.4", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(address("10.0.0.1", &["1.2.3.4, junk"]), "10.0.0.1");
        assert_eq!(address("10.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(address("10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(address("::ffff:203.0.113.1", &[]), "203.0.113.1");
    }

    #[test]
    fn scheme_and_host_are_a_trusted_proxys_or_those_of_the_request() {
        let headers =
            [("host", "inner:8081"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "admin.example")];
        let believed = ends("10.0.0.1", &headers);
        assert!(believed.over_tls);
        assert_eq!(believed.hosts, ["admin.example", "inner:8081"]);
        let not_believed = ends("203.0.113.1", &headers);
        assert!(!not_believed.over_tls);
        assert_eq!(not_believed.hosts, ["inner:8081"]);
        assert!(ends("10.0.0.1", &[("x-forwarded-proto", "HTTPS, http")]).over_tls);
        assert!(!ends("10.0.0.1", &[("x-forwarded-proto", "http")]).over_tls);
        assert!(!ends("10.0.0.1", &[]).over_tls);
    }
}
