//! AWS Signature Version 4, from the side that checks it; after AWS's "Create a signed AWS API request".

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, request::Parts};
use jiff::civil::DateTime;
use sha2::{Digest, Sha256};

use super::forbidden;
use crate::provider::Failure;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A signature's date may be so far off.
const FRESH_SECONDS: i64 = 300;

/// What the Authorization header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    pub key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

/// What a signature must have been made with.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub secret: &'a str,
    pub service: &'a str,
    /// Seconds since 1970.
    pub now: i64,
}

impl<'a> Authorization<'a> {
    pub(super) fn parse(header: &'a str) -> Result<Self, Failure> {
        let incomplete = |what: &str| {
            let message = format!("{what} Authorization={}", header.split(' ').next().unwrap_or_default());
            forbidden("IncompleteSignatureException", &message)
        };
        let Some(rest) = header.strip_prefix(ALGORITHM) else {
            return Err(incomplete("Unsupported AWS 'algorithm'."));
        };
        let field = |name: &str| {
            let mut parts = rest.split(',').map(str::trim);
            let found = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
        };
        let scope: Vec<&str> = field("Credential")?.split('/').collect();
        let [key_id, date, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(incomplete("Credential must have at least 5 '/'-delimited elements."));
        };
        Ok(Self {
            key_id,
            date,
            region,
            service,
            signed_headers: field("SignedHeaders")?.split(';').collect(),
            signature: field("Signature")?,
        })
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

pub(super) fn verify(
    parts: &Parts,
    body: &[u8],
    authorization: &Authorization<'_>,
    expected: &Expected<'_>,
) -> Result<(), Failure> {
    let refuse = |message: &str| Err(forbidden("InvalidSignatureException", message));
    if authorization.service != expected.service {
        return refuse(&format!("Credential should be scoped to correct service: '{}'. ", expected.service));
    }
    let Some(stamp) = parts.headers.get("x-amz-date").and_then(|value| value.to_str().ok()) else {
        let message = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.";
        return Err(forbidden("IncompleteSignatureException", message));
    };
    if !stamp.starts_with(authorization.date) {
        return refuse(&format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{stamp}'.",
            authorization.date
        ));
    }
    match DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).and_then(|then| then.in_tz("UTC")) {
        Ok(then) => check_fresh(stamp, then.timestamp().as_second(), expected.now)?,
        Err(_) => return refuse(&format!("Date must be in ISO-8601 'basic format'. Got '{stamp}'.")),
    }
    for name in parts.headers.keys().map(http::HeaderName::as_str).chain(["host"]) {
        let must = name == "host" || name.starts_with("x-amz-");
        if must && !authorization.signed_headers.contains(&name) {
            return refuse(&format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."));
        }
    }
    let canonical = canonical_request(parts, body, &authorization.signed_headers);
    let to_sign =
        format!("{ALGORITHM}\n{stamp}\n{}\n{}", authorization.scope(), hex(&Sha256::digest(&canonical)));
    if authorization.signature == signature(&to_sign, authorization, expected.secret) {
        return Ok(());
    }
    refuse(&format!(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n\nThe String-to-Sign should have been\n'{to_sign}'\n"
    ))
}

fn check_fresh(stamp: &str, then: i64, now: i64) -> Result<(), Failure> {
    let shown = |seconds: i64| {
        let at = jiff::Timestamp::from_second(seconds);
        at.map_or_else(|_| seconds.to_string(), |at| at.strftime("%Y%m%dT%H%M%SZ").to_string())
    };
    let message = if then < now.saturating_sub(FRESH_SECONDS) {
        let oldest = shown(now.saturating_sub(FRESH_SECONDS));
        format!("Signature expired: {stamp} is now earlier than {oldest} ({} - 5 min.)", shown(now))
    } else if then > now.saturating_add(FRESH_SECONDS) {
        let newest = shown(now.saturating_add(FRESH_SECONDS));
        format!("Signature not yet current: {stamp} is still later than {newest} ({} + 5 min.)", shown(now))
    } else {
        return Ok(());
    };
    Err(forbidden("InvalidSignatureException", &message))
}

fn canonical_request(parts: &Parts, body: &[u8], signed_headers: &[&str]) -> String {
    let headers: String = signed_headers
        .iter()
        .map(|name| format!("{name}:{}\n", header_value(&parts.headers, parts, name)))
        .collect();
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        parts.method,
        canonical_path(parts.uri.path()),
        canonical_query(parts.uri.query().unwrap_or_default()),
        signed_headers.join(";"),
        hex(&Sha256::digest(body))
    )
}

