//! Azure OpenAI: models go by the names of their deployments. Chat completions and embeddings have an address for each
//! deployment, responses one for all.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Uri, request::Parts};
use shared::clock::Millis;
use wire::error::upstream::UpstreamError;

use super::{
    Asked, Endpoint, Front, Provider, RequestBody, Unaddressable, failure::Class, join, openai,
    percent::segment, reset, sensitive,
};
use crate::snapshot::{Account, Credential, Options};

pub(super) struct AzureOpenAi;

const API_KEY: HeaderName = HeaderName::from_static("api-key");

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
        request.headers.insert(API_KEY, sensitive(&[account.api_key()?])?);
        Ok(())
    }

    fn class(&self, status: u16, said: &UpstreamError) -> Class {
        openai::class(status, said)
    }

    fn limited_for(&self, headers: &HeaderMap, _now: Millis) -> Option<Duration> {
        reset::openai(headers)
    }
}
