//! People and their roles.

use proto::v1::ResourceKind;

use super::*;

fn new_user(name: &str) -> Value {
    json!({ "name": name, "password": "battery staple", "role": "user" })
}

#[tokio::test]
async fn an_admin_adds_changes_and_deletes_people() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let before = api.version().await;
    let made = api
        .post("/api/admin/users")
        .by(&admin)
        .json(new_user("bob"))
        .send()
        .await
        .expect(StatusCode::CREATED);
    assert_eq!((&made.body["price_rate"], &made.body["enabled"]), (&json!("1"), &json!(true)));
    let id: UserId = made.body["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/api/admin/users/{id}");
    assert_eq!(api.get(&path).by(&admin).send().await.etag(), made.etag());
    let change = json!({ "name": "rob", "role": "operator", "price_rate": "0.85", "language": "zh-CN" });
    let put =
        api.put(&path).by(&admin).if_match(made.etag()).json(change).send().await.expect(StatusCode::OK);
    assert_eq!(put.body["name"], "rob");
    assert_eq!(put.body["price_rate"], "0.85");
    assert_eq!(put.body["language"], "zh-CN");
    let clear = json!({ "language": null });
    let put = api.put(&path).by(&admin).if_match(put.etag()).json(clear).send().await.expect(StatusCode::OK);
    assert_eq!((&put.body["language"], &put.body["price_rate"]), (&Value::Null, &json!("0.85")));
    assert_eq!(api.changes_since(before).await, [(ResourceKind::User, id.to_bytes(), false)]);
    api.delete(&path).by(&admin).send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(api.get(&path).by(&admin).send().await.refusal(), (404, "not_found"));
    assert_eq!(api.delete(&path).by(&admin).send().await.refusal(), (404, "not_found"));
    assert_eq!(api.changes_since(before).await, [(ResourceKind::User, id.to_bytes(), true)]);
    assert_eq!(
        [
            api.audited("user.create").await,
            api.audited("user.update").await,
            api.audited("user.delete").await
        ],
        [1, 2, 1]
    );
}

#[tokio::test]
async fn whoever_goes_takes_keys_and_logins_along() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let key = api.new_key(&token, "laptop").await["id"].as_str().unwrap().to_owned();
    let before = api.version().await;
    api.delete(format!("/api/admin/users/{ann}")).by(&admin).send().await.expect(StatusCode::NO_CONTENT);
    let mut gone = api.changes_since(before).await;
    gone.sort_by_key(|(kind, ..)| i32::from(*kind));
    let key: shared::id::KeyId = key.parse().unwrap();
    assert_eq!(
        gone,
        [(ResourceKind::User, ann.to_bytes(), true), (ResourceKind::ApiKey, key.to_bytes(), true)]
    );
    assert_eq!(api.get(format!("/api/api-keys/{key}")).by(&admin).send().await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/api/profile").by(&token).send().await.refusal(), (401, "session_ended"));
}

#[tokio::test]
async fn admins_do_not_lock_themselves_out() {
    let api = TestApi::start().await;
    let (admin, token) = api.signed_in("admin", Role::Admin).await;
    let path = format!("/api/admin/users/{admin}");
    let etag = api.get(&path).by(&token).send().await.etag();
    for change in
        [json!({ "role": "user" }), json!({ "enabled": false }), json!({ "password": "battery staple" })]
    {
        let answer = api.put(&path).by(&token).if_match(&etag).json(change.clone()).send().await;
        assert_eq!(answer.refusal(), (409, "own_user"), "{change}");
    }
    assert_eq!(api.delete(&path).by(&token).send().await.refusal(), (409, "own_user"));
    let harmless = json!({ "role": "admin", "enabled": true, "price_rate": "2" });
    api.put(&path).by(&token).if_match(&etag).json(harmless).send().await.expect(StatusCode::OK);
}

#[tokio::test]
async fn two_admins_who_remove_each_other_at_once_leave_one() {
    for round in 0..4 {
        let api = TestApi::start().await;
        let (ann, by_ann) = api.signed_in("ann", Role::Admin).await;
        let (bob, by_bob) = api.signed_in("bob", Role::Admin).await;
        let remove = |id: UserId, by: String| {
            let path = format!("/api/admin/users/{id}");
            if round % 2 == 0 {
                api.delete(path).by(by).send()
            } else {
                api.put(path).by(by).if_match("\"1\"").json(json!({ "role": "user" })).send()
            }
        };
        let (one, two) = tokio::join!(remove(bob, by_ann), remove(ann, by_bob));
        let done = [&one, &two].iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(done, 1, "{} {}", one.text, two.text);
        let mut tx = api.app.store.read().await.unwrap();
        let admins = users::all(&mut tx).await.unwrap();
        assert_eq!(admins.iter().filter(|user| user.role == Role::Admin).count(), 1);
    }
}

