//! Cookies that only we read: never by script, never from other sites' pages, and over TLS alone where there is any.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use shared::secret::Secret;

use super::error::{ApiResult, Problem};

/// A cookie's name, and what it is sent to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie {
    name: &'static str,
    path: &'static str,
}

/// The refresh token.
pub(super) const REFRESH: Cookie = Cookie { name: "switchyard_refresh", path: "/api/auth" };
/// What a browser is known again by.
pub(super) const BROWSER: Cookie = Cookie { name: "switchyard_browser", path: "/api/auth/login" };

impl Cookie {
    pub(super) fn read(self, headers: &HeaderMap) -> Option<Secret> {
        let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = all.flat_map(|all| all.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.name).map(|(_, value)| Secret::new(value))
    }

    /// The value of Set-Cookie.
    ///
    /// # Errors
    /// 500 for a value that can't stand in a header; none of ours is such.
    pub(super) fn set(self, value: &Secret, lifetime: Duration, over_tls: bool) -> ApiResult<HeaderValue> {
        let Self { name, path } = self;
        let (age, secure) = (lifetime.as_secs(), if over_tls { "; Secure" } else { "" });
        let value = value.expose();
        let text = format!("{name}={value}; HttpOnly; SameSite=Strict; Path={path}; Max-Age={age}{secure}");
        let mut value = HeaderValue::from_str(&text).map_err(Problem::internal)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// As [`Self::set`], for none.
    ///
    /// # Errors
    /// As there.
    pub(super) fn clear(self, over_tls: bool) -> ApiResult<HeaderValue> {
        self.set(&Secret::new(""), Duration::ZERO, over_tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[&'static str]) -> Option<String> {
        let all = headers.iter().map(|value| (header::COOKIE, HeaderValue::from_static(value)));
        REFRESH.read(&all.collect()).map(|value| value.expose().to_owned())
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        assert_eq!(read(&["switchyard_refresh=a"]).as_deref(), Some("a"));
        assert_eq!(read(&["x=1; switchyard_refresh=a; y=2"]).as_deref(), Some("a"));
        assert_eq!(read(&["x=1", "switchyard_refresh=a=="]).as_deref(), Some("a=="));
        for none in [&[][..], &["switchyard_refreshed=a"], &["x=switchyard_refresh"], &["switchyard_refresh"]]
        {
            assert_eq!(read(none), None, "{none:?}");
        }
    }

    #[test]
    fn it_is_hidden_from_script_and_from_other_sites() {
        let set = |over_tls| REFRESH.set(&Secret::new("a"), Duration::from_secs(60), over_tls).unwrap();
        let plain = "switchyard_refresh=a; HttpOnly; SameSite=Strict; Path=/api/auth; Max-Age=60";
        assert_eq!(set(false), plain);
        assert_eq!(set(true), format!("{plain}; Secure").as_str());
        let cleared = "switchyard_refresh=; HttpOnly; SameSite=Strict; Path=/api/auth; Max-Age=0";
        assert_eq!(REFRESH.clear(false).unwrap(), cleared);
        assert!(!format!("{:?}", set(false)).contains("refresh"));
    }
}
