//! Refused requests.

use std::collections::BTreeMap;

use proto::v1::RefusalReport;
use shared::{
    id::{KeyId, RequestId, UserId},
    wire,
};

use super::*;
use crate::refusals::{Asked, Owner, Refused};

fn refuse(node: &TestNode, model: &str) {
    let by = Owner { key: KeyId::from_bytes([1; 16]), user: UserId::from_bytes([2; 16]) };
    let asked = Asked { by: Some(by), model: Some(model.into()), is_tried: false };
    let at = node.link.clock.now();
    node.link.refusals.note(&Refused {
        id: RequestId::new(at),
        at,
        wire: wire::Wire::Messages,
        code: "no_account",
        status: 503,
        message: &"told",
        explanation: None,
        asked: &asked,
    });
}

async fn delivered(node: &TestNode) {
    let done = tokio::time::timeout(Duration::from_secs(20), node.link.refusals.delivered());
    done.await.expect("everything is reported in time");
}

/// Takes each sequence of an incarnation once, as the control plane does; the sum by model.
fn counted(reports: &[RefusalReport]) -> BTreeMap<String, u64> {
    let once: BTreeMap<_, _> =
        reports.iter().map(|report| ((&report.incarnation_id, report.sequence), report)).collect();
    let mut sums = BTreeMap::new();
    for count in once.values().flat_map(|report| &report.counts) {
        *sums.entry(count.model.clone()).or_default() += count.requests;
    }
    sums
}

fn sums<const N: usize>(of: [(&str, u64); N]) -> BTreeMap<String, u64> {
    of.into_iter().map(|(model, requests)| (model.to_owned(), requests)).collect()
}

#[tokio::test]
async fn a_report_whose_answer_is_lost_is_sent_again_as_it_was() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.heard(|heard| heard.lose_refusal_answers = 2);
    let node = setting.node();
    refuse(&node, "a");
    until("the first has come", || fake.heard(|heard| !heard.refusals.is_empty())).await;
    refuse(&node, "a");
    refuse(&node, "b");
    delivered(&node).await;
    let reports = fake.heard(|heard| heard.refusals.clone());
    assert!(reports.len() > 3, "{reports:#?}");
    assert!(reports.iter().all(|report| report.node_id == "node-a"));
    assert_eq!([&reports[1], &reports[2]], [&reports[0], &reports[0]]);
    assert_eq!(counted(&reports), sums([("a", 2), ("b", 1)]));
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn what_is_refused_while_the_control_plane_is_away_comes_in_one_piece() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.go_down().await;
    let node = setting.node();
    (0..50).for_each(|_| refuse(&node, "a"));
    let in_vain = tokio::time::timeout(Duration::from_millis(50), node.link.refusals.delivered()).await;
    assert!(in_vain.is_err());
    (0..50).for_each(|_| refuse(&node, "a"));
    fake.come_up();
    delivered(&node).await;
    let reports = fake.heard(|heard| heard.refusals.clone());
    assert_eq!(counted(&reports), sums([("a", 100)]));
    // The newest of them, as many as there is room for beside those that were under way.
    let kept: usize = reports.iter().map(|report| report.requests.len()).sum();
    assert!((10..=20).contains(&kept), "{kept}");
    node.stop().await;
    setting.end().await;
}
