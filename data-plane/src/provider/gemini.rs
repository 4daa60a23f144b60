//! Google's `generateContent`: by key, by login, on Vertex, and behind Code Assist. The model is part of the path.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header::AUTHORIZATION, request::Parts};
use memchr::memmem;
use proto::v1::gemini_options::Form;
use shared::clock::Millis;

use super::{
    Asked, Endpoint, ErrorAnswer, Front, Provider, RequestBody, Unaddressable,
    failure::{Class, class_of},
    join,
    percent::segment,
};
use crate::snapshot::{Account, Credential, Options};

pub(super) struct GeminiApi;
pub(super) struct Gemini;

const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const X_GOOG_USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// A longer body, in bytes, may name anything: looking through it would keep the worker from its other tasks.
const SEARCHED_MAX: usize = 256 * 1024;

impl Provider for GeminiApi {
    fn front(&self, _account: &Account, _model: &str) -> Front {
        Front::Gemini
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::ApiKey(_))
    }

    fn model<'a>(&self, _account: &'a Account, model: &'a str) -> &'a str {
        bare(model)
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        developer(account.base()?, asked)
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        _body: &RequestBody,
        _now: Millis,
    ) -> Result<(), Unaddressable> {
        request.headers.insert(X_GOOG_API_KEY, account.bare_key()?);
        // The client's own would have another project asked, to which the key has no right.
        request.headers.remove(X_GOOG_USER_PROJECT);
        Ok(())
    }

    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        documented(error).unwrap_or_else(|| class_of(error.status))
    }

    fn limited_for(&self, _headers: &HeaderMap, _now: Millis) -> Option<Duration> {
        None
    }
}

impl Provider for Gemini {
    fn front(&self, account: &Account, _model: &str) -> Front {
        if form(account) == Form::CodeAssist { Front::CodeAssist } else { Front::Gemini }
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::AccessToken { .. })
    }

    fn model<'a>(&self, _account: &'a Account, model: &'a str) -> &'a str {
        bare(model)
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        match form(account) {
            Form::Unspecified | Form::Developer => developer(account.base()?, asked),
            Form::Vertex => vertex(account, asked),
            Form::CodeAssist => {
                let (method, query) = method(asked)?;
                join(account.base()?, &format!("/v1internal:{method}"), query.as_deref())
            }
        }
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        _body: &RequestBody,
        _now: Millis,
    ) -> Result<(), Unaddressable> {
        let headers = &mut request.headers;
        headers.insert(AUTHORIZATION, account.bearer(account.access_token()?)?);
        headers.remove(X_GOOG_USER_PROJECT);
        if let Options::Gemini { project: Some(project), form, .. } = &account.upstream.options
            && *form != Form::CodeAssist
        {
            let project = HeaderValue::from_str(project).map_err(|_| Unaddressable::InvalidHeader)?;
            headers.insert(X_GOOG_USER_PROJECT, project);
        }
        Ok(())
    }

    /// Behind Code Assist the project is the login's, and a model is missed in words that Google has for all that it does
    /// not find. The other forms have words of their own for it.
    fn names_only_the_model(&self, account: &Account, request: &Request<RequestBody>) -> bool {
        let length: usize = request.body().pieces().map(<[u8]>::len).sum();
        form(account) == Form::CodeAssist
            && length <= SEARCHED_MAX
            && !request.body().pieces().any(names_an_entity)
    }

    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        match documented(error) {
            Some(class) => class,
            None if error.status == 404
                && error.only_model
                && error.is(&["Requested entity was not found"]) =>
            {
                Class::ModelDenied
            }
            None => class_of(error.status),
        }
    }

    fn limited_for(&self, _headers: &HeaderMap, _now: Millis) -> Option<Duration> {
        None
    }
}

fn form(account: &Account) -> Form {
    match &account.upstream.options {
        Options::Gemini { form, .. } => *form,
        _ => Form::Developer,
    }
}

