use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: Millis = Millis(1_790_000_000_000);
/// When changes are made.
const LATER: Millis = Millis(NOW.0 + 1);

fn sealer() -> Sealer {
    Sealer::new([&[1; 32]]).unwrap()
}

fn create(input: Value) -> Result<Account, Vec<String>> {
    create_with(input, false)
}

fn create_with(input: Value, private: bool) -> Result<Account, Vec<String>> {
    let input: AccountInput = serde_json::from_value(input).unwrap();
    let sealer = sealer();
    let allowed = AllowedUpstreams { private, plaintext: false };
    input.create(AccountId::new(NOW), Rules { sealer: &sealer, allowed, now: NOW }).map_err(fields)
}

fn update(account: &Account, input: Value) -> Result<Account, Vec<String>> {
    let input: AccountInput = serde_json::from_value(input).unwrap();
    let sealer = sealer();
    input
        .update(account, Rules { sealer: &sealer, allowed: AllowedUpstreams::default(), now: LATER })
        .map_err(fields)
}

fn fields(error: AccountError) -> Vec<String> {
    match error {
        AccountError::Invalid(faults) => faults.0.into_iter().map(|fault| fault.field).collect(),
        AccountError::Seal(cause) => panic!("{cause}"),
    }
}

/// The least that makes an account of the type, by its own description.
fn least(descriptor: &Descriptor, form: usize) -> Value {
    let value = |field: &Field| match field.kind {
        FieldKind::Url => json!("https://upstream.example.com"),
        _ => json!("va-lue-1"),
    };
    let required = |fields: &[Field]| -> Value {
        fields
            .iter()
            .filter(|field| field.required)
            .map(|field| (field.name.to_owned(), value(field)))
            .collect()
    };
    let mut input = json!({
        "name": "n",
        "type": descriptor.kind,
        "credentials": required(&descriptor.credentials[form].fields),
        "options": required(&descriptor.options),
    });
    if descriptor.base_url.required {
        input["base_url"] = value(&descriptor.base_url);
    }
    input
}

fn console() -> Account {
    create(json!({"name": "n", "type": "claude-console", "credentials": {"api_key": "sk-ant-0123456789"}}))
        .unwrap()
}

#[test]
fn what_a_description_requires_is_enough_and_all_of_it_is_needed() {
    for descriptor in descriptors().types {
        for form in 0..descriptor.credentials.len() {
            let mut input = least(&descriptor, form);
            if descriptor.kind == AccountType::Openai && form == 1 {
                assert_eq!(
                    create(input.clone()),
                    Err(vec!["base_url".to_owned()]),
                    "said in the type's help"
                );
                input["base_url"] = json!("https://upstream.example.com");
            }
            let account = create(input.clone()).unwrap();
            assert_eq!(account.kind, descriptor.kind);
            assert_eq!(account.credential.kind, descriptor.credentials[form].kind);
            for part in ["credentials", "options"] {
                for name in input[part].as_object().unwrap().keys() {
                    let mut without = input.clone();
                    without[part].as_object_mut().unwrap().remove(name);
                    let faults = create(without).unwrap_err();
                    // Without any field a credential is taken for the type's usual form.
                    let usual = form > 0 && part == "credentials";
                    assert!(usual || faults == [format!("{part}.{name}")], "{}: {faults:?}", descriptor.kind);
                }
            }
        }
        let mut without = least(&descriptor, 0);
        if without.as_object_mut().unwrap().remove("base_url").is_some() {
            assert_eq!(create(without).unwrap_err(), ["base_url"]);
        }
    }
}

#[test]
fn every_described_option_is_taken() {
    let sample = |field: &Field| match (field.kind, field.choices.last()) {
        (FieldKind::Map, _) => json!({"gpt-5": "five"}),
        (FieldKind::Choice, Some(choice)) => json!(choice),
        _ => json!("va-lue-1"),
    };
    for descriptor in descriptors().types {
        let mut input = least(&descriptor, 0);
        for field in &descriptor.options {
            input["options"][field.name] = sample(field);
        }
        if descriptor.kind == AccountType::Gemini {
            input["options"]["form"] = json!("vertex");
        }
        let account = create(input.clone()).unwrap();
        assert_eq!(
            serde_json::to_value(account.options.fields()).unwrap(),
            input["options"],
            "{}",
            descriptor.kind
        );
    }
}

