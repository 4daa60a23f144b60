//! Logins as people see them: the cookie, how long they last, how they end.

use super::*;

const PROXY: &str = "10.0.0.1";
const PERSON: &str = "198.51.100.7";

async fn behind_a_proxy() -> TestApi {
    TestApi::start_with(|settings| settings.policy.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()])
        .await
}

fn login<'a>(api: &'a TestApi, name: &str) -> Call<'a> {
    api.post("/api/auth/login").json(json!({ "username": name, "password": PASSWORD }))
}

/// Signs in: the access and the refresh token.
async fn signed_in(api: &TestApi, name: &str) -> (String, String) {
    let answer = login(api, name).send().await.expect(StatusCode::OK);
    (answer.body["access_token"].as_str().unwrap().to_owned(), answer.cookie(REFRESH))
}

async fn is_signed_in(api: &TestApi, access: &str) -> bool {
    api.get("/api/profile").by(access).send().await.status == StatusCode::OK
}

fn is_cleared(answer: &Answer) -> bool {
    answer.set_cookie(REFRESH)
        == Some("switchyard_refresh=; HttpOnly; SameSite=Strict; Path=/api/auth; Max-Age=0")
}

#[tokio::test]
async fn the_refresh_token_is_in_a_cookie_and_in_no_body() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let login = login(&api, "ann").send().await.expect(StatusCode::OK);
    let token = login.cookie(REFRESH);
    assert_eq!(
        login.set_cookie(REFRESH).unwrap(),
        format!("switchyard_refresh={token}; HttpOnly; SameSite=Strict; Path=/api/auth; Max-Age=2592000")
    );
    let refreshed = api.refresh(&token).await.expect(StatusCode::OK);
    for answer in [&login, &refreshed] {
        assert_eq!(answer.body["refresh_token"], Value::Null);
        assert!(!answer.text.contains(&answer.cookie(REFRESH)), "{}", answer.text);
    }
    assert_ne!(refreshed.cookie(REFRESH), token);
    assert_eq!(api.post("/api/auth/refresh").send().await.refusal(), (401, "refresh_invalid"));
}

#[tokio::test]
async fn the_cookie_is_for_tls_only_where_a_trusted_proxy_says_that_there_is_tls() {
    let api = behind_a_proxy().await;
    api.person("ann", Role::User).await;
    for (peer, scheme, secure) in [(PROXY, "https", true), (PROXY, "http", false), (PERSON, "https", false)] {
        let call = login(&api, "ann").from(peer).header("x-forwarded-proto", scheme);
        let login = call.send().await.expect(StatusCode::OK);
        for name in [REFRESH, BROWSER] {
            let cookie = login.set_cookie(name).unwrap();
            assert_eq!(cookie.ends_with("; Secure"), secure, "{peer} {scheme} {cookie}");
        }
    }
}

