//! The OpenAI API with an API key, and the many that speak it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use shared::clock::Millis;

use super::{Operation, Provider, Unaddressable, reset, sensitive};
use crate::snapshot::{Account, Credential, Options};

pub(super) struct OpenAi;

const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const PROJECT: HeaderName = HeaderName::from_static("openai-project");

impl Provider for OpenAi {
    fn path(&self, operation: Operation) -> Option<&'static str> {
        match operation {
            Operation::Chat => Some("/v1/chat/completions"),
            Operation::Embeddings => Some("/v1/embeddings"),
            Operation::Messages | Operation::CountTokens => None,
        }
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::ApiKey(_))
    }

    fn sign(&self, account: &Account, headers: &mut HeaderMap) -> Result<(), Unaddressable> {
        let Credential::ApiKey(key) = &account.upstream.credential else {
            return Err(Unaddressable::NoCredential);
        };
        headers.insert(AUTHORIZATION, sensitive(&["Bearer ", key.expose()])?);
        let (organization, project) = match &account.upstream.options {
            Options::OpenAi { organization, project, .. } => (organization.as_deref(), project.as_deref()),
            _ => (None, None),
        };
        // The client's own would speak of another account.
        set(headers, ORGANIZATION, organization)?;
        set(headers, PROJECT, project)
    }

    fn limited_for(&self, headers: &HeaderMap, _now: Millis) -> Option<Duration> {
        reset::openai(headers)
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: Option<&str>) -> Result<(), Unaddressable> {
    match text {
        Some(text) => {
            headers.insert(name, HeaderValue::from_str(text).map_err(|_| Unaddressable::InvalidHeader)?);
        }
        None => {
            headers.remove(name);
        }
    }
    Ok(())
}
