//! Files that the disk can't read at a start, and files that are not there.

use rustix::io::Errno;

use super::{fault::tests as fault, *};

const PAIRS: u64 = 300;
const WHOLE: std::ops::Range<u64> = 0..u64::MAX;

/// A run that left requests in segments of many blocks. Gives its spool.
fn left(data_dir: &Path) -> PathBuf {
    left_in(data_dir, 6_000)
}

fn left_in(data_dir: &Path, segment_bytes: u64) -> PathBuf {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new();
        let journal = journal(data_dir, segment_bytes, &tasks);
        for number in 1..=PAIRS {
            request(&journal, number);
        }
        tasks.shutdown(Duration::from_secs(5)).await;
    });
    spool_folder(data_dir)
}

fn all() -> Vec<i64> {
    let pairs = (1..=i64::try_from(PAIRS).unwrap()).flat_map(|number| [number, -number]);
    pairs.chain([END]).collect()
}

/// What a start finds. It starts.
fn found(data_dir: &Path) -> Left {
    Left::find(&taken(data_dir), NOW).unwrap()
}

fn read_of(left: &Left) -> Vec<Read> {
    read(&Outbox::Found(Arc::clone(&left.found[0])), 0)
}

/// Segments of a spool, oldest first.
fn paths(spool: &Path) -> Vec<PathBuf> {
    segment::list(spool).unwrap().into_iter().map(|first| segment::path(spool, first)).collect()
}

fn aside_of(spool: &Path) -> PathBuf {
    spool.parent().unwrap().with_extension("set-aside").join("0")
}

#[test]
fn a_block_that_can_not_be_read_takes_what_it_holds_and_its_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let spool = left(folder.path());
    let bad = paths(&spool).remove(1);
    let content = fs::read(&bad).unwrap();
    fault::spoil(&bad, 1_000..1_001, Errno::IO);
    let first = found(folder.path());
    assert_eq!((first.found.len(), first.set_aside), (1, 1));
    let records = read_of(&first);
    let lost = records.iter().filter(|record| record.record.is_none()).count();
    assert!((10..100).contains(&lost), "{lost} records in a block");
    assert_eq!(sequences(&records), (1..=u64::try_from(records.len()).unwrap()).collect::<Vec<_>>());
    // Behind these a request ends whose end is lost.
    for (what, whole) in shape(&records).into_iter().zip(all()).take(all().len() - 1) {
        assert!(what == 0 || what == whole, "{what} in the place of {whole}");
    }
    assert_eq!(fs::read(aside_of(&spool).join(bad.file_name().unwrap())).unwrap(), content);

    let again = found(folder.path());
    assert_eq!((again.set_aside, shape(&read_of(&again))), (1, shape(&records)), "the same each time");
    assert_eq!(again.found[0].missing(), u64::try_from(lost).unwrap());
}

#[tokio::test]
async fn a_run_goes_on_beside_what_can_not_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let spool = std::thread::scope(|scope| scope.spawn(|| left(folder.path())).join().unwrap());
    let files = paths(&spool).len();
    for bad in paths(&spool) {
        fault::spoil(&bad, WHOLE, Errno::UCLEAN);
    }
    let tasks = Tasks::new();
    let journal = journal(folder.path(), 6_000, &tasks);
    assert_eq!((journal.set_aside(), journal.healthy()), (1, true));
    request(&journal, 1);
    assert!(journal.sync());
    let outboxes = journal.outboxes();
    assert_eq!(shape(&read(&outboxes[1], 0)), [1, -1]);
    let outbox = &outboxes[0];
    let last = outbox.durable(0);
    assert!(last > PAIRS * 2, "no sequence that the ledger may have is used again: {last}");
    outbox.acknowledge(&[(0, last)], &tasks).await.unwrap();
    assert!(!spool.exists());
    assert_eq!(fs::read_dir(aside_of(&spool)).unwrap().count(), files, "that is delivered, and these stay");
    tasks.shutdown(Duration::from_secs(5)).await;
}

#[test]
fn behind_an_end_that_can_not_be_read_no_sequence_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = left(folder.path());
    let bad = paths(&spool).pop().unwrap();
    let length = fs::metadata(&bad).unwrap().len();
    fault::spoil(&bad, length - 1..length, Errno::NODATA);
    let first = found(folder.path());
    let outbox = Outbox::Found(Arc::clone(&first.found[0]));
    let records = read_of(&first);
    let known = records.iter().take_while(|record| record.record.is_some()).count();
    let lost = records.iter().filter(|record| record.record.is_none()).count();
    assert!(known + lost >= all().len() - 1, "{known} and {lost}");
    assert_eq!(first.found[0].missing(), u64::try_from(lost).unwrap());
    assert_eq!(sequences(&records), (1..=outbox.durable(0)).collect::<Vec<_>>());

    let mut reader = outbox.reader(0, u64::try_from(known).unwrap()).unwrap();
    let batch = reader.batch(outbox.durable(0), SIZE).unwrap();
    assert_eq!(batch.gone, u64::try_from(lost).unwrap(), "the ledger is told so at once");
    assert_eq!(shape(&read_of(&found(folder.path()))), shape(&records), "the same each time");
}

