//! Options by account type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::account::{AccountType, is_aws_region, is_region};
use utoipa::ToSchema;

use crate::domain::fault::Faults;

const MAX_DEPLOYMENTS: usize = 500;

/// All options of all types, as people send and read them. Which of them a type has, and which it must have, is said
/// by `GET /api/admin/accounts/types`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OptionFields {
    /// openai, openai-responses: sent as OpenAI-Organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// openai, openai-responses: sent as OpenAI-Project. gemini: the Google Cloud project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// openai with an access token: sent as ChatGPT-Account-ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chatgpt_account_id: Option<String>,
    /// bedrock: the AWS region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// azure-openai: sent as api-version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// azure-openai: from model name to deployment name. A model that is not here is its own deployment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deployments: BTreeMap<String, String>,
    /// gemini: which of Google's APIs. Absent: developer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<GeminiForm>,
    /// gemini, form vertex: the Google Cloud location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// droid: which of its endpoints. Absent: common.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<DroidEndpoint>,
}

/// Which of Google's APIs an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GeminiForm {
    /// generativelanguage.googleapis.com
    #[default]
    Developer,
    /// Vertex AI.
    Vertex,
    /// Code Assist.
    CodeAssist,
}

/// Which wire a Droid account is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DroidEndpoint {
    Anthropic,
    Openai,
    #[default]
    Common,
}

/// The options of an account, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    None,
    OpenAi {
        organization: Option<String>,
        project: Option<String>,
        chatgpt_account_id: Option<String>,
    },
    Bedrock {
        region: String,
    },
    /// From model name to deployment name.
    Azure {
        api_version: String,
        deployments: BTreeMap<String, String>,
    },
    Gemini {
        form: GeminiForm,
        project: Option<String>,
        location: Option<String>,
    },
    Droid {
        endpoint: DroidEndpoint,
    },
}

impl Options {
    /// Notes faults under `options.`; `None` where there is one.
    pub(super) fn parse(kind: AccountType, mut fields: OptionFields, faults: &mut Faults) -> Option<Self> {
        let before = faults.0.len();
        let options = match kind {
            AccountType::Openai => Self::OpenAi {
                organization: header("organization", fields.organization.take(), faults),
                project: header("project", fields.project.take(), faults),
                chatgpt_account_id: header("chatgpt_account_id", fields.chatgpt_account_id.take(), faults),
            },
            AccountType::OpenaiResponses => Self::OpenAi {
                organization: header("organization", fields.organization.take(), faults),
                project: header("project", fields.project.take(), faults),
                chatgpt_account_id: None,
            },
            AccountType::Bedrock => Self::Bedrock {
                region: required(
                    "region",
                    region("region", fields.region.take(), is_aws_region, faults),
                    faults,
                )
                .unwrap_or_default(),
            },
            AccountType::AzureOpenai => azure(&mut fields, faults),
            AccountType::Gemini => gemini(&mut fields, faults),
            AccountType::Droid => Self::Droid { endpoint: fields.endpoint.take().unwrap_or_default() },
            AccountType::ClaudeOfficial
            | AccountType::ClaudeConsole
            | AccountType::Ccr
            | AccountType::GeminiApi => Self::None,
        };
        for field in fields.given() {
            faults.push(format!("options.{field}"), format!("is no option of {kind}"));
        }
        (faults.0.len() == before).then_some(options)
    }

    /// What was parsed once.
    pub(super) fn stored(kind: AccountType, fields: OptionFields) -> Result<Self, &'static str> {
        let mut faults = Faults::default();
        Self::parse(kind, fields, &mut faults).ok_or("not the options of this type")
    }

    /// As people read them.
    #[must_use]
    pub fn fields(&self) -> OptionFields {
        let none = OptionFields::default();
        match self.clone() {
            Self::None => none,
            Self::OpenAi { organization, project, chatgpt_account_id } => {
                OptionFields { organization, project, chatgpt_account_id, ..none }
            }
            Self::Bedrock { region } => OptionFields { region: Some(region), ..none },
            Self::Azure { api_version, deployments } => {
                OptionFields { api_version: Some(api_version), deployments, ..none }
            }
            Self::Gemini { form, project, location } => {
                OptionFields { form: Some(form), project, location, ..none }
            }
            Self::Droid { endpoint } => OptionFields { endpoint: Some(endpoint), ..none },
        }
    }
}

impl OptionFields {
    /// Names of the fields that are set.
    fn given(&self) -> Vec<&'static str> {
        let fields = [
            ("organization", self.organization.is_some()),
            ("project", self.project.is_some()),
            ("chatgpt_account_id", self.chatgpt_account_id.is_some()),
            ("region", self.region.is_some()),
            ("api_version", self.api_version.is_some()),
            ("deployments", !self.deployments.is_empty()),
            ("form", self.form.is_some()),
            ("location", self.location.is_some()),
            ("endpoint", self.endpoint.is_some()),
        ];
        fields.into_iter().filter(|(_, given)| *given).map(|(field, _)| field).collect()
    }
}

fn azure(fields: &mut OptionFields, faults: &mut Faults) -> Options {
    let api_version = label("api_version", fields.api_version.take(), faults);
    let deployments = std::mem::take(&mut fields.deployments);
    if deployments.len() > MAX_DEPLOYMENTS {
        faults.push("options.deployments", format!("at most {MAX_DEPLOYMENTS} entries"));
    }
    for (model, deployment) in &deployments {
        if !super::models::is_name(model) {
            faults.push("options.deployments", super::models::NO_NAME);
        }
        if !is_label(deployment) {
            faults.push(format!("options.deployments.{model}"), NO_LABEL);
        }
    }
    Options::Azure {
        api_version: required("api_version", api_version, faults).unwrap_or_default(),
        deployments,
    }
}

