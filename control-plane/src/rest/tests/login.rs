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
async fn guesses_from_one_address_never_hold_the_name_elsewhere_however_long_they_go_on() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    for _ in 0..400 {
        let answer = api.login("ann", "wrong", ELSEWHERE).await;
        let wait = if answer.status == StatusCode::TOO_MANY_REQUESTS { answer.retry_after() } else { 0 };
        api.app.clock.advance(Duration::from_secs(wait));
    }
    api.login("ann", "wrong", ELSEWHERE).await;
    api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn who_is_at_the_same_address_as_a_guesser_gets_in_with_a_browser_that_is_known() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    api.person("bob", Role::User).await;
    let by = |name: &str, password: &str, browser: &str| {
        let body = json!({ "username": name, "password": password });
        api.post("/api/auth/login").cookie(BROWSER, browser).json(body).send()
    };
    let browser = api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK).cookie(BROWSER);
    for n in 0..60 {
        wrong(&api, "ann", HOME).await;
        wrong(&api, &format!("name{n}"), HOME).await;
    }
    assert_eq!(api.login("ann", PASSWORD, HOME).await.refusal(), (429, "too_many_attempts"));
    let renewed = by("ann", PASSWORD, &browser).await.expect(StatusCode::OK).cookie(BROWSER);
    // It is of use for that name only, and does not stand for the password.
    assert_eq!(by("bob", PASSWORD, &browser).await.refusal(), (429, "too_many_attempts"));
    assert_eq!(by("ann", "wrong", &renewed).await.refusal(), (401, "invalid_credentials"));
    // Whose login it was lets the guesser go on as before.
    assert_eq!(api.login("ann", PASSWORD, HOME).await.refusal(), (429, "too_many_attempts"));
}

#[tokio::test]
async fn a_known_browser_is_no_way_to_guess_faster() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let browser = api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK).cookie(BROWSER);
    let by = |password: &str, address| {
        let body = json!({ "username": "ann", "password": password });
        api.post("/api/auth/login").from(address).cookie(BROWSER, &browser).json(body).send()
    };
    for n in 0..5 {
        assert_eq!(by("wrong", HOME).await.status, StatusCode::UNAUTHORIZED, "{n}");
    }
    for address in [HOME, ELSEWHERE] {
        assert_eq!(by(PASSWORD, address).await.refusal(), (429, "too_many_attempts"));
    }
    api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_address_that_is_held_is_open_again_within_a_minute() {
    let api = TestApi::start().await;
    api.person("bob", Role::User).await;
    for n in 0..50 {
        assert_eq!(wrong(&api, &format!("name{n}"), HOME).await.0, 401, "{n}");
    }
    for n in 50..70 {
        let held = api.login(&format!("name{n}"), "wrong", HOME).await;
        assert!(held.retry_after() <= 60, "{}", held.retry_after());
        api.app.clock.advance(Duration::from_secs(held.retry_after()));
        assert_eq!(wrong(&api, &format!("name{n}"), HOME).await.0, 401, "{n}");
    }
    api.app.clock.advance(Duration::from_secs(60));
    api.login("bob", PASSWORD, HOME).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn the_audit_log_hears_of_failed_logins_once_a_minute_for_a_name_and_an_address() {
    let api = TestApi::start().await;
    let ann = api.person("ann", Role::User).await;
    for _ in 0..3 {
        wrong(&api, "ann", HOME).await;
    }
    api.app.clock.advance(Duration::from_millis(1));
    wrong(&api, "ann", ELSEWHERE).await;
    let log = api.audit("auth.login_failed").await;
    let seen: Vec<_> = log
        .iter()
        .map(|entry| {
            (entry.address.as_deref().unwrap(), serde_json::from_str::<Value>(&entry.detail).unwrap())
        })
        .collect();
    let detail = json!({ "name": "ann", "reason": "wrong" });
    assert_eq!(seen, [(ELSEWHERE, detail.clone()), (HOME, detail)]);
    assert!(log.iter().all(|entry| entry.actor.is_none() && entry.target_id == Some(ann.to_string())));
    api.app.clock.advance(Duration::from_secs(60));
    wrong(&api, "ann", HOME).await;
    assert_eq!(api.audited("auth.login_failed").await, 3);
    api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
    assert_eq!(api.audited("auth.login_failed").await, 3);
}

#[tokio::test]
async fn what_is_typed_as_a_name_that_there_is_not_is_written_down_nowhere() {
    let api = TestApi::start().await;
    wrong(&api, "my secret password", HOME).await;
    wrong(&api, "my secret password", HOME).await;
    let log = api.audit("auth.login_failed").await;
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].detail.as_str(), log[0].target_id.as_deref()), (r#"{"reason":"wrong"}"#, None));
    assert_eq!((log[0].address.as_deref(), log[0].target_kind.as_str()), (Some(HOME), "user"));
}

