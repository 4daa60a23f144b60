//! Ingestion, statistics, prices and retention, on both databases.

mod exactly_once;
mod failures;
mod folding;
mod incarnations;
mod keeping;
mod owners;
mod prices;
mod queries;
mod rows_read;
mod world;

use self::world::World;
use crate::store::{Store, StoreOptions, test_support};

/// All that the two databases have in common. The cases share one, each with ids of its own; the last removes all.
async fn cases(world: &World, replica: &Store) {
    exactly_once::open_then_close_is_one_row(world).await;
    exactly_once::close_without_open_counts(world).await;
    exactly_once::an_open_record_after_the_close_changes_nothing(world).await;
    exactly_once::two_spools_that_close_one_request_count_once(world).await;
    exactly_once::what_is_not_understood_does_not_stop_the_spool(world).await;
    exactly_once::a_gap_is_not_skipped(world).await;
    exactly_once::the_same_batch_from_many_streams_counts_once(world).await;
    exactly_once::spools_of_many_nodes_do_not_disturb_each_other(world, replica).await;
    exactly_once::a_model_without_a_price_costs_nothing_and_says_so(world).await;
    exactly_once::costs_are_rated_as_the_user_was_when_the_request_began(world).await;
    exactly_once::a_request_on_two_accounts_is_charged_to_each(world).await;
    folding::sums_are_the_same_before_folding_and_after(world).await;
    folding::whoever_folds_nothing_counts_twice(world, replica).await;
    folding::what_a_later_release_sums_is_carried_along(world).await;
    queries::pages_follow_each_other_to_the_end(world).await;
    queries::sums_agree_with_the_rows(world).await;
    queries::days_begin_at_midnight_utc(world).await;
    queries::hours_without_requests_are_left_out(world).await;
    failures::the_last_failure_is_kept_with_its_account(world).await;
    failures::a_node_from_the_future_hides_no_later_failure(world).await;
    failures::it_goes_with_its_account(world).await;
    incarnations::it_is_closed_once_every_spool_has_ended(world).await;
    incarnations::a_batch_over_several_spools_is_taken_as_a_whole(world).await;
    incarnations::what_is_gone_is_one_row(world).await;
    incarnations::it_belongs_to_the_node_that_said_hello(world).await;
    incarnations::what_a_person_closes_is_charged_at_what_was_reserved_until_the_truth_comes(world).await;
    incarnations::a_run_that_was_taken_for_lost_is_open_again_once_it_serves(world).await;
    incarnations::what_is_open_at_the_end_is_charged_at_what_was_reserved(world).await;
    incarnations::a_record_keeps_all_that_the_node_said(world).await;
    incarnations::a_test_of_an_account_is_a_record_that_nobody_pays(world).await;
    incarnations::a_record_that_the_database_refuses_is_set_aside(world).await;
    incarnations::an_open_request_that_can_not_be_charged_does_not_keep_its_run_open(world).await;
    incarnations::what_was_assumed_once_is_not_assumed_again(world).await;
    incarnations::sums_stay_at_the_most_that_a_column_holds(world).await;
    incarnations::names_that_differ_by_spaces_at_their_ends_are_one(world).await;
    incarnations::names_that_clients_make_up_are_bounded(world).await;
    owners::nobody_pays_for_the_key_of_another(world).await;
    prices::seeding_again_changes_nothing(world).await;
    prices::what_operators_edited_stays(world).await;
    prices::costs_can_be_reckoned_again_from_what_is_stored(world).await;
    prices::no_record_is_set_aside_for_a_price_that_can_not_be_read(world).await;
    rows_read::a_page_reads_what_it_shows(world).await;
    rows_read::a_long_span_is_read_by_days(world).await;
    queries::failures_page_from_the_newest(world).await;
    keeping::old_requests_go_and_newer_ones_stay(world).await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn on_sqlite() {
    let runtime = runtime();
    let database = runtime.block_on(test_support::sqlite());
    let world = runtime.block_on(World::new(database.store.clone()));
    exactly_once::any_delivery_gives_one_pass(&world, runtime.handle(), 24);
    let replica = runtime.block_on(database.another_store());
    runtime.block_on(cases(&world, &replica));
}

#[test]
fn on_mariadb() {
    let runtime = runtime();
    let database = runtime.block_on(test_support::mariadb());
    let world = runtime.block_on(World::new(database.store.clone()));
    exactly_once::any_delivery_gives_one_pass(&world, runtime.handle(), 12);
    let replica = runtime.block_on(database.another_store());
    runtime.block_on(cases(&world, &replica));
    runtime.block_on(async {
        let url = database.empty_neighbour("months");
        let store = Store::connect(&url, &StoreOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        let world = World::new(store).await;
        keeping::months_are_split_off_and_dropped(&world).await;
    });
}