#[tokio::test]
async fn what_a_page_of_another_site_sends_is_refused_and_does_nothing() {
    let api = behind_a_proxy().await;
    api.person("ann", Role::User).await;
    let (access, token) = signed_in(&api, "ann").await;
    let foreign = [
        [("host", "admin.example"), ("origin", "https://evil.example")],
        [("host", "admin.example"), ("origin", "https://admin.example:8443")],
        [("host", "admin.example"), ("origin", "null")],
        [("host", "admin.example"), ("sec-fetch-site", "cross-site")],
        // The peer is no proxy that is trusted.
        [("x-forwarded-host", "evil.example"), ("origin", "https://evil.example")],
    ];
    for headers in foreign {
        for path in ["/api/auth/refresh", "/api/auth/logout", "/api/auth/login", "/api/auth/register"] {
            let mut call = api.post(path).from(PERSON).cookie(REFRESH, &token);
            for (name, value) in headers {
                call = call.header(name, value);
            }
            let answer = call.json(json!({ "username": "ann", "password": PASSWORD })).send().await;
            assert_eq!(answer.refusal(), (403, "cross_site"), "{path} {headers:?}");
            assert_eq!(answer.set_cookie(REFRESH), None, "{path} {headers:?}");
        }
    }
    assert!(is_signed_in(&api, &access).await);
    api.refresh(&token).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn what_our_own_pages_send_is_taken() {
    let api = behind_a_proxy().await;
    api.person("ann", Role::User).await;
    let (_, mut token) = signed_in(&api, "ann").await;
    for (peer, headers) in [
        (
            HOME,
            vec![
                ("host", "localhost:8081"),
                ("origin", "http://localhost:8081"),
                ("sec-fetch-site", "same-origin"),
            ],
        ),
        (HOME, vec![("host", "admin.example"), ("origin", "https://admin.example")]),
        (
            PROXY,
            vec![
                ("host", "inner:8081"),
                ("origin", "https://admin.example"),
                ("x-forwarded-host", "admin.example"),
            ],
        ),
        (HOME, vec![("sec-fetch-site", "none")]),
    ] {
        let mut call = api.post("/api/auth/refresh").from(peer).cookie(REFRESH, &token);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        token = call.send().await.expect(StatusCode::OK).cookie(REFRESH);
    }
}

#[tokio::test]
async fn a_login_ends_at_its_full_age_however_much_it_is_used() {
    let day = Duration::from_secs(24 * 60 * 60);
    let api = TestApi::start_with(|settings| {
        settings.policy.session_lifetime = 3 * day;
        settings.policy.session_max_age = 7 * day;
    })
    .await;
    api.person("ann", Role::User).await;
    let (_, mut token) = signed_in(&api, "ann").await;
    let mut left = Vec::new();
    for _ in 0..3 {
        api.app.clock.advance(2 * day);
        let answer = api.refresh(&token).await.expect(StatusCode::OK);
        token = answer.cookie(REFRESH);
        let access = answer.body["access_token"].as_str().unwrap();
        let listed = api.get("/api/profile/sessions").by(access).send().await.expect(StatusCode::OK);
        let ends = listed.body["sessions"][0]["expires_at"].as_i64().unwrap() - api.app.clock.now().0;
        let age = format!("Max-Age={}", ends / 1000);
        assert!(answer.set_cookie(REFRESH).unwrap().ends_with(&age), "{age}");
        left.push(Duration::from_millis(u64::try_from(ends).unwrap()));
    }
    assert_eq!(left, [3 * day, 3 * day, day], "whichever ends first");
    api.app.clock.advance(day - Duration::from_secs(1));
    let last = api.refresh(&token).await.expect(StatusCode::OK);
    let access = last.body["access_token"].as_str().unwrap();
    assert!(is_signed_in(&api, access).await);
    api.app.clock.advance(Duration::from_secs(1));
    assert_eq!(api.refresh(&last.cookie(REFRESH)).await.refusal(), (401, "refresh_invalid"));
    assert_eq!(api.get("/api/profile").by(access).send().await.refusal(), (401, "session_ended"));
}

#[tokio::test]
async fn a_full_age_that_was_made_shorter_holds_for_logins_that_there_are() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (access, token) = signed_in(&api, "ann").await;
    let again = api.another(|settings| settings.policy.session_max_age = Duration::from_secs(600)).await;
    again.app.clock.advance(Duration::from_secs(599));
    assert!(is_signed_in(&again, &access).await);
    again.app.clock.advance(Duration::from_secs(1));
    assert!(!is_signed_in(&again, &access).await);
    assert_eq!(again.refresh(&token).await.refusal(), (401, "refresh_invalid"));
}

fn logout(api: &TestApi) -> Call<'_> {
    api.post("/api/auth/logout")
}

#[tokio::test]
async fn signing_out_needs_the_cookie_only() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (access, token) = signed_in(&api, "ann").await;
    let (other, _) = signed_in(&api, "ann").await;
    let done = logout(&api).cookie(REFRESH, &token).send().await.expect(StatusCode::NO_CONTENT);
    assert!(is_cleared(&done), "{:?}", done.headers);
    assert!(!is_signed_in(&api, &access).await);
    assert_eq!(api.refresh(&token).await.refusal(), (401, "refresh_invalid"));
    assert!(is_signed_in(&api, &other).await, "other logins go on");
    assert_eq!(api.audited("auth.logout").await, 1);
}

#[tokio::test]
async fn signing_out_works_when_the_access_token_is_over_and_by_it_alone() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (over, token) = signed_in(&api, "ann").await;
    api.app.clock.advance(Duration::from_secs(1000));
    logout(&api).by(&over).cookie(REFRESH, &token).send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(api.refresh(&token).await.refusal(), (401, "refresh_invalid"));
    let (access, token) = signed_in(&api, "ann").await;
    let done = logout(&api).by(&access).send().await.expect(StatusCode::NO_CONTENT);
    assert!(is_cleared(&done));
    assert_eq!(api.refresh(&token).await.refusal(), (401, "refresh_invalid"));
    assert_eq!(api.audited("auth.logout").await, 2);
}

