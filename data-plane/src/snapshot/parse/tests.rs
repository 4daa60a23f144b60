use prost::Message;
use proto::v1::{
    AccessTokenCredential, Account, ApiKeyCredential, AwsCredential, ModelMap, ModelRoute, Settings,
    Upstream, upstream,
};

use super::*;
use crate::snapshot::domain::Credential;

fn parsed(kind: ResourceKind, payload: &impl Message) -> Result<Parsed, Refusal> {
    let payload = payload.encode_to_vec();
    let resource =
        Resource { kind: kind.into(), id: vec![1; 16], version: 1, enabled: true, ..Resource::default() };
    parse(&resource, &payload, &AccountStates::default())
}

fn account(kind: message::AccountType, credential: upstream::Credential) -> Account {
    Account {
        name: "one".into(),
        r#type: kind.into(),
        priority: 50,
        weight: 100,
        upstream: Some(Upstream {
            base_url: Some("https://upstream.example/base/".into()),
            credential: Some(credential),
            ..Upstream::default()
        }),
        ..Account::default()
    }
}

fn api_key() -> upstream::Credential {
    upstream::Credential::ApiKey(ApiKeyCredential { api_key: "sk-secret".into() })
}

fn access_token() -> upstream::Credential {
    let token = AccessTokenCredential { access_token: "secret".into(), ..Default::default() };
    upstream::Credential::AccessToken(token)
}

fn aws() -> upstream::Credential {
    let keys =
        AwsCredential { access_key_id: "id".into(), secret_access_key: "secret".into(), session_token: None };
    upstream::Credential::Aws(keys)
}

fn good() -> Account {
    account(message::AccountType::ClaudeConsole, api_key())
}

