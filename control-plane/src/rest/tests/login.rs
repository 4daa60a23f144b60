//! Signing in, guessing, registering, changing the password.

use super::*;

const ELSEWHERE: &str = "198.51.100.9";

async fn wrong(api: &TestApi, name: &str, address: &str) -> (u16, String) {
    let answer = api.login(name, "wrong", address).await;
    (answer.status.as_u16(), answer.code().to_owned())
}

async fn wrong_until_throttled(api: &TestApi, name: &str, address: &str) -> u64 {
    for _ in 0..20 {
        let answer = api.login(name, "wrong", address).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return answer.retry_after();
        }
    }
    panic!("{name} from {address} is never throttled");
}

#[tokio::test]
async fn a_login_gives_what_the_next_requests_need() {
    let api = TestApi::start().await;
    let ann = api.person("ann", Role::Viewer).await;
    let login = api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
    assert_eq!(login.body["token_type"], "Bearer");
    assert_eq!(login.body["expires_in"], 900);
    assert_eq!(login.body["user"]["id"], ann.to_string());
    assert_eq!(login.body["user"]["name"], "ann");
    assert_eq!(login.body["user"]["role"], "viewer");
    assert_eq!(login.headers[header::CACHE_CONTROL], "no-store");
    let token = login.body["access_token"].as_str().unwrap();
    let profile = api.get("/api/profile").by(token).send().await.expect(StatusCode::OK);
    assert_eq!(profile.body, login.body["user"]);
    assert_eq!(api.audited("auth.login").await, 1);
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_the_same() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let wrong_password = api.login("ann", "wrong", HOME).await;
    assert_eq!(wrong_password.refusal(), (401, "invalid_credentials"));
    for name in ["nobody", "ANN", "ann ", "", "ann\u{0}", "аnn", &"a".repeat(100_000)] {
        let answer = api.login(name, PASSWORD, ELSEWHERE).await;
        assert!(matches!(answer.refusal(), (401, "invalid_credentials")), "{name:.20}: {}", answer.text);
        assert_eq!(answer.body, wrong_password.body, "{name:.20}");
        api.app.clock.advance(Duration::from_secs(3600));
    }
}

#[tokio::test]
async fn that_a_user_is_disabled_is_told_only_to_who_has_the_password() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let ann = api.person("ann", Role::User).await;
    let path = format!("/api/admin/users/{ann}");
    let etag = api.get(&path).by(&admin).send().await.etag();
    api.put(&path)
        .by(&admin)
        .if_match(etag)
        .json(json!({ "enabled": false }))
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(api.login("ann", "wrong", HOME).await.refusal(), (401, "invalid_credentials"));
    assert_eq!(api.login("ann", PASSWORD, HOME).await.refusal(), (403, "user_disabled"));
}

#[tokio::test]
async fn guessing_gets_slower_and_slower_and_starts_anew_after_a_rest() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    for _ in 0..5 {
        assert_eq!(wrong(&api, "ann", HOME).await, (401, "invalid_credentials".to_owned()));
    }
    let mut waits = Vec::new();
    for _ in 0..12 {
        let refused = api.login("ann", PASSWORD, HOME).await;
        assert_eq!(
            refused.refusal(),
            (429, "too_many_attempts"),
            "the right password is not looked at either"
        );
        waits.push(refused.retry_after());
        api.app.clock.advance(Duration::from_secs(refused.retry_after()));
        assert_eq!(wrong(&api, "ann", HOME).await.0, 401);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    api.app.clock.advance(Duration::from_secs(3600));
    for _ in 0..5 {
        assert_eq!(wrong(&api, "ann", HOME).await.0, 401);
    }
    assert_eq!(wrong(&api, "ann", HOME).await.0, 429);
}

