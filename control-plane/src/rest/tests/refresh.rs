//! Refresh tokens: each counts once.

use super::*;

async fn login(api: &TestApi) -> (String, String) {
    tokens(&api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK))
}

fn tokens(answer: &Answer) -> (String, String) {
    let text = |field: &str| answer.body[field].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn refresh(api: &TestApi, token: &str) -> Answer {
    api.post("/api/auth/refresh").json(json!({ "refresh_token": token })).send().await
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_for_the_same_login() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (_, first) = login(&api).await;
    api.app.clock.advance(Duration::from_secs(1000));
    let (access, second) = tokens(&refresh(&api, &first).await.expect(StatusCode::OK));
    assert_ne!(first, second);
    api.get("/api/profile").by(&access).send().await.expect(StatusCode::OK);
    refresh(&api, &second).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_the_login() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (other_access, _) = login(&api).await;
    let (_, first) = login(&api).await;
    let (access, second) = tokens(&refresh(&api, &first).await.expect(StatusCode::OK));
    assert_eq!(refresh(&api, &first).await.refusal(), (401, "refresh_reused"));
    assert_eq!(
        refresh(&api, &second).await.refusal(),
        (401, "refresh_invalid"),
        "whoever has the newer one is out too"
    );
    assert_eq!(api.get("/api/profile").by(&access).send().await.refusal(), (401, "session_ended"));
    api.get("/api/profile").by(&other_access).send().await.expect(StatusCode::OK);
    assert_eq!(api.audited("auth.revoke").await, 1);
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_is_a_reuse() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (_, token) = login(&api).await;
    let (one, two) = tokio::join!(refresh(&api, &token), refresh(&api, &token));
    let mut codes = [one.refusal(), two.refusal()];
    codes.sort_unstable();
    assert_eq!(codes, [(200, ""), (401, "refresh_reused")]);
}

#[tokio::test]
async fn what_is_no_refresh_token_of_ours_is_refused() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (access, token) = login(&api).await;
    for bad in ["", "junk", &access, &"A".repeat(64), &"A".repeat(100_000), &format!("{token}=")] {
        assert_eq!(refresh(&api, bad).await.refusal(), (401, "refresh_invalid"), "{bad:.20}");
    }
    refresh(&api, &token).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_login_ends_when_it_is_not_used_for_long() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (_, token) = login(&api).await;
    let lifetime = api.app.settings.policy.session_lifetime;
    api.app.clock.advance(lifetime - Duration::from_secs(1));
    let (_, token) = tokens(&refresh(&api, &token).await.expect(StatusCode::OK));
    api.app.clock.advance(lifetime);
    assert_eq!(refresh(&api, &token).await.refusal(), (401, "refresh_invalid"));
}

#[tokio::test]
async fn a_disabled_user_does_not_refresh_and_neither_does_one_who_signed_out() {
    let api = TestApi::start().await;
    let ann = api.person("ann", Role::User).await;
    let (access, token) = login(&api).await;
    api.post("/api/auth/logout").by(&access).send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(refresh(&api, &token).await.refusal(), (401, "refresh_invalid"));
    let (_, token) = login(&api).await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let path = format!("/api/admin/users/{ann}");
    let etag = api.get(&path).by(&admin).send().await.etag();
    api.put(&path)
        .by(&admin)
        .if_match(etag)
        .json(json!({ "enabled": false }))
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(refresh(&api, &token).await.refusal(), (401, "refresh_invalid"));
}

#[tokio::test]
async fn a_person_has_so_many_logins_and_the_oldest_go_first() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (oldest, _) = login(&api).await;
    api.app.clock.advance(Duration::from_secs(1));
    let (second, _) = login(&api).await;
    for _ in 2..=sessions::MAX_SESSIONS {
        api.app.clock.advance(Duration::from_secs(1));
        login(&api).await;
    }
    assert_eq!(api.get("/api/profile").by(&oldest).send().await.refusal(), (401, "session_ended"));
    api.get("/api/profile").by(&second).send().await.expect(StatusCode::OK);
}
