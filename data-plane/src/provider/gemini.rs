//! Google's `generateContent`: by key, by login, on Vertex, and behind Code Assist. The model is part of the path.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION, request::Parts};
use proto::v1::gemini_options::Form;
use shared::clock::Millis;

use super::{
    Asked, Endpoint, Front, Provider, RequestBody, Unaddressable,
    failure::{Class, ErrorAnswer, class_of},
    join,
    percent::segment,
    sensitive,
};
use crate::snapshot::{Account, Credential, Options};

pub(super) struct GeminiApi;
pub(super) struct Gemini;

const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const X_GOOG_USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

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
        request.headers.insert(X_GOOG_API_KEY, sensitive(&[account.api_key()?])?);
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
        headers.insert(AUTHORIZATION, sensitive(&["Bearer ", account.access_token()?])?);
        headers.remove(X_GOOG_USER_PROJECT);
        if let Options::Gemini { project: Some(project), form, .. } = &account.upstream.options
            && *form != Form::CodeAssist
        {
            let project = HeaderValue::from_str(project).map_err(|_| Unaddressable::InvalidHeader)?;
            headers.insert(X_GOOG_USER_PROJECT, project);
        }
        Ok(())
    }

    /// Behind Code Assist, where the project is the login's, the model is all that can be missing.
    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        match documented(error) {
            Some(class) => class,
            None if error.status == 404 && error.begins(&["Requested entity was not found"]) => {
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
    let base = if stated.contains("generativelanguage.googleapis.com") { &own } else { stated };
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

/// What Google says where the status alone does not. Its words for a rate limit speak of plans and billing, and mean
/// neither.
fn documented(error: &ErrorAnswer<'_>) -> Option<Class> {
    const BAD_KEY: [&str; 2] = ["API key not valid", "API key expired"];
    const NO_BILLING: [&str; 2] = [
        "User location is not supported for the API use without a billing account",
        "Gemini API free tier is not available in your country",
    ];
    const NO_CREDIT: [&str; 1] = ["Your prepayment credits are depleted"];
    // What a request names, of another account's perhaps.
    const NOT_THE_CALLERS: [&str; 2] =
        ["You do not have permission to access the File", "CachedContent not found"];
    match (error.status, error.code()) {
        (402, _) | (403, "BILLING_DISABLED") => Some(Class::Billing),
        (429, _) if error.begins(&NO_CREDIT) => Some(Class::Billing),
        (400, _) if error.begins(&NO_BILLING) => Some(Class::Billing),
        (400, "API_KEY_INVALID") => Some(Class::Credential),
        (400, _) if error.begins(&BAD_KEY) => Some(Class::Credential),
        // From where the gateway calls.
        (400, _) if error.begins(&["User location is not supported"]) => Some(Class::Credential),
        (403, _) if error.begins(&NOT_THE_CALLERS) => Some(Class::Refused),
        (404, _) if error.begins(&["models/", "tunedModels/"]) => Some(Class::ModelDenied),
        // Vertex: it is not there, not this project's, or not in this place.
        (400 | 403 | 404, _) if error.begins(&["Publisher Model `"]) => Some(Class::ModelDenied),
        _ => None,
    }
}