#[tokio::test]
async fn the_right_password_clears_the_count() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(wrong(&api, "ann", HOME).await.0, 401);
        }
        api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn guesses_from_one_address_lock_nobody_out_elsewhere() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    wrong_until_throttled(&api, "ann", ELSEWHERE).await;
    api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
    // Another name from the guesser's address is not held either.
    api.person("bob", Role::User).await;
    api.login("bob", PASSWORD, ELSEWHERE).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_address_that_tries_many_names_is_held_but_those_it_is_known_for() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    api.person("bob", Role::User).await;
    api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
    for n in 0..50 {
        assert_eq!(wrong(&api, &format!("name{n}"), HOME).await.0, 401, "{n}");
    }
    assert_eq!(wrong(&api, "one-more", HOME).await.0, 429);
    assert_eq!(api.login("bob", PASSWORD, HOME).await.status, StatusCode::TOO_MANY_REQUESTS);
    // An own account does not lift what holds the guesser.
    api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
    assert_eq!(wrong(&api, "one-more", HOME).await.0, 429);
    api.login("bob", PASSWORD, ELSEWHERE).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_name_that_is_guessed_from_many_addresses_stays_open_where_it_is_known() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
    for n in 0..25 {
        for _ in 0..4 {
            assert_eq!(wrong(&api, "ann", &format!("203.0.113.{n}")).await.0, 401, "{n}");
        }
    }
    assert_eq!(wrong(&api, "ann", "203.0.113.200").await.0, 429);
    api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn many_guesses_at_once_are_no_more_than_one_after_another() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let guesses = (0..20).map(|_| api.login("ann", "wrong", HOME));
    let answers = futures_util::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|answer| answer.status == StatusCode::UNAUTHORIZED).count();
    let refused = answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).count();
    assert_eq!((looked_at, refused), (5, 15));
}

#[tokio::test]
async fn registration_is_off_until_an_admin_allows_it() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let register = |name: &str| {
        let body = json!({ "username": name, "password": "battery staple" });
        api.post("/api/auth/register").json(body).send()
    };
    assert_eq!(register("bob").await.refusal(), (403, "registration_disabled"));
    let etag = api.get("/api/admin/settings").by(&admin).send().await.etag();
    let allow = json!({ "registration_enabled": true });
    api.put("/api/admin/settings").by(&admin).if_match(etag).json(allow).send().await.expect(StatusCode::OK);
    let made = register("bob").await.expect(StatusCode::CREATED);
    assert_eq!(made.body["role"], "user");
    assert_eq!(register("bob").await.refusal(), (409, "conflict"));
    let admin_by_mass = json!({ "username": "eve", "password": "battery staple", "role": "admin" });
    let answer = api.post("/api/auth/register").json(admin_by_mass).send().await;
    assert_eq!((answer.status.as_u16(), &answer.body["errors"][0]["field"]), (422, &json!("role")));
    api.login("bob", "battery staple", HOME).await.expect(StatusCode::OK);
    for name in ["c", "d", "e"] {
        register(name).await.expect(StatusCode::CREATED);
    }
    assert_eq!(register("f").await.refusal(), (429, "too_many_attempts"));
}

#[tokio::test]
async fn a_new_password_ends_all_other_logins() {
    let api = TestApi::start().await;
    let (ann, here) = api.signed_in("ann", Role::User).await;
    let there = api.token(ann).await;
    let etag = api.get("/api/profile").by(&here).send().await.etag();
    let change = |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        api.put("/api/profile/password").by(&here).if_match(&etag).json(body).send()
    };
    let wrong = change("wrong", "battery staple").await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["errors"][0]["field"]), (422, &json!("current_password")));
    let short = change(PASSWORD, "short").await;
    assert_eq!((short.status.as_u16(), &short.body["errors"][0]["field"]), (422, &json!("new_password")));
    change(PASSWORD, "battery staple").await.expect(StatusCode::OK);
    api.get("/api/profile").by(&here).send().await.expect(StatusCode::OK);
    assert_eq!(api.get("/api/profile").by(&there).send().await.refusal(), (401, "session_ended"));
    assert_eq!(api.login("ann", PASSWORD, HOME).await.status, StatusCode::UNAUTHORIZED);
    api.login("ann", "battery staple", HOME).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn who_took_over_a_login_cannot_guess_the_password_with_it() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let etag = api.get("/api/profile").by(&token).send().await.etag();
    let mut codes = Vec::new();
    for n in 0..6 {
        let body = json!({ "current_password": format!("guess {n}"), "new_password": "battery staple" });
        let call = api.put("/api/profile/password").by(&token).if_match(&etag).json(body);
        codes.push(call.from(&format!("203.0.113.{n}")).send().await.status.as_u16());
    }
    assert_eq!(codes, [422, 422, 422, 422, 422, 429]);
}
