//! Credentials as people send them: the fields say which form it is.

use serde::Deserialize;
use shared::{
    account::{AccountType, Credential, CredentialKind},
    clock::Millis,
    secret::Secret,
};
use utoipa::ToSchema;

use crate::domain::fault::Faults;

/// Access tokens of some providers are long; nothing longer fits a header.
const MAX_BYTES: usize = 8 * 1024;
/// What a key must be longer than to show its end.
const HINT_ABOVE: usize = 16;
const HINT_CHARACTERS: usize = 4;

/// The fields of one form: `api_key`; or `access_token` with `refresh_token` and `expires_at`; or `access_key_id`,
/// `secret_access_key` and `session_token`. Never read back.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialInput {
    /// A key sent as it is; for Bedrock, a bearer token.
    #[schema(value_type = Option<String>, write_only)]
    pub api_key: Option<Secret>,
    #[schema(value_type = Option<String>, write_only)]
    pub access_token: Option<Secret>,
    /// Stays in the control plane.
    #[schema(value_type = Option<String>, write_only)]
    pub refresh_token: Option<Secret>,
    /// When the access token expires, in milliseconds since 1970.
    #[schema(value_type = Option<i64>, write_only)]
    pub expires_at: Option<Millis>,
    #[schema(value_type = Option<String>, write_only)]
    pub access_key_id: Option<Secret>,
    #[schema(value_type = Option<String>, write_only)]
    pub secret_access_key: Option<Secret>,
    /// Only for temporary keys.
    #[schema(value_type = Option<String>, write_only)]
    pub session_token: Option<Secret>,
}

impl CredentialInput {
    /// The credential, in one of the forms that the type takes; faults are noted under `credentials.`.
    pub(super) fn parse(self, kind: AccountType, faults: &mut Faults) -> Option<Credential> {
        let before = faults.0.len();
        let form = self.form(kind);
        for (field, of, given) in self.given() {
            if given && of != form {
                faults.push(format!("credentials.{field}"), "does not belong to this form of credential");
            }
        }
        if !kind.credential_kinds().contains(&form) {
            faults.push("credentials", format!("{kind} takes {}", forms(kind)));
            return None;
        }
        let credential = match form {
            CredentialKind::ApiKey => {
                Credential::ApiKey { api_key: required("api_key", self.api_key, faults)? }
            }
            CredentialKind::Oauth => {
                let access_token = required("access_token", self.access_token, faults);
                let refresh_token = optional("refresh_token", self.refresh_token, faults);
                if self.expires_at.is_some_and(|at| !super::input::is_time(at)) {
                    faults.push("credentials.expires_at", super::input::NO_TIME);
                }
                Credential::Oauth {
                    access_token: access_token?,
                    refresh_token,
                    expires_at_ms: self.expires_at,
                }
            }
            CredentialKind::AwsKeys => {
                let access_key_id = required("access_key_id", self.access_key_id, faults);
                let secret_access_key = required("secret_access_key", self.secret_access_key, faults);
                let session_token = optional("session_token", self.session_token, faults);
                Credential::AwsKeys {
                    access_key_id: access_key_id?,
                    secret_access_key: secret_access_key?,
                    session_token,
                }
            }
        };
        (faults.0.len() == before).then_some(credential)
    }

    /// The form that the fields speak of; without any, the type's usual one.
    fn form(&self, kind: AccountType) -> CredentialKind {
        let given = self.given().into_iter().filter(|(_, _, given)| *given).map(|(_, form, _)| form);
        let usual = kind.credential_kinds().first().copied().unwrap_or(CredentialKind::ApiKey);
        let mut forms: Vec<_> = given.collect();
        // Of several, one that the type takes.
        forms.sort_by_key(|form| !kind.credential_kinds().contains(form));
        forms.first().copied().unwrap_or(usual)
    }