fn bare(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

fn developer(base: &str, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
    let base = base.trim_end_matches('/');
    let base = base.strip_suffix("/v1beta").unwrap_or(base);
    let (method, query) = method(asked)?;
    join(base, &format!("/v1beta/models/{}:{method}", segment(asked.model)), query.as_deref())
}

fn vertex(account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
    let Options::Gemini { project: Some(project), location, .. } = &account.upstream.options else {
        return Err(Unaddressable::NoOptions);
    };
    let location = location.as_deref().unwrap_or("global");
    let own = match location {
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        region => format!("https://{region}-aiplatform.googleapis.com"),
    };
    // The type's default is the developer API's address, which Vertex is not at.
    let stated = account.base()?;
    let is_default = |url: &url::Url| url.host_str() == Some("generativelanguage.googleapis.com");
    let base = if account.upstream.base_url.as_ref().is_some_and(is_default) { &own } else { stated };
    let (method, query) = method(asked)?;
    let path = format!(
        "/v1/projects/{}/locations/{}/publishers/google/models/{}:{method}",
        segment(project),
        segment(location),
        segment(asked.model)
    );
    join(base.strip_suffix("/v1").unwrap_or(base), &path, query.as_deref())
}

/// The method's name, and the query that goes with it.
fn method<'q>(asked: &Asked<'q>) -> Result<(&'static str, Option<std::borrow::Cow<'q, str>>), Unaddressable> {
    match (asked.endpoint, asked.stream) {
        (Endpoint::GenerateContent, true) => Ok(("streamGenerateContent", Some("alt=sse".into()))),
        (Endpoint::GenerateContent, false) => Ok(("generateContent", asked.query.map(Into::into))),
        (Endpoint::CountContents, _) => Ok(("countTokens", asked.query.map(Into::into))),
        (Endpoint::EmbedContents, _) => Ok(("batchEmbedContents", None)),
        _ => Err(Unaddressable::NoEndpoint),
    }
}

/// Whether a body may name a cache or a file: where one of the fields' names stands anywhere, or letters are written as
/// escapes, which nobody does without a reason.
fn names_an_entity(body: &[u8]) -> bool {
    const NAMES: [&str; 4] = ["cachedContent", "cached_content", "fileUri", "file_uri"];
    let escapes_a_letter = |at: usize| {
        let digits = body.get(at + 4..at + 6).and_then(|digits| std::str::from_utf8(digits).ok());
        let sign = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        sign.is_some_and(|sign| sign.is_ascii_alphabetic() || sign == b'_')
    };
    NAMES.iter().any(|name| memmem::find(body, name.as_bytes()).is_some())
        || memmem::find_iter(body, b"\\u00").any(escapes_a_letter)
}

/// What Google says where the status alone does not. Its words for a rate limit speak of plans and billing, and mean
/// neither. What a client wrote comes behind Google's own words, and the path names the model; a batch to embed names one
/// for each of its parts too.
pub(super) fn documented(error: &ErrorAnswer<'_>) -> Option<Class> {
    const BAD_KEY: [&str; 2] = ["API key not valid", "API key expired"];
    const NO_BILLING: [&str; 2] = [
        "User location is not supported for the API use without a billing account",
        "Gemini API free tier is not available in your country",
    ];
    const NO_CREDIT: [&str; 1] = ["Your prepayment credits are depleted"];
    match (error.status, error.code()) {
        (402, _) | (403, "BILLING_DISABLED") => Some(Class::Billing),
        (429, _) if error.begins(&NO_CREDIT) => Some(Class::Billing),
        (400, "API_KEY_INVALID") => Some(Class::Credential),
        (400, _) if error.begins(&BAD_KEY) => Some(Class::Credential),
        // Of the body it says `INVALID_ARGUMENT`.
        (400, _) if error.kind() == "FAILED_PRECONDITION" && error.begins(&NO_BILLING) => {
            Some(Class::Billing)
        }
        // From where the gateway calls.
        (400, _)
            if error.kind() == "FAILED_PRECONDITION" && error.begins(&["User location is not supported"]) =>
        {
            Some(Class::Credential)
        }
        (403, _) if is_not_the_callers(error) => Some(Class::Refused),
        (404, _) if is_missing(error) => Some(Class::ModelDenied),
        // Vertex: it is not there, not this project's, or not in this place.
        (400 | 403 | 404, _) if error.begins(&["Publisher Model `"]) => Some(Class::ModelDenied),
        _ => None,
    }
}

/// What a request names, of another account's perhaps.
fn is_not_the_callers(error: &ErrorAnswer<'_>) -> bool {
    error.begins(&["You do not have permission to access the File", "CachedContent not found"])
        || error.holds("does not have storage.objects.get access")
}

/// `models/x is not found for …`, `tunedModels/x is not found …`.
fn is_missing(error: &ErrorAnswer<'_>) -> bool {
    let message = &error.said.message;
    let named = message.strip_prefix("models/").unwrap_or(message);
    named.strip_prefix(error.model).is_some_and(|rest| rest.starts_with(" is not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_may_name_a_cache_or_a_file_is_known() {
        for body in [
            r#"{"cachedContent":"cachedContents/a"}"#,
            r#"{"parts":[{"file_data":{"file_uri":"x"}}]}"#,
            r#"{"parts":[{"file_data":{"fil\u0065Uri":"x"}}]}"#,
            r#"{"cached\u005Fcontent":"a"}"#,
        ] {
            assert!(names_an_entity(body.as_bytes()), "{body}");
        }
        for body in
            [r#"{"text":"a \u003c b \u00e9"}"#, r#"{"text":"\u00"}"#, r#"{"text":"\u00é"}"#, "\\u00", ""]
        {
            assert!(!names_an_entity(body.as_bytes()), "{body}");
        }
    }
}
