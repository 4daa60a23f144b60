//! The admin web against standalone, in a real browser. What a person does is in `web/*.test.mjs`.

use tests::run_browser_tests;

#[test]
fn an_admin_goes_through_all_of_it() {
    run_browser_tests("admin.test.mjs");
}

#[test]
fn an_ordinary_user_sees_what_is_theirs() {
    run_browser_tests("user.test.mjs");
}

#[test]
fn bad_days_lose_nothing() {
    run_browser_tests("bad_days.test.mjs");
}

#[test]
fn everyone_can_use_every_page() {
    run_browser_tests("accessibility.test.mjs");
}

#[test]
fn pages_are_small_and_quick() {
    run_browser_tests("budget.test.mjs");
}
