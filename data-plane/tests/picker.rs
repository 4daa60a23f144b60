//! The predicate and the picker as laws; in a program of its own, so that allocations can be counted.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::HashMap,
    sync::Arc,
};

use data_plane::{
    live::{AccountState, Mark, MarkKind},
    provider::Operation,
    scheduler::{Exclusion, Target, Tried, Wanted, eligible, explain, pick},
    snapshot::{Account, ClientGone, Credential, Options, Ready, Upstream},
};
use proptest::{collection::vec, prelude::*};
use rand::{SeedableRng as _, rngs::SmallRng};
use shared::{
    account::AccountType, clock::Millis, id::AccountId, model::ModelPattern, secret::Secret, wire::Platform,
};

const NOW: Millis = Millis(1_000_000);

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

#[expect(
    unsafe_code,
    reason = "an allocator can't be counted otherwise; every call goes to the system's as it is"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn account(number: u8) -> Account {
    Account {
        id: AccountId::from_bytes([number; 16]),
        version: 1,
        name: format!("account-{number}"),
        enabled: true,
        schedulable: true,
        kind: Some(AccountType::ClaudeConsole),
        priority: 50,
        weight: 100,
        concurrency: None,
        expires_at: None,
        invalid_reason: None,
        model_mapping: Vec::new(),
        allowed_models: Vec::new(),
        groups: Vec::new(),
        client_gone: ClientGone::Drain,
        upstream: Upstream {
            base_url: Some("https://api.anthropic.com".parse().unwrap()),
            credential: Credential::ApiKey(Secret::new("sk-ant-1")),
            options: Options::None,
            ready: Ready::default(),
        },
        state: Arc::new(AccountState::default()),
    }
}

fn but(number: u8, change: impl FnOnce(&mut Account)) -> Account {
    let mut account = account(number);
    change(&mut account);
    account
}

/// As a snapshot orders them.
fn ordered(accounts: impl IntoIterator<Item = Account>) -> Vec<Arc<Account>> {
    let mut accounts: Vec<_> = accounts.into_iter().map(Arc::new).collect();
    accounts.sort_by_key(|account| (account.priority, account.id));
    accounts
}

fn wanted(model: &str) -> Wanted<'_> {
    let target = Target { platform: Platform::Claude, account_type: None };
    Wanted { target, operation: Operation::Messages, bound: None, model, last_resort: false }
}

fn pattern(text: &str) -> ModelPattern {
    ModelPattern::new(text).unwrap()
}

fn mark(kind: MarkKind, family: Option<&str>) -> Mark {
    Mark {
        kind,
        until: Millis(NOW.0 + 5000),
        reason: "test".into(),
        model_family: family.map(Into::into),
        guessed: false,
    }
}

/// How often each account was picked; slots are given back at once.
fn picked(accounts: &[Arc<Account>], times: u32) -> HashMap<String, u32> {
    let mut random = SmallRng::seed_from_u64(7);
    let mut counts = HashMap::new();
    for _ in 0..times {
        let picked = pick(accounts, &wanted("claude-opus-5"), &[], NOW, &mut random).unwrap();
        *counts.entry(picked.account.name.clone()).or_default() += 1;
    }
    counts
}

#[test]
fn every_condition_excludes_with_its_own_reason() {
    let marked = |kind, family| {
        let account = account(1);
        account.state.mark(mark(kind, family), NOW);
        account
    };
    let busy = but(1, |account| account.concurrency = Some(1));
    let _slot = busy.state.enter(busy.concurrency).unwrap();
    for (account, reason) in [
        (but(1, |account| account.enabled = false), Exclusion::Disabled),
        (but(1, |account| account.schedulable = false), Exclusion::Unschedulable),
        (but(1, |account| account.expires_at = Some(NOW)), Exclusion::Expired),
        (but(1, |account| account.invalid_reason = Some("billing".into())), Exclusion::Invalid),
        (but(1, |account| account.kind = Some(AccountType::Openai)), Exclusion::OtherPlatform),
        (but(1, |account| account.kind = Some(AccountType::Bedrock)), Exclusion::UnsupportedByNode),
        (but(1, |account| account.kind = None), Exclusion::UnsupportedByNode),
        (but(1, |account| account.upstream.base_url = None), Exclusion::UnsupportedByNode),
        (but(1, |account| account.upstream.credential = Credential::None), Exclusion::UnsupportedByNode),
        (
            but(1, |account| account.allowed_models = vec![pattern("claude-haiku-*")]),
            Exclusion::ModelNotAllowed,
        ),
        (but(1, |account| account.concurrency = Some(0)), Exclusion::Full),
        (denied(1), Exclusion::ModelDenied),
        (marked(MarkKind::RateLimited, None), Exclusion::RateLimited),
        (marked(MarkKind::Overloaded, Some("opus")), Exclusion::Overloaded),
        (busy, Exclusion::Full),
    ] {
        assert_eq!(eligible(&account, &wanted("claude-opus-5"), NOW), Err(reason));
        let accounts = [Arc::new(account)];
        assert!(
            pick(&accounts, &wanted("claude-opus-5"), &[], NOW, &mut SmallRng::seed_from_u64(1)).is_none()
        );
    }
    let ccr_only = Target { platform: Platform::Claude, account_type: Some(AccountType::Ccr) };
    let wanted = Wanted { target: ccr_only, ..wanted("claude-opus-5") };
    assert_eq!(eligible(&account(1), &wanted, NOW), Err(Exclusion::OtherType));
}

