//! Accounts, groups, routes, mappings, models, settings.

use proto::v1::ResourceKind;
use shared::{
    clock::Millis,
    id::{AccountId, GroupId, PriceId},
};

use super::samples::{self, NOW};
use crate::store::{
    Store, StoreError,
    accounts::{self, AccountFilter, AccountRow, Sealed},
    changes, groups, mappings,
    models::{self, ModelFilter, PriceRow},
    routes::{self, RouteFilter},
    settings,
    test_support::Database,
};

async fn add(store: &Store, row: &AccountRow) -> u64 {
    let mut tx = store.begin().await.unwrap();
    let version = accounts::insert(&mut tx, row).await.unwrap();
    tx.commit().await.unwrap();
    version
}

async fn read(store: &Store, id: AccountId) -> AccountRow {
    let mut tx = store.read().await.unwrap();
    accounts::get(&mut tx, id).await.unwrap().unwrap()
}

pub(super) async fn accounts_read_back_as_they_were_written(database: &Database) {
    let store = &database.store;
    let mut row = samples::account("read back");
    add(store, &row).await;
    assert_eq!(read(store, row.id).await, row);

    row.name = "read back, renamed".to_owned();
    row.base_url = None;
    row.concurrency = None;
    row.expires_at = Some(NOW.0 + 1);
    row.credential = Sealed(vec![7; 300]);
    row.invalid_reason = Some("billing".to_owned());
    row.invalid_at = Some(NOW.0);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(accounts::update(&mut tx, &row, 1).await.unwrap(), 2);
    tx.commit().await.unwrap();
    row.revision = 2;
    assert_eq!(read(store, row.id).await, row);

    let mut tx = store.begin().await.unwrap();
    accounts::delete(&mut tx, row.id).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    assert_eq!(accounts::get(&mut tx, row.id).await.unwrap(), None);
}

pub(super) async fn a_name_is_taken_once(database: &Database) {
    let store = &database.store;
    add(store, &samples::account("taken")).await;
    let mut tx = store.begin().await.unwrap();
    let again = accounts::insert(&mut tx, &samples::account("taken")).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: "the account's name" })), "{again:?}");
}

pub(super) async fn names_differ_by_case(database: &Database) {
    let store = &database.store;
    for name in ["cased", "CASED", "cäsed"] {
        add(store, &samples::account(name)).await;
    }
}

pub(super) async fn a_stale_update_is_stale_and_a_missing_row_is_missing(database: &Database) {
    let store = &database.store;
    let row = samples::account("stale");
    add(store, &row).await;
    for (row, revision, stale) in [(row, 2, true), (samples::account("nowhere"), 1, false)] {
        let mut tx = store.begin().await.unwrap();
        let error = accounts::update(&mut tx, &row, revision).await.unwrap_err();
        assert_eq!(matches!(error, StoreError::Stale), stale, "{error:?}");
        assert_eq!(matches!(error, StoreError::NotFound), !stale, "{error:?}");
    }
    let mut tx = store.begin().await.unwrap();
    let gone = accounts::delete(&mut tx, AccountId::new(NOW)).await;
    assert!(matches!(gone, Err(StoreError::NotFound)));
}