#[tokio::test]
async fn signing_out_ends_the_logins_of_both_tokens() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    api.person("bob", Role::User).await;
    let (of_ann, _) = signed_in(&api, "ann").await;
    let (of_bob, cookie) = signed_in(&api, "bob").await;
    logout(&api).by(&of_ann).cookie(REFRESH, &cookie).send().await.expect(StatusCode::NO_CONTENT);
    assert!(!is_signed_in(&api, &of_ann).await && !is_signed_in(&api, &of_bob).await);
    assert_eq!(api.audited("auth.logout").await, 2);
}

#[tokio::test]
async fn the_token_before_signs_out_for_a_moment_and_an_older_one_changes_nothing() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    let (access, first) = signed_in(&api, "ann").await;
    let second = api.refresh(&first).await.expect(StatusCode::OK).cookie(REFRESH);
    let third = api.refresh(&second).await.expect(StatusCode::OK).cookie(REFRESH);
    let mut forged = second.clone().into_bytes();
    forged[60] ^= 1;
    for token in [first.as_str(), "", "junk", std::str::from_utf8(&forged).unwrap()] {
        let done = logout(&api).cookie(REFRESH, token).send().await.expect(StatusCode::NO_CONTENT);
        assert!(is_cleared(&done), "{token}");
    }
    let nothing = logout(&api).send().await.expect(StatusCode::NO_CONTENT);
    assert!(is_cleared(&nothing));
    assert!(is_signed_in(&api, &access).await);
    api.app.clock.advance(api.app.settings.policy.refresh_grace);
    logout(&api).cookie(REFRESH, &second).send().await.expect(StatusCode::NO_CONTENT);
    assert!(is_signed_in(&api, &access).await, "the moment is over");
    let fourth = api.refresh(&third).await.expect(StatusCode::OK).cookie(REFRESH);
    assert_eq!(api.audited("auth.logout").await, 0);
    logout(&api).cookie(REFRESH, &third).send().await.expect(StatusCode::NO_CONTENT);
    assert!(!is_signed_in(&api, &access).await);
    assert_eq!(api.refresh(&fourth).await.refusal(), (401, "refresh_invalid"));
    assert_eq!(api.audited("auth.logout").await, 1);
    assert_eq!(api.audited("auth.revoke").await, 0);
}

#[tokio::test]
async fn people_see_their_own_logins() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    api.person("bob", Role::Admin).await;
    signed_in(&api, "bob").await;
    let agent = format!("Mozilla/5.0\t{}", "x".repeat(300));
    let first = login(&api, "ann").from(PERSON).header("user-agent", agent).send().await;
    let first = first.expect(StatusCode::OK).cookie(REFRESH);
    api.app.clock.advance(Duration::from_secs(60));
    let (access, _) = signed_in(&api, "ann").await;
    api.app.clock.advance(Duration::from_secs(60));
    let refreshed = api.refresh(&first).await.expect(StatusCode::OK);
    let listed = api.get("/api/profile/sessions").by(&access).send().await.expect(StatusCode::OK);
    let sessions = listed.body["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{}", listed.text);
    assert!(!listed.text.contains(&refreshed.cookie(REFRESH)));
    let (older, newer) = (&sessions[0], &sessions[1]);
    assert_eq!((&older["created_at"], &older["last_used_at"]), (&json!(START.0), &json!(START.0 + 120_000)));
    assert_eq!(
        older["expires_at"],
        START.0 + 30 * 24 * 3_600_000,
        "30 days since signing in, not since the use"
    );
    assert_eq!((&older["address"], &older["current"]), (&json!(PERSON), &json!(false)));
    let shown = older["agent"].as_str().unwrap();
    assert!(shown.starts_with("Mozilla/5.0xxx") && shown.len() == 200, "{shown}");
    assert_eq!((&newer["address"], &newer["agent"]), (&json!(HOME), &Value::Null));
    assert_eq!((&newer["created_at"], &newer["current"]), (&json!(START.0 + 60_000), &json!(true)));
}

async fn ids(api: &TestApi, access: &str) -> Vec<(String, bool)> {
    let listed = api.get("/api/profile/sessions").by(access).send().await.expect(StatusCode::OK);
    let sessions = listed.body["sessions"].as_array().unwrap().iter();
    sessions.map(|one| (one["id"].as_str().unwrap().to_owned(), one["current"] == true)).collect()
}

