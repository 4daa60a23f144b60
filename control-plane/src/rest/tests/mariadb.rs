//! The same on MariaDB, with many at once: what locks differently there.

use futures_util::future::join_all;

use super::*;

const PEOPLE: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn people_come_work_and_go_all_at_once() {
    let api = TestApi::on(test_support::mariadb().await);
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let lives = (0..PEOPLE).map(|n| life(&api, &admin, format!("user{n}")));
    join_all(lives).await;
    let left = api.get("/api/admin/users").by(&admin).send().await;
    assert_eq!(left.body["users"].as_array().unwrap().len(), 1, "{}", left.text);
    let keys = api.get("/api/api-keys").by(&admin).send().await;
    assert_eq!(keys.body["api_keys"], json!([]));
    for (action, count) in [("user.create", PEOPLE), ("auth.login", PEOPLE), ("api_key.update", PEOPLE)] {
        assert_eq!(api.audited(action).await, count, "{action}");
    }
}

async fn life(api: &TestApi, admin: &str, name: String) {
    let new = json!({ "name": name, "password": "battery staple", "role": "user" });
    let made = api.post("/api/admin/users").by(admin).json(new).send().await.expect(StatusCode::CREATED);
    let path = format!("/api/admin/users/{}", made.body["id"].as_str().unwrap());

    let login = api.login(&name, "battery staple", HOME).await.expect(StatusCode::OK);
    let fresh = api.refresh(&login.cookie(REFRESH)).await.expect(StatusCode::OK);
    let token = fresh.body["access_token"].as_str().unwrap();

    let key = api.new_key(token, "laptop").await;
    let toggle = format!("/api/api-keys/{}/toggle", key["id"].as_str().unwrap());
    api.put(toggle).by(token).if_match("\"1\"").send().await.expect(StatusCode::OK);

    let profile = api.get("/api/profile").by(token).send().await.expect(StatusCode::OK);
    let change = json!({ "current_password": "battery staple", "new_password": "correct staple" });
    let changed =
        api.put("/api/profile/password").by(token).if_match(profile.etag()).json(change).send().await;
    let etag = changed.expect(StatusCode::OK).etag();

    let promote = json!({ "role": "operator", "price_rate": "0.5" });
    api.put(&path).by(admin).if_match(etag).json(promote).send().await.expect(StatusCode::OK);
    let operator = api.get("/api/admin/accounts").by(token).send().await;
    operator.expect(StatusCode::OK);
    api.delete(&path).by(admin).send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(api.get("/api/profile").by(token).send().await.refusal(), (401, "session_ended"));
}
