//! No change is lost: every PUT wants the ETag of what was read.

use std::collections::BTreeSet;

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

/// What can be read at `read` and put at `put`, by this route.
struct Case {
    route: &'static str,
    read: String,
    put: String,
    body: Value,
}

async fn cases(api: &TestApi, admin: &str) -> Vec<Case> {
    let (ann, _) = api.signed_in("ann", Role::User).await;
    let key = api.new_key(admin, "laptop").await["id"].as_str().unwrap().to_owned();
    let made = async |path: &str, body: Value| {
        let made = api.post(path).by(admin).json(body).send().await.expect(StatusCode::CREATED);
        made.body["id"].as_str().unwrap().to_owned()
    };
    let account = json!({ "name": "a", "type": "claude-console", "credentials": { "api_key": "sk-x" } });
    let account = made("/api/admin/accounts", account).await;
    let group = made("/api/admin/account-groups", json!({ "name": "a" })).await;
    let route = made("/api/admin/model-routes", json!({ "pattern": "opus*", "platform": "claude" })).await;
    let mapping = made("/api/admin/model-mappings", json!({ "from": "opus", "to": "opus-5" })).await;
    let change = json!({ "current_password": PASSWORD, "new_password": "battery staple" });
    let (user, settings) = (ann.to_string(), json!({ "registration_enabled": true }));
    [
        ("/api/profile", "", "", json!({ "language": "en" })),
        ("/api/profile", "", "/password", change),
        ("/api/admin/users/{id}", user.as_str(), "", json!({ "role": "viewer" })),
        ("/api/api-keys/{id}", &key, "", json!({ "name": "desktop" })),
        ("/api/api-keys/{id}", &key, "/toggle", json!({ "enabled": false })),
        ("/api/admin/accounts/{id}", &account, "", json!({ "priority": 7 })),
        ("/api/admin/accounts/{id}", &account, "/status", json!({ "status": "invalid" })),
        ("/api/admin/account-groups/{id}", &group, "", json!({ "name": "b" })),
        ("/api/admin/model-routes/{id}", &route, "", json!({ "position": 3 })),
        ("/api/admin/model-mappings/{id}", &mapping, "", json!({ "to": "opus-6" })),
        ("/api/admin/settings", "", "", settings),
    ]
    .map(|(thing, id, more, body)| {
        let read = thing.replace("{id}", id);
        let known = ROUTES.iter().find(|route| route.path == format!("{thing}{more}"));
        Case { route: known.unwrap().path, put: format!("{read}{more}"), read, body }
    })
    .into()
}

/// A PUT that is new has its case here.
#[tokio::test]
async fn every_thing_that_can_be_changed_is_read_with_its_tag() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let cases = cases(&api, &admin).await;
    let put: BTreeSet<_> = cases.iter().map(|case| case.route).collect();
    let routes = |method| ROUTES.iter().filter(move |route| route.method == method).map(|route| route.path);
    assert_eq!(put, routes(Method::PUT).collect());
    for one in routes(Method::GET).filter(|path| path.contains('{')) {
        assert!(put.contains(one), "{one} is of one thing, and has no PUT that its ETag would be for");
    }
    for case in cases {
        let read = api.get(&case.read).by(&admin).send().await.expect(StatusCode::OK);
        assert!(read.headers.contains_key(header::ETAG), "{}", case.read);
    }
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
