//! Receiving the configuration.

use std::fs;

use super::*;

#[tokio::test]
async fn a_node_follows_and_goes_on_from_its_copy_while_the_control_plane_is_away() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 3, &[user(), key(3, true)])]);
    let node = setting.node();
    until("the first configuration is acknowledged", || acknowledged(fake, 3)).await;
    assert!(node.has_key());
    fake.publish(delta(3, 4, &[key(4, false)], &[user(), key(4, false)])).await;
    until("the revocation is in force", || !node.has_key()).await;
    let copy = setting.copy();
    until("a copy is written", || copy.exists()).await;
    node.stop().await;

    fake.go_down().await;
    let node = setting.node();
    assert_eq!((node.version(), node.has_key()), (Some(4), false), "the copy knows the revocation");

    fake.greet_with(vec![delta(4, 5, &[key(5, true)], &[user(), key(5, true)])]);
    fake.come_up();
    until("the node has resumed", || node.has_key()).await;
    let hello = fake.heard(|heard| heard.hellos.last().cloned()).unwrap();
    assert_eq!(hello.known, Some(revision(EPOCH, 4).into()));
    assert_eq!(hello.digest, digest_of(&[user(), key(4, false)]));
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_copy_that_can_not_be_read_is_set_aside_and_the_node_asks_for_everything() {
    let setting = Setting::new();
    let rubbish = b"SWYCOPY\x01 and then rubbish, of some length at least";
    fs::write(setting.copy(), rubbish).unwrap();
    let node = setting.node();
    assert!(!node.link.configuration.handle().has_config());
    assert!(!setting.copy().exists());
    assert_eq!(fs::read(setting.folder.path().join("snapshot.sealed.aside.1")).unwrap(), rubbish);
    setting.fake.greet_with(vec![full(EPOCH, 0, &[])]);
    until("an empty configuration is one", || node.link.configuration.handle().has_config()).await;
    assert_eq!(setting.fake.heard(|heard| heard.hellos[0].known.clone()), None);
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_large_state_comes_in_chunks_and_applies_at_once() {
    let setting = Setting::new();
    let resources = [user(), key(3, true)];
    let first = Update { last: false, digest: Vec::new(), ..full(EPOCH, 3, &resources[..1]) };
    let second = Update { digest: digest_of(&resources), ..full(EPOCH, 3, &resources[1..]) };
    setting.fake.greet_with(vec![first]);
    let node = setting.node();
    until("the node watches", || setting.fake.heard(|heard| !heard.hellos.is_empty())).await;
    assert_eq!(node.version(), None);
    setting.fake.publish(second).await;
    until("both chunks are in force", || node.has_key()).await;
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_gap_is_answered_with_a_resync() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 3, &[user()])]);
    let node = setting.node();
    until("the first configuration is in force", || acknowledged(fake, 3)).await;
    fake.publish(delta(5, 6, &[key(6, true)], &[user(), key(6, true)])).await;
    until("the node asks for everything", || {
        fake.heard(|heard| heard.answers.iter().any(|answer| matches!(answer, Message::Resync(_))))
    })
    .await;
    assert_eq!(node.version(), Some(3));
    fake.publish(full(EPOCH, 6, &[user(), key(6, true)])).await;
    until("it follows again", || node.has_key()).await;
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_database_that_was_emptied_or_restored_is_not_followed_until_it_is_adopted() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 9, &[user(), key(9, true)])]);
    let node = setting.node();
    until("the first configuration is acknowledged", || acknowledged(fake, 9)).await;

    let refused = |reason: &'static str| {
        move || {
            last_heartbeat(fake)
                .and_then(|heartbeat| heartbeat.refused)
                .is_some_and(|refused| refused.reason == reason)
        }
    };
    fake.publish(full(EPOCH, 2, &[user()])).await;
    until("a lower version is shown", refused("lower_version")).await;
    fake.publish(full(EPOCH + 1, 20, &[])).await;
    until("an unknown epoch is shown", refused("unknown_epoch")).await;
    assert_eq!((node.version(), node.has_key()), (Some(9), true), "the node serves on");

    fake.publish(Update { adopted: true, ..full(EPOCH + 1, 21, &[user()]) }).await;
    until("the adopted epoch is followed", || acknowledged(fake, 21)).await;
    assert!(!node.has_key());
    until("nothing is refused any more", || {
        last_heartbeat(fake).is_some_and(|heartbeat| heartbeat.refused.is_none())
    })
    .await;

    node.stop().await;
    let node = setting.node();
    fake.greet_with(Vec::new());
    until("the node is back", || fake.heard(|heard| heard.hellos.len() > 1)).await;
    fake.publish(Update { adopted: true, ..full(EPOCH, 99, &[key(9, true), user()]) }).await;
    until("an epoch that was left stays left", refused("unknown_epoch")).await;
    assert_eq!(node.version(), Some(21));
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn a_refused_payload_is_told_at_once_and_with_heartbeats_through_resync_and_restart() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![full(EPOCH, 3, &[user(), key(3, true)])]);
    let node = setting.node();
    until("the first configuration is acknowledged", || acknowledged(fake, 3)).await;
    let poisoned = Resource { payload: Bytes::from_static(&[0x0f]), version: 4, ..key(4, true) };
    fake.publish(delta(3, 4, std::slice::from_ref(&poisoned), &[user(), poisoned.clone()])).await;
    until("the revision is acknowledged all the same", || acknowledged(fake, 4)).await;
    let nacks = || {
        fake.heard(|heard| heard.answers.iter().filter(|answer| matches!(answer, Message::Nack(_))).count())
    };
    assert_eq!(nacks(), 1);
    assert!(node.has_key(), "the last good payload serves");
    let shown = || last_heartbeat(fake).is_some_and(|heartbeat| heartbeat.refused_payloads.len() == 1);
    until("heartbeats show it", shown).await;
    fake.publish(full(EPOCH, 4, &[user(), poisoned.clone()])).await;
    until("a resync is answered with the same", || nacks() == 2).await;
    node.stop().await;

    fake.greet_with(Vec::new());
    fake.heard(|heard| heard.heartbeats.clear());
    let node = setting.node();
    assert!(node.has_key(), "a restart keeps the last good payload");
    until("heartbeats of the new process show it", shown).await;
    fake.publish(delta(4, 5, &[key(5, false)], &[user(), key(5, false)])).await;
    until("a good payload ends it", || {
        last_heartbeat(fake).is_some_and(|heartbeat| heartbeat.refused_payloads.is_empty())
    })
    .await;
    node.stop().await;
    setting.end().await;
}