#[tokio::test]
async fn a_login_of_ones_own_can_be_ended_and_none_of_others() {
    let api = TestApi::start().await;
    let ann = api.person("ann", Role::User).await;
    api.person("bob", Role::Admin).await;
    let (access, _) = signed_in(&api, "ann").await;
    let (other, _) = signed_in(&api, "ann").await;
    let (of_bob, _) = signed_in(&api, "bob").await;
    let end = |id: &str, by: &str| api.delete(format!("/api/profile/sessions/{id}")).by(by).send();
    let bobs = ids(&api, &of_bob).await.remove(0).0;
    assert_eq!(end(&bobs, &access).await.refusal(), (404, "not_found"));
    assert_eq!(end("junk", &access).await.refusal(), (404, "not_found"));
    assert!(is_signed_in(&api, &of_bob).await);

    let all = ids(&api, &access).await;
    let others = &all.iter().find(|(_, current)| !current).unwrap().0;
    let done = end(others, &access).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(done.set_cookie(REFRESH), None, "the cookie is of the login that stays");
    assert!(!is_signed_in(&api, &other).await && is_signed_in(&api, &access).await);
    assert_eq!(end(others, &access).await.refusal(), (404, "not_found"));
    api.app.clock.advance(Duration::from_millis(1));
    let own = &all.iter().find(|(_, current)| *current).unwrap().0;
    assert!(is_cleared(&end(own, &access).await.expect(StatusCode::NO_CONTENT)));
    assert!(!is_signed_in(&api, &access).await);
    let log = api.audit("session.delete").await;
    assert_eq!(
        log.iter().map(|entry| entry.target_id.as_deref().unwrap()).collect::<Vec<_>>(),
        [own, others]
    );
    let detail: Value = serde_json::from_str(&log[0].detail).unwrap();
    assert_eq!((&detail["before"]["user"], &detail["before"]["address"]), (&json!(ann), &json!(HOME)));
}

#[tokio::test]
async fn one_signs_out_everywhere_at_once() {
    let api = TestApi::start().await;
    api.person("ann", Role::User).await;
    api.person("bob", Role::User).await;
    let (access, token) = signed_in(&api, "ann").await;
    let (other, _) = signed_in(&api, "ann").await;
    let (of_bob, _) = signed_in(&api, "bob").await;
    let done = api.delete("/api/profile/sessions").by(&access).send().await.expect(StatusCode::NO_CONTENT);
    assert!(is_cleared(&done));
    assert!(!is_signed_in(&api, &access).await && !is_signed_in(&api, &other).await);
    assert_eq!(api.refresh(&token).await.refusal(), (401, "refresh_invalid"));
    assert!(is_signed_in(&api, &of_bob).await);
    let log = api.audit("session.delete_all").await;
    assert_eq!(log.len(), 1);
    assert_eq!(
        serde_json::from_str::<Value>(&log[0].detail).unwrap(),
        json!({ "name": "ann", "sessions": 2 })
    );
}

#[tokio::test]
async fn an_admin_ends_all_logins_of_a_person() {
    let api = TestApi::start().await;
    let ann = api.person("ann", Role::User).await;
    let (admin, by) = api.signed_in("admin", Role::Admin).await;
    let (_, operator) = api.signed_in("operator", Role::Operator).await;
    let (access, token) = signed_in(&api, "ann").await;
    let path = format!("/api/admin/users/{ann}/sessions");
    assert_eq!(api.delete(&path).by(&operator).send().await.refusal(), (403, "forbidden"));
    assert!(is_signed_in(&api, &access).await);
    api.delete(&path).by(&by).send().await.expect(StatusCode::NO_CONTENT);
    assert!(!is_signed_in(&api, &access).await && is_signed_in(&api, &by).await);
    assert_eq!(api.refresh(&token).await.refusal(), (401, "refresh_invalid"));
    let nobody = format!("/api/admin/users/{}/sessions", UserId::new(START));
    assert_eq!(api.delete(nobody).by(&by).send().await.refusal(), (404, "not_found"));
    let log = api.audit("session.delete_all").await;
    assert_eq!((log.len(), log[0].target_id.as_deref()), (1, Some(ann.to_string().as_str())));
    assert_eq!(log[0].actor.as_deref(), Some(&admin.to_bytes()[..]));
}
