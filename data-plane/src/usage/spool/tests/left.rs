//! Spools of workers, how they end, and folders that earlier runs left.

use super::*;

fn of_workers(data_dir: &Path, workers: usize, tasks: &Tasks) -> Journal {
    let settings = SpoolSettings { segment_bytes: 200, ..SpoolSettings::default() };
    Journal::create(taken(data_dir), run(workers), settings, &Clock::manual(NOW), tasks).unwrap()
}

fn shapes(outbox: &Outbox) -> Vec<Vec<i64>> {
    outbox.spools().map(|spool| shape(&read_spool(outbox, spool, 0))).collect()
}

/// What is in the folder of all incarnations.
fn names(data_dir: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(data_dir.join(FOLDER)).unwrap().map(name).collect()
}

#[tokio::test]
async fn each_worker_has_a_spool_and_a_request_ends_where_it_began() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let journal = of_workers(folder.path(), 2, &tasks);
    let (first, second) = (journal.of_worker(0), journal.of_worker(1));
    request(&first, 1);
    let moved = second.open(&open_record(2)).unwrap();
    request(&journal, 3);
    let unknown = journal.of_worker(9);
    request(&unknown, 4);
    first.close(moved, &close_record(2)).unwrap();
    assert!(journal.sync());
    let outbox = journal.outboxes().pop().unwrap();
    assert_eq!(shapes(&outbox), [vec![3, -3, 4, -4], vec![1, -1], vec![2, -2]]);
    tasks.shutdown(Duration::from_secs(5)).await;
}

#[test]
fn spools_end_where_nothing_is_open_and_the_next_run_ends_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new();
        let journal = of_workers(folder.path(), 2, &tasks);
        request(&journal.of_worker(0), 1);
        let _given_up = journal.of_worker(1).open(&open_record(2)).unwrap();
        assert!(journal.end(Millis(7)));
        assert!(matches!(journal.of_worker(0).open(&open_record(3)), Err(SpoolError::Ended)));
        assert!(journal.healthy(), "no fault of the disk");
        let outbox = journal.outboxes().pop().unwrap();
        assert_eq!(shapes(&outbox), [vec![END], vec![1, -1, END], vec![2]]);
        assert!(journal.end(Millis(8)), "once is enough");
        assert_eq!(journal.depth(), 5);
        tasks.shutdown(Duration::from_secs(5)).await;
    });
    let outboxes = found_outboxes(&taken(folder.path()), Millis(9)).unwrap();
    let outbox = &outboxes[0];
    assert_eq!(shapes(outbox), [vec![END], vec![1, -1, END], vec![2, -2, END]]);
    let end = |spool| match read_spool(outbox, spool, 0).pop().unwrap().record {
        Some(record::Record::End(end)) => (end.ended_at_ms, end.recovered),
        other => panic!("{other:?}"),
    };
    assert_eq!([end(0), end(1), end(2)], [(7, false), (7, false), (9, true)]);
}

#[tokio::test]
async fn what_is_delivered_to_its_end_goes_and_what_is_delivered_in_part_is_known() {
    for whole in [false, true] {
        let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
        let journal = of_workers(folder.path(), 1, &tasks);
        request(&journal.of_worker(0), 1);
        assert!(journal.end(NOW));
        let outbox = journal.outboxes().pop().unwrap();
        outbox.acknowledge(&[(0, 1), (1, if whole { 3 } else { 2 })], &tasks).await.unwrap();
        assert_eq!(outbox.finished(), whole);
        tasks.shutdown(Duration::from_secs(5)).await;
        drop((journal, outbox));
        assert_eq!(names(folder.path()).len(), usize::from(!whole));
        let tasks = Tasks::new();
        let next = of_workers(folder.path(), 1, &tasks);
        assert_eq!(next.depth(), u64::from(!whole));
        tasks.shutdown(Duration::from_secs(5)).await;
    }
}

/// A run that left `pairs` requests.
fn leave(data_dir: &Path, pairs: u64) -> PathBuf {
    // It has a runtime of its own.
    std::thread::scope(|scope| scope.spawn(|| spool_of(data_dir, pairs)).join().unwrap());
    incarnation_folder(data_dir)
}

#[tokio::test]
async fn records_that_nobody_can_say_whose_they_are_are_set_aside_and_kept() {
    let spoil: [fn(&Path); 3] = [
        |identity| fs::remove_file(identity).unwrap(),
        |identity| fs::write(identity, b"").unwrap(),
        |identity| fs::write(identity, b"switchyard spools 1 00000000 1 node-b").unwrap(),
    ];
    for spoil in spoil {
        let folder = tempfile::tempdir().unwrap();
        let left = leave(folder.path(), 3);
        let before = segment::list(&left.join("0")).unwrap();
        spoil(&left.join("identity"));
        for _ in 0..2 {
            let tasks = Tasks::new();
            let journal = of_workers(folder.path(), 0, &tasks);
            assert_eq!((journal.set_aside(), journal.outboxes().len(), journal.depth()), (1, 1, 0));
            assert!(journal.end(NOW));
            let outbox = journal.outboxes().pop().unwrap();
            outbox.acknowledge(&[(0, 1)], &tasks).await.unwrap();
            tasks.shutdown(Duration::from_secs(5)).await;
        }
        let aside = left.with_extension("set-aside");
        assert_eq!(names(folder.path()), [aside.file_name().unwrap().to_str().unwrap()]);
        assert_eq!(segment::list(&aside.join("0")).unwrap(), before);
    }
}

#[test]
fn a_folder_in_which_nothing_was_recorded_goes_without_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let left = leave(folder.path(), 0);
    fs::remove_file(left.join("identity")).unwrap();
    let Left { found, set_aside } = Left::find(&taken(folder.path()), NOW).unwrap();
    assert_eq!((found.len(), set_aside, left.exists()), (0, 0, false));
}

#[test]
fn the_rest_of_a_delivered_folder_goes() {
    let folder = tempfile::tempdir().unwrap();
    let left = leave(folder.path(), 3);
    fs::remove_file(left.join("identity")).unwrap();
    fs::rename(&left, left.with_extension("delivered")).unwrap();
    let Left { found, set_aside } = Left::find(&taken(folder.path()), NOW).unwrap();
    assert_eq!((found.len(), set_aside, names(folder.path()).len()), (0, 0, 0));
}

#[test]
fn a_spool_that_the_identity_does_not_count_is_delivered_too() {
    let folder = tempfile::tempdir().unwrap();
    let left = leave(folder.path(), 1);
    Identity { node_id: "node-a".into(), spools: 0 }.write(&left).unwrap();
    let outboxes = found_outboxes(&taken(folder.path()), NOW).unwrap();
    assert_eq!(shapes(&outboxes[0]), [[1, -1, END]]);
}
