//! Which endpoint answers which request: a table of contents.

use http::{Method, request::Parts};

use crate::provider::{
    Answer, Provider,
    anthropic::{self, ANTHROPIC},
    azure::{AZURE, AZURE_RESPONSES, endpoints as azure},
    bedrock::{self, BEDROCK},
    chatgpt::{self, CHATGPT},
    droid::{self, DROID_ANTHROPIC, DROID_CHAT, DROID_RESPONSES},
    google::{self, CODE_ASSIST, GEMINI, VERTEX},
    openai::{
        self, OPENAI,
        compatible::COMPATIBLE,
        responses::{self, RESPONSES},
    },
    query,
};

/// A provider's endpoints. They are found at the root, and under `base` for upstreams whose address has a path.
struct Table {
    base: &'static str,
    provider: &'static dyn Provider,
    rows: &'static [(Method, &'static str, Answer)],
}

/// `{}` stands for a name; where there are several, the last one counts.
static ANTHROPIC_TABLE: Table = Table {
    base: "/anthropic",
    provider: &ANTHROPIC,
    rows: &[
        (Method::POST, "/v1/messages", anthropic::messages::answer),
        (Method::POST, "/v1/messages/count_tokens", anthropic::count_tokens::answer),
        (Method::GET, "/v1/models", anthropic::models::list),
        (Method::GET, "/v1/models/{}", anthropic::models::one),
    ],
};

static OPENAI_TABLE: Table = Table {
    base: "/openai",
    provider: &OPENAI,
    rows: &[
        (Method::POST, "/v1/chat/completions", openai::chat::answer),
        (Method::POST, "/v1/embeddings", openai::embeddings::answer),
        (Method::GET, "/v1/models", openai::models::list),
        (Method::GET, "/v1/models/{}", openai::models::one),
    ],
};

/// OpenAI again: the events of its streams are of another form here.
static RESPONSES_TABLE: Table = Table {
    base: "/openai",
    provider: &RESPONSES,
    rows: &[
        (Method::POST, "/v1/responses", responses::answer),
        (Method::POST, "/v1/responses/input_tokens", responses::input_tokens),
        (Method::GET, "/v1/responses/{}", responses::retrieve),
        (Method::DELETE, "/v1/responses/{}", responses::delete),
    ],
};

/// A server that is merely compatible has no responses. It is found under its base only: at the root OpenAI answers.
static COMPATIBLE_TABLE: Table = Table {
    base: "/compatible",
    provider: &COMPATIBLE,
    rows: &[
        (Method::POST, "/v1/chat/completions", openai::chat::compatible),
        (Method::GET, "/v1/models", openai::models::list),
    ],
};

static AZURE_TABLE: Table = Table {
    base: "/azure",
    provider: &AZURE,
    rows: &[
        (Method::POST, "/openai/deployments/{}/chat/completions", azure::deployment_chat),
        (Method::POST, "/openai/deployments/{}/embeddings", azure::deployment_embeddings),
        (Method::POST, "/openai/v1/chat/completions", azure::chat),
        (Method::POST, "/openai/v1/embeddings", azure::embeddings),
    ],
};

static AZURE_RESPONSES_TABLE: Table = Table {
    base: "/azure",
    provider: &AZURE_RESPONSES,
    rows: &[
        (Method::POST, "/openai/v1/responses", azure::responses),
        (Method::POST, "/openai/v1/responses/input_tokens", azure::input_tokens),
        (Method::GET, "/openai/v1/responses/{}", responses::retrieve),
        (Method::DELETE, "/openai/v1/responses/{}", responses::delete),
    ],
};

static DROID_ANTHROPIC_TABLE: Table = Table {
    base: "/droid",
    provider: &DROID_ANTHROPIC,
    rows: &[(Method::POST, "/a/v1/messages", droid::messages)],
};

static DROID_RESPONSES_TABLE: Table = Table {
    base: "/droid",
    provider: &DROID_RESPONSES,
    rows: &[(Method::POST, "/o/v1/responses", droid::responses)],
};

static DROID_CHAT_TABLE: Table = Table {
    base: "/droid",
    provider: &DROID_CHAT,
    rows: &[(Method::POST, "/o/v1/chat/completions", droid::chat)],
};