/// An account whose upstream said that it may not use the model, when it had this version.
fn denied(version: u64) -> Account {
    let account = account(1);
    account.state.learned.note_denied("claude-opus-5", "messages", version, NOW);
    account
}

#[test]
fn a_denied_model_is_asked_for_again_once_that_is_long_past_and_of_an_account_that_was_changed() {
    let later = Millis(NOW.0 + 30 * 60 * 1000);
    let account = denied(1);
    assert_eq!(
        eligible(&account, &wanted("claude-opus-5"), Millis(later.0 - 1)),
        Err(Exclusion::ModelDenied)
    );
    assert_eq!(eligible(&account, &wanted("claude-opus-5"), later), Ok("claude-opus-5"));
    assert_eq!(eligible(&account, &wanted("claude-sonnet-5"), NOW), Ok("claude-sonnet-5"));
    let counting = Wanted { operation: Operation::CountTokens, ..wanted("claude-opus-5") };
    assert_eq!(eligible(&account, &counting, NOW), Ok("claude-opus-5"), "that is another endpoint");
    assert_eq!(eligible(&denied(0), &wanted("claude-opus-5"), NOW), Ok("claude-opus-5"));
}

#[test]
fn what_has_passed_does_not_exclude() {
    let account = but(1, |account| account.expires_at = Some(Millis(NOW.0 + 6000)));
    account.state.mark(mark(MarkKind::RateLimited, None), NOW);
    account.state.mark(mark(MarkKind::Overloaded, Some("haiku")), NOW);
    let wanted = wanted("claude-opus-5");
    assert_eq!(eligible(&account, &wanted, NOW), Err(Exclusion::RateLimited));
    assert_eq!(eligible(&account, &wanted, Millis(NOW.0 + 5000)), Ok("claude-opus-5"));
}

#[test]
fn the_allow_list_is_checked_on_the_mapped_name() {
    let account = but(1, |account| {
        account.model_mapping = vec![(pattern("claude-*"), "mapped".into())];
        account.allowed_models = vec![pattern("mapped")];
    });
    assert_eq!(eligible(&account, &wanted("claude-opus-5"), NOW), Ok("mapped"));
    assert_eq!(eligible(&account, &wanted("opus"), NOW), Err(Exclusion::ModelNotAllowed));
}

#[test]
fn the_draw_respects_weights() {
    let weighted = |number, weight| but(number, |account| account.weight = weight);
    let accounts = ordered([weighted(1, 100), weighted(2, 300), weighted(3, 600)]);
    let counts = picked(&accounts, 10_000);
    for (name, share) in [("account-1", 1000), ("account-2", 3000), ("account-3", 6000)] {
        let count = counts[name];
        assert!(count.abs_diff(share) < 200, "{name}: {count} of {share}");
    }
}

#[test]
fn accounts_of_equal_weight_share_evenly_when_idle_and_the_least_loaded_wins_when_not() {
    let accounts = ordered((1..=4).map(account));
    for (name, count) in picked(&accounts, 8000) {
        assert!(count.abs_diff(2000) < 200, "{name}: {count}");
    }
    let _slots: Vec<_> = accounts[..3].iter().map(|account| account.state.enter(None).unwrap()).collect();
    assert_eq!(picked(&accounts, 100), HashMap::from([("account-4".into(), 100)]));
}

#[test]
fn a_worse_tier_is_used_only_when_the_better_one_has_nobody() {
    let tier = |number, priority| but(number, |account| account.priority = priority);
    let accounts = ordered([tier(1, 10), tier(2, 10), tier(3, 20)]);
    assert!(!picked(&accounts, 100).contains_key("account-3"));
    for account in &accounts[..2] {
        account.state.mark(mark(MarkKind::Overloaded, None), NOW);
    }
    assert_eq!(picked(&accounts, 10), HashMap::from([("account-3".into(), 10)]));
}

