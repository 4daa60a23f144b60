//! What must not be readable is not in any answer.

use http::Method;

use super::*;
use crate::rest::{self, ROUTES};

#[tokio::test]
async fn no_reading_shows_a_password_a_hash_or_a_token() {
    let api = TestApi::start().await;
    let admin = api.person("admin", Role::Admin).await;
    let login = api.login("admin", PASSWORD, HOME).await.expect(StatusCode::OK);
    let token = login.body["access_token"].as_str().unwrap().to_owned();
    let (refresh, browser) = (login.cookie(REFRESH), login.cookie(BROWSER));
    let key = api.new_key(&token, "laptop").await;
    let (ann, _) = api.signed_in("ann", Role::User).await;
    let put = api.put(format!("/api/admin/users/{ann}")).by(&token).if_match("\"1\"");
    put.json(json!({ "password": "battery staple" })).send().await.expect(StatusCode::OK);
    let hash = api.password_hash.expose();
    let key_secret = &key["key"].as_str().unwrap()[12..];
    let secrets = [PASSWORD, "battery staple", "$argon2", hash, &refresh, &browser, &token, key_secret];
    for route in ROUTES.iter().filter(|route| route.method == Method::GET) {
        for id in [key["id"].as_str().unwrap().to_owned(), admin.to_string()] {
            let answer = api.get(route.path.replace("{id}", &id)).by(&token).send().await;
            for secret in secrets {
                assert!(!answer.text.contains(secret), "{} shows {secret}: {}", route.path, answer.text);
            }
        }
    }
}

#[tokio::test]
async fn answers_are_not_kept_by_caches_and_not_guessed_at() {
    let api = TestApi::start().await;
    for path in ["/api/openapi.json", "/api/profile", "/api/nothing"] {
        let answer = api.get(path).send().await;
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{path}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert!(answer.headers.contains_key(header::CONTENT_SECURITY_POLICY), "{path}");
        assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "{path}");
    }
}

#[test]
fn every_operation_in_the_document_says_what_it_answers() {
    let document: Value = serde_json::from_str(&rest::openapi::document().unwrap()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
            assert!(operation["tags"].is_array() && operation["summary"].is_string(), "{method} {path}");
        }
    }
}
