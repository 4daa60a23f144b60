//! Every route against every kind of caller, by the table.

use std::collections::BTreeSet;

use http::Method;

use super::*;
use crate::rest::{self, Access, ROUTES, Route};

fn path_of(route: &Route) -> String {
    route.path.replace("{id}", &UserId::new(START).to_string())
}

async fn call(api: &TestApi, route: &Route, token: Option<String>) -> Answer {
    let mut call = api.call(route.method.clone(), path_of(route));
    call.token = token;
    call.send().await
}

#[test]
fn the_table_lists_what_is_served_and_nothing_else() {
    let document: Value = serde_json::from_str(&rest::openapi::document().unwrap()).unwrap();
    let served: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        .collect();
    let listed: BTreeSet<String> = ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method.as_str().to_lowercase(), route.path))
        .collect();
    assert_eq!(listed.len(), ROUTES.len(), "a route is listed twice");
    let missing: Vec<_> = served.symmetric_difference(&listed).collect();
    assert!(missing.is_empty(), "only served or only listed: {missing:#?}");
}

#[test]
fn what_changes_anything_is_never_public_or_a_viewers() {
    for route in ROUTES.iter().filter(|route| route.method != Method::GET) {
        let auth = route.path.starts_with("/api/auth/");
        assert!(auth || route.access != Access::Public, "{} {}", route.method, route.path);
        assert_ne!(route.access, Access::Least(Role::Viewer), "{} {}", route.method, route.path);
        let admin = route.path.starts_with("/api/admin/");
        assert!(!admin || route.access >= Access::Least(Role::Operator), "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn each_role_gets_through_where_the_table_says_so() {
    let api = TestApi::start().await;
    for role in Role::ALL {
        let user = api.person(role.as_str(), role).await;
        for route in ROUTES {
            let token = api.token(user).await;
            let answer = call(&api, route, Some(token)).await;
            let what = format!("{role:?} {} {}: {} {}", route.method, route.path, answer.status, answer.text);
            assert!(!["no_such_route", "method_not_allowed", "internal"].contains(&answer.code()), "{what}");
            match route.access {
                Access::Least(least) if role < least => {
                    assert_eq!(answer.refusal(), (403, "forbidden"), "{what}")
                }
                _ => assert!(
                    ![401, 403].contains(&answer.status.as_u16())
                        || ["registration_disabled", "refresh_invalid"].contains(&answer.code()),
                    "{what}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn who_is_not_signed_in_gets_nothing_but_what_is_public() {
    let api = TestApi::start().await;
    let admin = api.person("admin", Role::Admin).await;
    let disabled = api.person("disabled", Role::Admin).await;
    let deleted = api.person("deleted", Role::Admin).await;
    let (of_disabled, of_deleted) = (api.token(disabled).await, api.token(deleted).await);
    let logged_out = api.token(admin).await;
    api.post("/api/auth/logout").by(&logged_out).send().await.expect(StatusCode::NO_CONTENT);
    let by = api.token(admin).await;
    let path = format!("/api/admin/users/{disabled}");
    let etag = api.get(&path).by(&by).send().await.etag();
    api.put(&path)
        .by(&by)
        .if_match(etag)
        .json(json!({ "enabled": false }))
        .send()
        .await
        .expect(StatusCode::OK);
    api.delete(format!("/api/admin/users/{deleted}")).by(&by).send().await.expect(StatusCode::NO_CONTENT);

    let expired = api.token(admin).await;
    let foreign = crate::domain::tokens::Tokens::new(&[[8; 32]], Duration::from_secs(900)).unwrap();
    let later = api.app.clock.now().plus(Duration::from_secs(900));
    let foreign = foreign.issue(AccessToken { user: admin, session: SessionId::new(later) }, later).unwrap();
    api.app.clock.advance(Duration::from_secs(900));
    // Tokens of these two that have not expired themselves, in logins that would still count.
    let renewed = |user| {
        let session = SessionId::new(later);
        (session, api.app.tokens.issue(AccessToken { user, session }, later).unwrap().expose().to_owned())
    };
    let mut kept = Vec::new();
    for user in [disabled, deleted] {
        let (id, token) = renewed(user);
        let session = Session {
            id,
            user,
            refresh_hash: [1; 32],
            previous: None,
            created_at: later,
            last_used_at: later,
            expires_at: later.plus(Duration::from_secs(60)),
            address: None,
            agent: None,
        };
        let mut tx = api.app.store.begin().await.unwrap();
        sessions::insert(&mut tx, &session).await.unwrap();
        tx.commit().await.unwrap();
        kept.push(token);
    }
    let callers = [
        (None, "not_signed_in"),
        (Some("junk".to_owned()), "token_invalid"),
        (Some(foreign.expose().to_owned()), "token_invalid"),
        (Some(expired), "token_expired"),
        (Some(logged_out), "token_expired"),
        (Some(of_disabled), "token_expired"),
        (Some(of_deleted), "token_expired"),
        (Some(renewed(admin).1), "session_ended"),
        (Some(kept.remove(0)), "session_ended"),
        (Some(kept.remove(0)), "session_ended"),
    ];
    for route in ROUTES {
        for (token, code) in &callers {
            let answer = call(&api, route, token.clone()).await;
            let what = format!("{code} {} {}: {}", route.method, route.path, answer.text);
            match route.access {
                // It asks for its cookie, not for the access token.
                Access::Public if route.path == "/api/auth/refresh" => {
                    assert_eq!(answer.refusal(), (401, "refresh_invalid"), "{what}")
                }
                Access::Public => assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{what}"),
                Access::Least(_) => {
                    assert_eq!(answer.refusal(), (401, *code), "{what}");
                    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer", "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_login_that_was_ended_ends_at_once() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    api.get("/api/profile").by(&token).send().await.expect(StatusCode::OK);
    api.post("/api/auth/logout").by(&token).send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(api.get("/api/profile").by(&token).send().await.refusal(), (401, "session_ended"));
}

#[tokio::test]
async fn a_token_of_one_persons_login_does_not_serve_another() {
    let api = TestApi::start().await;
    let (ann, _) = api.signed_in("ann", Role::User).await;
    let admin = api.person("admin", Role::Admin).await;
    let session = Session {
        id: SessionId::new(START),
        user: ann,
        refresh_hash: [0; 32],
        previous: None,
        created_at: START,
        last_used_at: START,
        expires_at: START.plus(Duration::from_secs(60)),
        address: None,
        agent: None,
    };
    let mut tx = api.app.store.begin().await.unwrap();
    sessions::insert(&mut tx, &session).await.unwrap();
    tx.commit().await.unwrap();
    let mixed = api.app.tokens.issue(AccessToken { user: admin, session: session.id }, START).unwrap();
    assert_eq!(api.get("/api/profile").by(mixed.expose()).send().await.refusal(), (401, "session_ended"));
}

#[tokio::test]
async fn a_role_that_was_taken_away_is_gone_with_the_next_request() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let (ann, token) = api.signed_in("ann", Role::Operator).await;
    api.get("/api/admin/accounts").by(&token).send().await.expect(StatusCode::OK);
    let path = format!("/api/admin/users/{ann}");
    let etag = api.get(&path).by(&admin).send().await.etag();
    api.put(&path)
        .by(&admin)
        .if_match(etag)
        .json(json!({ "role": "user" }))
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(api.get("/api/admin/accounts").by(&token).send().await.refusal(), (403, "forbidden"));
}

#[tokio::test]
async fn what_is_not_a_route_is_a_problem_too() {
    let api = TestApi::start().await;
    let answer = api.get("/api/nothing/here").send().await;
    assert_eq!(answer.refusal(), (404, "no_such_route"));
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(api.delete("/api/auth/login").send().await.refusal(), (405, "method_not_allowed"));
    let head = api.call(Method::HEAD, "/api/profile").send().await;
    assert_eq!(head.status, StatusCode::UNAUTHORIZED);
}