static CHATGPT_TABLE: Table =
    Table { base: "/chatgpt", provider: &CHATGPT, rows: &[(Method::POST, "/responses", chatgpt::answer)] };

static GEMINI_TABLE: Table = Table {
    base: "/google",
    provider: &GEMINI,
    rows: &[
        (Method::POST, "/v1beta/models/{}:generateContent", google::generate::gemini),
        (Method::POST, "/v1beta/models/{}:streamGenerateContent", google::generate::gemini_stream),
        (Method::POST, "/v1beta/models/{}:countTokens", google::count_tokens::gemini),
        (Method::POST, "/v1beta/models/{}:embedContent", google::embed::one),
        (Method::POST, "/v1beta/models/{}:batchEmbedContents", google::embed::batch),
        (Method::GET, "/v1beta/models", google::models::list),
        (Method::GET, "/v1beta/models/{}", google::models::one),
        (Method::POST, "/v1/models/{}:generateContent", google::generate::gemini),
        (Method::POST, "/v1/models/{}:streamGenerateContent", google::generate::gemini_stream),
        (Method::POST, "/v1/models/{}:countTokens", google::count_tokens::gemini),
        (Method::POST, "/v1/models/{}:embedContent", google::embed::one),
        (Method::POST, "/v1/models/{}:batchEmbedContents", google::embed::batch),
        (Method::GET, "/v1/models", google::models::list),
        (Method::GET, "/v1/models/{}", google::models::one),
    ],
};

static VERTEX_TABLE: Table = Table {
    base: "/vertex",
    provider: &VERTEX,
    rows: &[
        (Method::POST, VERTEX_GENERATE, google::generate::vertex),
        (Method::POST, VERTEX_STREAM, google::generate::vertex_stream),
        (Method::POST, VERTEX_COUNT, google::count_tokens::vertex),
        (Method::POST, VERTEX_BETA_GENERATE, google::generate::vertex),
        (Method::POST, VERTEX_BETA_STREAM, google::generate::vertex_stream),
        (Method::POST, VERTEX_BETA_COUNT, google::count_tokens::vertex),
    ],
};

const VERTEX_GENERATE: &str = "/v1/projects/{}/locations/{}/publishers/google/models/{}:generateContent";
const VERTEX_STREAM: &str = "/v1/projects/{}/locations/{}/publishers/google/models/{}:streamGenerateContent";
const VERTEX_COUNT: &str = "/v1/projects/{}/locations/{}/publishers/google/models/{}:countTokens";
const VERTEX_BETA_GENERATE: &str =
    "/v1beta1/projects/{}/locations/{}/publishers/google/models/{}:generateContent";
const VERTEX_BETA_STREAM: &str =
    "/v1beta1/projects/{}/locations/{}/publishers/google/models/{}:streamGenerateContent";
const VERTEX_BETA_COUNT: &str = "/v1beta1/projects/{}/locations/{}/publishers/google/models/{}:countTokens";

static CODE_ASSIST_TABLE: Table = Table {
    base: "/codeassist",
    provider: &CODE_ASSIST,
    rows: &[
        (Method::POST, "/v1internal:generateContent", google::generate::code_assist),
        (Method::POST, "/v1internal:streamGenerateContent", google::generate::code_assist_stream),
        (Method::POST, "/v1internal:countTokens", google::count_tokens::code_assist),
    ],
};

static BEDROCK_TABLE: Table = Table {
    base: "/bedrock",
    provider: &BEDROCK,
    rows: &[
        (Method::POST, "/model/{}/invoke", bedrock::invoke::answer),
        (Method::POST, "/model/{}/invoke-with-response-stream", bedrock::invoke::stream),
        (Method::POST, "/model/{}/converse", bedrock::converse::answer),
        (Method::POST, "/model/{}/converse-stream", bedrock::converse::stream),
        (Method::POST, "/model/{}/count-tokens", bedrock::count_tokens::answer),
    ],
};

/// At the root, the first table with a fitting row answers; under a base, of its tables.
static TABLES: &[&Table] = &[
    &OPENAI_TABLE,
    &RESPONSES_TABLE,
    &ANTHROPIC_TABLE,
    &AZURE_TABLE,
    &AZURE_RESPONSES_TABLE,
    &DROID_CHAT_TABLE,
    &DROID_RESPONSES_TABLE,
    &DROID_ANTHROPIC_TABLE,
    &CHATGPT_TABLE,
    &GEMINI_TABLE,
    &VERTEX_TABLE,
    &CODE_ASSIST_TABLE,
    &BEDROCK_TABLE,
    &COMPATIBLE_TABLE,
];

