//! What the disk thread does is seen in `spool/tests.rs`; here is how it sleeps, hangs and breaks.

use shared::{
    clock::{Clock, Millis},
    tasks::Tasks,
};

use super::*;
use crate::usage::spool::{
    Journal,
    tests::{open_record, request, run, spool_folder, taken, until},
};

fn begin(data_dir: &std::path::Path, settings: SpoolSettings, tasks: &Tasks, round: Round) -> Journal {
    let clock = Clock::manual(Millis(1));
    Journal::begin(taken(data_dir), run(0), settings, &clock, |own| start(own, tasks, round)).unwrap()
}

fn own(journal: &Journal) -> &Own {
    &journal.spools.own
}

fn rounds(journal: &Journal) -> u64 {
    own(journal).orders.given.lock().begun
}

#[tokio::test]
async fn the_next_segment_is_ready_before_it_is_needed() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let journal = begin(folder.path(), SpoolSettings::default(), &tasks, round);
    let spool = spool_folder(folder.path());
    let files = || (segment::unnamed(&spool).unwrap().len(), segment::list(&spool).unwrap());
    assert_eq!(files(), (1, vec![]), "before the first record");
    request(&journal, 1);
    assert!(journal.sync());
    assert_eq!(files(), (1, vec![1]));
    tasks.shutdown(Duration::from_secs(5)).await;
    assert_eq!(files(), (1, vec![1]));
}

#[tokio::test]
async fn many_records_wake_the_thread_once_and_none_do_not() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    // Longer than the test runs, so that all it writes falls into one.
    let settings = SpoolSettings { sync_every: Duration::from_secs(600), ..SpoolSettings::default() };
    let journal = begin(folder.path(), settings, &tasks, round);
    for number in 1..=1_000 {
        request(&journal, number);
    }
    assert_eq!(rounds(&journal), 0);
    assert!(journal.sync());
    assert_eq!(rounds(&journal), 1);
    // Nothing may be removed for it, so nobody is woken.
    own(&journal).acknowledge(&[(0, 2_000)]);
    assert!(!own(&journal).orders.given.lock().work);
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_disk_that_does_not_answer_stops_admission_until_it_does_and_hangs_nobody() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let settings = SpoolSettings { stalled_after: Duration::from_millis(20), ..SpoolSettings::default() };
    let journal = begin(folder.path(), settings, &tasks, |own| {
        while own.folder.join("hang").exists() {
            thread::yield_now();
        }
        round(own);
    });
    let hang = own(&journal).folder.join("hang");
    std::fs::write(&hang, b"").unwrap();
    request(&journal, 1);
    until(|| !journal.healthy()).await;
    assert!(matches!(journal.open(&open_record(2)), Err(SpoolError::Unhealthy)));
    assert!(!journal.sync(), "it does not wait for ever");
    let outbox = journal.outboxes().pop().unwrap();
    assert_eq!(outbox.durable(0), 0);
    std::fs::remove_file(&hang).unwrap();
    until(|| journal.healthy() && outbox.durable(0) == 2).await;
    request(&journal, 2);
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
    assert_eq!(outbox.durable(0), 4);
}

#[tokio::test]
async fn a_thread_that_breaks_stops_admission_for_good_and_hangs_nobody() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let journal = begin(folder.path(), SpoolSettings::default(), &tasks, |_| panic!("by the test"));
    request(&journal, 1);
    until(|| !journal.healthy()).await;
    assert!(matches!(journal.open(&open_record(2)), Err(SpoolError::Unhealthy)));
    assert!(!journal.sync());
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
}

#[test]
fn the_thread_ends_with_a_runtime_that_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let journal =
        runtime.block_on(async { begin(folder.path(), SpoolSettings::default(), &Tasks::new(), round) });
    request(&journal, 1);
    drop(runtime);
    let orders = &own(&journal).orders;
    let mut given = orders.given.lock();
    while given.ended != u64::MAX {
        let woken = orders.done.wait_for(&mut given, Duration::from_secs(10));
        assert!(!woken.timed_out(), "it still runs");
    }
    drop(given);
    assert_eq!(own(&journal).spools[0].durable(), 2, "with a last sync");
}

/// As one that hangs in a write does, whose thread nobody can help.
#[tokio::test]
async fn a_writer_that_hangs_does_not_hold_up_a_shutdown() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let settings = SpoolSettings { stalled_after: Duration::from_millis(20), ..SpoolSettings::default() };
    let journal = begin(folder.path(), settings, &tasks, round);
    let writing = own(&journal).spools[0].writer.0.lock();
    assert!(!journal.sync());
    drop(writing);
    assert!(journal.sync());
}