    fn given(&self) -> [(&'static str, CredentialKind, bool); 7] {
        use CredentialKind::{ApiKey, AwsKeys, Oauth};
        [
            ("api_key", ApiKey, self.api_key.is_some()),
            ("access_token", Oauth, self.access_token.is_some()),
            ("refresh_token", Oauth, self.refresh_token.is_some()),
            ("expires_at", Oauth, self.expires_at.is_some()),
            ("access_key_id", AwsKeys, self.access_key_id.is_some()),
            ("secret_access_key", AwsKeys, self.secret_access_key.is_some()),
            ("session_token", AwsKeys, self.session_token.is_some()),
        ]
    }
}

fn forms(kind: AccountType) -> String {
    let names: Vec<_> = kind
        .credential_kinds()
        .iter()
        .map(|form| match form {
            CredentialKind::ApiKey => "an api_key",
            CredentialKind::Oauth => "an access_token",
            CredentialKind::AwsKeys => "an access_key_id with its secret_access_key",
        })
        .collect();
    names.join(", or ")
}

fn required(field: &str, secret: Option<Secret>, faults: &mut Faults) -> Option<Secret> {
    if secret.is_none() {
        faults.push(format!("credentials.{field}"), "is required");
    }
    optional(field, secret, faults)
}

/// What goes into a header must be visible ASCII.
fn optional(field: &str, secret: Option<Secret>, faults: &mut Faults) -> Option<Secret> {
    let secret = secret?;
    let text = secret.expose();
    let message = if text.is_empty() {
        "must not be empty"
    } else if text.len() > MAX_BYTES {
        "is too long"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "must consist of visible ASCII characters, without blanks or line ends"
    } else {
        return Some(secret);
    };
    faults.push(format!("credentials.{field}"), message);
    None
}

/// The end of a long key; for key pairs, of the public half.
pub(super) fn hint(credential: &Credential) -> Option<String> {
    let text = match credential {
        Credential::ApiKey { api_key } => api_key.expose(),
        Credential::AwsKeys { access_key_id, .. } => access_key_id.expose(),
        Credential::Oauth { .. } => return None,
    };
    (text.len() > HINT_ABOVE).then(|| text.chars().skip(text.chars().count() - HINT_CHARACTERS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: AccountType, json: serde_json::Value) -> Result<Credential, Vec<String>> {
        let input: CredentialInput = serde_json::from_value(json).unwrap();
        let mut faults = Faults::default();
        let credential = input.parse(kind, &mut faults);
        assert_eq!(
            credential.is_none(),
            !faults.0.is_empty(),
            "no credential without a fault, and the reverse"
        );
        credential.ok_or_else(|| faults.0.into_iter().map(|fault| fault.field).collect())
    }

    #[test]
    fn each_type_takes_its_forms_and_no_other() {
        let samples = [
            (CredentialKind::ApiKey, serde_json::json!({"api_key": "sk-x"})),
            (
                CredentialKind::Oauth,
                serde_json::json!({"access_token": "at", "refresh_token": "rt", "expires_at": 1}),
            ),
            (CredentialKind::AwsKeys, serde_json::json!({"access_key_id": "AKIA", "secret_access_key": "s"})),
        ];
        for kind in AccountType::ALL {
            for (form, sample) in &samples {
                let parsed = parse(kind, sample.clone());
                if kind.credential_kinds().contains(form) {
                    assert_eq!(parsed.unwrap().kind(), *form, "{kind}");
                } else {
                    assert_eq!(parsed, Err(vec!["credentials".to_owned()]), "{kind} {form:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_missing_or_foreign_is_named() {
        let faults = |kind, json| parse(kind, json).unwrap_err();
        assert_eq!(faults(AccountType::ClaudeConsole, serde_json::json!({})), ["credentials.api_key"]);
        assert_eq!(
            faults(AccountType::Bedrock, serde_json::json!({"session_token": "t"})),
            ["credentials.access_key_id", "credentials.secret_access_key"]
        );
        assert_eq!(
            faults(AccountType::Openai, serde_json::json!({"api_key": "sk-x", "access_token": "t"})),
            ["credentials.access_token"]
        );
        assert_eq!(
            faults(AccountType::ClaudeConsole, serde_json::json!({"api_key": "sk-x", "access_token": "t"})),
            ["credentials.access_token"]
        );
    }

    #[test]
    fn a_secret_fits_a_header() {
        for bad in ["", "a b", "a\n", "a\r\nX-Evil: 1", "é", &"x".repeat(MAX_BYTES + 1)] {
            let faults = parse(AccountType::ClaudeConsole, serde_json::json!({"api_key": bad})).unwrap_err();
            assert_eq!(faults, ["credentials.api_key"], "{bad:?}");
        }
    }

    #[test]
    fn only_long_keys_show_their_end() {
        let hint_of = |key: &str| hint(&Credential::ApiKey { api_key: Secret::new(key) });
        assert_eq!(hint_of("0123456789abcdef"), None);
        assert_eq!(hint_of("0123456789abcdefg").as_deref(), Some("defg"));
    }
}
