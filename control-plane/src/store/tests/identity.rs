//! People, logins, keys, and the count of attempts.

use std::{net::IpAddr, time::Duration};

use futures_util::future::join_all;
use proto::v1::ResourceKind;
use shared::{
    clock::{Clock, Millis},
    id::{KeyId, SessionId, UserId},
    money::Ppm,
    secret::{KeyHash, Secret},
    tasks::Tasks,
};

use super::{foundation::revision, samples::NOW};
use crate::{
    domain::password::Passwords,
    ops::first_admin::{self as bootstrap, FirstAdmin},
    store::{
        Store, StoreError,
        api_keys::{self, ApiKey, KeyFilter},
        changes,
        db::execute,
        former_keys, proxy_test_keys,
        sessions::{self, Previous, Session},
        test_support::Database,
        throttle::{self, Admission, Attempt, Purpose},
        users::{self, User, UserFilter},
    },
    words::role::Role,
};

pub(super) async fn all(database: &Database) {
    // First: it wants nobody to be there.
    of_replicas_that_start_together_one_makes_the_first_admin(database).await;
    people_read_back_as_they_were_written(database).await;
    names_of_people_are_taken_once_and_differ_by_case(database).await;
    a_stale_update_of_a_person_is_stale_and_a_missing_one_missing(database).await;
    people_are_paged_and_found_by_id(database).await;
    keys_read_back_and_change(database).await;
    keys_of_proxy_tests_are_published_and_not_shown(database).await;
    whose_a_deleted_key_was_is_known_as_long_as_they_are(database).await;
    whose_a_deleted_key_was_is_forgotten_by_its_deletion(database).await;
    whoever_goes_takes_keys_and_logins_along(database).await;
    of_admins_that_remove_each_other_one_stays(database).await;
    a_refresh_token_counts_once_however_many_use_it(database).await;
    logins_are_few_and_end(database).await;
    guesses_at_once_are_counted_one_by_one(database).await;
    names_from_one_address_do_not_deadlock(database).await;
    a_failure_is_due_for_the_log_once_a_minute_for_a_name_at_one_place(database).await;
    counters_that_say_nothing_are_dropped(database).await;
}

fn user(name: &str, role: Role) -> User {
    User {
        id: UserId::new(NOW),
        name: name.to_owned(),
        password_hash: Secret::new("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA"),
        role,
        enabled: true,
        price_rate: Ppm(4_294_967_295),
        language: Some("zh-CN".to_owned()),
        created_at: NOW,
        updated_at: NOW,
        revision: 1,
    }
}

fn key(user: UserId) -> ApiKey {
    let id = KeyId::new(NOW);
    ApiKey {
        id,
        user,
        name: "笔记本 <b>'\"; --".to_owned(),
        hash: KeyHash::of(&id.to_bytes()),
        prefix: "sk-012345678".to_owned(),
        enabled: true,
        expires_at: Some(Millis(NOW.0 + 1)),
        tags: vec!["équipe".to_owned()],
        metadata: [("cost-centre".to_owned(), "17".to_owned())].into(),
        created_at: NOW,
        updated_at: NOW,
        revision: 1,
    }
}

fn of(owner: UserId) -> KeyFilter {
    KeyFilter { user: Some(owner), ..KeyFilter::default() }
}

fn session(user: UserId, used: Millis) -> Session {
    let expires_at = used.plus(Duration::from_secs(60));
    Session {
        id: SessionId::new(NOW),
        user,
        refresh_hash: [255; 32],
        previous: None,
        created_at: NOW,
        last_used_at: used,
        expires_at,
        address: Some("2001:db8::1".parse().unwrap()),
        agent: Some("Mozilla/5.0 ‹名›".to_owned()),
    }
}

async fn add(store: &Store, user: &User) {
    let mut tx = store.begin().await.unwrap();
    users::insert(&mut tx, user).await.unwrap();
    tx.commit().await.unwrap();
}

async fn add_key(store: &Store, key: &ApiKey) {
    let mut tx = store.begin().await.unwrap();
    api_keys::insert(&mut tx, key).await.unwrap();
    tx.commit().await.unwrap();
}

