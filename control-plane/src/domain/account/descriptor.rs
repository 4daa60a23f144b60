//! What each account type needs, described so that a program can make a form of it.

use serde::Serialize;
use shared::account::{AccountType, CredentialKind};
use utoipa::ToSchema;

/// All types, and the fields that they share.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountTypes {
    pub types: Vec<Descriptor>,
    /// Fields of every account, besides those of its type.
    pub common: Vec<Field>,
}

/// One account type.
#[derive(Debug, Serialize, ToSchema)]
pub struct Descriptor {
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: AccountType,
    #[schema(value_type = String)]
    pub platform: shared::wire::Platform,
    pub title: &'static str,
    pub help: &'static str,
    pub base_url: Field,
    /// The forms of `credentials`; one of them is to be filled in, the first is the usual one.
    pub credentials: Vec<CredentialForm>,
    /// The fields of `options`.
    pub options: Vec<Field>,
}

/// One form of `credentials`.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialForm {
    #[schema(value_type = String)]
    pub kind: CredentialKind,
    pub fields: Vec<Field>,
}

/// One field of a form.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub required: bool,
    /// Never read back.
    pub secret: bool,
    /// What an absent field means; null where that is nothing.
    pub default: Option<serde_json::Value>,
    /// What a choice is among.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub choices: &'static [&'static str],
    pub help: &'static str,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    Text,
    Url,
    Integer,
    Boolean,
    /// One of `choices`.
    Choice,
    /// Milliseconds since 1970.
    Time,
    /// A list of texts.
    List,
    /// An object of texts.
    Map,
    /// A list of ids of account groups.
    Groups,
}

/// The descriptors of all types.
#[must_use]
pub fn all() -> AccountTypes {
    AccountTypes { types: AccountType::ALL.into_iter().map(descriptor).collect(), common: common() }
}

const fn field(name: &'static str, kind: FieldKind, help: &'static str) -> Field {
    Field { name, kind, required: false, secret: false, default: None, choices: &[], help }
}

fn required(field: Field) -> Field {
    Field { required: true, ..field }
}

fn default(field: Field, value: impl Into<serde_json::Value>) -> Field {
    Field { default: Some(value.into()), ..field }
}

fn descriptor(kind: AccountType) -> Descriptor {
    let (title, help) = words(kind);
    let base_url = field("base_url", FieldKind::Url, "Where requests go.");
    let base_url = match kind.default_base_url() {
        Some(url) => default(base_url, url),
        None if kind == AccountType::Bedrock => {
            Field { help: "Absent: the region's own endpoint.", ..base_url }
        }
        None => required(base_url),
    };
    Descriptor {
        kind,
        platform: kind.platform(),
        title,
        help,
        base_url,
        credentials: kind.credential_kinds().iter().map(|form| credential_form(*form)).collect(),
        options: options(kind),
    }
}

const fn words(kind: AccountType) -> (&'static str, &'static str) {
    match kind {
        AccountType::ClaudeOfficial => {
            ("Claude (OAuth)", "A Claude subscription, with an OAuth access token.")
        }
        AccountType::ClaudeConsole => ("Claude (API key)", "The Claude API, or what speaks like it."),
        AccountType::Bedrock => {
            ("Claude on Amazon Bedrock", "Signed with AWS keys, or with a Bedrock API key.")
        }
        AccountType::Ccr => {
            ("Claude Code Router", "A router of your own; chosen by `ccr,<model>` or by a group.")
        }
        AccountType::Openai => (
            "OpenAI",
            "The OpenAI API, or what speaks like it. With an access token it needs a base URL of its own.",
        ),
        AccountType::OpenaiResponses => {
            ("OpenAI Responses", "An upstream that speaks the Responses API only.")
        }
        AccountType::AzureOpenai => ("Azure OpenAI", "The endpoint of an Azure OpenAI resource."),
        AccountType::Gemini => ("Gemini (OAuth)", "Google's API with an OAuth access token."),
        AccountType::GeminiApi => ("Gemini (API key)", "Google's API with an API key."),
        AccountType::Droid => ("Droid", "Factory's API."),
    }
}

