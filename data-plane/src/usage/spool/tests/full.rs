//! A real file system that fills up and is freed again.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::*;

/// A file system of 2 MiB, until it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// `None`: this machine lets nobody mount anything, which is said.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        eprintln!("SKIPPED: no file system can be mounted here, so none is filled up");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut ballast =
            OpenOptions::new().create(true).append(true).open(self.path().join("ballast")).unwrap();
        for size in [4_096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn settings() -> SpoolSettings {
    let probe_every = Duration::from_millis(5);
    SpoolSettings { segment_bytes: 64 * 1024, probe_every, ..SpoolSettings::default() }
}

fn begin(disk: &Small, tasks: &Tasks) -> Journal {
    Journal::create(taken(disk.path()), run(1), settings(), &Clock::manual(NOW), tasks).unwrap()
}

#[tokio::test]
async fn a_disk_that_fills_up_stops_admission_until_it_is_freed_and_nothing_is_lost() {
    let Some(disk) = Small::mount() else { return };
    let tasks = Tasks::new();
    let journal = begin(&disk, &tasks);
    let (worker, outbox) = (journal.of_worker(0), journal.outboxes().pop().unwrap());
    let (mut expected, mut number) = (Vec::new(), 0);
    for _ in 0..3 {
        // Some before it is full, and those that it still takes.
        let mut running = Vec::new();
        let refused = loop {
            number += 1;
            if running.len() == 20 {
                disk.fill();
            }
            match worker.open(&open_record(number)) {
                Ok(opened) => running.push((number, opened)),
                Err(error) => break error,
            }
        };
        expected.extend(running.iter().map(|(number, _)| i64::try_from(*number).unwrap()));
        assert!(matches!(refused, SpoolError::Full | SpoolError::Unhealthy), "{refused}");
        assert!(!journal.healthy());
        let waiting = running.len();
        for (number, opened) in running {
            expected.push(-i64::try_from(number).unwrap());
            assert!(worker.close(opened, &close_record(number)).is_err(), "there is room");
        }
        assert!(matches!(journal.open(&open_record(0)), Err(SpoolError::Unhealthy)), "of all spools");
        assert!(journal.depth() >= waiting as u64, "what waits counts");
        disk.free();
        until(|| journal.healthy()).await;
    }
    assert!(journal.end(NOW));
    expected.push(END);
    assert_eq!(shape(&read_spool(&outbox, 1, 0)), expected, "in order, each once");
    tasks.shutdown(Duration::from_secs(5)).await;
}

#[test]
fn a_start_on_a_full_disk_keeps_what_is_there_and_serves_once_there_is_room() {
    let Some(disk) = Small::mount() else { return };
    spool_of(disk.path(), 50);
    let left = incarnation_folder(disk.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The first start ends before there is room.
    for freed in [false, true] {
        disk.fill();
        runtime.block_on(async {
            let tasks = Tasks::new();
            let journal = begin(&disk, &tasks);
            assert!(!journal.healthy());
            // The first start could not even say whose its folder is, which goes again.
            assert_eq!((journal.set_aside(), journal.depth()), (0, 101));
            let found = journal.outboxes().remove(0);
            assert_eq!(shape(&read(&found, 0)).len(), 101);
            if freed {
                disk.free();
                until(|| journal.healthy()).await;
                request(&journal.of_worker(0), 1);
                found.acknowledge(&[(0, 101)], &tasks).await.unwrap();
                assert!(!left.exists());
            }
            tasks.shutdown(Duration::from_secs(5)).await;
        });
    }
    let outboxes = found_outboxes(&taken(disk.path()), NOW).unwrap();
    let shapes = |outbox: &Outbox| -> Vec<_> {
        outbox.spools().map(|spool| shape(&read_spool(outbox, spool, 0))).collect()
    };
    let mut left: Vec<_> = outboxes.iter().map(shapes).collect();
    left.sort();
    assert_eq!(left, [[vec![END], vec![1, -1, END]]]);
}

#[tokio::test]
async fn records_that_fill_the_disk_make_room_once_they_are_delivered() {
    let Some(disk) = Small::mount() else { return };
    let tasks = Tasks::new();
    let journal = begin(&disk, &tasks);
    let outbox = journal.outboxes().pop().unwrap();
    let long = journal.open(&open_record(1)).unwrap();
    let (mut ledger, mut number) = (Vec::new(), 1);
    for _ in 0..3 {
        let opened = loop {
            number += 1;
            match journal.open(&open_record(number)) {
                Ok(opened) => {
                    if let Err(error) = journal.close(opened, &close_record(number)) {
                        break error;
                    }
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(opened, SpoolError::Full | SpoolError::Unhealthy), "{opened}");
        let taken = outbox.durable(0);
        assert!(taken > 10_000, "{taken}");
        let begun = Instant::now();
        while !journal.healthy() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the disk stays full");
            ledger.extend(shape(&read(&outbox, ledger.len() as u64)));
            outbox.acknowledge(&[(0, ledger.len() as u64)], &tasks).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    journal.close(long, &close_record(1)).unwrap();
    assert!(journal.end(NOW));
    ledger.extend(shape(&read(&outbox, ledger.len() as u64)));
    let mut closed: Vec<_> = ledger.iter().filter(|what| **what < 0).map(|what| -what).collect();
    closed.sort_unstable();
    // The last one of each turn may have been refused.
    closed.dedup();
    let count = ledger.iter().filter(|what| **what < 0).count();
    assert_eq!(count, closed.len(), "each once");
    assert!(number - 3 <= count as u64 && count as u64 <= number);
    tasks.shutdown(Duration::from_secs(5)).await;
}