#[tokio::test]
async fn names_are_unique_by_case_and_plain() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let post = |name: &str| api.post("/api/admin/users").by(&admin).json(new_user(name)).send();
    post("bob").await.expect(StatusCode::CREATED);
    assert_eq!(post("bob").await.refusal(), (409, "conflict"));
    post("Bob").await.expect(StatusCode::CREATED);
    for bad in
        ["", "<script>alert(1)</script>", "аdmin", "a b", "a\u{202e}b", &"x".repeat(65), &"名".repeat(10)]
    {
        let answer = post(bad).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["errors"][0]["field"]),
            (422, &json!("name")),
            "{bad}"
        );
    }
    let (ann, _) = api.signed_in("ann", Role::User).await;
    let taken = api
        .put(format!("/api/admin/users/{ann}"))
        .by(&admin)
        .if_match("\"1\"")
        .json(json!({ "name": "bob" }));
    assert_eq!(taken.send().await.refusal(), (409, "conflict"));
}

#[tokio::test]
async fn fields_that_are_not_for_callers_are_refused() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let (_, user) = api.signed_in("ann", Role::User).await;
    for field in ["id", "password_hash", "revision", "created_at"] {
        let mut body = new_user("eve");
        body[field] = json!("x");
        let answer = api.post("/api/admin/users").by(&admin).json(body).send().await;
        assert_eq!((answer.status.as_u16(), &answer.body["errors"][0]["field"]), (422, &json!(field)));
    }
    for field in ["role", "enabled", "price_rate", "name", "password"] {
        let answer =
            api.put("/api/profile").by(&user).if_match("\"1\"").json(json!({ field: "admin" })).send().await;
        assert_eq!((answer.status.as_u16(), &answer.body["errors"][0]["field"]), (422, &json!(field)));
    }
}

#[tokio::test]
async fn price_rates_are_shown_to_admins_only() {
    let api = TestApi::start().await;
    let ann = api.person("ann", Role::User).await;
    for role in Role::ALL {
        let (_, token) = api.signed_in(role.as_str(), role).await;
        for path in
            ["/api/profile".to_owned(), "/api/admin/users".to_owned(), format!("/api/admin/users/{ann}")]
        {
            let answer = api.get(&path).by(&token).send().await;
            let shown = role == Role::Admin && path != "/api/profile";
            assert_eq!(answer.text.contains("price_rate"), shown, "{role:?} {path} {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_password_that_an_admin_sets_ends_the_logins_of_the_other() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let put = api.put(format!("/api/admin/users/{ann}")).by(&admin).if_match("\"1\"");
    put.json(json!({ "password": "battery staple" })).send().await.expect(StatusCode::OK);
    assert_eq!(api.get("/api/profile").by(&token).send().await.refusal(), (401, "session_ended"));
    api.login("ann", "battery staple", HOME).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn people_are_listed_page_by_page() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    for n in 0..6 {
        api.app.clock.advance(Duration::from_millis(1));
        api.person(&format!("user{n}"), Role::User).await;
    }
    let (mut names, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page =
            api.get(format!("/api/admin/users?{query}")).by(&admin).send().await.expect(StatusCode::OK);
        let users = page.body["users"].as_array().unwrap();
        assert!(users.len() <= 3);
        names.extend(users.iter().map(|user| user["name"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next_cursor"].as_str() else {
            break;
        };
        query = format!("limit=3&cursor={next}");
    }
    assert_eq!(names, ["admin", "user0", "user1", "user2", "user3", "user4", "user5"]);
}

#[tokio::test]
async fn the_first_admin_is_made_once_by_replicas_that_start_together() {
    use crate::ops::first_admin::{FirstAdmin, first_admin};
    let api = TestApi::start().await;
    let make = |password| first_admin(&api.app.store, &api.app.passwords, &api.app.clock, password);
    let (one, two) = tokio::join!(make(None), make(None));
    let (one, two) = (one.unwrap(), two.unwrap());
    let generated: Vec<_> = [one, two]
        .into_iter()
        .filter_map(|done| match done {
            FirstAdmin::Generated(password) => Some(password),
            FirstAdmin::Created | FirstAdmin::NotNeeded => None,
        })
        .collect();
    assert_eq!(generated.len(), 1);
    let login = api.login("admin", generated[0].expose(), HOME).await.expect(StatusCode::OK);
    assert_eq!(login.body["user"]["role"], "admin");
    assert_eq!(make(Some(&Secret::new("battery staple"))).await.unwrap(), FirstAdmin::NotNeeded);
    assert_eq!(api.login("admin", "battery staple", HOME).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_first_admins_password_may_be_given_and_must_be_long_enough() {
    use crate::ops::first_admin::{FirstAdmin, first_admin};
    let api = TestApi::start().await;
    let (short, given) = (Secret::new("short"), Secret::new("battery staple"));
    let refused = first_admin(&api.app.store, &api.app.passwords, &api.app.clock, Some(&short)).await;
    assert!(refused.unwrap_err().to_string().contains("at least 12"));
    let own = Secret::new("admin-2026-01");
    let refused = first_admin(&api.app.store, &api.app.passwords, &api.app.clock, Some(&own)).await;
    assert!(refused.unwrap_err().to_string().contains("name with some digits"));
    let made = first_admin(&api.app.store, &api.app.passwords, &api.app.clock, Some(&given)).await.unwrap();
    assert_eq!(made, FirstAdmin::Created);
    api.login("admin", "battery staple", HOME).await.expect(StatusCode::OK);
}
