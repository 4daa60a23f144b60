//! Keeps upstream connections off private networks: checked at connect time, after names are resolved, so that a
//! name which points elsewhere tomorrow is caught tomorrow.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{
        HttpConnector,
        dns::{GaiResolver, Name},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower::Service;

/// The upstream's address is loopback, private, link-local or otherwise not of the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's address is private; SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS=true permits that")]
pub(super) struct PrivateAddress;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Names → addresses, without private ones unless they are allowed.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    inner: GaiResolver,
    allow_private: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.inner.call(name);
        let allow_private = self.allow_private;
        Box::pin(async move {
            let all: Vec<SocketAddr> = resolving.await?.collect();
            let found_some = !all.is_empty();
            let taken: Vec<_> =
                all.into_iter().filter(|address| allow_private || is_public(address.ip())).collect();
            if taken.is_empty() && found_some {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, PrivateAddress).into());
            }
            Ok(taken.into_iter())
        })
    }
}

/// TCP connections to upstreams. Hosts that are written as addresses never reach the resolver, so they are checked here.
#[derive(Debug, Clone)]
pub(super) struct Tcp {
    inner: HttpConnector<Resolver>,
    allow_private: bool,
}

impl Tcp {
    pub(super) fn new(allow_private: bool, configure: impl FnOnce(&mut HttpConnector<Resolver>)) -> Self {
        let mut inner =
            HttpConnector::new_with_resolver(Resolver { inner: GaiResolver::new(), allow_private });
        inner.enforce_http(false);
        inner.set_nodelay(true);
        configure(&mut inner);
        Self { inner, allow_private }
    }
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let literal = destination
            .host()
            .and_then(|host| host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok());
        if !self.allow_private && literal.is_some_and(|address| !is_public(address)) {
            return Box::pin(std::future::ready(Err(PrivateAddress.into())));
        }
        let connecting = self.inner.call(destination);
        Box::pin(async move { Ok(connecting.await?) })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol_assignments = (a, b, c) == (192, 0, 0);
    let benchmarking = a == 198 && (18..20).contains(&b);
    let reserved = a == 0 || a >= 224;
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || shared
        || protocol_assignments
        || benchmarking
        || reserved)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let segments = address.segments();
    // 64:ff9b::/96 and 2002::/16 carry an IPv4 address that the packets end up at.
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(embedded(segments[6], segments[7]));
    }
    if segments[0] == 0x2002 {
        return is_public_v4(embedded(segments[1], segments[2]));
    }
    // Global unicast is 2000::/3; loopback, link-local, unique local and multicast lie outside.
    segments[0] & 0xe000 == 0x2000
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_off_the_public_internet_are_known() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
        ];
        for text in private {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "160.79.104.10",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_private_address_is_refused_however_it_is_written() {
        for url in
            ["http://127.0.0.1:1/", "http://[::1]:1/", "http://[::ffff:127.0.0.1]:1/", "http://localhost:1/"]
        {
            let error = Tcp::new(false, |_| {}).call(Uri::from_static(url)).await.unwrap_err();
            assert!(super::super::is_private_address(&*error), "{url}: {error:?}");
        }
    }
}
