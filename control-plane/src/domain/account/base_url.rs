//! Base URLs of upstreams: where the gateway may be sent.
//!
//! Names are checked here by what they say, not by what they resolve to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use shared::account::{AccountType, is_aws_region, is_region};
use url::{Host, Url};

const MAX_BYTES: usize = 1000;

/// Why a text is no base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidBaseUrl {
    #[error("must be an absolute URL such as https://api.example.com")]
    Form,
    #[error("must begin with https:// or http://")]
    Scheme,
    #[error(
        "must begin with https://: the operator has not allowed to send credentials to public addresses in plain text"
    )]
    Plaintext,
    #[error("must not hold a user name or a password: those belong into the credentials")]
    Credentials,
    #[error("must not have a query or a fragment")]
    Query,
    #[error("points to a private, loopback or link-local address, which the operator has not allowed")]
    Private,
}

/// What the operator allows of base URLs, beside public addresses over TLS.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowedUpstreams {
    /// Loopback, private and link-local addresses, with or without TLS.
    pub private: bool,
    /// Public addresses without TLS.
    pub plaintext: bool,
}

/// The URL in its normal form, without a trailing slash.
pub(super) fn parse(text: &str, allowed: AllowedUpstreams) -> Result<String, InvalidBaseUrl> {
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
    if private && !allowed.private {
        return Err(InvalidBaseUrl::Private);
    }
    if !private && url.scheme() == "http" && !allowed.plaintext {
        return Err(InvalidBaseUrl::Plaintext);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Whom an account's credential is shown to. A credential that was given for one origin goes to no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The provider's own hosts, in all its regions.
    Provider,
    /// Scheme, host and port.
    Other(String),
}

impl Origin {
    /// `base_url`: in its normal form; none where it is the type's own.
    pub(super) fn of(kind: AccountType, base_url: Option<&str>) -> Self {
        let Some(base_url) = base_url else { return Self::Provider };
        let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin().ascii_serialization());
        let Some(stated) = origin(base_url) else { return Self::Other(base_url.to_owned()) };
        let host = stated.strip_prefix("https://").unwrap_or_default();
        let is_own = match kind {
            AccountType::Bedrock => is_bedrock(host),
            AccountType::Gemini | AccountType::GeminiApi => is_gemini(host),
            _ => kind.default_base_url().and_then(origin).is_some_and(|own| own == stated),
        };
        if is_own { Self::Provider } else { Self::Other(stated) }
    }
}

/// The model API in any region, and no other of AWS's hosts: many are named by customers.
fn is_bedrock(host: &str) -> bool {
    let rest = host.strip_prefix("bedrock-runtime.").or_else(|| host.strip_prefix("bedrock-runtime-fips."));
    // The hosts in China (`.com.cn`) are another company's.
    rest.and_then(|rest| rest.strip_suffix(".amazonaws.com")).is_some_and(is_aws_region)
}

