//! The suite that the store's foundation, configuration and identity pass on both databases.

mod concurrency;
mod configuration;
mod foundation;
mod identity;
mod lists;
mod samples;

use super::{
    Store, StoreOptions,
    test_support::{self, Database},
};

/// Every case, one after the other on the same database: each makes what it needs under names of its own.
async fn all(database: &Database) {
    foundation::a_second_migration_changes_nothing(database).await;
    foundation::migrations_run_once_however_many_start_them(database).await;
    foundation::what_is_pending_is_told(database).await;
    foundation::another_program_s_database_is_left_alone(database).await;
    foundation::a_transaction_that_is_dropped_leaves_nothing(database).await;
    foundation::a_consistent_read_sees_one_version(database).await;
    foundation::the_latest_change_of_each_resource_is_told_in_order(database).await;
    foundation::audit_rows_page_from_the_latest(database).await;
    configuration::accounts_read_back_as_they_were_written(database).await;
    configuration::a_name_is_taken_once(database).await;
    configuration::names_differ_by_case(database).await;
    configuration::a_stale_update_is_stale_and_a_missing_row_is_missing(database).await;
    configuration::accounts_are_filtered_and_paged(database).await;
    configuration::many_ids_are_read_at_once(database).await;
    configuration::groups_and_accounts_change_together(database).await;
    configuration::a_group_must_exist(database).await;
    configuration::marks_apply_to_what_was_seen_only(database).await;
    configuration::sealing_again_is_no_change(database).await;
    configuration::routes_and_mappings_read_back_and_change(database).await;
    configuration::prices_hold_from_their_time_on(database).await;
    configuration::settings_default_and_are_guarded(database).await;
    concurrency::versions_are_distinct_gap_free_and_in_commit_order(database).await;
    concurrency::of_two_updates_of_one_revision_one_is_stale(database).await;
    concurrency::groups_and_accounts_never_deadlock(database).await;
    identity::all(database).await;
    lists::all(database).await;
    // Last: it makes versions of before incomparable.
    foundation::an_adopted_epoch_is_new_and_says_so(database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite() {
    all(&test_support::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mariadb() {
    let database = test_support::mariadb().await;
    foundation::a_migration_that_broke_off_is_made_again(&database).await;
    all(&database).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("garbage"), [7; 5_000]).unwrap();
    for (name, create, reason) in [
        ("garbage", true, "file is not a database"),
        ("garbage", false, "file is not a database"),
        ("missing", false, "unable to open database file"),
        ("missing/folder", true, "No such file"),
    ] {
        let options = StoreOptions { create, ..StoreOptions::default() };
        let refused = Store::connect(&format!("sqlite:{}", path(name)), &options).await.unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains(&path(name)) && refused.contains(reason), "{refused}");
    }
    assert!(!std::path::Path::new(&path("missing")).exists());
}