fn parsed_account(account: &Account) -> Result<Arc<crate::snapshot::domain::Account>, Refusal> {
    match parsed(ResourceKind::Account, account)? {
        Parsed::Account(account) => Ok(account),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_type_is_taken_with_its_credential_and_with_no_other_form() {
    use message::AccountType as Type;
    let forms = [("key", api_key()), ("token", access_token()), ("aws", aws())];
    for (kind, taken) in [
        (Type::ClaudeOfficial, "token"),
        (Type::ClaudeConsole, "key"),
        (Type::Bedrock, "key aws"),
        (Type::Ccr, "key"),
        (Type::Openai, "key token"),
        (Type::OpenaiResponses, "key"),
        (Type::AzureOpenai, "key"),
        (Type::Gemini, "token"),
        (Type::GeminiApi, "key"),
        (Type::Droid, "key"),
    ] {
        for (form, credential) in &forms {
            let parsed = parsed_account(&account(kind, credential.clone()));
            if taken.contains(form) {
                let account = parsed.unwrap();
                assert!(account.kind.is_some(), "{kind:?}");
                assert_eq!(
                    account.upstream.base_url.as_ref().unwrap().as_str(),
                    "https://upstream.example/base"
                );
            } else {
                assert_eq!(parsed.unwrap_err(), Refusal::CredentialForm, "{kind:?} {form}");
            }
        }
    }
}

#[test]
fn a_type_of_a_newer_control_plane_is_kept_and_known_as_none() {
    let newer = Account { r#type: 4711, upstream: Some(Upstream::default()), ..good() };
    let account = parsed_account(&newer).unwrap();
    assert_eq!(account.kind, None);
    assert!(matches!(account.upstream.credential, Credential::None));
}

#[test]
fn an_account_that_a_pick_would_trip_over_is_refused() {
    let map = |from: &str, to: &str| vec![ModelMap { from: from.into(), to: to.into() }];
    let refused = |change: &dyn Fn(&mut Account)| {
        let mut account = good();
        change(&mut account);
        parsed_account(&account).unwrap_err()
    };
    assert_eq!(refused(&|account| account.upstream = None), Refusal::Missing("the upstream"));
    for priority in [0, 101] {
        assert_eq!(refused(&|account| account.priority = priority), Refusal::Range("the priority"));
    }
    for weight in [0, 1001] {
        assert_eq!(refused(&|account| account.weight = weight), Refusal::Range("the weight"));
    }
    assert_eq!(refused(&|account| account.group_ids = vec![vec![1; 15]]), Refusal::Id("a group"));
    let pattern = refused(&|account| account.allowed_models = vec!["a b".into()]);
    assert_eq!(pattern, Refusal::Pattern("an allowed model"));
    let source = refused(&|account| account.model_mapping = map("", "x"));
    assert_eq!(source, Refusal::Pattern("a source of the model mapping"));
    let target = refused(&|account| account.model_mapping = map("x", ""));
    assert_eq!(target, Refusal::Pattern("a target of the model mapping"));
}

#[test]
fn an_upstream_that_can_not_be_reached_is_refused() {
    let with_url = |kind: message::AccountType, url: Option<&str>| {
        let mut account = Account { r#type: kind.into(), ..good() };
        account.upstream.as_mut().unwrap().base_url = url.map(Into::into);
        parsed_account(&account)
    };
    let console = message::AccountType::ClaudeConsole;
    for url in ["upstream", "ftp://upstream", "https://upstream?x=1", "https://upstream#x", ""] {
        assert_eq!(with_url(console, Some(url)).unwrap_err(), Refusal::BaseUrl, "{url}");
    }
    let default = with_url(console, None).unwrap();
    assert_eq!(default.upstream.base_url.as_ref().unwrap().as_str(), "https://api.anthropic.com/");
    let ccr = with_url(message::AccountType::Ccr, None).unwrap_err();
    assert_eq!(ccr, Refusal::Missing("the base URL"));
    let empty = upstream::Credential::ApiKey(ApiKeyCredential::default());
    assert_eq!(parsed_account(&account(console, empty)).unwrap_err(), Refusal::Missing("the credential"));
}

/// It would be a part of a host's name, and the credential would go there.
#[test]
fn a_region_that_could_name_a_host_is_refused() {
    use message::{BedrockOptions, GeminiOptions};
    let with = |options: upstream::Options| {
        let mut account = good();
        account.upstream.as_mut().unwrap().options = Some(options);
        parsed_account(&account).map(drop)
    };
    let bedrock = |region: &str| with(upstream::Options::Bedrock(BedrockOptions { region: region.into() }));
    let vertex = |location: &str| {
        with(upstream::Options::Gemini(GeminiOptions {
            location: Some(location.into()),
            ..GeminiOptions::default()
        }))
    };
    for odd in ["evil.example:443", "evil.example", "a/b", ""] {
        assert_eq!((bedrock(odd), vertex(odd)), (Err(Refusal::Region), Err(Refusal::Region)), "{odd}");
    }
    assert_eq!(bedrock("s3"), Err(Refusal::Region));
    assert_eq!((bedrock("us-gov-west-1"), vertex("global")), (Ok(()), Ok(())));
}

#[test]
fn a_refusal_names_no_secret() {
    let account = Account { priority: 0, ..good() };
    let refusal = parsed_account(&account).unwrap_err();
    assert!(!format!("{refusal} {refusal:?}").contains("sk-secret"));
}

#[test]
fn a_route_to_what_is_not_known_is_no_route_to_anything() {
    let route = |platform: i32, account_type: i32| {
        parsed(
            ResourceKind::ModelRoute,
            &ModelRoute { pattern: "gpt-*".into(), platform, account_type, position: 3 },
        )
    };
    assert!(matches!(route(2, 0).unwrap(), Parsed::ModelRoute(3, found) if found.account_type.is_none()));
    assert_eq!(route(2, 4711).unwrap_err(), Refusal::Unknown("the route's account type"));
    assert_eq!(route(4711, 0).unwrap_err(), Refusal::Unknown("the route's platform"));
    assert_eq!(route(0, 0).unwrap_err(), Refusal::Unknown("the route's platform"));
}

#[test]
fn a_time_out_of_nothing_is_a_mistake() {
    let zero = Settings { deadline_ms: Some(0), ..Settings::default() };
    assert_eq!(parsed(ResourceKind::Settings, &zero).unwrap_err(), Refusal::Range("the deadline"));
    assert!(
        parsed(ResourceKind::Settings, &Settings { commit_hold_ms: Some(0), ..Settings::default() }).is_ok()
    );
}

#[test]
fn an_id_of_another_length_is_refused() {
    let resource = Resource { kind: ResourceKind::User.into(), id: vec![1; 15], ..Resource::default() };
    let refusal = parse(&resource, &[], &AccountStates::default()).unwrap_err();
    assert_eq!(refusal, Refusal::Id("the resource's id"));
    let nameless = Resource { kind: 0, ..resource };
    assert!(parse(&nameless, &[], &AccountStates::default()).is_err(), "a resource says what it is");
}