#[test]
fn files_without_a_name_are_kept_as_far_as_they_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let spool = left(folder.path());
    take_names(&spool, 1);
    let unnamed = segment::unnamed(&spool).unwrap();
    assert_eq!(unnamed.len(), 2);
    for path in &unnamed {
        fault::spoil(path, 0..1, Errno::IO);
    }
    let first = found(folder.path());
    let records = shape(&read_of(&first));
    assert_eq!(records.last(), Some(&END));
    assert!(records.contains(&0), "{records:?}");
    assert_eq!(shape(&read_of(&found(folder.path()))), records, "the same each time");
    assert!(aside_of(&spool).read_dir().unwrap().count() > 0);
}

#[test]
fn a_run_whose_identity_can_not_be_read_is_set_aside_whole() {
    let folder = tempfile::tempdir().unwrap();
    let spool = left(folder.path());
    let run = spool.parent().unwrap();
    let before = segment::list(&spool).unwrap();
    fault::spoil(&run.join("identity"), WHOLE, Errno::IO);
    for _ in 0..2 {
        let found = found(folder.path());
        assert_eq!((found.found.len(), found.set_aside), (0, 1));
    }
    assert!(!run.exists());
    assert_eq!(segment::list(&run.with_extension("set-aside").join("0")).unwrap(), before);
}

#[test]
fn what_is_no_damage_gives_up_no_record() {
    for error in [Errno::ACCESS, Errno::MFILE, Errno::NOMEM, Errno::STALE] {
        let folder = tempfile::tempdir().unwrap();
        let spool = left(folder.path());
        let before = paths(&spool);
        fault::repair();
        fault::spoil(&before[1], 0..1, error);
        let refused = Left::find(&taken(folder.path()), NOW).map(|_| ()).unwrap_err().to_string();
        let run = spool.parent().unwrap().to_str().unwrap();
        let name = before[1].file_name().unwrap().to_str().unwrap();
        assert!(refused.contains(run) && refused.contains(name), "{refused}");
        assert_eq!(paths(&spool), before);
        assert!(!aside_of(&spool).exists());
    }
}

#[test]
fn a_folder_that_is_named_as_a_segment_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let spool = left(folder.path());
    fs::create_dir(segment::path(&spool, 1_000_000)).unwrap();
    let back = found(folder.path());
    assert_eq!((back.set_aside, shape(&read_of(&back))), (0, all()));
}

#[test]
fn a_start_may_be_killed_while_it_sets_aside() {
    let mut steps = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let spool = left(folder.path());
        let (bad, contents): (Vec<_>, Vec<_>) =
            paths(&spool).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).unzip();
        fault::repair();
        for path in &bad {
            fault::spoil(path, 4_096..4_097, Errno::IO);
        }
        fault::die_after(steps);
        let survived = Left::find(&taken(folder.path()), NOW).is_ok();
        _ = fault::revive();
        let records = shape(&read_of(&found(folder.path())));
        assert_eq!((records[0], records.last()), (1, Some(&END)), "after {steps} steps");
        assert_eq!(shape(&read_of(&found(folder.path()))), records, "after {steps} steps");
        for (path, content) in bad.iter().zip(&contents) {
            let kept = aside_of(&spool).join(path.file_name().unwrap());
            assert_eq!(&fs::read(kept).unwrap(), content, "after {steps} steps");
        }
        if survived {
            break;
        }
        steps += 1;
    }
    assert!(steps > 10, "{steps} steps were tried");
}

#[test]
fn a_segment_that_is_not_there_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let spool = left_in(folder.path(), 300);
    let firsts = segment::list(&spool).unwrap();
    fs::remove_file(segment::path(&spool, firsts[3])).unwrap();
    let found = found(folder.path());
    let missing = firsts[4] - firsts[3];
    assert_eq!(found.found[0].missing(), missing);
    let lost = read_of(&found).iter().filter(|record| record.record.is_none()).count();
    assert_eq!(u64::try_from(lost).unwrap(), missing, "and the ledger is told of as many");
}

/// What could be read is no less there for it.
#[test]
fn a_disk_that_takes_nothing_keeps_the_process_from_starting_and_nothing_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    left(folder.path());
    let spool = spool_folder(folder.path());
    let first = paths(&spool).remove(0);
    for unnamed in [false, true] {
        if unnamed {
            fs::rename(&first, spool.join("7.new")).unwrap();
        }
        fault::take_nothing(Errno::IO);
        assert!(Left::find(&taken(folder.path()), NOW).is_err());
        fault::repair();
    }
    let back = found(folder.path());
    assert_eq!((back.set_aside, shape(&read_of(&back))), (0, all()));
}

#[test]
fn behind_a_hole_of_any_size_reading_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let spool = left_in(folder.path(), 1 << 20);
    let only = paths(&spool).remove(0);
    let content = fs::read(&only).unwrap().repeat(20);
    let hole = 80 * 4096;
    fs::write(&only, [vec![0; hole], content.clone()].concat()).unwrap();
    fault::spoil(&only, 0..hole as u64, Errno::IO);
    let read = super::salvage::read(&only).unwrap();
    assert!(read.is_damaged && read.bytes.ends_with(&content[content.len() / 4 * 3..]));
    fault::repair();
    assert!(!super::salvage::read(&only).unwrap().is_damaged);
}