/// The model APIs, and no other of Google's, which a login may be good for too.
fn is_gemini(host: &str) -> bool {
    let Some(api) = host.strip_suffix(".googleapis.com") else { return false };
    matches!(api, "generativelanguage" | "aiplatform" | "cloudcode-pa")
        || api.strip_suffix("-aiplatform").is_some_and(is_region)
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

    const ALL: AllowedUpstreams = AllowedUpstreams { private: true, plaintext: true };
    const PRIVATE: AllowedUpstreams = AllowedUpstreams { private: true, plaintext: false };
    const PLAINTEXT: AllowedUpstreams = AllowedUpstreams { private: false, plaintext: true };
    const NONE: AllowedUpstreams = AllowedUpstreams { private: false, plaintext: false };

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
            assert_eq!(parse(text, PLAINTEXT).as_deref(), Ok(normal), "{text}");
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
            assert_eq!(parse(text, ALL), Err(error), "{text:?}");
        }
        assert_eq!(parse(&format!("https://example.com/{}", "a".repeat(MAX_BYTES)), ALL), Err(Form));
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
            assert_eq!(parse(&url, PLAINTEXT), Err(InvalidBaseUrl::Private), "{url}");
            assert!(parse(&url, PRIVATE).is_ok(), "{url}");
        }
    }

    #[test]
    fn plain_text_to_public_addresses_needs_the_operator_s_word() {
        for url in ["http://api.example.com", "HTTP://8.8.8.8:8080/v1", "http://[2606:4700::1111]"] {
            for allowed in [NONE, PRIVATE] {
                assert_eq!(parse(url, allowed), Err(InvalidBaseUrl::Plaintext), "{url}");
            }
            assert!(parse(url, PLAINTEXT).is_ok(), "{url}");
        }
        assert!(parse("http://10.0.0.1", PRIVATE).is_ok());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_and_a_provider_s_regions_are_one() {
        let of = |kind, url| Origin::of(kind, Some(url));
        for (kind, own) in [
            (AccountType::Openai, "https://api.openai.com/v1"),
            (AccountType::Droid, "https://app.factory.ai"),
            (AccountType::Bedrock, "https://bedrock-runtime.eu-central-1.amazonaws.com"),
            (AccountType::Bedrock, "https://bedrock-runtime-fips.us-east-1.amazonaws.com"),
            (AccountType::Gemini, "https://us-central1-aiplatform.googleapis.com"),
        ] {
            assert_eq!(of(kind, own), Origin::Provider, "{own}");
            assert_eq!(Origin::of(kind, None), Origin::Provider);
        }
        for (kind, other) in [
            (AccountType::Openai, "http://api.openai.com"),
            (AccountType::Openai, "https://api.openai.com:8443"),
            (AccountType::Openai, "https://api.openai.com.example"),
            (AccountType::Bedrock, "https://bedrock-runtime.example/amazonaws.com"),
            (AccountType::Bedrock, "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
            (AccountType::Bedrock, "https://mine.s3.amazonaws.com"),
            (AccountType::Bedrock, "https://bedrock-runtime-mine.s3.amazonaws.com"),
            (AccountType::Bedrock, "https://bedrock-runtime.s3.amazonaws.com"),
            (AccountType::Bedrock, "https://bedrock-runtime.s3-us-west-2.amazonaws.com"),
            (AccountType::Bedrock, "https://bedrock-runtime.elb.amazonaws.com"),
            (AccountType::Bedrock, "https://bedrock-runtime.mine.us-east-1.elb.amazonaws.com"),
            (AccountType::Bedrock, "https://bedrock-runtime.eu-central-1.amazonaws.com:8443"),
            (AccountType::Bedrock, "http://bedrock-runtime.eu-central-1.amazonaws.com"),
            (AccountType::Gemini, "https://googleapis.com.example"),
            (AccountType::GeminiApi, "https://evilgoogleapis.com"),
            (AccountType::Gemini, "https://storage.googleapis.com"),
            (AccountType::Gemini, "https://mine.storage.googleapis.com"),
            (AccountType::Gemini, "https://a.b-aiplatform.googleapis.com"),
            (AccountType::AzureOpenai, "https://one.openai.azure.com"),
        ] {
            assert_ne!(of(kind, other), Origin::Provider, "{other}");
        }
        let ccr = |url| of(AccountType::Ccr, url);
        assert_eq!(ccr("https://router.example/a"), ccr("https://router.example:443/b"));
        assert_ne!(ccr("https://router.example"), ccr("https://router.example:8443"));
        assert_ne!(ccr("https://router.example"), ccr("http://router.example"));
        assert_ne!(
            of(AccountType::AzureOpenai, "https://a.openai.azure.com"),
            of(AccountType::AzureOpenai, "https://b.openai.azure.com")
        );
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(text in "https?://[a-z0-9.@:/?#\\[\\]%-]{0,40}", private: bool) {
            let allowed = AllowedUpstreams { private, plaintext: true };
            if let Ok(normal) = parse(&text, allowed) {
                prop_assert_eq!(parse(&normal, allowed), Ok(normal));
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
            prop_assert_eq!(parse(&format!("http://{host}"), NONE), Err(InvalidBaseUrl::Private));
        }
    }
}
