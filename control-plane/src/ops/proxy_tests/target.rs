//! Where a proxy test goes: the data plane's address.

use url::Url;

use crate::{
    domain::proxy_test::TestPath,
    ops::{Done, Refusal},
    settings::DataPlaneSettings,
};

/// A URL of the data plane.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    /// The address that people know, where it is the one that is used.
    pub(super) shown: Option<String>,
}

impl Target {
    /// `set` is the public URL that an admin has set.
    ///
    /// # Errors
    /// Nobody said where the data plane is.
    pub(super) fn of(settings: &DataPlaneSettings, set: Option<&str>, path: &TestPath) -> Done<Self> {
        let base = settings.own_url(set).ok_or_else(|| {
            let detail = "nobody said yet where the data plane is: an admin sets `public_api_url` in the settings, or \
                the operator starts the control plane with --public-api-url (SWITCHYARD_PUBLIC_API_URL)";
            Refusal::conflict("public_api_url_missing", detail)
        })?;
        let mut url = Url::parse(base).map_err(Refusal::internal)?;
        url.path_segments_mut()
            .map_err(|()| Refusal::internal("the data plane's address takes no path"))?
            .pop_if_empty()
            .extend(&path.segments);
        url.set_query(path.query);
        let shown = settings.public_url(set).filter(|public| *public == base).map(Into::into);
        Ok(Self { url, shown })
    }
}

#[cfg(test)]
mod tests {
    use shared::wire::Wire;

    use super::*;

    fn url(base: &str, wire: Wire, model: Option<&str>, stream: Option<bool>) -> Result<String, String> {
        let path = TestPath::of(wire, model, stream).map_err(|mut faults| faults.0.remove(0).field)?;
        let target = Target::of(&DataPlaneSettings::default(), Some(base), &path).unwrap();
        Ok(target.url.into())
    }

    #[test]
    fn each_wire_has_its_path_below_the_address() {
        let at = |wire| url("https://api.example.com", wire, None, None).unwrap();
        assert_eq!(at(Wire::Chat), "https://api.example.com/v1/chat/completions");
        assert_eq!(at(Wire::Responses), "https://api.example.com/v1/responses");
        assert_eq!(at(Wire::Messages), "https://api.example.com/v1/messages");
        assert_eq!(
            url("http://127.0.0.1:8080/llm", Wire::Messages, None, None).unwrap(),
            "http://127.0.0.1:8080/llm/v1/messages"
        );
        let gemini =
            |stream| url("https://e.com", Wire::Gemini, Some("gemini-api,gemini-3"), stream).unwrap();
        assert_eq!(gemini(None), "https://e.com/v1beta/models/gemini-api,gemini-3:generateContent");
        assert_eq!(
            gemini(Some(true)),
            "https://e.com/v1beta/models/gemini-api,gemini-3:streamGenerateContent?alt=sse"
        );
    }

    #[test]
    fn a_model_s_name_leads_nowhere_else() {
        for (model, segment) in [
            ("../../../metrics?x=", "..%2F..%2F..%2Fmetrics%3Fx="),
            ("..", ".."),
            ("%2e%2e/x", "%252e%252e%2Fx"),
            ("a#b", "a%23b"),
            ("a\\b", "a%5Cb"),
            ("@evil.example/", "@evil.example%2F"),
        ] {
            let url = url("https://e.com", Wire::Gemini, Some(model), None);
            assert_eq!(url.unwrap(), format!("https://e.com/v1beta/models/{segment}:generateContent"));
        }
        for bad in ["", "two words", "line\nbreak", &"a".repeat(1000)] {
            assert_eq!(url("https://e.com", Wire::Gemini, Some(bad), None), Err("model".into()), "{bad}");
        }
    }

    #[test]
    fn only_gemini_has_its_model_in_the_query() {
        assert_eq!(url("https://e.com", Wire::Gemini, None, None), Err("model".into()));
        assert_eq!(url("https://e.com", Wire::Chat, Some("gpt-5"), None), Err("model".into()));
        assert_eq!(url("https://e.com", Wire::Messages, None, Some(true)), Err("stream".into()));
    }
}
