//! AWS Bedrock: requests are signed with SigV4, or carry a bearer token. The model is part of the path.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    request::Parts,
};
use shared::clock::Millis;

use super::{
    Asked, Endpoint, ErrorAnswer, Front, Provider, RequestBody, Unaddressable,
    failure::{Class, class_of},
    join,
    percent::segment,
    sensitive,
};
use crate::{
    live::MarkKind,
    snapshot::{Account, Credential, Options},
};

pub(super) struct Bedrock;

const SERVICE: &str = "bedrock";
/// Anthropic's betas that AWS takes; any other makes it refuse the whole request. From its documentation of Claude's
/// request parameters.
const BETAS: [&str; 14] = [
    "claude-code-20250219",
    "compact-2026-01-12",
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
    "tool-search-tool-2025-10-19",
];

/// The model behind an inference profile of a region, or of all: `us.anthropic.…`, `global.amazon.…`.
fn of_region(model: &str) -> &str {
    const REGIONS: [&str; 9] = ["us", "us-gov", "eu", "apac", "jp", "au", "ca", "sa", "global"];
    match model.split_once('.') {
        Some((region, rest)) if REGIONS.contains(&region) => rest,
        _ => model,
    }
}

/// Whether AWS takes this beta.
#[must_use]
pub fn knows_beta(beta: &str) -> bool {
    BETAS.contains(&beta)
}

impl Provider for Bedrock {
    fn front(&self, _account: &Account, model: &str) -> Front {
        // Ids are `anthropic.claude-…`, with a region's prefix for inference profiles; an ARN of an application's own
        // profile says nothing of the model, and every model speaks Converse.
        if model.contains("claude") { Front::BedrockClaude } else { Front::BedrockConverse }
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::Aws { .. } | Credential::ApiKey(_))
    }

    fn complete(&self, account: &Account) -> bool {
        region(account).is_ok()
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        let call = match (asked.endpoint, asked.stream) {
            (Endpoint::Invoke, false) => "invoke",
            (Endpoint::Invoke, true) => "invoke-with-response-stream",
            (Endpoint::Converse, false) => "converse",
            (Endpoint::Converse, true) => "converse-stream",
            (Endpoint::BedrockCountTokens, _) => "count-tokens",
            _ => return Err(Unaddressable::NoEndpoint),
        };
        // Counting knows models only, and not the profiles that spread them over regions.
        let model = match asked.endpoint {
            Endpoint::BedrockCountTokens => of_region(asked.model),
            _ => asked.model,
        };
        let path = format!("/model/{}/{call}", segment(model));
        match &account.upstream.base_url {
            Some(base) => join(base.as_str(), &path, None),
            None => join(&format!("https://bedrock-runtime.{}.amazonaws.com", region(account)?), &path, None),
        }
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        body: &RequestBody,
        now: Millis,
    ) -> Result<(), Unaddressable> {
        match &account.upstream.credential {
            Credential::ApiKey(key) => {
                request.headers.insert(AUTHORIZATION, sensitive(&["Bearer ", key.expose()])?);
                Ok(())
            }
            Credential::Aws { access_key_id, secret_access_key, session_token } => {
                let credentials = Credentials::new(
                    access_key_id.expose(),
                    secret_access_key.expose(),
                    session_token.as_ref().map(|token| token.expose().to_owned()),
                    None,
                    "account",
                );
                sign_v4(region(account)?, credentials, request, body, now)
            }
            _ => Err(Unaddressable::NoCredential),
        }
    }

    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        class(error)
    }

    fn limited_for(&self, _headers: &HeaderMap, _now: Millis) -> Option<Duration> {
        None
    }
}

/// By the exception's name, which a header carries, and only then by its words: AWS has one name for a model that the
/// account may not use, for a permission that its key lacks, and for a key that is wrong. No header of the client's goes
/// along, and so none that names a guardrail.
fn class(error: &ErrorAnswer<'_>) -> Class {
    const CREDENTIAL: [&str; 10] = [
        "UnrecognizedClient",
        "InvalidClientTokenId",
        "InvalidSignature",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "ExpiredToken",
        "RequestExpired",
        "NotAuthorized",
        "OptInRequired",
    ];
    let name = exception(error);
    let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let shut = ["Access to Bedrock models is not allowed for this account"];
    if is(&CREDENTIAL) || error.status == 400 && error.begins(&shut) {
        return Class::Credential;
    }
    // The path names a model and nothing else.
    if is(&["ResourceNotFound", "FTUFormNotFilled"])
        || is(&["AccessDenied"]) && forbids_model(error)
        || denies_model(error)
    {
        return Class::ModelDenied;
    }
    if is(&["ServiceQuotaExceeded"]) {
        return Class::Limited(MarkKind::RateLimited);
    }
    // A model that is being loaded, and one that stumbled.
    if is(&["ModelNotReady"]) || error.status == 424 {
        return Class::Transient;
    }
    class_of(error.status)
}