async fn add_session(store: &Store, session: &Session) {
    let mut tx = store.begin().await.unwrap();
    sessions::insert(&mut tx, session).await.unwrap();
    tx.commit().await.unwrap();
}

async fn of_replicas_that_start_together_one_makes_the_first_admin(database: &Database) {
    let passwords = Passwords::new(Tasks::new());
    let make = || async {
        let store = database.another_store().await;
        let made = bootstrap::first_admin(&store, &passwords, &Clock::manual(NOW), None).await.unwrap();
        store.close().await;
        made
    };
    let made = join_all((0..4).map(|_| make())).await;
    let generated = made.iter().filter(|made| matches!(made, FirstAdmin::Generated(_))).count();
    let not_needed = made.iter().filter(|made| **made == FirstAdmin::NotNeeded).count();
    assert_eq!((generated, not_needed), (1, 3));
    let mut tx = database.store.read().await.unwrap();
    assert_eq!(users::all(&mut tx).await.unwrap().len(), 1);
}

async fn people_read_back_as_they_were_written(database: &Database) {
    let store = &database.store;
    let mut ann = user("ann", Role::Operator);
    add(store, &ann).await;
    let mut tx = store.read().await.unwrap();
    assert_eq!(users::get(&mut tx, ann.id).await.unwrap().as_ref(), Some(&ann));
    assert_eq!(users::by_name(&mut tx, "ann").await.unwrap().as_ref(), Some(&ann));
    tx.commit().await.unwrap();

    ann = User {
        name: "ann2".to_owned(),
        role: Role::Admin,
        enabled: false,
        price_rate: Ppm(0),
        language: None,
        updated_at: Millis(NOW.0 + 1),
        ..ann
    };
    let mut tx = store.begin().await.unwrap();
    ann.revision = users::update(&mut tx, &ann, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ann.revision, 2);
    let mut tx = store.read().await.unwrap();
    assert_eq!(users::get(&mut tx, ann.id).await.unwrap(), Some(ann));
    assert_eq!(users::by_name(&mut tx, "ann").await.unwrap(), None);
}

async fn names_of_people_are_taken_once_and_differ_by_case(database: &Database) {
    let store = &database.store;
    add(store, &user("taken", Role::User)).await;
    add(store, &user("Taken", Role::User)).await;
    let mut tx = store.begin().await.unwrap();
    let refused = users::insert(&mut tx, &user("taken", Role::User)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { what: "the name" })), "{refused:?}");
    drop(tx);
    let mut tx = store.read().await.unwrap();
    assert_eq!(users::by_name(&mut tx, "TAKEN").await.unwrap(), None);
    // What the database might fold or pad away.
    for other in ["taken ", "taken\u{0}", "táken", ""] {
        assert_eq!(users::by_name(&mut tx, other).await.unwrap(), None, "{other:?}");
    }
}

async fn a_stale_update_of_a_person_is_stale_and_a_missing_one_missing(database: &Database) {
    let bob = user("bob", Role::User);
    add(&database.store, &bob).await;
    let mut tx = database.store.begin().await.unwrap();
    assert!(matches!(users::update(&mut tx, &bob, 7).await, Err(StoreError::Stale)));
    let nobody = user("nobody", Role::User);
    assert!(matches!(users::update(&mut tx, &nobody, 1).await, Err(StoreError::NotFound)));
    assert!(matches!(users::delete(&mut tx, nobody.id).await, Err(StoreError::NotFound)));
}

async fn people_are_paged_and_found_by_id(database: &Database) {
    let mut tx = database.store.read().await.unwrap();
    let everyone = users::all(&mut tx).await.unwrap();
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = users::list(&mut tx, &UserFilter::default(), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        paged.extend(page);
    }
    assert_eq!(paged, everyone);
    let mut ids: Vec<_> = everyone.iter().map(|user| user.id).collect();
    ids.push(UserId::new(NOW));
    let mut found = users::by_ids(&mut tx, &ids).await.unwrap();
    found.sort_by_key(|user| user.id);
    assert_eq!(found, everyone);
    assert_eq!(users::by_ids(&mut tx, &[]).await.unwrap(), []);
}

