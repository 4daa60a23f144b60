//! What a node serves from: the resources of a revision, parsed once, immutable.

use std::{collections::HashMap, sync::Arc, time::Duration};

use shared::{
    account::AccountType,
    clock::Millis,
    id::{AccountId, GroupId, KeyId, UserId},
    model::ModelPattern,
    money::Ppm,
    price::list::{Dated, PriceList},
    secret::{KeyHash, Secret},
    wire::Platform,
};

use super::ready::Ready;
use crate::live::AccountState;

/// All that is configured, as of one revision. Cloning clones pointers.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Enabled keys of enabled users; what is not here may not enter.
    pub keys: HashMap<KeyHash, Arc<ApiKey>>,
    /// All accounts, also disabled ones, ordered by (priority, id), so that reasons can be given for each.
    pub accounts: Vec<Arc<Account>>,
    /// By rising position; the first match wins.
    pub routes: Vec<ModelRoute>,
    /// Exact names, before any account's own mapping.
    pub mappings: HashMap<String, String>,
    /// By name.
    pub models: Vec<Model>,
    /// What the models cost.
    pub prices: PriceList,
    /// What users pay of a price, where that is not all of it.
    pub rates: HashMap<UserId, Ppm>,
    pub policy: Policy,
}

impl Snapshot {
    /// The entry of a model by this name, which may have a date at its end; see [`shared::price::list`].
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        let exact = |name: &str| {
            let at = self.models.binary_search_by(|model| model.name.as_str().cmp(name)).ok()?;
            self.models.get(at)
        };
        exact(name).or_else(|| exact(self.prices.model_of(name)?))
    }

    #[must_use]
    pub fn rate(&self, user: UserId) -> Ppm {
        self.rates.get(&user).copied().unwrap_or(Ppm::ONE)
    }
}

/// A key that may be used.
#[derive(Debug)]
pub struct ApiKey {
    pub id: KeyId,
    pub user_id: UserId,
    pub name: String,
    pub expires_at: Option<Millis>,
    /// What its requests are counted under.
    pub tags: Vec<String>,
    /// Goes into the records of its requests as it is.
    pub metadata: HashMap<String, String>,
}

/// An upstream account, and its live state.
#[derive(Debug)]
pub struct Account {
    pub id: AccountId,
    /// The configuration's version in which this account last changed.
    pub version: u64,
    pub name: String,
    pub enabled: bool,
    pub schedulable: bool,
    /// `None`: a type that this build doesn't know.
    pub kind: Option<AccountType>,
    /// 1–100, smaller first.
    pub priority: u8,
    /// 1–1000.
    pub weight: u16,
    pub concurrency: Option<u32>,
    pub expires_at: Option<Millis>,
    pub invalid_reason: Option<String>,
    /// The first match wins.
    pub model_mapping: Vec<(ModelPattern, String)>,
    /// Empty: all models of the platform.
    pub allowed_models: Vec<ModelPattern>,
    pub groups: Vec<GroupId>,
    pub client_gone: ClientGone,
    pub upstream: Upstream,
    /// Survives snapshots: marks and requests in flight.
    pub state: Arc<AccountState>,
}

/// What happens to the upstream when the client leaves in mid-stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientGone {
    /// Read on, bounded, to learn the usage.
    Drain,
    /// Close the upstream; the usage seen so far counts, as an estimate.
    Cancel,
}

#[derive(Debug)]
pub struct Upstream {
    /// Absolute, without a trailing slash: the account's own or its type's default. `None` where the type needs none.
    pub base_url: Option<url::Url>,
    pub credential: Credential,
    pub options: Options,
    pub ready: Ready,
}

#[derive(Debug)]
pub enum Credential {
    ApiKey(Secret),
    AccessToken {
        token: Secret,
        expires_at: Option<Millis>,
    },
    Aws {
        access_key_id: Secret,
        secret_access_key: Secret,
        session_token: Option<Secret>,
    },
    /// The payload had none.
    None,
}

impl Upstream {
    /// Where the account is, as far as its settings say so.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        match &self.options {
            Options::Bedrock { region } => Some(region),
            Options::Gemini { location, .. } => location.as_deref(),
            Options::None | Options::OpenAi { .. } | Options::Azure { .. } | Options::Droid { .. } => None,
        }
    }
}

