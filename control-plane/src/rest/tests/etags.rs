//! No change is lost: every PUT wants the ETag of what was read.

use http::Method;

use super::*;
use crate::rest::ROUTES;

#[tokio::test]
async fn every_put_wants_if_match() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    for route in ROUTES.iter().filter(|route| route.method == Method::PUT) {
        let path = route.path.replace("{id}", &UserId::new(START).to_string());
        let answer = api.put(&path).by(&admin).json(json!({})).send().await;
        assert_eq!(answer.refusal(), (428, "if_match_required"), "{path}");
        let answer = api.put(&path).by(&admin).if_match("*").json(json!({})).send().await;
        assert_eq!(answer.refusal(), (412, "stale_revision"), "{path}");
    }
}

/// What can be read at `read` and put at `put`.
struct Case {
    read: String,
    put: String,
    body: Value,
}

async fn cases(api: &TestApi, admin: &str) -> Vec<Case> {
    let (ann, _) = api.signed_in("ann", Role::User).await;
    let key = api.new_key(admin, "laptop").await["id"].as_str().unwrap().to_owned();
    let case = |read: &str, put: &str, body| Case { read: read.to_owned(), put: put.to_owned(), body };
    let (user, key) = (format!("/api/admin/users/{ann}"), format!("/api/api-keys/{key}"));
    let toggle = format!("{key}/toggle");
    vec![
        case("/api/profile", "/api/profile", json!({ "language": "en" })),
        case(
            "/api/profile",
            "/api/profile/password",
            json!({ "current_password": PASSWORD, "new_password": "battery staple" }),
        ),
        case(&user, &user, json!({ "role": "viewer" })),
        case(&key, &key, json!({ "name": "desktop" })),
        case(&key, &toggle, json!({ "enabled": false })),
        case("/api/admin/settings", "/api/admin/settings", json!({ "registration_enabled": true })),
    ]
}

#[tokio::test]
async fn a_change_takes_the_tag_of_the_latest_reading_only() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    for case in cases(&api, &admin).await {
        let read = api.get(&case.read).by(&admin).send().await.expect(StatusCode::OK).etag();
        let put = |tag: &str| api.put(&case.put).by(&admin).if_match(tag).json(case.body.clone()).send();
        assert_eq!(put("\"987654\"").await.refusal(), (412, "stale_revision"), "{}", case.put);
        let written = put(&read).await.expect(StatusCode::OK).etag();
        assert_ne!(written, read, "{}", case.put);
        assert_eq!(put(&read).await.refusal(), (412, "stale_revision"), "{}", case.put);
        assert_eq!(api.get(&case.read).by(&admin).send().await.etag(), written, "{}", case.put);
    }
}

#[tokio::test]
async fn of_two_changes_at_once_one_wins() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let (ann, _) = api.signed_in("ann", Role::User).await;
    let path = format!("/api/admin/users/{ann}");
    let etag = api.get(&path).by(&admin).send().await.etag();
    let put = |role: &str| api.put(&path).by(&admin).if_match(&etag).json(json!({ "role": role })).send();
    let (one, two) = tokio::join!(put("viewer"), put("operator"));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}