fn gemini(fields: &mut OptionFields, faults: &mut Faults) -> Options {
    let form = fields.form.take().unwrap_or_default();
    let mut project = label("project", fields.project.take(), faults);
    let mut location = region("location", fields.location.take(), is_region, faults);
    if form != GeminiForm::Developer {
        project = required("project", project, faults);
    }
    if form == GeminiForm::Vertex {
        location = required("location", location, faults);
    } else if location.is_some() {
        faults.push("options.location", "belongs to the form vertex only");
    }
    Options::Gemini { form, project, location }
}

const NO_LABEL: &str = "must have 1 to 64 letters, digits, or . _ - : inside";

/// What becomes part of a URL's path or its query.
fn is_label(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 64
        && ends(text.bytes().next())
        && ends(text.bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte))
}

/// What becomes part of a host's name.
fn region(
    field: &str,
    text: Option<String>,
    is_one: fn(&str) -> bool,
    faults: &mut Faults,
) -> Option<String> {
    if text.as_deref().is_some_and(|text| !is_one(text)) {
        faults.push(format!("options.{field}"), "must be a region's name, such as us-east-1 or europe-west4");
    }
    text
}

fn label(field: &str, text: Option<String>, faults: &mut Faults) -> Option<String> {
    if text.as_deref().is_some_and(|text| !is_label(text)) {
        faults.push(format!("options.{field}"), NO_LABEL);
    }
    text
}

fn header(field: &str, text: Option<String>, faults: &mut Faults) -> Option<String> {
    let fits =
        |text: &str| (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.as_deref().is_some_and(|text| !fits(text)) {
        faults.push(format!("options.{field}"), "must have 1 to 200 visible ASCII characters");
    }
    text
}

fn required(field: &str, text: Option<String>, faults: &mut Faults) -> Option<String> {
    if text.is_none() {
        faults.push(format!("options.{field}"), "is required");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: AccountType, json: serde_json::Value) -> Result<Options, Vec<String>> {
        let mut faults = Faults::default();
        let options = Options::parse(kind, serde_json::from_value(json).unwrap(), &mut faults);
        options.ok_or_else(|| faults.0.into_iter().map(|fault| fault.field).collect())
    }

    #[test]
    fn what_was_parsed_reads_back_the_same() {
        for (kind, json) in [
            (AccountType::Openai, serde_json::json!({"organization": "org-1", "chatgpt_account_id": "a"})),
            (AccountType::Bedrock, serde_json::json!({"region": "eu-central-1"})),
            (
                AccountType::AzureOpenai,
                serde_json::json!({"api_version": "2024-10-21", "deployments": {"gpt-5": "five"}}),
            ),
            (
                AccountType::Gemini,
                serde_json::json!({"form": "vertex", "project": "p-1", "location": "europe-west4"}),
            ),
            (AccountType::Droid, serde_json::json!({"endpoint": "anthropic"})),
            (AccountType::Ccr, serde_json::json!({})),
        ] {
            let options = parse(kind, json.clone()).unwrap();
            assert_eq!(serde_json::to_value(options.fields()).unwrap(), json, "{kind}");
            assert_eq!(Options::stored(kind, options.fields()), Ok(options));
        }
    }

    #[test]
    fn what_is_missing_foreign_or_unfit_is_named() {
        let faults = |kind, json| parse(kind, json).unwrap_err();
        assert_eq!(faults(AccountType::Bedrock, serde_json::json!({})), ["options.region"]);
        assert_eq!(
            faults(AccountType::Bedrock, serde_json::json!({"region": "evil.com/"})),
            ["options.region"]
        );
        for elsewhere in ["evil.com", "evil.com:443", "10.0.0.1:x", "a_b", "A", "-a", "a-", "", "s3.x"] {
            let bedrock = faults(AccountType::Bedrock, serde_json::json!({"region": elsewhere}));
            assert_eq!(bedrock, ["options.region"], "{elsewhere}");
            assert_eq!(faults(AccountType::Bedrock, serde_json::json!({"region": "s3"})), ["options.region"]);
            let vertex = serde_json::json!({"form": "vertex", "project": "p", "location": elsewhere});
            assert_eq!(faults(AccountType::Gemini, vertex), ["options.location"], "{elsewhere}");
        }
        assert_eq!(faults(AccountType::AzureOpenai, serde_json::json!({})), ["options.api_version"]);
        assert_eq!(
            faults(
                AccountType::AzureOpenai,
                serde_json::json!({"api_version": "1", "deployments": {"gpt-5": "a/b"}})
            ),
            ["options.deployments.gpt-5"]
        );
        assert_eq!(
            faults(AccountType::Gemini, serde_json::json!({"form": "vertex"})),
            ["options.project", "options.location"]
        );
        assert_eq!(faults(AccountType::Ccr, serde_json::json!({"region": "x"})), ["options.region"]);
        assert_eq!(
            faults(AccountType::OpenaiResponses, serde_json::json!({"chatgpt_account_id": "x"})),
            ["options.chatgpt_account_id"]
        );
        assert_eq!(
            faults(AccountType::Openai, serde_json::json!({"organization": "a\r\nb"})),
            ["options.organization"]
        );
    }
}