#[test]
fn described_defaults_are_those_that_apply() {
    let account = serde_json::to_value(console().to_row().unwrap().priority).unwrap();
    let common = descriptors().common;
    let default =
        |name: &str| common.iter().find(|field| field.name == name).unwrap().default.clone().unwrap();
    assert_eq!(default("priority"), account);
    let made = console();
    assert_eq!(default("weight"), json!(made.weight));
    assert_eq!(default("enabled"), json!(made.enabled));
    assert_eq!(default("schedulable"), json!(made.schedulable));
    assert_eq!(default("client_gone"), json!(made.client_gone));
}

#[test]
fn every_fault_is_told_at_once() {
    let faults = create(json!({
        "name": " ", "type": "bedrock", "base_url": "ftp://x", "credentials": {}, "options": {}, "priority": 101,
        "weight": 0, "concurrency": 4_000_000_000_u32, "model_mapping": {"a": "b*"}, "allowed_models": [""],
        "description": "\u{0}", "tags": [""], "expires_at": 0,
    }));
    assert_eq!(
        faults.unwrap_err(),
        [
            "name",
            "base_url",
            "options.region",
            "credentials.access_key_id",
            "credentials.secret_access_key",
            "priority",
            "weight",
            "concurrency",
            "model_mapping.a",
            "allowed_models[0]",
            "description",
            "tags[0]",
            "expires_at",
        ]
    );
    assert_eq!(create(json!({})).unwrap_err(), ["type"]);
    assert_eq!(create(json!({"type": "ccr"})).unwrap_err(), ["name", "credentials", "base_url"]);
}

#[test]
fn private_base_urls_need_the_operator_s_word() {
    let input = json!({
        "name": "n", "type": "ccr", "base_url": "http://127.0.0.1:3456", "credentials": {"api_key": "k"},
    });
    assert_eq!(create_with(input.clone(), false).unwrap_err(), ["base_url"]);
    assert_eq!(create_with(input, true).unwrap().base_url.as_deref(), Some("http://127.0.0.1:3456"));
}

#[test]
fn a_change_keeps_what_it_does_not_name() {
    let account = console();
    assert_eq!(update(&account, json!({})).unwrap(), account);
    let changed =
        update(&account, json!({"priority": 1, "base_url": "https://api.anthropic.com/x/"})).unwrap();
    let base_url = Some("https://api.anthropic.com/x".to_owned());
    assert_eq!(changed, Account { priority: 1, base_url, updated_at: LATER, ..account.clone() });
    let cleared = update(&changed, json!({"priority": null, "base_url": null})).unwrap();
    assert_eq!(cleared, Account { updated_at: LATER, ..account.clone() });
    assert_eq!(
        update(&account, json!({"name": null, "credentials": null})).unwrap_err(),
        ["name", "credentials"]
    );
}

#[test]
fn a_type_never_changes() {
    let account = console();
    assert_eq!(update(&account, json!({"type": "ccr"})).unwrap_err(), ["type"]);
    assert!(update(&account, json!({"type": "claude-console"})).is_ok());
}

#[test]
fn what_is_reached_otherwise_is_no_longer_invalid() {
    let invalid = Some(Invalid { reason: "unauthorized".to_owned(), detail: String::new(), at: NOW });
    let account = Account { invalid, ..console() };
    assert!(update(&account, json!({"priority": 1})).unwrap().invalid.is_some());
    assert!(update(&account, json!({"credentials": {"api_key": "sk-new"}})).unwrap().invalid.is_none());
    assert!(update(&account, json!({"base_url": "https://api.anthropic.com/x"})).unwrap().invalid.is_none());
}

#[test]
fn a_credential_that_is_given_again_is_no_other_one() {
    let account = console();
    let same = || json!({"credentials": {"api_key": "sk-ant-0123456789"}});
    assert_eq!(update(&account, same()).unwrap(), account);
    let invalid = Some(Invalid { reason: "unauthorized".to_owned(), detail: String::new(), at: NOW });
    let tried_again = update(&Account { invalid, ..account.clone() }, same()).unwrap();
    assert_eq!(tried_again, Account { updated_at: LATER, ..account.clone() });
    let unreadable =
        StoredCredential { sealed: b"of another key".to_vec().into(), ..account.credential.clone() };
    let unreadable = Account { credential: unreadable, ..account };
    assert_ne!(update(&unreadable, same()).unwrap().credential, unreadable.credential);
}