/// Where a request goes.
pub(crate) struct Route<'p> {
    pub answer: Answer,
    pub name: Option<&'p str>,
    /// Scripts apply to what creates something, so that listing models disturbs no queue.
    pub scripted: bool,
}

/// The provider that answers, in whose words an unknown path is refused too, and the route if there is one.
pub(crate) fn find(parts: &Parts) -> (&'static dyn Provider, Option<Route<'_>>) {
    let (method, path, headers) = (&parts.method, parts.uri.path(), &parts.headers);
    let mut based = None;
    for table in TABLES {
        let Some(rest) = path.strip_prefix(table.base) else { continue };
        if let Some(route) = table.route(method, rest) {
            return (table.provider, Some(route));
        }
        based = based.or(Some(table.provider));
    }
    if let Some(provider) = based {
        return (provider, None);
    }
    // Three providers have /v1/models at their roots; the one that the caller speaks to answers.
    let speaks_gemini = headers.contains_key("x-goog-api-key") || query(parts, "key").is_some();
    if (speaks_gemini || path.starts_with("/v1beta/"))
        && let route @ Some(_) = GEMINI_TABLE.route(method, path)
    {
        return (&GEMINI, route);
    }
    let speaks_anthropic = headers.contains_key("anthropic-version") || headers.contains_key("x-api-key");
    if speaks_anthropic && let Some(route) = ANTHROPIC_TABLE.route(method, path) {
        return (&ANTHROPIC, Some(route));
    }
    for table in TABLES {
        if let Some(route) = table.route(method, path) {
            return (table.provider, Some(route));
        }
    }
    if speaks_gemini || path.starts_with("/v1beta/") {
        return (&GEMINI, None);
    }
    if speaks_anthropic { (&ANTHROPIC, None) } else { (&OPENAI, None) }
}

impl Table {
    fn route<'p>(&self, method: &Method, path: &'p str) -> Option<Route<'p>> {
        self.rows.iter().find_map(|(wanted, pattern, answer)| {
            let name = matched(pattern, path).filter(|_| wanted == method)?;
            Some(Route { answer: *answer, name, scripted: *method == Method::POST })
        })
    }
}

/// The name that `{}` stands for, if the path fits.
fn matched<'p>(pattern: &str, path: &'p str) -> Option<Option<&'p str>> {
    let Some((start, mut pattern)) = pattern.split_once("{}") else {
        return (pattern == path).then_some(None);
    };
    let mut rest = path.strip_prefix(start)?;
    loop {
        let segment = rest.find('/').unwrap_or(rest.len());
        // What follows the name in its segment, such as a method behind a colon.
        let tail = pattern.split('/').next().unwrap_or_default();
        let name = rest.get(..segment)?.strip_suffix(tail)?;
        if name.is_empty() {
            return None;
        }
        rest = rest.get(name.len()..)?;
        match pattern.split_once("{}") {
            None => return (pattern == rest).then_some(Some(name)),
            Some((between, next)) => (rest, pattern) = (rest.strip_prefix(between)?, next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_where_a_pattern_has_room_for_them() {
        for (pattern, path, name) in [
            ("/v1/models", "/v1/models", Some(None)),
            ("/v1/models/{}", "/v1/models/gpt-4o", Some(Some("gpt-4o"))),
            ("/v1/models/{}", "/v1/models/", None),
            ("/v1/models/{}", "/v1/models/a/b", None),
            ("/m/{}:count", "/m/a:b:count", Some(Some("a:b"))),
            ("/m/{}:count", "/m/a:counts", None),
            ("/model/{}/invoke", "/model/x%3A0/invoke", Some(Some("x%3A0"))),
            ("/model/{}/invoke", "/model/x/invoke-with", None),
            ("/p/{}/l/{}/m/{}:go", "/p/one/l/two/m/three:go", Some(Some("three"))),
            ("/p/{}/l/{}/m/{}:go", "/p/one/x/two/m/three:go", None),
        ] {
            assert_eq!(matched(pattern, path), name, "{pattern} {path}");
        }
    }
}