fn credential_form(kind: CredentialKind) -> CredentialForm {
    let secret = |name, help| Field { secret: true, ..field(name, FieldKind::Text, help) };
    let fields = match kind {
        CredentialKind::ApiKey => vec![required(secret("api_key", "The key, as the provider gave it."))],
        CredentialKind::Oauth => vec![
            required(secret("access_token", "The token that signs requests.")),
            secret("refresh_token", "Renews the access token; never leaves the control plane."),
            field("expires_at", FieldKind::Time, "When the access token expires."),
        ],
        CredentialKind::AwsKeys => vec![
            required(secret("access_key_id", "Such as AKIA…")),
            required(secret("secret_access_key", "Belongs to the access key.")),
            secret("session_token", "Only for temporary keys."),
        ],
    };
    CredentialForm { kind, fields }
}

fn options(kind: AccountType) -> Vec<Field> {
    let text = |name, help| field(name, FieldKind::Text, help);
    let openai = || {
        vec![text("organization", "Sent as OpenAI-Organization."), text("project", "Sent as OpenAI-Project.")]
    };
    match kind {
        AccountType::Openai => {
            let mut fields = openai();
            fields.push(text("chatgpt_account_id", "Sent as ChatGPT-Account-ID; for access tokens."));
            fields
        }
        AccountType::OpenaiResponses => openai(),
        AccountType::Bedrock => vec![required(text("region", "Such as eu-central-1."))],
        AccountType::AzureOpenai => vec![
            required(text("api_version", "Such as 2024-10-21.")),
            field(
                "deployments",
                FieldKind::Map,
                "From model name to deployment name; a model that is not here is its own.",
            ),
        ],
        AccountType::Gemini => vec![
            Field {
                choices: &["developer", "vertex", "code_assist"],
                ..default(field("form", FieldKind::Choice, "Which of Google's APIs."), "developer")
            },
            text("project", "The Google Cloud project; required for vertex and code_assist."),
            text("location", "The Google Cloud location; required for vertex."),
        ],
        AccountType::Droid => vec![Field {
            choices: &["anthropic", "openai", "common"],
            ..default(field("endpoint", FieldKind::Choice, "Which of its endpoints."), "common")
        }],
        AccountType::ClaudeOfficial
        | AccountType::ClaudeConsole
        | AccountType::Ccr
        | AccountType::GeminiApi => Vec::new(),
    }
}

fn common() -> Vec<Field> {
    use FieldKind::{Boolean, Choice, Groups, Integer, List, Map, Text, Time};
    vec![
        required(field("name", Text, "1 to 100 characters, unique.")),
        field("description", Text, "For people; at most 1000 characters."),
        default(field("enabled", Boolean, "Off: not used at all."), true),
        default(field("schedulable", Boolean, "Off: gets no new requests."), true),
        default(field("priority", Integer, "1 to 100, smaller first."), super::DEFAULT_PRIORITY),
        default(
            field("weight", Integer, "Share among accounts of the same priority, 1 to 1000."),
            super::DEFAULT_WEIGHT,
        ),
        field("concurrency", Integer, "Requests at the same time. Empty: no limit."),
        field(
            "model_mapping",
            Map,
            "From a model name (or a pattern with *) to the name that is sent upstream.",
        ),
        field(
            "allowed_models",
            List,
            "Names or patterns that a mapped name must match. Empty: all of the platform.",
        ),
        field("group_ids", Groups, "Groups that the account is in."),
        field("tags", List, "For people; at most 20."),
        Field {
            choices: &["drain", "cancel"],
            ..default(
                field(
                    "client_gone",
                    Choice,
                    "When the client leaves in mid-stream: read on to learn the usage, or close.",
                ),
                "drain",
            )
        },
        field("expires_at", Time, "Not used after this time."),
    ]
}
