//! What is counted is counted in full, and takes bounded memory.

use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt as _;
use proto::v1::RefusalCount;
use shared::clock::QUARTER_MS;

use super::*;

const NOW: Millis = Millis(2_000_000 * QUARTER_MS);
const KEPT: usize = 5;

fn owner(number: u128) -> Owner {
    Owner { key: KeyId::from_bytes(number.to_be_bytes()), user: UserId::from_bytes([7; 16]) }
}

fn refusals() -> Refusals {
    Refusals::new(KEPT, IncarnationId::new(NOW))
}

fn asked(key: u128, model: &str) -> Asked {
    Asked { by: Some(owner(key)), model: Some(model.to_owned()), is_tried: false }
}

fn note_at(refusals: &Refusals, at: Millis, code: &'static str, asked: &Asked) {
    let (id, explanation) = (RequestId::new(at), Some(&"one: disabled" as &dyn Display));
    let message = &"no account can serve this";
    refusals.note(&Refused { id, at, wire: Wire::Chat, code, status: 503, message, explanation, asked });
}

fn note(refusals: &Refusals, code: &'static str, asked: &Asked) {
    note_at(refusals, NOW, code, asked);
}

/// Takes every report that there is.
fn taken(refusals: &Refusals) -> (Vec<RefusalCount>, Vec<RefusedRequest>) {
    let (mut counts, mut requests) = (Vec::new(), Vec::new());
    while let Some(report) = refusals.report() {
        assert!(report.counts.len() <= COUNTS_AT_ONCE && report.requests.len() <= KEPT_AT_ONCE);
        refusals.acknowledged(report.sequence);
        counts.extend(report.counts);
        requests.extend(report.requests);
    }
    (counts, requests)
}

fn sum(counts: &[RefusalCount]) -> u64 {
    counts.iter().map(|count| count.requests).sum()
}

