//! Access tokens: short JWTs that any replica can check, since all derive the key from the master key.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use shared::{
    clock::Millis,
    id::{SessionId, UserId},
    secret::Secret,
};

use crate::secrets;

/// Keeps keys for other purposes apart from this one.
const PURPOSE: &[u8] = b"switchyard access token v1";
const ISSUER: &str = "switchyard";

/// Signs and checks access tokens. What a token names is looked up for each request all the same.
#[derive(Clone)]
pub struct Tokens {
    lifetime: Duration,
    sign: EncodingKey,
    check: Vec<DecodingKey>,
}

/// What an access token says: who, and in which login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessToken {
    pub user: UserId,
    pub session: SessionId,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    sid: SessionId,
    /// Seconds since 1970, as JWTs have it.
    iat: i64,
    exp: i64,
}

/// Why an access token was refused, or none could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the access token is not one of ours")]
    Invalid,
    #[error("the access token has expired")]
    Expired,
    #[error("no access token could be signed")]
    Signing,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens([redacted])")
    }
}

impl Tokens {
    /// `master_keys`: the current one first; tokens of the others are still taken, so that a rotation logs nobody out.
    ///
    /// # Errors
    /// There is no key.
    pub fn new<'a>(
        master_keys: impl IntoIterator<Item = &'a [u8; 32]>,
        lifetime: Duration,
    ) -> Result<Self, TokenError> {
        let keys: Vec<_> = master_keys.into_iter().map(|key| secrets::derive(key, PURPOSE)).collect();
        let first = keys.first().ok_or(TokenError::Signing)?;
        let sign = EncodingKey::from_secret(first.as_slice());
        let check = keys.iter().map(|key| DecodingKey::from_secret(key.as_slice())).collect();
        Ok(Self { lifetime, sign, check })
    }

    /// How long an access token is good for.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// # Errors
    /// `Signing`; it does not happen with a key of this form.
    pub fn issue(&self, token: AccessToken, now: Millis) -> Result<Secret, TokenError> {
        let iat = now.0.div_euclid(1000);
        let exp = now.plus(self.lifetime).0.div_euclid(1000);
        let claims = Claims { iss: ISSUER.to_owned(), sub: token.user, sid: token.session, iat, exp };
        let jwt = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign);
        jwt.map(Secret::new).map_err(|_| TokenError::Signing)
    }

    /// # Errors
    /// `Invalid` or `Expired`.
    pub fn check(&self, jwt: &str, now: Millis) -> Result<AccessToken, TokenError> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_required_spec_claims(&["exp", "iss", "sub"]);
        // The library asks the system for the time; ours is passed in.
        rules.validate_exp = false;
        let claims = self
            .check
            .iter()
            .find_map(|key| jsonwebtoken::decode::<Claims>(jwt, key, &rules).ok())
            .ok_or(TokenError::Invalid)?
            .claims;
        if now.0.div_euclid(1000) >= claims.exp {
            return Err(TokenError::Expired);
        }
        Ok(AccessToken { user: claims.sub, session: claims.sid })
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(900);
    const NOW: Millis = Millis(1_700_000_000_000);

    fn tokens(keys: &[[u8; 32]]) -> Tokens {
        Tokens::new(keys, LIFETIME).unwrap()
    }

    fn token() -> AccessToken {
        AccessToken { user: UserId::new(NOW), session: SessionId::new(NOW) }
    }

    #[test]
    fn replicas_with_the_same_master_key_take_each_others_tokens() {
        let (one, two) = (tokens(&[[7; 32]]), tokens(&[[7; 32]]));
        let token = token();
        assert_eq!(two.check(one.issue(token, NOW).unwrap().expose(), NOW), Ok(token));
    }

    #[test]
    fn a_rotated_master_key_still_counts_and_a_foreign_one_does_not() {
        let (old, new) = ([1_u8; 32], [2_u8; 32]);
        let jwt = tokens(&[old]).issue(token(), NOW).unwrap();
        assert!(tokens(&[new, old]).check(jwt.expose(), NOW).is_ok());
        assert_eq!(tokens(&[new]).check(jwt.expose(), NOW), Err(TokenError::Invalid));
    }

    #[test]
    fn it_ends_by_the_clock_that_is_passed_in() {
        let tokens = tokens(&[[7; 32]]);
        let jwt = tokens.issue(token(), NOW).unwrap();
        let last = NOW.plus(LIFETIME - Duration::from_secs(1));
        assert!(tokens.check(jwt.expose(), last).is_ok());
        assert_eq!(tokens.check(jwt.expose(), NOW.plus(LIFETIME)), Err(TokenError::Expired));
    }

    #[test]
    fn other_algorithms_and_altered_claims_are_refused() {
        let tokens = tokens(&[[7; 32]]);
        let jwt = tokens.issue(token(), NOW).unwrap();
        let mut parts: Vec<_> = jwt.expose().split('.').map(ToOwned::to_owned).collect();
        let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#), parts[1]);
        assert_eq!(tokens.check(&unsigned, NOW), Err(TokenError::Invalid));
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
        parts[1] = URL_SAFE_NO_PAD.encode(claims.replace("\"exp\":17", "\"exp\":99"));
        assert_eq!(tokens.check(&parts.join("."), NOW), Err(TokenError::Invalid));
        assert!(!format!("{tokens:?}").contains('7'));
    }
}
