//! Pages and filters of lists.

use proto::v1::HeartbeatRequest;
use shared::{
    clock::Millis,
    id::{KeyId, UserId},
    money::Ppm,
    secret::{KeyHash, Secret},
    wire::Platform,
};

use super::samples::{self, NOW};
use crate::{
    store::{
        api_keys::{self, ApiKey, KeyFilter},
        groups, mappings,
        models::{self, ModelFilter},
        nodes::{self, NodeFilter},
        routes::{self, RouteFilter},
        test_support::Database,
        users::{self, User, UserFilter},
    },
    words::{key_status::KeyStatus, node_health::NodeHealth, role::Role},
};

pub(super) async fn all(database: &Database) {
    people_are_found_by_name_role_and_enabling(database).await;
    keys_are_found_by_name_prefix_and_status(database).await;
    what_has_a_name_is_found_by_a_part_of_it(database).await;
    nodes_page_by_name_and_are_found_by_health(database).await;
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn people_are_found_by_name_role_and_enabling(database: &Database) {
    let mut tx = database.store.begin().await.unwrap();
    for (name, role, enabled) in [
        ("Listed_One", Role::Viewer, true),
        ("listed-two", Role::Viewer, false),
        ("listed_three", Role::Operator, true),
    ] {
        let user = User {
            id: UserId::new(NOW),
            name: name.to_owned(),
            password_hash: Secret::new("-"),
            role,
            enabled,
            price_rate: Ppm::ONE,
            language: None,
            created_at: NOW,
            updated_at: NOW,
            revision: 1,
        };
        users::insert(&mut tx, &user).await.unwrap();
    }
    let mut found = async |filter: UserFilter, limit| {
        let rows = users::list(&mut tx, &filter, None, limit).await.unwrap();
        let mut names: Vec<_> = rows.into_iter().map(|user| user.name).collect();
        names.sort();
        names
    };
    let listed = || UserFilter { search: text("LISTED"), ..UserFilter::default() };
    assert_eq!(found(listed(), 9).await, ["Listed_One", "listed-two", "listed_three"]);
    assert_eq!(found(listed(), 2).await.len(), 2);
    assert_eq!(
        found(UserFilter { search: text("listed_"), ..listed() }, 9).await,
        ["Listed_One", "listed_three"],
        "_ stands for itself"
    );
    let viewers = || UserFilter { role: Some(Role::Viewer), ..listed() };
    assert_eq!(found(viewers(), 9).await, ["Listed_One", "listed-two"]);
    assert_eq!(found(UserFilter { enabled: Some(false), ..viewers() }, 9).await, ["listed-two"]);
    assert_eq!(found(UserFilter { enabled: Some(true), ..viewers() }, 9).await, ["Listed_One"]);
}

async fn keys_are_found_by_name_prefix_and_status(database: &Database) {
    let (owner, other) = (UserId::new(NOW), UserId::new(NOW));
    let mut tx = database.store.begin().await.unwrap();
    let mut keys = Vec::new();
    for enabled in [true, false] {
        for expires_at in [None, Some(NOW.0 - 1), Some(NOW.0), Some(NOW.0 + 1)] {
            let id = KeyId::new(Millis(NOW.0 + i64::try_from(keys.len()).unwrap()));
            let key = ApiKey {
                id,
                user: owner,
                name: format!("Key {}%", keys.len()),
                hash: KeyHash::of(&id.to_bytes()),
                prefix: format!("sk-Abc00000{}", keys.len()),
                enabled,
                expires_at: expires_at.map(Millis),
                tags: Vec::new(),
                metadata: std::collections::BTreeMap::new(),
                created_at: NOW,
                updated_at: NOW,
                revision: 1,
            };
            api_keys::insert(&mut tx, &key).await.unwrap();
            keys.push(key);
        }
    }
    let mut found = async |filter: KeyFilter, after| {
        let rows = api_keys::list(&mut tx, &filter, after, 99).await.unwrap();
        rows.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    let own = || KeyFilter { user: Some(owner), ..KeyFilter::default() };
    for status in [KeyStatus::Active, KeyStatus::Disabled, KeyStatus::Expired] {
        let of_status = |key: &&ApiKey| KeyStatus::of(key.enabled, key.expires_at, NOW) == status;
        let expected: Vec<_> = keys.iter().filter(of_status).map(|key| key.id).collect();
        assert!(expected.len() >= 2, "{status:?}");
        let filter = KeyFilter { status: Some((status, NOW)), ..own() };
        assert_eq!(found(filter.clone(), None).await, expected, "{status:?}");
        assert_eq!(found(filter, Some(expected[0])).await, expected[1..], "{status:?}");
    }
    assert_eq!(found(KeyFilter { search: text("key 3%"), ..own() }, None).await, [keys[3].id]);
    assert_eq!(found(KeyFilter { search: text("SK-aBC000004"), ..own() }, None).await, [keys[4].id]);
    assert_eq!(found(KeyFilter { search: text("%"), user: Some(other), ..own() }, None).await, []);
    assert_eq!(found(KeyFilter { search: text("sk-abc00000"), ..KeyFilter::default() }, None).await.len(), 8);
}

async fn what_has_a_name_is_found_by_a_part_of_it(database: &Database) {
    let mut tx = database.store.begin().await.unwrap();
    let group = [samples::group("Found by Part")];
    groups::insert(&mut tx, &group[0]).await.unwrap();
    assert_eq!(groups::list(&mut tx, Some("BY PART"), None, 9).await.unwrap(), group);
    assert_eq!(groups::list(&mut tx, Some("BY PART"), Some(group[0].id), 9).await.unwrap(), []);
    assert_eq!(groups::list(&mut tx, Some("by_part"), None, 9).await.unwrap(), []);

    let mapping = [samples::mapping("Found-From")];
    mappings::insert(&mut tx, &mapping[0]).await.unwrap();
    for part in ["found-f", "OPUS-5"] {
        assert_eq!(mappings::list(&mut tx, Some(part), None, 9).await.unwrap(), mapping, "{part}");
    }
    assert_eq!(mappings::list(&mut tx, Some("opus-6"), None, 9).await.unwrap(), []);

    let route = samples::route("Found*");
    routes::insert(&mut tx, &route).await.unwrap();
    let of = |platform, part| RouteFilter { platform, search: text(part) };
    for (filter, expected) in [
        (of(None, "found*"), vec![route.clone()]),
        (of(Some(Platform::Claude), "f"), vec![route.clone()]),
        (of(Some(Platform::Gemini), "f"), vec![]),
        (of(Some(Platform::Claude), "found%"), vec![]),
    ] {
        assert_eq!(routes::list(&mut tx, &filter, None, 9).await.unwrap(), expected, "{filter:?}");
    }

    let mut model = samples::model("found-model-1");
    model.display_name = text("Sought Model");
    models::insert(&mut tx, &model).await.unwrap();
    let of = |platform, part| ModelFilter { platform, search: text(part) };
    for (filter, expected) in [
        (of(None, "FOUND-"), vec![model.clone()]),
        (of(Some(Platform::Claude), "sought"), vec![model.clone()]),
        (of(Some(Platform::OpenAi), "found"), vec![]),
    ] {
        assert_eq!(models::list(&mut tx, &filter, None, 9).await.unwrap(), expected, "{filter:?}");
    }
}

async fn nodes_page_by_name_and_are_found_by_health(database: &Database) {
    let since = Millis(NOW.0 - 10);
    let mut tx = database.store.begin().await.unwrap();
    for (name, heard_at, ready) in [
        ("listed-b", NOW.0, true),
        ("listed-a", NOW.0 - 10, false),
        ("listed-d", NOW.0 - 11, true),
        ("listed-c", NOW.0, true),
    ] {
        let heartbeat = HeartbeatRequest { node_id: name.to_owned(), ready, ..HeartbeatRequest::default() };
        nodes::heard(&mut tx, &heartbeat, Millis(heard_at)).await.unwrap();
    }
    let mut found = async |health: Option<NodeHealth>, after: Option<&str>, limit| {
        let filter = NodeFilter { health: health.map(|health| (health, since)) };
        let rows = nodes::list(&mut tx, filter, after, limit).await.unwrap();
        for row in &rows {
            assert!(health.is_none_or(|health| NodeHealth::of(row.heard_at, row.ready, since) == health));
        }
        rows.into_iter().map(|row| row.node_id).collect::<Vec<_>>()
    };
    assert_eq!(found(None, None, 2).await, ["listed-a", "listed-b"]);
    assert_eq!(found(None, Some("listed-b"), 9).await, ["listed-c", "listed-d"]);
    assert_eq!(found(Some(NodeHealth::Live), None, 9).await, ["listed-b", "listed-c"]);
    assert_eq!(found(Some(NodeHealth::Stopping), None, 9).await, ["listed-a"]);
    assert_eq!(found(Some(NodeHealth::Silent), None, 9).await, ["listed-d"]);
    assert_eq!(found(Some(NodeHealth::Live), Some("listed-b"), 9).await, ["listed-c"]);
}