#[tokio::test]
async fn logins_are_counted_by_their_outcome() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let bob = api.person("bob", Role::User).await;
    let disable = api.put(format!("/api/admin/users/{bob}")).by(&admin).if_match("\"1\"");
    disable.json(json!({ "enabled": false })).send().await.expect(StatusCode::OK);
    api.login("ann", PASSWORD, HOME).await.expect(StatusCode::OK);
    for _ in 0..2 {
        assert_eq!(api.login("bob", PASSWORD, HOME).await.refusal(), (403, "user_disabled"));
    }
    for _ in 0..5 {
        wrong(&api, "nobody", HOME).await;
    }
    assert_eq!(wrong(&api, "nobody", HOME).await.0, 429);
    let page = api.app.metrics.render();
    for (outcome, count) in [("ok", 1), ("disabled", 2), ("wrong", 5), ("throttled", 1)] {
        let line = format!(r#"switchyard_control_logins_total{{outcome="{outcome}"}} {count}"#);
        assert!(page.contains(&line), "{line}: {page}");
    }
    let log = api.audit("auth.login_failed").await;
    let of_bob = log.iter().filter(|entry| entry.target_id == Some(bob.to_string())).collect::<Vec<_>>();
    assert_eq!(of_bob.len(), 1);
    assert_eq!(of_bob[0].detail, r#"{"name":"bob","reason":"disabled"}"#);
}

#[tokio::test]
async fn a_password_is_no_name_with_digits() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let (ann, token) = api.signed_in("ann.lee", Role::User).await;
    let field = |answer: &Answer| {
        (answer.status.as_u16(), answer.body["errors"][0]["field"].as_str().unwrap_or("").to_owned())
    };
    let refused = |field: &str| (422, field.to_owned());
    let new = json!({ "name": "bob.jones", "password": "Bob.Jones.2026", "role": "user" });
    let made = api.post("/api/admin/users").by(&admin).json(new).send().await;
    assert_eq!(field(&made), refused("password"), "{}", made.text);
    let put = async |body: Value| {
        let path = format!("/api/admin/users/{ann}");
        let etag = api.get(&path).by(&admin).send().await.etag();
        api.put(path).by(&admin).if_match(etag).json(body).send().await
    };
    assert_eq!(field(&put(json!({ "password": "ann.lee-12345" })).await), refused("password"));
    let renamed = json!({ "name": "annabel", "password": "annabel-12345" });
    assert_eq!(field(&put(renamed).await), refused("password"), "by the name that is to be");
    let change = json!({ "current_password": PASSWORD, "new_password": "12345ann.lee!" });
    let changed = api.put("/api/profile/password").by(&token).if_match("\"1\"").json(change).send().await;
    assert_eq!(field(&changed), refused("new_password"), "{}", changed.text);
    assert!(
        changed.body["detail"].as_str().unwrap().contains("words"),
        "it says what to do: {}",
        changed.text
    );
    let change = json!({ "current_password": PASSWORD, "new_password": "password1234" });
    let changed = api.put("/api/profile/password").by(&token).if_match("\"1\"").json(change).send().await;
    assert_eq!(field(&changed), refused("new_password"));
    api.get("/api/profile").by(&token).send().await.expect(StatusCode::OK);
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

#[tokio::test]
async fn whose_login_was_taken_over_can_still_change_the_password_in_another() {
    let api = TestApi::start().await;
    let (ann, stolen) = api.signed_in("ann", Role::User).await;
    let own = api.token(ann).await;
    let etag = api.get("/api/profile").by(&own).send().await.etag();
    let change = |by: &str, current: &str| {
        let body = json!({ "current_password": current, "new_password": "battery staple" });
        api.put("/api/profile/password").by(by).if_match(&etag).json(body).send()
    };
    while change(&stolen, "a guess").await.status != StatusCode::TOO_MANY_REQUESTS {}
    change(&own, PASSWORD).await.expect(StatusCode::OK);
    assert_eq!(api.get("/api/profile").by(&stolen).send().await.refusal(), (401, "session_ended"));
}