async fn keys_read_back_and_change(database: &Database) {
    let store = &database.store;
    let (owner, other) = (UserId::new(NOW), UserId::new(NOW));
    let mut first = key(owner);
    add_key(store, &first).await;
    add_key(store, &key(other)).await;
    let mut tx = store.begin().await.unwrap();
    let twin = ApiKey { id: KeyId::new(NOW), ..first.clone() };
    let refused = api_keys::insert(&mut tx, &twin).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    drop(tx);

    let before = revision(store).await.version;
    let tags = vec!["b".to_owned(), "a".to_owned()];
    first = ApiKey { name: "renamed".to_owned(), enabled: false, expires_at: None, tags, ..first };
    first.metadata.clear();
    let mut tx = store.begin().await.unwrap();
    assert!(matches!(api_keys::update(&mut tx, &first, 2).await, Err(StoreError::Stale)));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    first.revision = api_keys::update(&mut tx, &first, 1).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    assert_eq!(api_keys::get(&mut tx, first.id).await.unwrap().as_ref(), Some(&first));
    assert_eq!(api_keys::list(&mut tx, &of(owner), None, 10).await.unwrap(), [first.clone()]);
    assert_eq!(api_keys::list(&mut tx, &of(owner), Some(first.id), 10).await.unwrap(), []);
    assert_eq!(
        api_keys::list(&mut tx, &KeyFilter::default(), None, 10).await.unwrap(),
        api_keys::all(&mut tx).await.unwrap()
    );
    assert_eq!(api_keys::by_ids(&mut tx, &[first.id, KeyId::new(NOW)]).await.unwrap(), [first.clone()]);
    let told = changes::since(&mut tx, before).await.unwrap();
    assert_eq!(
        told.iter().map(|change| (change.kind, change.id)).collect::<Vec<_>>(),
        [(ResourceKind::ApiKey, first.id.to_bytes())]
    );
}

async fn keys_of_proxy_tests_are_published_and_not_shown(database: &Database) {
    let store = &database.store;
    let owner = user("proxy tester", Role::User);
    add(store, &owner).await;
    let shown = key(owner.id);
    add_key(store, &shown).await;
    let ends = |time| ApiKey { expires_at: Some(time), ..key(owner.id) };
    let (lasting, over) = (ends(NOW.plus(Duration::from_secs(300))), ends(NOW));
    let mut tx = store.begin().await.unwrap();
    let endless = ApiKey { expires_at: None, ..key(owner.id) };
    assert!(matches!(proxy_test_keys::insert(&mut tx, &endless).await, Err(StoreError::Corrupt(_))));
    proxy_test_keys::insert(&mut tx, &lasting).await.unwrap();
    proxy_test_keys::insert(&mut tx, &over).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    assert_eq!(api_keys::list(&mut tx, &of(owner.id), None, 10).await.unwrap(), [shown]);
    assert!(!api_keys::list(&mut tx, &KeyFilter::default(), None, 200).await.unwrap().contains(&lasting));
    assert_eq!(api_keys::get(&mut tx, lasting.id).await.unwrap(), None);
    assert_eq!(api_keys::owner(&mut tx, lasting.id).await.unwrap(), None);
    assert_eq!(api_keys::count_of_user(&mut tx, owner.id).await.unwrap(), 1);
    assert_eq!(proxy_test_keys::count_unexpired(&mut tx, owner.id, NOW).await.unwrap(), 1);
    assert_eq!(api_keys::by_ids(&mut tx, &[lasting.id]).await.unwrap(), std::slice::from_ref(&lasting));

    assert_eq!(proxy_test_keys::delete_expired(&mut tx, NOW, 10).await.unwrap(), 1);
    assert_eq!(api_keys::by_ids(&mut tx, &[over.id, lasting.id]).await.unwrap(), [lasting]);
    assert_eq!(api_keys::owner(&mut tx, over.id).await.unwrap(), None);
    users::delete(&mut tx, owner.id).await.unwrap();
    assert_eq!(proxy_test_keys::count_unexpired(&mut tx, owner.id, NOW).await.unwrap(), 0);
    tx.commit().await.unwrap();
}

