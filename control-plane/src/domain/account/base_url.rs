//! Base URLs of upstreams: where the gateway may be sent.
//!
//! Names are checked here by what they say, not by what they resolve to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

const MAX_BYTES: usize = 1000;

/// Why a text is no base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidBaseUrl {
    #[error("must be an absolute URL such as https://api.example.com")]
    Form,
    #[error("must begin with https:// or http://")]
    Scheme,
    #[error("must not hold a user name or a password: those belong into the credentials")]
    Credentials,
    #[error("must not have a query or a fragment")]
    Query,
    #[error("points to a private, loopback or link-local address, which the operator has not allowed")]
    Private,
}

/// The URL in its normal form, without a trailing slash.
pub(super) fn parse(text: &str, allow_private: bool) -> Result<String, InvalidBaseUrl> {
    // The parser would repair or drop these.
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    if text.is_empty() || text.len() > MAX_BYTES || text.contains(odd) {
        return Err(InvalidBaseUrl::Form);
    }
    let url = Url::parse(text).map_err(|_| InvalidBaseUrl::Form)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(InvalidBaseUrl::Scheme);
    }
    // `https:host` and `https:/host` are repaired too.
    if !text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://")) {
        return Err(InvalidBaseUrl::Form);
    }
    let authority = text.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if authority.contains('@') {
        return Err(InvalidBaseUrl::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidBaseUrl::Query);
    }
    let private = match url.host().ok_or(InvalidBaseUrl::Form)? {
        Host::Domain(name) => is_private_name(name),
        Host::Ipv4(address) => is_private_v4(address),
        Host::Ipv6(address) => is_private_v6(address),
    };
    if private && !allow_private {
        return Err(InvalidBaseUrl::Private);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Names that are only known inside a machine or a network.
fn is_private_name(name: &str) -> bool {
    const SUFFIXES: [&str; 7] =
        [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    // A name without a dot is looked up in the network's own domain.
    !name.contains('.') || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        // This network, carrier-grade NAT, protocol assignments, benchmarks, reserved with broadcast.
        || a == 0
        || (a == 100 && (b & 0b1100_0000) == 64)
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (b & 0b1111_1110) == 18)
        || a >= 240
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let embedded = embedded_v4(address).is_some_and(is_private_v4);
    embedded
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        // Site-local, deprecated but routed by some.
        || (address.segments()[0] & 0xffc0) == 0xfec0
}

/// The address of the other family that a mapped, compatible, translated or 6to4 address stands for.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, g, h]
        | [0, 0, 0, 0, 0xffff, 0, g, h]
        | [0x64, 0xff9b, 0, 0, 0, 0, g, h] => Some(low(g, h)),
        [0x2002, b, c, ..] => Some(low(b, c)),
        // Translation inside a network, always private.
        [0x64, 0xff9b, 1, ..] => Some(Ipv4Addr::LOCALHOST),
        _ => match IpAddr::V6(address).to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn public_urls_pass_in_their_normal_form() {
        for (text, normal) in [
            ("https://api.example.com", "https://api.example.com"),
            ("HTTPS://API.Example.com:443/", "https://api.example.com"),
            ("http://gateway.example.com:8080/v2//", "http://gateway.example.com:8080/v2"),
            ("https://8.8.8.8/a/../b", "https://8.8.8.8/b"),
            ("https://[2606:4700::1111]", "https://[2606:4700::1111]"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(parse(text, false).as_deref(), Ok(normal), "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        use InvalidBaseUrl::{Credentials, Form, Query, Scheme};
        for (text, error) in [
            ("", Form),
            ("api.example.com", Form),
            ("/v1", Form),
            ("https:api.example.com", Form),
            ("https:/api.example.com", Form),
            ("https:\\\\api.example.com", Form),
            ("https://api.example.com\t", Form),
            ("https://a b", Form),
            ("https://", Form),
            ("https://exa%00mple.com", Form),
            ("ftp://example.com", Scheme),
            ("file:///etc/passwd", Scheme),
            ("javascript:alert(1)", Scheme),
            ("https://user@example.com", Credentials),
            ("https://user:pass@example.com", Credentials),
            ("https://@example.com", Credentials),
            ("https://example.com?x=1", Query),
            ("https://example.com?", Query),
            ("https://example.com#", Query),
        ] {
            assert_eq!(parse(text, true), Err(error), "{text:?}");
        }
        assert_eq!(parse(&format!("https://example.com/{}", "a".repeat(MAX_BYTES)), true), Err(Form));
    }

    #[test]
    fn private_addresses_need_the_operator_s_word_in_any_notation() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "redis",
            "printer.local",
            "metadata.google.internal",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "017700000001",
            "0177.0.0.1",
            "0",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "100.64.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fd00::1]",
            "[fec0::1]",
            "[ff02::1]",
            "127.0.0.1.",
            "①②⑦.0.0.1",
            "127。0。0。1",
        ] {
            let url = format!("http://{host}:8080/v1");
            assert_eq!(parse(&url, false), Err(InvalidBaseUrl::Private), "{url}");
            assert!(parse(&url, true).is_ok(), "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(text in "https?://[a-z0-9.@:/?#\\[\\]%-]{0,40}", allow: bool) {
            if let Ok(normal) = parse(&text, allow) {
                prop_assert_eq!(parse(&normal, allow), Ok(normal));
            }
        }

        #[test]
        fn no_spelling_of_a_loopback_address_passes(rest in 0_u32..0x0100_0000, spelling in 0..4) {
            let address = 0x7f00_0000 | rest;
            let host = match spelling {
                0 => Ipv4Addr::from(address).to_string(),
                1 => address.to_string(),
                2 => format!("{address:#x}"),
                _ => format!("[::ffff:{}]", Ipv4Addr::from(address)),
            };
            prop_assert_eq!(parse(&format!("http://{host}"), false), Err(InvalidBaseUrl::Private));
        }
    }
}
