//! Who is calling, and may they: one layer before every route, which reads the table in [`super::ROUTES`].
//!
//! The user and the login that a token names are looked up for each request, so that disabling, demoting, deleting
//! and logging out take effect with the next one. A route that the table does not list is refused.

use std::net::{IpAddr, SocketAddr};

use super::{
    Access,
    error::{ApiResult, Problem},
};
use crate::{
    app::App,
    ops::{Caller, sessions},
};
use axum::{
    extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, header, request::Parts};
use ipnet::IpNet;

/// Where a request came from. Absent: the server was not told.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub Option<IpAddr>);

/// The layer.
pub async fn authorize(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let address = ClientAddress(client_address(&parts, &app.settings.policy.trusted_proxies));
    parts.extensions.insert(address);
    match check(&app, &parts, address).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// `None` where anyone may.
async fn check(app: &App, parts: &Parts, address: ClientAddress) -> ApiResult<Option<Caller>> {
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    // axum answers HEAD with the GET handler.
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    match super::access(method, path) {
        Some(Access::Public) => Ok(None),
        Some(Access::Least(least)) => {
            let caller = authenticate(app, &parts.headers, address).await?;
            if caller.role >= least { Ok(Some(caller)) } else { Err(Problem::forbidden()) }
        }
        None => Err(Problem::internal(format_args!("{method} {path} has no entry in the table of routes"))),
    }
}

async fn authenticate(app: &App, headers: &HeaderMap, address: ClientAddress) -> ApiResult<Caller> {
    let jwt = bearer(headers).ok_or_else(|| Problem::unauthorized("not_signed_in", "sign in first"))?;
    Ok(sessions::authenticate(app, jwt, address.0).await?)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The peer, or what the nearest proxy that is not trusted said, counted from our end: what is further left in
/// X-Forwarded-For anyone may write.
fn client_address(parts: &Parts, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = peer;
    let forwarded: Vec<&str> = parts
        .headers
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
    Some(address)
}

/// Some proxies add the port.
fn hop_address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get()
            .copied()
            .ok_or_else(|| Problem::internal("a public route asked who is calling"))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, forwarded: &[&str]) -> String {
        let mut request = http::Request::builder();
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        client_address(&parts, &["10.0.0.0/8".parse().unwrap()]).unwrap().to_string()
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
}