/// The update as that history has it, in which the hello's version has `known_stamp`.
fn of_history(history: u8, known_stamp: &[u8], mut update: Update) -> Update {
    let revision = update.revision.as_mut().unwrap();
    (revision.stamp, revision.proof) = (vec![history; 16], vec![history; 32]);
    Update { known_stamp: known_stamp.to_vec(), ..update }
}

#[tokio::test]
async fn another_history_is_refused_and_a_restart_remembers_it() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![of_history(1, &[], full(EPOCH, 9, &[user(), key(9, false)]))]);
    let node = setting.node();
    until("the first configuration is acknowledged", || acknowledged(fake, 9)).await;
    let proven = message::Revision { stamp: vec![1; 16], proof: vec![1; 32], ..revision(EPOCH, 9).into() };
    until("it is told with heartbeats, and with its proof", || {
        last_heartbeat(fake).is_some_and(|heartbeat| heartbeat.revision.as_ref() == Some(&proven))
    })
    .await;
    node.stop().await;

    // The node was away while the restored database, in which the key is valid, caught up.
    fake.greet_with(vec![of_history(2, &[2; 16], full(EPOCH, 20, &[user(), key(3, true)]))]);
    let node = setting.node();
    let refused = || {
        last_heartbeat(fake).and_then(|heartbeat| heartbeat.refused).is_some_and(|refused| {
            refused.reason == "other_history" && refused.revision.unwrap().version == 20
        })
    };
    until("it is shown", refused).await;
    let hello = fake.heard(|heard| heard.hellos.last().cloned()).unwrap();
    assert_eq!(hello.known, Some(proven), "the control plane can know by it");
    assert_eq!((node.version(), node.has_key()), (Some(9), false));
    node.stop().await;

    // Nothing is offered, and it is shown all the same.
    fake.greet_with(Vec::new());
    fake.heard(|heard| heard.heartbeats.clear());
    let node = setting.node();
    until("it is shown after a restart", refused).await;
    node.stop().await;

    // The right database is back.
    fake.greet_with(vec![of_history(1, &[1; 16], full(EPOCH, 10, &[user(), key(10, true)]))]);
    let node = setting.node();
    until("it is followed", || node.has_key()).await;
    until("nothing is refused any more", || {
        last_heartbeat(fake).is_some_and(|heartbeat| heartbeat.refused.is_none())
    })
    .await;
    node.stop().await;
    setting.end().await;
}

#[tokio::test]
async fn what_follows_on_a_stream_in_doubt_is_asked_for_anew() {
    let setting = Setting::new();
    let fake = &setting.fake;
    fake.greet_with(vec![of_history(1, &[], full(EPOCH, 9, &[user()]))]);
    let node = setting.node();
    until("the first configuration is acknowledged", || acknowledged(fake, 9)).await;
    // A replica that is behind; then it is not.
    fake.publish(of_history(1, &[], full(EPOCH, 8, &[user()]))).await;
    fake.greet_with(vec![of_history(1, &[1; 16], delta(9, 10, &[key(10, true)], &[user(), key(10, true)]))]);
    fake.publish(of_history(1, &[], delta(8, 10, &[key(10, true)], &[user(), key(10, true)]))).await;
    until("the answer to a new hello is followed", || node.has_key()).await;
    assert_eq!(fake.heard(|heard| heard.hellos.len()), 2);
    node.stop().await;
    setting.end().await;
}
