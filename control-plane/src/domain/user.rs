//! People: what their names, languages and price rates may be, and what is written of them.

use serde::Deserialize;
use shared::{clock::Millis, id::UserId, money::Ppm, secret::Secret};
use utoipa::ToSchema;

use super::{fault::Faults, password::Password, patch::Patch};
use crate::{store::users::User, words::role::Role};

const MAX_NAME: usize = 64;
const MAX_LANGUAGE: usize = 16;
/// 1,000 times the price.
const MAX_PRICE_RATE: u32 = 1_000_000_000;

/// What a person signs in with: 1–64 ASCII letters, digits and `. _ - + @`, beginning with a letter or digit. Case
/// matters. Other scripts are kept out, so that no name can pass for another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UserName(String);

/// The text is no [`UserName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must have 1 to {MAX_NAME} letters (a-z, A-Z), digits or . _ - + @, and begin with a letter or digit"
)]
pub struct InvalidUserName;

impl UserName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = InvalidUserName;

    fn try_from(text: String) -> Result<Self, InvalidUserName> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let all = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+@".contains(&byte));
        if first && all && text.len() <= MAX_NAME { Ok(Self(text)) } else { Err(InvalidUserName) }
    }
}

/// A BCP 47 tag such as `en` or `zh-CN`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Language(String);

/// The text is no [`Language`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a language tag such as en or zh-CN")]
pub struct InvalidLanguage;

impl Language {
    /// What is stored after a change.
    #[must_use]
    pub fn patched(present: Option<String>, change: Patch<Self>) -> Option<String> {
        match change {
            Patch::Keep => present,
            Patch::Clear => None,
            Patch::Set(language) => Some(language.0),
        }
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for Language {
    type Error = InvalidLanguage;

    fn try_from(text: String) -> Result<Self, InvalidLanguage> {
        let mut subtags = text.split('-');
        let is_subtag = |subtag: &str| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let language = subtags.next().is_some_and(|first| {
            (2..=3).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        });
        if language && subtags.all(is_subtag) && text.len() <= MAX_LANGUAGE {
            Ok(Self(text))
        } else {
            Err(InvalidLanguage)
        }
    }
}

/// What a person's costs are multiplied with, 0–1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Ppm")]
pub struct PriceRate(pub Ppm);

/// The rate is beyond what a price may be multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 1000")]
pub struct InvalidPriceRate;

impl Default for PriceRate {
    fn default() -> Self {
        Self(Ppm::ONE)
    }
}

impl TryFrom<Ppm> for PriceRate {
    type Error = InvalidPriceRate;

    fn try_from(rate: Ppm) -> Result<Self, InvalidPriceRate> {
        if rate.0 <= MAX_PRICE_RATE { Ok(Self(rate)) } else { Err(InvalidPriceRate) }
    }
}

/// A person to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    #[schema(value_type = String)]
    name: UserName,
    #[schema(value_type = String, format = Password)]
    password: Password,
    role: Role,
    /// Left out: true.
    enabled: Option<bool>,
    /// Left out: `"1"`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    price_rate: PriceRate,
    #[schema(value_type = Option<String>)]
    language: Option<Language>,
}

impl NewUser {
    /// # Errors
    /// It is as good as the name.
    pub fn password(&self) -> Result<&Password, Faults> {
        own_password("password", &self.password, self.name.as_str())
    }

    #[must_use]
    pub fn into_user(self, password_hash: Secret, now: Millis) -> User {
        User {
            id: UserId::new(now),
            name: self.name.into_string(),
            password_hash,
            role: self.role,
            enabled: self.enabled.unwrap_or(true),
            price_rate: self.price_rate.0,
            language: self.language.map(Language::into_string),
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }
}

/// Someone who adds themselves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    #[schema(value_type = String)]
    username: UserName,
    #[schema(value_type = String, format = Password)]
    password: Password,
}

impl RegisterRequest {
    /// # Errors
    /// It is as good as the name.
    pub fn password(&self) -> Result<&Password, Faults> {
        own_password("password", &self.password, self.username.as_str())
    }

    /// With the least role.
    #[must_use]
    pub fn into_user(self, password_hash: Secret, now: Millis) -> User {
        let new = NewUser {
            name: self.username,
            password: self.password,
            role: Role::User,
            enabled: None,
            price_rate: PriceRate::default(),
            language: None,
        };
        new.into_user(password_hash, now)
    }
}

/// What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    #[schema(value_type = Option<String>)]
    name: Option<UserName>,
    /// Ends all the person's logins.
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<Password>,
    role: Option<Role>,
    enabled: Option<bool>,
    #[schema(value_type = Option<String>)]
    price_rate: Option<PriceRate>,
    /// Null: as the browser has it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Patch<Language>,
}

impl UserChange {
    /// What the person is called after the change.
    #[must_use]
    pub fn name<'a>(&'a self, present: &'a str) -> &'a str {
        self.name.as_ref().map_or(present, UserName::as_str)
    }

    /// `password_hash`: of the new password, where there is one.
    #[must_use]
    pub fn apply(self, user: User, password_hash: Option<Secret>, now: Millis) -> User {
        User {
            id: user.id,
            name: self.name.map_or(user.name, UserName::into_string),
            password_hash: password_hash.unwrap_or(user.password_hash),
            role: self.role.unwrap_or(user.role),
            enabled: self.enabled.unwrap_or(user.enabled),
            price_rate: self.price_rate.map_or(user.price_rate, |rate| rate.0),
            language: Language::patched(user.language, self.language),
            created_at: user.created_at,
            updated_at: now,
            revision: user.revision,
        }
    }
}

/// What people change of themselves. What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    /// A language tag such as `en` or `zh-CN`. Null: as the browser has it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Patch<Language>,
}

impl ProfileChange {
    #[must_use]
    pub fn apply(self, user: User, now: Millis) -> User {
        User { language: Language::patched(user.language, self.language), updated_at: now, ..user }
    }
}

/// # Errors
/// It is as good as the name.
pub fn own_password<'a>(field: &str, password: &'a Password, name: &str) -> Result<&'a Password, Faults> {
    let mut faults = Faults::default();
    faults.take(field, password.demand_other_than(name));
    faults.none().map(|()| password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_pass_for_others() {
        for good in ["a", "admin", "ann.lee@example.com", "ci+bot", "0x", &"a".repeat(64)] {
            assert_eq!(UserName::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in
            ["", ".a", "аdmin", "adm\u{200b}in", "a b", "a/b", "<b>", "a\n", "é", "a\u{0}", &"a".repeat(65)]
        {
            assert_eq!(UserName::try_from(bad.to_owned()), Err(InvalidUserName), "{bad:?}");
        }
    }

    #[test]
    fn languages_are_tags() {
        for good in ["en", "zh-CN", "zh-Hans-CN"] {
            assert!(Language::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "e", "zh_CN", "en-", "<b>", "en-aaaaaaaaaaaaaaaa"] {
            assert_eq!(Language::try_from(bad.to_owned()), Err(InvalidLanguage), "{bad}");
        }
    }

    #[test]
    fn price_rates_are_decimal_texts_within_bounds() {
        let rate = |text: &str| serde_json::from_str::<PriceRate>(text);
        assert_eq!(rate("\"0.85\"").unwrap(), PriceRate(Ppm(850_000)));
        assert_eq!(rate("\"1000\"").unwrap(), PriceRate(Ppm(1_000_000_000)));
        for bad in ["\"1000.000001\"", "\"-1\"", "1.5", "\"1e3\""] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
