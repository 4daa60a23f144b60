//! Azure OpenAI: models go by the names of their deployments. Chat completions and embeddings have an address for each
//! deployment, responses one for all.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Request, Uri, request::Parts};
use shared::clock::Millis;

use super::{
    Asked, Endpoint, ErrorAnswer, Front, Provider, RequestBody, Unaddressable,
    failure::{Class, class_of},
    join, openai,
    percent::segment,
    reset,
};
use crate::snapshot::{Account, Credential, Options};

pub(super) struct AzureOpenAi;

const API_KEY: HeaderName = HeaderName::from_static("api-key");
const IMAGE_DEPLOYMENT: HeaderName = HeaderName::from_static("x-ms-oai-image-generation-deployment");

impl Provider for AzureOpenAi {
    fn front(&self, _account: &Account, _model: &str) -> Front {
        Front::Azure
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::ApiKey(_))
    }

    fn complete(&self, account: &Account) -> bool {
        account.upstream.base_url.is_some() && matches!(account.upstream.options, Options::Azure { .. })
    }

    fn model<'a>(&self, account: &'a Account, model: &'a str) -> &'a str {
        let Options::Azure { deployments, .. } = &account.upstream.options else { return model };
        deployments.iter().find(|(from, _)| from == model).map_or(model, |(_, to)| to)
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        let Options::Azure { api_version, .. } = &account.upstream.options else {
            return Err(Unaddressable::NoOptions);
        };
        let base = account.base()?;
        let base = base.strip_suffix("/openai").unwrap_or(base);
        let of_deployment = |call: &str| {
            let path = format!("/openai/deployments/{}/{call}", segment(asked.model));
            join(base, &path, Some(&format!("api-version={}", segment(api_version))))
        };
        match asked.endpoint {
            Endpoint::ChatCompletions => of_deployment("chat/completions"),
            Endpoint::Embeddings => of_deployment("embeddings"),
            Endpoint::Responses => join(base, "/openai/v1/responses", None),
            _ => Err(Unaddressable::NoEndpoint),
        }
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        _body: &RequestBody,
        _now: Millis,
    ) -> Result<(), Unaddressable> {
        request.headers.insert(API_KEY, account.bare_key()?);
        Ok(())
    }

    /// A header names the deployment of the tool that makes images.
    fn names_only_the_model(&self, _account: &Account, request: &Request<RequestBody>) -> bool {
        !request.headers().contains_key(IMAGE_DEPLOYMENT)
    }

    /// A resource that is blocked, for what it was used for or by where the request comes from, answers 403; prompts that
    /// the content filter holds back are 400.
    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        match (error.status, error.code()) {
            (400, "OperationNotSupported") => Class::ModelDenied,
            (404, "DeploymentNotFound") if error.only_model => Class::ModelDenied,
            // The API's version does not have the deployment's operation.
            (404, "404") if error.only_model && error.is(&["Resource not found"]) => Class::ModelDenied,
            _ => openai::documented(error).unwrap_or_else(|| class_of(error.status)),
        }
    }

    fn limited_for(&self, headers: &HeaderMap, _now: Millis) -> Option<Duration> {
        reset::openai(headers)
    }
}
