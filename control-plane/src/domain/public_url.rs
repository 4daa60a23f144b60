//! Where a service is reached over HTTP.

use std::{fmt, str::FromStr};

use url::Url;

/// `http` or `https`, a host, maybe a path; without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// The text is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL such as https://api.example.com, without user, query or fragment")]
pub struct InvalidUrl;

impl PublicUrl {
    const MAX_BYTES: usize = 1000;

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let url = Url::parse(text).map_err(|_| InvalidUrl)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let url = url.as_str().trim_end_matches('/');
        if plain && url.len() <= Self::MAX_BYTES { Ok(Self(url.to_owned())) } else { Err(InvalidUrl) }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_are_plain() {
        let parsed = |text: &str| text.parse().map(|url: PublicUrl| url.to_string());
        assert_eq!(parsed("https://api.example.com/"), Ok("https://api.example.com".to_owned()));
        assert_eq!(parsed("http://127.0.0.1:8080/llm/"), Ok("http://127.0.0.1:8080/llm".to_owned()));
        for bad in [
            "",
            "api.example.com",
            "javascript:alert(1)",
            "https://u:p@example.com",
            "https://e.com/?a",
            "https://e.com/#a",
            "ftp://e.com",
        ] {
            assert_eq!(parsed(bad), Err(InvalidUrl), "{bad}");
        }
    }
}