#[test]
fn a_credential_opens_in_its_account_only() {
    let account = console();
    let Credential::ApiKey { api_key } = account.open_credential(&sealer()).unwrap() else {
        panic!("another form")
    };
    assert_eq!(api_key.expose(), "sk-ant-0123456789");
    assert_eq!(account.credential.hint.as_deref(), Some("6789"));
    let moved = Account { id: AccountId::new(NOW), ..account };
    assert_eq!(moved.open_credential(&sealer()).unwrap_err(), SealError::Tampered);
    assert!(!format!("{moved:?}").contains("0123456789"));
}

#[test]
fn rows_of_a_later_release_are_corrupt_and_say_where() {
    let row = console().to_row().unwrap();
    for (broken, place) in [
        (AccountRow { account_type: "quantum".to_owned(), ..row.clone() }, "account_type"),
        (AccountRow { credential_kind: "x".to_owned(), ..row.clone() }, "credential_kind"),
        (AccountRow { options: "{\"new\":1}".to_owned(), ..row.clone() }, "options"),
        (AccountRow { priority: -1, ..row.clone() }, "priority"),
        (AccountRow { model_mapping: "{}".to_owned(), ..row }, "model_mapping"),
    ] {
        let error = Account::from_row(&broken).unwrap_err().to_string();
        assert!(error.contains(place), "{error}");
    }
}

proptest! {
    #[test]
    fn what_is_stored_reads_back_the_same(
        name in "[a-z]{1,100}", priority in 1..=100_u32, weight in 1..=1000_u32, concurrency: Option<u16>,
        mapping in proptest::collection::btree_map("[a-z*]{1,9}", "[a-z]{1,9}", 0..4),
        allowed in proptest::collection::vec("[a-z*]{1,9}", 0..4), enabled: bool, schedulable: bool,
        tags in proptest::collection::vec("[a-z]{1,9}", 0..4), expires_at in proptest::option::of(1..1_000_000_i64),
    ) {
        let account = create(json!({
            "name": name, "type": "gemini", "credentials": {"access_token": "ya29.x"}, "priority": priority,
            "weight": weight, "concurrency": concurrency, "model_mapping": mapping, "allowed_models": allowed,
            "enabled": enabled, "schedulable": schedulable, "tags": tags, "expires_at": expires_at,
            "client_gone": "cancel",
        })).unwrap();
        prop_assert_eq!(Account::from_row(&account.to_row().unwrap()).unwrap(), account);
    }
}

#[test]
fn a_credential_goes_to_no_other_origin_than_it_was_given_for() {
    let credentials = || json!({"api_key": "sk-2"});
    let own =
        create(json!({"name": "n", "type": "claude-console", "credentials": {"api_key": "k"}})).unwrap();
    let azure = json!({
        "name": "n", "type": "azure-openai", "credentials": {"api_key": "k"}, "base_url": "https://a.openai.azure.com",
        "options": {"api_version": "v1"},
    });
    let azure = create(azure).unwrap();
    for (account, elsewhere) in [
        (&own, json!("https://listener.example.com")),
        (&own, json!("https://api.anthropic.com:8443")),
        (&azure, json!("https://b.openai.azure.com")),
    ] {
        let kept = update(account, json!({"base_url": elsewhere}));
        assert_eq!(kept.unwrap_err(), ["credentials"], "{elsewhere}");
        let given = update(account, json!({"base_url": elsewhere, "credentials": credentials()})).unwrap();
        assert_ne!(given.credential, account.credential);
        // What was given for a listener does not follow the account back either.
        let back = update(&given, json!({"base_url": account.base_url}));
        assert_eq!(back.unwrap_err(), ["credentials"], "{elsewhere}");
    }
    for (account, same) in [
        (&own, json!("https://api.anthropic.com/")),
        (&own, json!(null)),
        (&azure, json!("https://a.openai.azure.com/path")),
    ] {
        let kept = update(account, json!({"base_url": same})).unwrap();
        assert_eq!(kept.credential, account.credential, "{same}");
    }
}