impl Credential {
    /// What must not be seen.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let secrets = match self {
            Self::ApiKey(key) => [Some(key), None, None],
            Self::AccessToken { token, .. } => [Some(token), None, None],
            Self::Aws { access_key_id, secret_access_key, session_token } => {
                [Some(access_key_id), Some(secret_access_key), session_token.as_ref()]
            }
            Self::None => [None; 3],
        };
        secrets.into_iter().flatten().map(Secret::expose)
    }

    /// Whether it is an access token whose time is over.
    #[must_use]
    pub fn expired(&self, now: Millis) -> bool {
        matches!(self, Self::AccessToken { expires_at: Some(expiry), .. } if *expiry <= now)
    }
}

/// Options by account type.
#[derive(Debug)]
pub enum Options {
    None,
    OpenAi { organization: Option<String>, project: Option<String>, chatgpt_account_id: Option<String> },
    Bedrock { region: String },
    Azure { api_version: String, deployments: Vec<(String, String)> },
    Gemini { form: proto::v1::gemini_options::Form, project: Option<String>, location: Option<String> },
    Droid { endpoint: proto::v1::droid_options::Endpoint },
}

/// Sends the models that match to a platform, and maybe to one account type.
#[derive(Debug, Clone)]
pub struct ModelRoute {
    pub pattern: ModelPattern,
    pub platform: Platform,
    pub account_type: Option<AccountType>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub name: String,
    pub platform: Platform,
    pub display_name: Option<String>,
    pub context_window: Option<u64>,
    pub max_output: Option<u64>,
    pub released_at: Option<Millis>,
    pub prices: Vec<Dated>,
}

/// Time-outs, sizes and choices in force: the operators' settings over the node's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// From sending a request for a stream upstream to its response head.
    pub first_byte: Duration,
    /// Between two reads of a response body.
    pub idle: Duration,
    /// From the arrival of a request for a stream to its first content, over all attempts.
    pub deadline: Duration,
    /// From the arrival of a request for a plain answer to that answer, over all attempts.
    pub plain_deadline: Duration,
    /// One attempt at a plain answer.
    pub plain_attempt: Duration,
    pub max_stream: Duration,
    /// How long a response's head may wait for its first content.
    pub commit_hold: Duration,
    pub max_body: u64,
    /// Between two reads of a request's body.
    pub body_idle: Duration,
    /// How long a stream is read on after its client left.
    pub drain: Duration,
    /// How long a plain answer is waited for after its client left.
    pub plain_drain: Duration,
    /// Answers up to so many bytes are read whole before they are passed on, so that a broken one can be asked of another
    /// account. Larger ones pass as they come, unmetered; where they would have to be converted, they fail.
    pub max_answer: usize,
    /// The largest frame of a stream, in bytes.
    pub max_frame: usize,
    pub cut_revoked_streams: bool,
    /// Answers that pass unchanged keep the upstream's name for the model; else it is the one that was asked for.
    pub served_model_names: bool,
    /// Reasoning that clients don't send back is remembered for them, for an hour.
    pub remember_reasoning: bool,
    /// Requests of clients that know no cache marks get the gateway's own, where Claude is to read them.
    pub cache_marks: bool,
    pub retries: Retries,
}

/// Repeats of accounts that failed for the moment, once no other account is eligible.
#[derive(Debug, Clone, PartialEq)]
pub struct Retries {
    /// Rounds; 0 for none.
    pub max: u32,
    /// Ahead of the first round; each further one waits `backoff` times as long, give or take a quarter.
    pub delay: Duration,
    pub backoff: f64,
}

impl Default for Retries {
    fn default() -> Self {
        Self { max: 3, delay: Duration::from_secs(1), backoff: 2.0 }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(120),
            deadline: Duration::from_secs(180),
            plain_deadline: Duration::from_secs(600),
            plain_attempt: Duration::from_secs(300),
            max_stream: Duration::from_secs(3600),
            commit_hold: Duration::from_secs(1),
            max_body: 32 * 1024 * 1024,
            body_idle: Duration::from_secs(30),
            drain: Duration::from_secs(60),
            plain_drain: Duration::from_secs(300),
            max_answer: 16 << 20,
            max_frame: 16 << 20,
            cut_revoked_streams: false,
            served_model_names: false,
            remember_reasoning: true,
            cache_marks: true,
            retries: Retries::default(),
        }
    }
}
