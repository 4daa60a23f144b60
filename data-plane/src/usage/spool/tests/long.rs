//! Requests that run for long while many others come and go.

use std::collections::BTreeMap;

use super::*;

const SEGMENT: u64 = 2_000;

/// What the files of an incarnation take.
fn on_disk(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => on_disk(&entry.path()),
            Ok(data) => data.len(),
            // Removed meanwhile.
            Err(_) => 0,
        })
        .sum()
}

/// Takes what is durable into `ledger`, and acknowledges it.
async fn deliver(outbox: &Outbox, ledger: &mut Vec<i64>, tasks: &Tasks) {
    ledger.extend(shape(&read(outbox, ledger.len() as u64)));
    outbox.acknowledge(&[(0, ledger.len() as u64)], tasks).await.unwrap();
}

#[tokio::test]
async fn long_streams_do_not_keep_the_disk_and_are_not_lost() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let journal = journal(folder.path(), SEGMENT, &tasks);
    let outbox = journal.outboxes().pop().unwrap();
    let mut long: Vec<_> =
        (1..=10).map(|number| (number, journal.open(&open_record(number)).unwrap())).collect();
    let (mut ledger, mut most) = (Vec::new(), 0);
    // Some 60 segments.
    for number in 11..=1_500 {
        request(&journal, number);
        if number % 20 == 0 {
            assert!(journal.sync());
            deliver(&outbox, &mut ledger, &tasks).await;
            assert!(journal.sync());
            let reserve = fs::metadata(incarnation_folder(folder.path()).join("reserve")).unwrap().len();
            assert_eq!(reserve, SEGMENT + 64 * 1024);
            most = most.max(on_disk(&incarnation_folder(folder.path())) - reserve);
        }
        if number == 700 {
            // One that was copied ends.
            let (number, opened) = long.remove(4);
            journal.close(opened, &close_record(number)).unwrap();
        }
    }
    let running = 10 * 50;
    let bound = 6 * SEGMENT + 2 * running + 100;
    assert!(most <= bound, "{most} bytes, of {bound}");
    assert!(most > 3 * SEGMENT, "copied before there is need: {most}");
    assert!(journal.bytes() <= bound);
    assert_eq!(journal.oldest_open(), Some(Millis(0)));
    let copies = ledger.iter().filter(|what| **what == 1).count();
    assert!((2..40).contains(&copies), "{copies} copies");

    tasks.shutdown(Duration::from_secs(5)).await;
    drop((journal, outbox));
    let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
    ledger.extend(shape(&read(&outboxes[0], ledger.len() as u64)));
    assert_eq!(ledger.pop(), Some(END));
    let mut ends = BTreeMap::new();
    for number in ledger.iter().filter(|what| **what < 0) {
        *ends.entry(-number).or_insert(0) += 1;
    }
    assert_eq!(ends, (1..=1_500).map(|number| (number, 1)).collect::<BTreeMap<i64, _>>());
}

#[tokio::test]
async fn an_open_record_that_the_disk_lost_does_not_stop_the_others() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let journal = journal(folder.path(), SEGMENT, &tasks);
    let outbox = journal.outboxes().pop().unwrap();
    let running = [1, 2].map(|number| journal.open(&open_record(number)).unwrap());
    assert!(journal.sync());
    let first = segment::path(&spool_folder(folder.path()), 1);
    let mut bytes = fs::read(&first).unwrap();
    bytes[frame::HEADER + 2] ^= 1;
    fs::write(&first, bytes).unwrap();
    let mut ledger = Vec::new();
    for number in 3..=500 {
        request(&journal, number);
        if number % 20 == 0 {
            assert!(journal.sync());
            deliver(&outbox, &mut ledger, &tasks).await;
        }
    }
    assert!(journal.sync());
    assert!(!first.exists());
    for (opened, number) in running.into_iter().zip(1..) {
        journal.close(opened, &close_record(number)).unwrap();
    }
    assert!(journal.end(NOW), "both are closed, and nothing is open");
    deliver(&outbox, &mut ledger, &tasks).await;
    assert!(outbox.finished());
    assert!(ledger.ends_with(&[-1, -2, END]));
    tasks.shutdown(Duration::from_secs(5)).await;
}