/// The exception's name without its ending: of `AccessDeniedException:http://…`, `AccessDenied`.
fn exception<'a>(error: &ErrorAnswer<'a>) -> &'a str {
    let named = error.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let named = named.or(error.said.kind.as_deref()).unwrap_or_default();
    let name = named.split(':').next().unwrap_or_default();
    name.strip_suffix("Exception").unwrap_or(name)
}

/// What a permission that is missing is told by. Permissions are given by model, and a model's name comes last.
fn forbids_model(error: &ErrorAnswer<'_>) -> bool {
    // Its subscription in the marketplace, which is of that model.
    const BEGINNINGS: [&str; 2] = ["You don't have access to the model", "Model access is denied due to "];
    let action = error.said.message.split_once(" is not authorized to perform: ").map(|(_, action)| action);
    error.status == 403
        && (error.begins(&BEGINNINGS)
            || error.begins(&["User: "]) && action.is_some_and(|it| it.starts_with("bedrock:InvokeModel")))
}

/// What is said by exceptions that stand for much else, as `ValidationException` does for all that is wrong with a body.
/// Anthropic's validator, whose words AWS passes on, begins with a key of the client's: so each of these is all that is said.
fn denies_model(error: &ErrorAnswer<'_>) -> bool {
    const SENTENCES: [&str; 4] = [
        "You don't have access to the model with the specified model ID",
        "The provided model identifier is invalid",
        "Could not resolve the foundation model from the provided model identifier",
        // What accounts are told that AWS has not opened the model to.
        "Operation not allowed",
    ];
    const BY_PROFILE_ONLY: &str =
        "Retry your request with the ID or ARN of an inference profile that contains this model";
    matches!(error.status, 400 | 403 | 404)
        && (error.is(&SENTENCES)
            || error.begins(&["Model use case details have not been submitted for this account"])
            || error.is_between("Invocation of model ID ", BY_PROFILE_ONLY))
}

fn region(account: &Account) -> Result<&str, Unaddressable> {
    match &account.upstream.options {
        Options::Bedrock { region } => Ok(region),
        _ => Err(Unaddressable::NoOptions),
    }
}

/// Signs host, date, content type and body. AWS decodes the path once before it checks, so an encoded model id is
/// encoded twice in what is signed.
fn sign_v4(
    region: &str,
    credentials: Credentials,
    request: &mut Parts,
    body: &RequestBody,
    now: Millis,
) -> Result<(), Unaddressable> {
    let host = request.uri.authority().ok_or(Unaddressable::InvalidUrl)?.as_str().to_owned();
    let identity = credentials.into();
    let since = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(SystemTime::UNIX_EPOCH + since)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| Unaddressable::Unsigned)?
        .into();
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let headers = std::iter::once((HOST.as_str(), host.as_str()))
        .chain(content_type.map(|value| (CONTENT_TYPE.as_str(), value)));
    let url = request.uri.to_string();
    let signable =
        SignableRequest::new(request.method.as_str(), url, headers, SignableBody::Precomputed(body.sha256()))
            .map_err(|_| Unaddressable::Unsigned)?;
    let signed = sign(signable, &parameters).map_err(|_| Unaddressable::Unsigned)?;
    let (instructions, _signature) = signed.into_parts();
    for (name, value) in instructions.headers() {
        let mut value = HeaderValue::from_str(value).map_err(|_| Unaddressable::InvalidHeader)?;
        value.set_sensitive(true);
        let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unaddressable::InvalidHeader)?;
        request.headers.insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde::Deserialize;

    use super::*;

    /// What botocore signs.
    #[derive(Deserialize)]
    struct Vector {
        region: String,
        time: String,
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
        method: String,
        url: String,
        content_type: String,
        body: String,
        amz_date: String,
        authorization: String,
    }

    #[test]
    fn requests_are_signed_as_awss_own_code_signs_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sigv4.json");
        let vectors: Vec<Vector> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(vectors.len() >= 10);
        for vector in vectors {
            let mut request = Request::builder()
                .method(vector.method.as_str())
                .uri(&vector.url)
                .header(CONTENT_TYPE, &vector.content_type)
                .body(())
                .unwrap()
                .into_parts()
                .0;
            let credentials = Credentials::new(
                vector.access_key_id,
                vector.secret_access_key,
                vector.session_token.clone(),
                None,
                "test",
            );
            let time: jiff::Timestamp = vector.time.parse().unwrap();
            let now = Millis(time.as_millisecond());
            sign_v4(&vector.region, credentials, &mut request, &vector.body.clone().into_bytes().into(), now)
                .unwrap();
            let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header("x-amz-date"), Some(vector.amz_date.as_str()), "{}", vector.url);
            assert_eq!(header("authorization"), Some(vector.authorization.as_str()), "{}", vector.url);
            assert_eq!(header("x-amz-security-token"), vector.session_token.as_deref());
            assert!(request.headers["authorization"].is_sensitive());
        }
    }

    #[test]
    fn only_betas_that_aws_takes_go_along() {
        assert!(knows_beta("interleaved-thinking-2025-05-14"));
        assert!(!knows_beta("oauth-2025-04-20"));
    }
}