#[test]
fn a_picked_slot_is_taken_and_given_back() {
    let accounts = ordered([but(1, |account| account.concurrency = Some(2))]);
    let mut random = SmallRng::seed_from_u64(1);
    let mut next = || pick(&accounts, &wanted("claude-opus-5"), &[], NOW, &mut random);
    let (first, second) = (next().unwrap(), next().unwrap());
    assert!(next().is_none());
    drop((first, second));
    assert_eq!(next().unwrap().account.state.in_flight(), 1);
}

#[test]
fn a_pick_allocates_nothing() {
    let accounts = ordered((0..=200).map(|number| {
        but(number, |account| {
            account.priority = 1 + number / 50;
            account.weight = u16::from(number) % 3 + 1;
            account.concurrency = Some(4);
            account.enabled = number > 50 && number % 2 == 0;
            account.model_mapping = vec![(pattern("claude-opus-*"), "mapped".into())];
            account.allowed_models = vec![pattern("other"), pattern("map*")];
        })
    }));
    accounts[60].state.mark(mark(MarkKind::RateLimited, None), NOW);
    let tried: Tried = accounts[70..74].iter().map(|account| account.id).collect();
    let mut random = SmallRng::seed_from_u64(3);
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        assert!(pick(&accounts, &wanted("claude-opus-5"), &tried, NOW, &mut random).is_some());
        assert!(pick(&accounts, &wanted("claude-opus-5"), &[], NOW, &mut rand::rng()).is_some());
    }
    // The thread's own source of randomness sets itself up once.
    assert!(ALLOCATIONS.get() - before <= 2, "{} allocations", ALLOCATIONS.get() - before);
}

#[test]
fn the_explanation_is_full_for_operators_and_short_for_clients() {
    let accounts = ordered([
        but(1, |account| account.enabled = false),
        account(2),
        account(3),
        account(4),
        but(5, |account| account.kind = Some(AccountType::Openai)),
    ]);
    accounts[1].state.mark(mark(MarkKind::RateLimited, None), NOW);
    accounts[2].state.mark(mark(MarkKind::RateLimited, None), NOW);
    let explanation = explain(&accounts, &wanted("claude-opus-5"), &[accounts[3].id], NOW);
    assert_eq!(
        explanation.to_string(),
        "account-1: disabled, account-2: rate_limited, account-3: rate_limited, account-4: tried, account-5: other_platform"
    );
    assert_eq!(explanation.for_client(), "1 disabled, 2 rate_limited, 1 tried");
    assert_eq!(explanation.frees_in().unwrap().as_millis(), 5000);
}

prop_compose! {
    fn any_account()(
        (enabled, schedulable, valid) in (prop::bool::weighted(0.8), prop::bool::weighted(0.8), prop::bool::weighted(0.8)),
        priority in 1_u8..4,
        weight in 1_u16..4,
        concurrency in prop::option::of(0_u32..3),
        kind in prop::sample::select(vec![AccountType::ClaudeConsole, AccountType::Ccr, AccountType::Openai]),
        busy in 0_u32..3,
        limited: bool,
    ) -> (Account, u32, bool) {
        let account = but(0, |account| {
            account.enabled = enabled;
            account.schedulable = schedulable;
            account.invalid_reason = (!valid).then(|| "billing".into());
            account.priority = priority;
            account.weight = weight;
            account.concurrency = concurrency;
            account.kind = Some(kind);
        });
        (account, busy, limited)
    }
}

proptest! {
    /// Asked again and again, the picker gives every eligible account exactly once, best tier first, and nobody else.
    #[test]
    fn each_eligible_account_comes_once_and_in_the_order_of_tiers(given in vec(any_account(), 0..12), seed: u64) {
        let mut slots = Vec::new();
        let accounts = ordered((0..).zip(given).map(|(number, (mut account, busy, limited))| {
            account.id = AccountId::from_bytes([number; 16]);
            slots.extend((0..busy).filter_map(|_| account.state.enter(None)));
            if limited {
                account.state.mark(mark(MarkKind::RateLimited, Some("haiku")), NOW);
            }
            account
        }));
        let wanted = wanted("claude-haiku-5");
        let mut expected: Vec<_> =
            accounts.iter().filter(|account| eligible(account, &wanted, NOW).is_ok()).map(|account| account.id).collect();
        let mut random = SmallRng::seed_from_u64(seed);
        let mut tried = Tried::new();
        let mut last = 0;
        while let Some(picked) = pick(&accounts, &wanted, &tried, NOW, &mut random) {
            prop_assert!(!tried.contains(&picked.account.id), "tried twice");
            prop_assert!(eligible(picked.account, &wanted, NOW).is_ok() || picked.account.concurrency == Some(picked.account.state.in_flight()));
            prop_assert!(picked.account.priority >= last, "a worse tier came first");
            last = picked.account.priority;
            tried.push(picked.account.id);
        }
        let mut given_out = tried.to_vec();
        given_out.sort();
        expected.sort();
        prop_assert_eq!(given_out, expected);
        drop(slots);
    }
}