#[test]
fn the_same_is_counted_together_and_what_differs_apart() {
    let refusals = refusals();
    for _ in 0..3 {
        note(&refusals, "no_account", &asked(1, "claude-opus-5"));
    }
    note(&refusals, "no_account", &asked(2, "claude-opus-5"));
    note(&refusals, "model_not_found", &asked(1, "mystery"));
    note(&refusals, "body_too_large", &Asked { by: Some(owner(1)), ..Asked::default() });
    note_at(&refusals, NOW.plus(Duration::from_secs(900)), "no_account", &asked(1, "claude-opus-5"));
    let found: BTreeMap<_, _> = taken(&refusals)
        .0
        .into_iter()
        .map(|count| {
            let quarters = (count.quarter_start_ms - NOW.0) / QUARTER_MS;
            assert_eq!(count.user_id, [7; 16]);
            ((quarters, count.code, count.key_id[15], count.model), count.requests)
        })
        .collect();
    let expected = [
        (0, "body_too_large", 1, "", 1),
        (0, "model_not_found", 1, "mystery", 1),
        (0, "no_account", 1, "claude-opus-5", 3),
        (0, "no_account", 2, "claude-opus-5", 1),
        (1, "no_account", 1, "claude-opus-5", 1),
    ];
    let expected = expected.map(|(quarter, code, key, model, requests)| {
        ((quarter, code.to_owned(), key, model.to_owned()), requests)
    });
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn a_report_stays_as_it_is_until_it_is_taken() {
    let refusals = refusals();
    note(&refusals, "no_account", &asked(1, "a"));
    let first = refusals.report().unwrap();
    note(&refusals, "no_account", &asked(1, "a"));
    note(&refusals, "no_account", &asked(1, "b"));
    assert_eq!(refusals.report().unwrap(), first, "its answer may be lost");
    assert_eq!((first.sequence, sum(&first.counts), refusals.waiting()), (1, 1, 3));
    refusals.acknowledged(first.sequence);
    let second = refusals.report().unwrap();
    assert_eq!((second.sequence, sum(&second.counts)), (2, 2));
    assert_eq!(second.incarnation_id, first.incarnation_id);
    refusals.acknowledged(first.sequence);
    assert_eq!(refusals.report().unwrap(), second, "an answer that comes twice takes nothing");
    refusals.acknowledged(second.sequence);
    assert_eq!((refusals.report(), refusals.waiting()), (None, 0));
}

#[test]
fn the_latest_are_kept_in_full() {
    let refusals = refusals();
    for number in 0..3 * KEPT {
        note(&refusals, "no_account", &asked(1, &format!("model-{number}")));
    }
    let (counts, kept) = taken(&refusals);
    assert_eq!(sum(&counts), 3 * KEPT as u64);
    let models: Vec<_> = kept.iter().map(|request| request.model.as_str()).collect();
    assert_eq!(models, ["model-10", "model-11", "model-12", "model-13", "model-14"]);
    let last = kept.last().unwrap();
    assert_eq!(
        (last.message.as_str(), last.explanation.as_str()),
        ("no account can serve this", "one: disabled")
    );
    assert_eq!((last.status, last.wire()), (503, proto::v1::Wire::Chat));
    assert_eq!((last.key_id.as_slice(), last.refused_at_ms), (&owner(1).key.to_bytes()[..], NOW.0));
}

#[tokio::test]
async fn everything_is_delivered_once_nothing_is_left_to_be_told_in_full_either() {
    let refusals = Refusals::new(3 * KEPT_AT_ONCE, IncarnationId::new(NOW));
    (0..2 * KEPT_AT_ONCE).for_each(|_| note(&refusals, "no_account", &asked(1, "a")));
    let mut delivered = std::pin::pin!(refusals.delivered());
    for reports in 1..=2 {
        assert!(delivered.as_mut().now_or_never().is_none(), "{reports}");
        let report = refusals.report().unwrap();
        assert_eq!(report.requests.len(), KEPT_AT_ONCE);
        refusals.acknowledged(report.sequence);
    }
    delivered.await;
    assert_eq!(refusals.report(), None);
}

#[test]
fn where_none_are_kept_all_are_counted() {
    let refusals = Refusals::new(0, IncarnationId::new(NOW));
    (0..9).for_each(|_| note(&refusals, "no_account", &asked(1, "a")));
    let (counts, kept) = taken(&refusals);
    assert_eq!((sum(&counts), kept.len()), (9, 0));
}

#[test]
fn a_flood_of_unknown_keys_is_one_number() {
    let refusals = refusals();
    for number in 0..10_000 {
        let asked = Asked { by: None, model: Some(format!("model-{number}")), is_tried: false };
        note(&refusals, "invalid_api_key", &asked);
    }
    let (counts, kept) = taken(&refusals);
    assert_eq!((counts.len(), sum(&counts), kept.len()), (1, 10_000, 0));
    let count = &counts[0];
    assert!(count.key_id.is_empty() && count.user_id.is_empty() && count.model.is_empty() && !count.others);
}

#[test]
fn models_and_keys_without_number_take_bounded_memory_and_are_all_counted() {
    let refusals = refusals();
    let codes = ["model_not_found", "no_account"];
    let rows = || refusals.0.noted.lock().counts.rows();
    let mut counts = Vec::new();
    for number in 0..8_000_u32 {
        let model = format!("model-{number}");
        note(&refusals, codes[(number % 2) as usize], &asked(u128::from(number % 3_000), &model));
        // Reports do not make room for more models within the quarter-hour.
        if number % 1_000 == 999 {
            counts.extend(taken(&refusals).0);
        }
        assert!(rows() <= Counts::most_rows(codes.len()));
    }
    assert_eq!(sum(&counts), 8_000);
    let told_apart = |what: fn(&RefusalCount) -> bool| counts.iter().any(what);
    assert!(told_apart(|count| !count.model.is_empty() && !count.others));
    assert!(told_apart(|count| count.others && !count.key_id.is_empty()));
    assert!(told_apart(|count| count.others && count.key_id.is_empty()));
    let mut named: Vec<_> = counts.iter().filter(|count| !count.model.is_empty()).collect();
    named.sort_by_key(|count| (&count.code, &count.key_id, &count.model));
    named.dedup_by_key(|count| (&count.code, &count.key_id, &count.model));
    assert_eq!(named.len(), 512);
}

#[test]
fn a_control_plane_that_is_away_for_long_costs_detail_and_no_count() {
    let refusals = refusals();
    let (mut at, mut noted) = (NOW, 0);
    for quarter in 0..60_u32 {
        for number in 0..400_u32 {
            note_at(&refusals, at, "no_account", &asked(u128::from(number), &format!("model-{quarter}")));
            note_at(&refusals, at, "invalid_api_key", &Asked::default());
            noted += 2;
        }
        at = at.plus(Duration::from_secs(900));
        let rows = refusals.0.noted.lock().counts.rows();
        assert!(rows <= Counts::most_rows(2), "{rows} after {quarter}");
    }
    assert_eq!(refusals.waiting(), noted);
    let (counts, _) = taken(&refusals);
    assert_eq!(sum(&counts), noted);
    let of = |code: &str| sum(&counts.iter().filter(|count| count.code == code).cloned().collect::<Vec<_>>());
    assert_eq!((of("no_account"), of("invalid_api_key")), (noted / 2, noted / 2));
    let latest = counts.iter().filter(|count| count.quarter_start_ms == at.0 - QUARTER_MS);
    assert_eq!(latest.filter(|count| count.model == "model-59").count(), 400, "the latest keeps its detail");
    let merged: Vec<_> = counts.iter().filter(|count| count.others).collect();
    assert_eq!(merged.len(), 1, "the oldest are one row: {merged:#?}");
}

#[test]
fn a_clock_that_was_wrong_for_once_does_not_stand_still() {
    let refusals = refusals();
    note_at(&refusals, NOW.plus(Duration::from_secs(86_400 * 365)), "no_account", &asked(1, "a"));
    note(&refusals, "no_account", &asked(1, "a"));
    // A worker that read the clock a moment before another one is no such thing.
    note_at(&refusals, Millis(NOW.0 - 1), "no_account", &asked(1, "a"));
    let quarters: Vec<_> =
        taken(&refusals).0.iter().map(|count| (count.quarter_start_ms, count.requests)).collect();
    assert_eq!(quarters, [(NOW.0 + 86_400_000 * 365, 1), (NOW.0, 2)]);
}

#[test]
fn long_names_and_explanations_are_cut_between_letters() {
    let refusals = refusals();
    let (model, explanation) = ("é".repeat(MODEL_BYTES), "é".repeat(EXPLANATION_BYTES));
    let asked = asked(1, &format!("x{model}"));
    let refused = Refused {
        id: RequestId::new(NOW),
        at: NOW,
        wire: Wire::Gemini,
        code: "no_account",
        status: 503,
        message: &"short",
        explanation: Some(&explanation),
        asked: &asked,
    };
    refusals.note(&refused);
    let (counts, kept) = taken(&refusals);
    let cut = format!("x{}", "é".repeat((MODEL_BYTES - 1) / 2));
    assert_eq!((&counts[0].model, &kept[0].model), (&cut, &cut));
    assert_eq!(kept[0].explanation, format!("{}…", "é".repeat(EXPLANATION_BYTES / 2)));
    assert_eq!(kept[0].message, "short");
}