async fn whose_a_deleted_key_was_is_known_as_long_as_they_are(database: &Database) {
    let store = &database.store;
    let (owner, other) = (user("former owner", Role::User), user("owner still", Role::User));
    add(store, &owner).await;
    add(store, &other).await;
    let keys = [key(owner.id), key(owner.id), key(other.id)];
    for key in &keys {
        add_key(store, key).await;
    }
    let owners = async || {
        let mut tx = store.read().await.unwrap();
        let mut owners = Vec::new();
        for key in &keys {
            owners.push(api_keys::owner(&mut tx, key.id).await.unwrap());
        }
        assert_eq!(api_keys::owner(&mut tx, KeyId::new(NOW)).await.unwrap(), None);
        owners
    };
    let all = [Some(owner.id), Some(owner.id), Some(other.id)];
    assert_eq!(owners().await, all);
    let mut tx = store.begin().await.unwrap();
    api_keys::delete(&mut tx, keys[0].id, NOW).await.unwrap();
    api_keys::delete(&mut tx, keys[2].id, NOW).await.unwrap();
    assert!(matches!(api_keys::delete(&mut tx, keys[0].id, NOW).await, Err(StoreError::NotFound)));
    tx.commit().await.unwrap();
    assert_eq!(owners().await, all);
    let mut tx = store.begin().await.unwrap();
    users::delete(&mut tx, owner.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(owners().await, [None, None, Some(other.id)]);
}

async fn whose_a_deleted_key_was_is_forgotten_by_its_deletion(database: &Database) {
    let store = &database.store;
    let owner = user("owner of long ago", Role::User);
    add(store, &owner).await;
    let keys = [key(owner.id), key(owner.id), key(owner.id)];
    let mut tx = store.begin().await.unwrap();
    for (key, at) in keys.iter().zip([5, 6, 6]) {
        api_keys::insert(&mut tx, key).await.unwrap();
        api_keys::delete(&mut tx, key.id, Millis(at)).await.unwrap();
    }
    // As an earlier release does it.
    let undated = "UPDATE former_keys SET deleted_at = NULL WHERE key_id = ?";
    assert_eq!(execute!(&mut tx, undated, keys[2].id.to_bytes().to_vec()).unwrap(), 1);
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    assert_eq!(former_keys::delete_before(&mut tx, Millis(7), 1).await.unwrap(), 1, "a piece at a time");
    assert_eq!(api_keys::owner(&mut tx, keys[0].id).await.unwrap(), None, "the oldest first");
    assert_eq!(former_keys::delete_before(&mut tx, Millis(6), 10).await.unwrap(), 0);
    assert_eq!(former_keys::delete_before(&mut tx, Millis(7), 10).await.unwrap(), 1);
    assert_eq!(api_keys::owner(&mut tx, keys[2].id).await.unwrap(), Some(owner.id), "it is not known when");
    assert_eq!(former_keys::date(&mut tx, Millis(8), 10).await.unwrap(), 1);
    assert_eq!(former_keys::date(&mut tx, Millis(9), 10).await.unwrap(), 0);
    assert_eq!(former_keys::delete_before(&mut tx, Millis(8), 10).await.unwrap(), 0);
    assert_eq!(former_keys::delete_before(&mut tx, Millis(9), 10).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

async fn whoever_goes_takes_keys_and_logins_along(database: &Database) {
    let store = &database.store;
    let (gone, stays) = (user("gone", Role::User), user("stays", Role::User));
    add(store, &gone).await;
    add(store, &stays).await;
    let keys = [key(gone.id), key(gone.id), key(stays.id)];
    for key in &keys {
        add_key(store, key).await;
    }
    let sessions = [session(gone.id, NOW), session(stays.id, NOW)];
    for session in &sessions {
        add_session(store, session).await;
    }
    let before = revision(store).await.version;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(api_keys::count_of_user(&mut tx, gone.id).await.unwrap(), 2);
    users::delete(&mut tx, gone.id).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.read().await.unwrap();
    assert_eq!(users::get(&mut tx, gone.id).await.unwrap(), None);
    assert_eq!(api_keys::list(&mut tx, &of(gone.id), None, 10).await.unwrap(), []);
    assert_eq!(api_keys::list(&mut tx, &of(stays.id), None, 10).await.unwrap().len(), 1);
    assert_eq!(sessions::get(&mut tx, sessions[0].id).await.unwrap(), None);
    assert_eq!(sessions::get(&mut tx, sessions[1].id).await.unwrap(), Some(sessions[1].clone()));
    let told = changes::since(&mut tx, before).await.unwrap();
    assert!(told.iter().all(|change| change.deleted));
    let mut ids: Vec<_> = told.iter().map(|change| change.id).collect();
    ids.sort_unstable();
    let mut expected = [gone.id.to_bytes(), keys[0].id.to_bytes(), keys[1].id.to_bytes()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

async fn of_admins_that_remove_each_other_one_stays(database: &Database) {
    let store = &database.store;
    let mut tx = store.begin().await.unwrap();
    for admin in users::all(&mut tx).await.unwrap().into_iter().filter(|user| user.role == Role::Admin) {
        users::delete(&mut tx, admin.id).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (one, two) = (user("one", Role::Admin), user("two", Role::Admin));
    add(store, &one).await;
    add(store, &two).await;
    let remove = async |id: UserId| {
        let store = database.another_store().await;
        let mut tx = store.begin().await.unwrap();
        changes::lock(&mut tx).await.unwrap();
        let others = users::other_admins(&mut tx, id).await.unwrap();
        if others > 0 {
            users::delete(&mut tx, id).await.unwrap();
        }
        tx.commit().await.unwrap();
        store.close().await;
        others > 0
    };
    let (first, second) = tokio::join!(remove(one.id), remove(two.id));
    assert_ne!(first, second, "one of the two removals must have found nobody left");
}

async fn a_refresh_token_counts_once_however_many_use_it(database: &Database) {
    let login = session(UserId::new(NOW), NOW);
    add_session(&database.store, &login).await;
    let (id, first) = (login.id, login.refresh_hash);
    let rotate = |byte: u8| async move {
        let store = database.another_store().await;
        let mut tx = store.begin().await.unwrap();
        // A read before the write fixes MySQL's snapshot.
        sessions::get(&mut tx, id).await.unwrap();
        let later = NOW.plus(Duration::from_secs(90));
        let won = sessions::rotate(&mut tx, id, first, [byte; 32], NOW, later).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;
        won
    };
    let won = join_all((0..5).map(rotate)).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let mut tx = database.store.begin().await.unwrap();
    let now = sessions::get(&mut tx, login.id).await.unwrap().unwrap();
    assert!(won[usize::from(now.refresh_hash[0])]);
    assert_eq!(now.previous, Some(Previous { hash: login.refresh_hash, rotated_at: NOW }));
    assert_eq!(sessions::get_latest(&mut tx, login.id).await.unwrap().as_ref(), Some(&now));
    let late = now.expires_at;
    assert!(
        !sessions::rotate(&mut tx, login.id, now.refresh_hash, [9; 32], late, late).await.unwrap(),
        "it has expired"
    );
}

async fn logins_are_few_and_end(database: &Database) {
    let store = &database.store;
    let person = UserId::new(NOW);
    let mut logins = Vec::new();
    for second in 0..sessions::MAX_SESSIONS + 2 {
        let login = session(person, Millis(NOW.0 + second * 1000));
        add_session(store, &login).await;
        logins.push(login);
    }
    let mut tx = store.begin().await.unwrap();
    let mut kept = Vec::new();
    for login in &logins {
        kept.push(sessions::get(&mut tx, login.id).await.unwrap().is_some());
    }
    assert_eq!(kept.iter().position(|kept| *kept), Some(2), "the least recently used are gone");
    let all_over = Millis(NOW.0 + 1_000_000_000);
    assert_eq!(sessions::delete_expired(&mut tx, all_over, 7).await.unwrap(), 7, "no more than asked for");
    while sessions::delete_expired(&mut tx, all_over, 20).await.unwrap() > 0 {}
    assert_eq!(sessions::get(&mut tx, logins[30].id).await.unwrap(), None);
    sessions::insert(&mut tx, &logins[0]).await.unwrap();
    sessions::insert(&mut tx, &logins[1]).await.unwrap();
    let listed = sessions::list_of_user(&mut tx, person, NOW).await.unwrap();
    assert_eq!(listed, [logins[1].clone(), logins[0].clone()], "the one used last comes first");
    assert_eq!(
        sessions::list_of_user(&mut tx, person, logins[0].expires_at).await.unwrap(),
        [logins[1].clone()]
    );
    assert_eq!(sessions::delete_of_user(&mut tx, person, Some(logins[1].id)).await.unwrap(), 1);
    assert_eq!(sessions::get(&mut tx, logins[0].id).await.unwrap(), None);
    assert_eq!(sessions::get(&mut tx, logins[1].id).await.unwrap().as_ref(), Some(&logins[1]));
    assert!(sessions::delete(&mut tx, logins[1].id).await.unwrap());
    assert!(!sessions::delete(&mut tx, logins[1].id).await.unwrap());
    tx.commit().await.unwrap();
}

async fn admit(database: &Database, name: &str, address: &str) -> bool {
    let store = database.another_store().await;
    let address: IpAddr = address.parse().unwrap();
    let mut tx = store.begin().await.unwrap();
    let attempt = Attempt { purpose: Purpose::Login, name, address: Some(address), browser: None };
    let admission = throttle::admit(&mut tx, &attempt, NOW).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    matches!(admission, Admission::Admitted(_))
}

async fn guesses_at_once_are_counted_one_by_one(database: &Database) {
    let admitted = join_all((0..20).map(|_| admit(database, "guessed", "192.0.2.1"))).await;
    assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 5);
}

async fn names_from_one_address_do_not_deadlock(database: &Database) {
    let names: Vec<_> = (0..20).map(|n| format!("name {n}")).collect();
    let admitted = join_all(names.iter().map(|name| admit(database, name, "192.0.2.2"))).await;
    assert!(admitted.iter().all(|admitted| *admitted));
}

async fn a_failure_is_due_for_the_log_once_a_minute_for_a_name_at_one_place(database: &Database) {
    let due = |name: &'static str, address: &'static str, now: Millis| async move {
        let store = database.another_store().await;
        let mut tx = store.begin().await.unwrap();
        let address = address.parse().ok();
        let attempt = Attempt { purpose: Purpose::Login, name, address, browser: None };
        let Admission::Admitted(receipt) = throttle::admit(&mut tx, &attempt, now).await.unwrap() else {
            panic!("refused")
        };
        tx.commit().await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let due = throttle::is_log_due(&mut tx, &receipt, now).await.unwrap();
        tx.commit().await.unwrap();
        store.close().await;
        due
    };
    let at_once = join_all((0..4).map(|_| due("logged", "192.0.2.3", NOW))).await;
    assert_eq!(at_once.iter().filter(|due| **due).count(), 1, "of attempts at once one is logged");
    assert!(due("logged", "192.0.2.4", NOW).await);
    assert!(due("logged as well", "192.0.2.3", NOW).await);
    assert!(!due("logged", "192.0.2.4", NOW.plus(Duration::from_millis(59_999))).await);
    assert!(due("logged", "192.0.2.4", NOW.plus(Duration::from_secs(60))).await);
}

async fn counters_that_say_nothing_are_dropped(database: &Database) {
    let mut tx = database.store.begin().await.unwrap();
    let attempt = Attempt { purpose: Purpose::Login, name: "known", address: None, browser: None };
    let Admission::Admitted(receipt) = throttle::admit(&mut tx, &attempt, NOW).await.unwrap() else {
        panic!("refused")
    };
    throttle::succeeded(&mut tx, &receipt, NOW).await.unwrap();
    let soon = NOW.plus(Duration::from_secs(60));
    assert_eq!(throttle::delete_stale(&mut tx, soon, 1000).await.unwrap(), 0);
    let tomorrow = NOW.plus(Duration::from_secs(24 * 60 * 60));
    assert_eq!(throttle::delete_stale(&mut tx, tomorrow, 3).await.unwrap(), 3, "no more than asked for");
    while throttle::delete_stale(&mut tx, tomorrow, 10).await.unwrap() > 0 {}
    let later = NOW.plus(Duration::from_secs(91 * 24 * 60 * 60));
    assert_eq!(
        throttle::delete_stale(&mut tx, later, 1000).await.unwrap(),
        1,
        "where a name is known is kept longer"
    );
    tx.commit().await.unwrap();
}
