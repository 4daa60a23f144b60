//! What providers answer, word for word, and whose fault that is. The cases are data: for each kind of account that is
//! answered so, the status and the body, with the exception that AWS names in a header.

use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::account::AccountType;
use wire::{error::upstream::TEXT_MAX, raw::body::facts_of_error};

use super::{ErrorAnswer, Unaddressable, failure::Class, for_type, join};
use crate::live::MarkKind;

#[derive(Deserialize)]
struct Group {
    accounts: Vec<AccountType>,
    cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
struct Case {
    class: String,
    status: u16,
    exception: Option<String>,
    /// JSON, or text that is none.
    body: Value,
    /// What was asked for.
    #[serde(default = "usual_model")]
    model: String,
    /// The request names more that the upstream may not find.
    #[serde(default)]
    names_more: bool,
}

fn usual_model() -> String {
    "gpt-5".to_owned()
}

impl Case {
    fn text(&self) -> String {
        match &self.body {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        }
    }

    fn judged(&self, kind: AccountType) -> Class {
        let mut headers = HeaderMap::new();
        if let Some(exception) = &self.exception {
            headers.insert("x-amzn-errortype", HeaderValue::from_str(exception).unwrap());
        }
        let said = facts_of_error(self.text().as_bytes());
        for_type(kind).class(&ErrorAnswer {
            status: self.status,
            headers: &headers,
            said: &said,
            model: &self.model,
            only_model: !self.names_more,
        })
    }
}

const PROVIDERS: [&str; 7] = ["anthropic", "ccr", "openai", "azure", "bedrock", "google", "droid"];

fn groups(provider: &str) -> Vec<Group> {
    let path = format!("{}/tests/golden/errors/{provider}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn named(class: &str) -> Class {
    match class {
        "billing" => Class::Billing,
        "credential" => Class::Credential,
        "model_denied" => Class::ModelDenied,
        "refused" => Class::Refused,
        "transient" => Class::Transient,
        "limited" => Class::Limited(MarkKind::RateLimited),
        "overloaded" => Class::Limited(MarkKind::Overloaded),
        other => panic!("no class is called {other}"),
    }
}

fn check(provider: &str) {
    let groups = groups(provider);
    assert!(!groups.is_empty());
    let mut wrong = Vec::new();
    for Group { accounts, cases } in groups {
        for (kind, case) in accounts.iter().flat_map(|kind| cases.iter().map(move |case| (*kind, case))) {
            let found = case.judged(kind);
            if found != named(&case.class) {
                wrong.push(format!("{kind} {} {found:?}, not {}: {}", case.status, case.class, case.text()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_anthropic_answers() {
    check("anthropic");
}

#[test]
fn what_a_claude_code_router_answers_for_its_providers() {
    check("ccr");
}

#[test]
fn what_openai_answers_and_servers_that_speak_as_it_does() {
    check("openai");
}

#[test]
fn what_azure_answers() {
    check("azure");
}

#[test]
fn what_bedrock_answers() {
    check("bedrock");
}

#[test]
fn what_google_answers() {
    check("google");
}

#[test]
fn what_droid_answers_of_its_own() {
    check("droid");
}

/// What validators make of a client's own words, which they name as a key that they don't know or as a value that does not
/// fit.
fn echoes(words: &str) -> Vec<String> {
    let long = format!("{words} {}", "x".repeat(TEXT_MAX));
    vec![
        // Anthropic's, also on Bedrock: the key comes first, and the end may have been cut off.
        format!("{words}: Extra inputs are not permitted"),
        format!("{long}: Extra inputs are not permitted"),
        format!("{words}.role: Field required"),
        format!("messages.0.{words}: Extra inputs are not permitted"),
        format!("messages.0: Input tag '{words}' found using 'role' does not match any of the expected tags"),
        format!("tools.0.name: '{words}' does not match '^[a-zA-Z0-9_-]{{1,128}}$'"),
        // AWS.
        format!(
            "Malformed input request: #: extraneous key [{words}] is not permitted, please reformat your input and try again."
        ),
        format!("1 validation error detected: Value '{words}' at 'modelId' failed to satisfy constraint"),
        // OpenAI, and servers that speak as it does.
        format!("Unsupported parameter: {words}"),
        format!("Unsupported parameter: '{words}' is not supported with this model."),
        format!("Unsupported value: 'role' does not support '{words}' with this model."),
        format!("Unknown parameter: '{words}'."),
        format!("Unrecognized request argument supplied: {words}"),
        format!("Invalid value: '{words}'. Supported values are: 'auto' and 'none'."),
        format!("Extra inputs are not permitted, field: '{words}', value: 1"),
        format!("property '{words}' is unsupported"),
        // Google.
        format!("Invalid JSON payload received. Unknown name \"{words}\": Cannot find field."),
        format!("Invalid value at 'contents[0].role' (TYPE_STRING), \"{words}\""),
    ]
}

#[test]
fn words_that_are_the_clients_own_never_cost_an_account_anything() {
    let mut checked = 0;
    for provider in PROVIDERS {
        for Group { accounts, cases } in groups(provider) {
            for case in cases.iter().filter(|case| case.class != "refused") {
                let said = facts_of_error(case.text().as_bytes()).message;
                let sentence = said.split(". ").next().unwrap_or_default();
                for words in [&*said, said.trim_end_matches('.'), sentence] {
                    for echo in echoes(words).iter().filter(|_| !words.is_empty()) {
                        let bodies = [
                            json!({ "message": echo }),
                            json!({ "detail": echo }),
                            json!({ "type": "error", "error": { "type": "invalid_request_error", "message": echo } }),
                            json!({ "error": { "code": 400, "message": echo, "status": "INVALID_ARGUMENT" } }),
                        ];
                        for (body, kind) in
                            bodies.iter().flat_map(|body| accounts.iter().map(move |kind| (body, *kind)))
                        {
                            for status in [400, 422] {
                                let exception =
                                    (kind == AccountType::Bedrock).then_some("ValidationException");
                                let case = Case {
                                    status,
                                    exception: exception.map(Into::into),
                                    body: body.clone(),
                                    ..case.clone()
                                };
                                assert_eq!(case.judged(kind), Class::Refused, "{kind} {status} {body}");
                                checked += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(checked > 10_000, "{checked}");
}

#[test]
fn a_models_name_costs_an_account_that_model_at_most() {
    let provider_says = |model: &str| {
        [
            format!("model: {model}"),
            format!("The model `{model}` does not exist or you do not have access to it."),
            format!("model \"{model}\" not found, try pulling it first"),
            format!("The '{model}' model is not supported when using Codex with a ChatGPT account."),
            format!("Invocation of model ID {model} with on-demand throughput isn’t supported."),
            format!("models/{model} is not found for API version v1beta"),
            format!(
                "Publisher Model `projects/p/locations/l/publishers/google/models/{model}` was not found"
            ),
            format!("Error from provider(openrouter,{model}: 404): {{\"error\":{{\"message\":\"no\"}}}}"),
            format!("{model} is not a valid model ID"),
        ]
    };
    for provider in PROVIDERS {
        for Group { accounts, cases } in groups(provider) {
            for case in cases {
                let model = facts_of_error(case.text().as_bytes()).message;
                for (said, kind) in provider_says(&model)
                    .iter()
                    .flat_map(|said| accounts.iter().map(move |kind| (said, *kind)))
                {
                    for (status, kind_of_error) in [(400, "invalid_request_error"), (404, "not_found_error")]
                    {
                        let code = (kind == AccountType::Ccr).then_some("provider_response_error");
                        let error = json!({ "type": kind_of_error, "message": said, "code": code });
                        let body = json!({ "message": said, "error": error });
                        let case =
                            Case { status, exception: None, body, model: model.clone(), ..case.clone() };
                        let class = case.judged(kind);
                        assert!(
                            matches!(class, Class::Refused | Class::ModelDenied),
                            "{kind} {status} {class:?} {said}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn whatever_says_nothing_more_is_judged_by_its_status() {
    for kind in AccountType::ALL {
        for body in ["", "{}", "<html>", r#"{"error":{}}"#, r#"{"error":{"message":"no model has access"}}"#]
        {
            for (status, class) in [
                (400, "refused"),
                (401, "credential"),
                (402, "billing"),
                (403, "credential"),
                (404, "refused"),
                (413, "refused"),
                (422, "refused"),
                (429, "limited"),
                (500, "transient"),
                (503, "overloaded"),
                (529, "overloaded"),
            ] {
                let case = Case {
                    class: class.to_owned(),
                    status,
                    exception: None,
                    body: body.into(),
                    model: usual_model(),
                    names_more: false,
                };
                assert_eq!(case.judged(kind), named(class), "{kind} {status} {body}");
            }
        }
    }
}

/// `http` takes an authority whose port is none, and those who connect pass over what stands behind the host.
#[test]
fn an_address_whose_port_is_none_is_no_address() {
    let joined = |base: &str| join(base, "/v1/x", None).map(|uri| uri.to_string());
    for base in [
        "https://evil.example:443-aiplatform.googleapis.com",
        "https://bedrock-runtime.evil.example:443.amazonaws.com",
        "https://[::1]:x",
        "https://host:",
        "https://host:65536",
        "/path",
    ] {
        assert_eq!(joined(base), Err(Unaddressable::InvalidUrl), "{base}");
    }
    for base in ["https://api.example", "http://127.0.0.1:8080", "https://[::1]:8443", "http://user@host:80"]
    {
        assert_eq!(joined(base), Ok(format!("{base}/v1/x")));
    }
}
