//! What providers answer, word for word, and whose fault that is. The cases are data: for each kind of account that is
//! answered so, the status and the body, with the exception that AWS names in a header.

use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use shared::account::AccountType;
use wire::raw::body::facts_of_error;

use super::{
    failure::{Class, ErrorAnswer},
    for_type,
};
use crate::live::MarkKind;

#[derive(Deserialize)]
struct Group {
    accounts: Vec<AccountType>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    class: String,
    status: u16,
    exception: Option<String>,
    /// JSON, or text that is none.
    body: Value,
}

fn class_of_answer(kind: AccountType, status: u16, exception: Option<&str>, body: &str) -> Class {
    let mut headers = HeaderMap::new();
    if let Some(exception) = exception {
        headers.insert("x-amzn-errortype", HeaderValue::from_str(exception).unwrap());
    }
    let said = facts_of_error(body.as_bytes());
    for_type(kind).class(&ErrorAnswer { status, headers: &headers, said: &said, model: "gpt-5" })
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
    let path = format!("{}/tests/golden/errors/{provider}.json", env!("CARGO_MANIFEST_DIR"));
    let groups: Vec<Group> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(!groups.is_empty());
    for Group { accounts, cases } in groups {
        for (kind, case) in accounts.iter().flat_map(|kind| cases.iter().map(move |case| (*kind, case))) {
            let body = match &case.body {
                Value::String(text) => text.clone(),
                json => json.to_string(),
            };
            let found = class_of_answer(kind, case.status, case.exception.as_deref(), &body);
            assert_eq!(found, named(&case.class), "{kind} {} {body}", case.status);
        }
    }
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
                assert_eq!(class_of_answer(kind, status, None, body), named(class), "{kind} {status} {body}");
            }
        }
    }
}
