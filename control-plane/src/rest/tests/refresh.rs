//! Refresh tokens: each counts once, and a refresh can be made again for a moment.

use std::collections::BTreeSet;

use super::*;
use crate::domain::refresh::{RefreshToken, RefreshTokens, Refreshed, Terms};

async fn login(api: &TestApi) -> (String, String) {
    tokens(&api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK))
}

fn tokens(answer: &Answer) -> (String, String) {
    (answer.body["access_token"].as_str().unwrap().to_owned(), answer.cookie(REFRESH))
}

async fn refresh(api: &TestApi, token: &str) -> Answer {
    api.refresh(token).await
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
async fn on_sqlite() {
    made_again(&TestApi::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_mariadb() {
    made_again(&TestApi::on(test_support::mariadb().await)).await;
}

/// What holds of refreshes that are made again, on each database.
async fn made_again(api: &TestApi) {
    api.person("ann", Role::User).await;
    refreshes_at_once_give_one_successor(api).await;
    a_refresh_whose_answer_was_lost_can_be_made_again(api).await;
    a_token_that_comes_late_ends_its_login_only(api).await;
    a_token_two_steps_back_ends_the_login_at_once(api).await;
    another_master_key_ends_no_login(api).await;
}

fn grace(api: &TestApi) -> Duration {
    api.app.settings.policy.refresh_grace
}

async fn refreshes_at_once_give_one_successor(api: &TestApi) {
    let (_, token) = login(api).await;
    let answers = futures_util::future::join_all((0..8).map(|_| refresh(api, &token))).await;
    let mut successors = BTreeSet::new();
    for answer in answers {
        let (access, successor) = tokens(&answer.expect(StatusCode::OK));
        api.get("/api/profile").by(&access).send().await.expect(StatusCode::OK);
        successors.insert(successor);
    }
    assert_eq!(successors.len(), 1, "{successors:?}");
    refresh(api, &successors.pop_first().unwrap()).await.expect(StatusCode::OK);
}

async fn a_refresh_whose_answer_was_lost_can_be_made_again(api: &TestApi) {
    let (_, first) = login(api).await;
    let (_, second) = tokens(&refresh(api, &first).await.expect(StatusCode::OK));
    api.app.clock.advance(grace(api) - Duration::from_millis(1));
    let (access, again) = tokens(&refresh(api, &first).await.expect(StatusCode::OK));
    assert_eq!(again, second);
    api.get("/api/profile").by(&access).send().await.expect(StatusCode::OK);
    refresh(api, &second).await.expect(StatusCode::OK);
}

async fn a_token_that_comes_late_ends_its_login_only(api: &TestApi) {
    let revoked = api.audited("auth.revoke").await;
    let (other_access, _) = login(api).await;
    let (_, first) = login(api).await;
    let (access, second) = tokens(&refresh(api, &first).await.expect(StatusCode::OK));
    api.app.clock.advance(grace(api));
    assert_eq!(refresh(api, &first).await.refusal(), (401, "refresh_reused"));
    assert_eq!(
        refresh(api, &second).await.refusal(),
        (401, "refresh_invalid"),
        "whoever has the newer one is out too"
    );
    assert_eq!(api.get("/api/profile").by(&access).send().await.refusal(), (401, "session_ended"));
    api.get("/api/profile").by(&other_access).send().await.expect(StatusCode::OK);
    assert_eq!(api.audited("auth.revoke").await, revoked + 1);
}

async fn a_token_two_steps_back_ends_the_login_at_once(api: &TestApi) {
    let (_, first) = login(api).await;
    let (_, second) = tokens(&refresh(api, &first).await.expect(StatusCode::OK));
    let (_, third) = tokens(&refresh(api, &second).await.expect(StatusCode::OK));
    assert_eq!(tokens(&refresh(api, &second).await.expect(StatusCode::OK)).1, third);
    assert_eq!(refresh(api, &first).await.refusal(), (401, "refresh_reused"));
    assert_eq!(refresh(api, &third).await.refusal(), (401, "refresh_invalid"));
}

async fn another_master_key_ends_no_login(api: &TestApi) {
    let (_, first) = login(api).await;
    let (_, second) = tokens(&refresh(api, &first).await.expect(StatusCode::OK));
    let (old, new) = ([7; 32], [8; 32]);
    let with = async |keys: &[[u8; 32]]| {
        let minute = Duration::from_secs(60);
        let tokens = RefreshTokens::new(keys, Terms { grace: grace(api), idle: minute, max_age: minute });
        let first = RefreshToken::parse(&Secret::new(first.as_str())).unwrap();
        let mut tx = api.app.store.begin().await.unwrap();
        let now = api.app.clock.now();
        let refreshed = tokens.refresh(&mut tx, &first, now, now).await.unwrap();
        tx.commit().await.unwrap();
        refreshed
    };
    let successor = Refreshed::Successor(RefreshToken::parse(&Secret::new(second.as_str())).unwrap());
    assert_eq!(with(&[new]).await, Refreshed::Unknown);
    assert_eq!(with(&[new, old]).await, successor, "a rotation logs nobody out");
    assert_eq!(with(&[old, new]).await, successor);
    refresh(api, &second).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_refresh_token_of_ours_is_refused() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (access, token) = login(&api).await;
    for bad in ["", "junk", &access, &"A".repeat(64), &"A".repeat(100_000), &format!("{token}=")] {
        assert_eq!(refresh(&api, bad).await.refusal(), (401, "refresh_invalid"), "{bad:.20}");
    }
    let in_a_body = api.post("/api/auth/refresh").json(json!({ "refresh_token": token }));
    assert_eq!(in_a_body.send().await.refusal(), (401, "refresh_invalid"), "it counts in the cookie only");
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