pub(super) async fn accounts_are_filtered_and_paged(database: &Database) {
    let store = &database.store;
    let mut ids = Vec::new();
    for index in 0..5_i64 {
        let mut row = samples::account(&format!("Paged_{index} Ä 100%"));
        row.id = AccountId::new(Millis(NOW.0 + 1_000 + index));
        row.account_type = if index == 3 { "ccr" } else { "gemini-api" }.to_owned();
        row.invalid_reason = (index == 4).then(|| "unauthorized".to_owned());
        add(store, &row).await;
        ids.push(row.id);
    }
    let mut tx = store.read().await.unwrap();
    let mut found = async |filter: AccountFilter, after, limit| {
        let rows = accounts::list(&mut tx, &filter, after, limit).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let search = |text: &str| AccountFilter { search: Some(text.to_owned()), ..AccountFilter::default() };
    assert_eq!(found(search("pAgEd_"), None, 9).await, ids);
    assert_eq!(found(search("paged%"), None, 9).await, []);
    assert_eq!(found(search("Ä 100%"), None, 9).await, ids);
    assert_eq!(found(search("100%"), None, 2).await, ids[..2]);
    assert_eq!(found(search("100%"), Some(ids[1]), 2).await, ids[2..4]);
    let gemini = AccountFilter { account_type: Some("gemini-api".to_owned()), ..search("paged") };
    assert_eq!(found(gemini.clone(), Some(ids[1]), 9).await, [ids[2], ids[4]]);
    assert_eq!(found(AccountFilter { valid: Some(false), ..gemini.clone() }, None, 9).await, [ids[4]]);
    assert_eq!(found(AccountFilter { valid: Some(true), ..gemini.clone() }, None, 9).await, ids[..3]);
    assert_eq!(found(AccountFilter { group: Some(GroupId::new(NOW)), ..gemini }, None, 9).await, []);
}

pub(super) async fn many_ids_are_read_at_once(database: &Database) {
    let store = &database.store;
    let row = samples::account("among many");
    add(store, &row).await;
    let mut ids: Vec<_> = (0..450).map(|_| AccountId::new(NOW)).collect();
    ids.push(row.id);
    let mut tx = store.read().await.unwrap();
    let rows = accounts::by_ids(&mut tx, &ids).await.unwrap();
    assert_eq!(rows, [row]);
    assert!(accounts::by_ids(&mut tx, &[]).await.unwrap().is_empty());
    let all = accounts::all(&mut tx).await.unwrap();
    assert!(all.is_sorted_by_key(|row| row.id) && all.contains(&rows[0]));
}

pub(super) async fn groups_and_accounts_change_together(database: &Database) {
    let store = &database.store;
    let group = samples::group("together");
    let (mut inside, outside) = (samples::account("together inside"), samples::account("together outside"));
    let mut tx = store.begin().await.unwrap();
    groups::insert(&mut tx, &group).await.unwrap();
    inside.group_ids = vec![group.id];
    accounts::insert(&mut tx, &inside).await.unwrap();
    accounts::insert(&mut tx, &outside).await.unwrap();
    tx.commit().await.unwrap();
    let before = super::foundation::revision(store).await.version;

    // The account that joined is part of what the group's ETag stands for.
    let mut tx = store.begin().await.unwrap();
    let stale = groups::update(&mut tx, &group, 1).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
    tx.rollback().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    groups::set_members(&mut tx, group.id, &[outside.id, outside.id], NOW).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.read().await.unwrap();
    assert_eq!(groups::members(&mut tx, group.id).await.unwrap(), [outside.id]);
    assert_eq!(groups::members_of(&mut tx, &[group.id]).await.unwrap(), [(group.id, outside.id)]);
    let changed: Vec<_> =
        changes::since(&mut tx, before).await.unwrap().iter().map(|change| change.id).collect();
    assert!(changed.contains(&inside.id.to_bytes()) && changed.contains(&outside.id.to_bytes()));
    drop(tx);
    assert_eq!((read(store, inside.id).await.group_ids, read(store, inside.id).await.revision), (vec![], 2));
    assert_eq!(read(store, outside.id).await.group_ids, [group.id]);

    let filter = AccountFilter { group: Some(group.id), ..AccountFilter::default() };
    let mut tx = store.begin().await.unwrap();
    assert_eq!(accounts::list(&mut tx, &filter, None, 9).await.unwrap().len(), 1);
    let before = changes::revision(&mut tx).await.unwrap().0.version;
    groups::delete(&mut tx, group.id, NOW).await.unwrap();
    let told = changes::since(&mut tx, before).await.unwrap();
    tx.commit().await.unwrap();
    let told: Vec<_> = told.iter().map(|change| (change.kind, change.id, change.deleted)).collect();
    let member = (ResourceKind::Account, outside.id.to_bytes(), false);
    assert_eq!(told, [member, (ResourceKind::AccountGroup, group.id.to_bytes(), true)]);
    assert_eq!(read(store, outside.id).await.group_ids, []);
}

pub(super) async fn a_group_must_exist(database: &Database) {
    let store = &database.store;
    let mut row = samples::account("groupless");
    row.group_ids = vec![GroupId::new(NOW)];
    let mut tx = store.begin().await.unwrap();
    let missing = accounts::insert(&mut tx, &row).await;
    assert!(matches!(missing, Err(StoreError::Missing { .. })), "{missing:?}");
    drop(tx);
    let group = samples::group("memberless");
    let mut tx = store.begin().await.unwrap();
    groups::insert(&mut tx, &group).await.unwrap();
    let missing = groups::set_members(&mut tx, group.id, &[row.id], NOW).await;
    assert!(matches!(missing, Err(StoreError::Missing { .. })), "{missing:?}");
}

pub(super) async fn marks_apply_to_what_was_seen_only(database: &Database) {
    let store = &database.store;
    let row = samples::account("marked");
    let version = add(store, &row).await;
    let mark = async |version| {
        let mut tx = store.begin().await.unwrap();
        let long = "é".repeat(2_000);
        let done =
            accounts::mark_invalid(&mut tx, row.id, version, "unauthorized", &long, NOW).await.unwrap();
        tx.commit().await.unwrap();
        done
    };
    assert!(!mark(version + 1).await, "a version that this account never had");
    assert!(mark(version).await);
    assert!(!mark(version).await, "the mark itself was a change");
    let marked = read(store, row.id).await;
    assert_eq!((marked.invalid_reason.as_deref(), marked.invalid_at), (Some("unauthorized"), Some(NOW.0)));
    assert_eq!(marked.invalid_detail.unwrap().chars().count(), 1_000);
    assert_eq!(marked.revision, 2);

    let mut tx = store.begin().await.unwrap();
    let seen = changes::version_of(&mut tx, ResourceKind::Account, row.id.to_bytes()).await.unwrap().unwrap();
    assert!(!accounts::mark_invalid(&mut tx, row.id, seen, "unauthorized", "", NOW).await.unwrap(), "known");
    assert!(accounts::mark_valid(&mut tx, row.id, NOW).await.unwrap());
    assert!(!accounts::mark_valid(&mut tx, row.id, NOW).await.unwrap(), "valid already");
    assert!(matches!(
        accounts::mark_valid(&mut tx, AccountId::new(NOW), NOW).await,
        Err(StoreError::NotFound)
    ));
    tx.commit().await.unwrap();
    assert_eq!(read(store, row.id).await.invalid_reason, None);

    let mut tx = store.begin().await.unwrap();
    accounts::delete(&mut tx, row.id).await.unwrap();
    let deleted =
        changes::version_of(&mut tx, ResourceKind::Account, row.id.to_bytes()).await.unwrap().unwrap();
    assert!(!accounts::mark_invalid(&mut tx, row.id, deleted, "late", "", NOW).await.unwrap(), "it is gone");
    tx.commit().await.unwrap();
}

pub(super) async fn sealing_again_is_no_change(database: &Database) {
    let store = &database.store;
    let row = samples::account("sealed again");
    add(store, &row).await;
    let before = super::foundation::revision(store).await;
    let mut tx = store.begin().await.unwrap();
    let new = Sealed(vec![9; 40]);
    assert!(accounts::reseal(&mut tx, row.id, &row.credential, &new).await.unwrap());
    assert!(!accounts::reseal(&mut tx, row.id, &row.credential, &new).await.unwrap(), "replaced meanwhile");
    tx.commit().await.unwrap();
    assert_eq!(super::foundation::revision(store).await, before);
    assert_eq!(read(store, row.id).await, AccountRow { credential: new, ..row });
}

pub(super) async fn routes_and_mappings_read_back_and_change(database: &Database) {
    let store = &database.store;
    let (mut route, mut mapping) = (samples::route("opus*"), samples::mapping("opus"));
    let mut tx = store.begin().await.unwrap();
    routes::insert(&mut tx, &route).await.unwrap();
    mappings::insert(&mut tx, &mapping).await.unwrap();
    route.account_type = None;
    route.position = 4_000_000_000;
    mapping.enabled = false;
    route.revision = routes::update(&mut tx, &route, 1).await.unwrap();
    mapping.revision = mappings::update(&mut tx, &mapping, 1).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    assert_eq!(routes::get(&mut tx, route.id).await.unwrap().as_ref(), Some(&route));
    assert_eq!(mappings::get(&mut tx, mapping.id).await.unwrap().as_ref(), Some(&mapping));
    assert_eq!(routes::all(&mut tx).await.unwrap(), routes::by_ids(&mut tx, &[route.id]).await.unwrap());
    assert_eq!(
        mappings::all(&mut tx).await.unwrap(),
        mappings::by_ids(&mut tx, &[mapping.id]).await.unwrap()
    );
    assert!(routes::list(&mut tx, &RouteFilter::default(), Some(route.id), 9).await.unwrap().is_empty());
    assert_eq!(mappings::list(&mut tx, None, None, 9).await.unwrap().len(), 1);
    assert!(matches!(routes::update(&mut tx, &route, 1).await, Err(StoreError::Stale)));
    assert!(matches!(mappings::update(&mut tx, &mapping, 1).await, Err(StoreError::Stale)));
    routes::delete(&mut tx, route.id).await.unwrap();
    mappings::delete(&mut tx, mapping.id).await.unwrap();
    assert!(matches!(routes::update(&mut tx, &route, 2).await, Err(StoreError::NotFound)));
    assert!(matches!(mappings::delete(&mut tx, mapping.id).await, Err(StoreError::NotFound)));
    tx.commit().await.unwrap();
}

pub(super) async fn prices_hold_from_their_time_on(database: &Database) {
    let store = &database.store;
    let mut model = samples::model("claude-priced-1");
    let put = |id: u8, from, input, source: &str| PriceRow {
        id: PriceId::from_bytes([id; 16]),
        model: model.name.clone(),
        model_id: model.id,
        effective_from: Millis(from),
        price: samples::price(input),
        source: source.to_owned(),
        created_at: NOW,
    };
    let (old, new, corrected) = (put(1, 1_000, 1, "1"), put(2, 2_000, 2, "2"), put(3, 2_000, 3, "operator"));
    let mut tx = store.begin().await.unwrap();
    models::insert(&mut tx, &model).await.unwrap();
    for price in [&old, &new, &corrected] {
        models::add_price(&mut tx, price).await.unwrap();
    }
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    assert_eq!(models::price_at(&mut tx, model.id, Millis(999)).await.unwrap(), None);
    assert_eq!(models::price_at(&mut tx, model.id, Millis(1_999)).await.unwrap().as_ref(), Some(&old));
    assert_eq!(models::price_at(&mut tx, model.id, Millis(2_000)).await.unwrap().as_ref(), Some(&corrected));
    let prices = models::prices_of(&mut tx, &[model.id]).await.unwrap();
    assert_eq!(prices, [old.clone(), new.clone(), corrected.clone()], "a price never goes");
    assert_eq!(models::all_prices(&mut tx).await.unwrap(), prices);
    assert_eq!(models::by_name(&mut tx, &model.name).await.unwrap().as_ref(), Some(&model));
    model.max_output = Some(64_000);
    model.revision = models::update(&mut tx, &model, 1).await.unwrap();
    assert_eq!(models::all(&mut tx).await.unwrap(), [model.clone()]);
    assert_eq!(
        models::by_ids(&mut tx, &[model.id]).await.unwrap(),
        models::list(&mut tx, &ModelFilter::default(), None, 9).await.unwrap()
    );
    assert!(
        matches!(models::add_price(&mut tx, &old).await, Err(StoreError::Conflict { .. })),
        "nor does it change"
    );
    models::delete(&mut tx, model.id).await.unwrap();
    assert_eq!(models::all_prices(&mut tx).await.unwrap(), [old, new, corrected], "records name them");
    tx.commit().await.unwrap();
}

pub(super) async fn settings_default_and_are_guarded(database: &Database) {
    let store = &database.store;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(settings::load(&mut tx).await.unwrap(), (settings::Settings::default(), 0));
    let wanted = settings::Settings {
        registration_enabled: true,
        deadline_ms: Some(u64::from(u32::MAX)),
        public_api_url: Some("https://例.example".to_owned()),
        ..settings::Settings::default()
    };
    let revision = settings::save(&mut tx, &wanted, 0, NOW).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = store.begin().await.unwrap();
    assert_eq!(settings::load(&mut tx).await.unwrap(), (wanted, revision));
    let stale = settings::save(&mut tx, &settings::Settings::default(), 0, NOW).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
    let told = changes::since(&mut tx, u64::try_from(revision).unwrap() - 1).await.unwrap();
    assert_eq!(
        told.last().map(|change| (change.kind, change.id)),
        Some((ResourceKind::Settings, changes::SETTINGS_ID))
    );
    let revision = settings::save(&mut tx, &settings::Settings::default(), revision, NOW).await.unwrap();
    assert_eq!(settings::load(&mut tx).await.unwrap(), (settings::Settings::default(), revision));
    tx.commit().await.unwrap();
}