/// Without dots and doubled slashes, and encoded once more than it came: every service but S3 does that.
fn canonical_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.into_iter().map(encoded).collect::<Vec<_>>().join("/"))
}

/// By name, then by value; what came encoded stays so.
fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(&str, &str)> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    pairs.sort_unstable();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encoded(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// All values of the header, with single spaces. Over HTTP/2 the host stands in the target.
fn header_value(headers: &HeaderMap, parts: &Parts, name: &str) -> String {
    let values: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        })
        .collect();
    if values.is_empty() && name == "host" {
        return parts.uri.authority().map(ToString::to_string).unwrap_or_default();
    }
    values.join(",")
}

fn signature(to_sign: &str, authorization: &Authorization<'_>, secret: &str) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [authorization.date, authorization.region, authorization.service, "aws4_request"] {
        key = hmac(&key, part);
    }
    hex(&hmac(&key, to_sign))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // Every length of key is taken.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        },
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    /// 2015-08-30T12:36:00Z
    const NOW: i64 = 1_440_938_160;

    fn check(
        method: &str,
        target: &str,
        body: &str,
        more: &[(&str, &str)],
        signed: &str,
        signature: &str,
    ) -> Result<(), Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "example.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let header = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, Signature={signature}"
        );
        let authorization = Authorization::parse(&header)?;
        let expected = Expected { secret: SECRET, service: "service", now: NOW };
        verify(&parts, body.as_bytes(), &authorization, &expected)
    }

    /// From AWS's own test suite: get-vanilla, post-vanilla, get-vanilla-query-order-key-case, get-header-value-trim,
    /// post-x-www-form-urlencoded, get-slashes.
    #[test]
    fn published_signatures_are_right() {
        let plain = "host;x-amz-date";
        let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let spaced = [("my-header1", "value1"), ("my-header2", "\"a   b   c\"")];
        for (method, target, body, more, signed, signature) in [
            ("GET", "/", "", [].as_slice(), plain, vanilla),
            (
                "GET",
                "//example//",
                "",
                &[],
                plain,
                "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
            ),
            ("POST", "/", "", &[], plain, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                "",
                &[],
                plain,
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "GET",
                "/",
                "",
                &spaced,
                "host;my-header1;my-header2;x-amz-date",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            (
                "POST",
                "/",
                "Param1=value1",
                &form,
                "content-type;host;x-amz-date",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            assert_eq!(check(method, target, body, more, signed, signature), Ok(()), "{method} {target}");
        }
    }

    #[test]
    fn what_is_not_signed_or_not_as_signed_is_refused() {
        let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let message = |outcome: Result<(), Failure>| outcome.unwrap_err().message;
        let plain = "host;x-amz-date";
        assert!(message(check("GET", "/", "x", &[], plain, vanilla)).starts_with("The request signature we"));
        assert!(message(check("GET", "/a", "", &[], plain, vanilla)).contains("'GET\n/a\n\nhost:example"));
        let token = [("x-amz-security-token", "t")];
        assert_eq!(
            message(check("GET", "/", "", &token, plain, vanilla)),
            "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization."
        );
        let no_host = message(check("GET", "/", "", &[], "x-amz-date", vanilla));
        assert!(no_host.starts_with("'host' must be"), "{no_host}");
    }

    #[test]
    fn a_signature_ages() {
        let stamp = "20150830T123600Z";
        assert_eq!(check_fresh(stamp, NOW, NOW + 300), Ok(()));
        let old = check_fresh(stamp, NOW, NOW + 301).unwrap_err().message;
        assert_eq!(
            old,
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
        );
        assert!(
            check_fresh(stamp, NOW, NOW - 301).unwrap_err().message.starts_with("Signature not yet current")
        );
    }

    #[test]
    fn paths_are_encoded_a_second_time() {
        assert_eq!(canonical_path("/bedrock/model/a.b-v1%3A0/invoke"), "/bedrock/model/a.b-v1%253A0/invoke");
        assert_eq!(canonical_path("/model/a:0/invoke"), "/model/a%3A0/invoke");
        assert_eq!(canonical_path("/a/../b/./c/"), "/b/c/");
        assert_eq!(canonical_path("/"), "/");
    }

    #[test]
    fn a_header_that_is_not_whole_is_named() {
        for header in ["", "AWS4-HMAC-SHA256 Credential=a/b", "Basic x"] {
            assert_eq!(
                Authorization::parse(header).unwrap_err().kind,
                "IncompleteSignatureException",
                "{header}"
            );
        }
    }
}
